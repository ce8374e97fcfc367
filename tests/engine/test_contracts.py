"""Contracts between the rooms, and the paper's constants in one place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.errors import SettingsError
from engine.events import (
    Checkpointed,
    Failed,
    Finished,
    Metric,
    Notice,
    Points,
    Progress,
    from_json,
    read_only,
    to_json,
)
from engine.presets import PSEUDO_ALPHA, preset
from engine.settings import (
    AnnotateSettings,
    ClusterSettings,
    FullModelSettings,
    MetaTrainSettings,
    PretrainSettings,
    PromptSettings,
    TuneSettings,
    validated,
)
from engine.words import PAPER_WORDS

ROOT = Path(__file__).parents[2]


def test_the_papers_constants():
    meta, ppt, tune, full = MetaTrainSettings(), PretrainSettings(), TuneSettings(), FullModelSettings()
    assert (meta.alpha, meta.beta, meta.shots, meta.patience, meta.steps) == (0.08, 0.025, 4, 6, 20_000)
    assert (meta.gradient, meta.initialisation, meta.inner_steps, meta.tasks_per_step) == ("exact", "random", 1, None)
    assert (meta.weight_decay, meta.validate_every, meta.validation_share, meta.validation_rows) == (
        0.01,
        100,
        0.1,
        100,
    )
    assert (ppt.learning_rate, ppt.warmup_steps, ppt.batch_size, ppt.epochs, ppt.steps) == (0.003, 20, 4, 5, 1_250_000)
    assert (ppt.validate_every, ppt.patience) == (20_000, 5)
    assert (tune.training_rows, tune.validation_rows, tune.seeds, tune.batch_size) == (40, 40, 5, 4)
    assert (tune.learning_rate, tune.warmup_steps, tune.epochs, tune.patience) == (0.003, 20, 200, 5)
    assert (full.learning_rate, full.warmup_steps, full.batch_size, full.epochs, full.patience) == (3e-5, 20, 4, 200, 5)
    prompt, cluster = PromptSettings(), ClusterSettings()
    assert (prompt.soft_tokens, prompt.text_tokens, prompt.template) == (100, 512, "{text} It was {mask}.")
    assert (prompt.loss, prompt.answer) == ("vocabulary", "after_mask")
    assert (cluster.method, cluster.clusters) == ("kmeans", 10)
    assert PAPER_WORDS[5] == ("terrible", "bad", "maybe", "good", "great")


def test_rooms_import_only_what_they_may():
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    answer = subprocess.run([sys.executable, "-c", lint], capture_output=True, text=True, cwd=ROOT, check=False)
    assert answer.returncode == 0, answer.stdout


def test_what_the_paper_leaves_open_has_one_default():
    meta, ppt, tune, full, labels = (
        MetaTrainSettings(),
        PretrainSettings(),
        TuneSettings(),
        FullModelSettings(),
        AnnotateSettings(),
    )
    assert {part.weight_decay for part in (meta, ppt, tune, full)} == {0.01}
    assert (meta.seed, ppt.seed, tune.first_seed, meta.learn_inner_rates, ppt.initialisation) == (
        0,
        0,
        0,
        False,
        "random",
    )
    assert (ppt.validation_share, ppt.validation_rows) == (0.1, 1_000)
    assert (tune.improvement, tune.validate_start, tune.test_rows) == ("accuracy", False, 0)
    assert tune.epochs_without_validation == 20
    assert (labels.annotator, labels.model, labels.held_out_share) == ("sentence-bert", "roberta-base", 0.1)
    assert (labels.confidence, labels.out_of_domain_share, labels.balance, labels.maximum_rows) == (
        0.9,
        0.2,
        True,
        None,
    )


def test_the_rates_of_the_bundled_backbone_are_those_of_the_evidence():
    values = preset("laptop")
    assert (values["meta_train"]["alpha"], values["meta_train"]["beta"], PSEUDO_ALPHA) == (100, 0.3, 30)
    assert (values["pretrain"]["learning_rate"], values["tune"]["learning_rate"]) == (1, 0.03)
    meta, ppt = values["meta_train"], values["pretrain"]
    assert (ppt["patience"], ppt["validation_rows"]) == (meta["patience"], 10 * meta["validation_rows"])


def test_what_the_window_needs_is_light():
    light = "engine.events, engine.settings, engine.project, engine.stage, engine.jobs, engine.running.process"
    heavy = "('torch', 'transformers', 'sentence_transformers', 'sklearn', 'gensim', 'pandas')"
    program = f"import sys, {light}, engine.cli; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "event",
    [
        Progress("cluster", 3, 10, "rows", 2.5, 2.8, "Grouping"),
        Metric("query loss", 7, 0.25, "task 1"),
        Points(
            "tsne", read_only(np.arange(3)), read_only(np.ones((3, 2), np.float32)), read_only(np.zeros(3, np.int16))
        ),
        Points("pca", read_only(np.arange(3)), read_only(np.ones((3, 2), np.float32))),
        Notice("The group 'x' is too small.", "warning"),
        Checkpointed("/a/b", 5),
        Finished("/a/b", "stopped", {"steps": 3}),
        Failed("DataError", "what", "where", "remedy"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_come_back_from_json(event):
    found = from_json(to_json(event))
    assert type(found) is type(event)
    assert to_json(found) == to_json(event)
    assert "\n" not in to_json(event)


def test_json_never_holds_nan():
    assert "NaN" not in to_json(Metric("loss", 1, float("nan")))
    assert np.isnan(from_json(to_json(Metric("loss", 1, float("nan")))).value)


def test_points_cannot_be_changed_by_their_reader():
    with pytest.raises(ValueError, match="read-only"):
        read_only(np.zeros(3))[0] = 1


def test_a_wrong_setting_is_named_with_its_value():
    with pytest.raises(SettingsError, match=r"'alpha'.*greater than 0, not -1"):
        validated(MetaTrainSettings, {"alpha": -1})
    with pytest.raises(SettingsError, match="no setting 'alhpa'"):
        validated(MetaTrainSettings, {"alhpa": 1})
    with pytest.raises(SettingsError, match=r"must contain \{mask\} exactly once"):
        validated(PromptSettings, {"template": "{text}"})


def test_every_setting_says_what_it_changes():
    import engine.running.pipeline as pipeline
    import engine.settings as settings

    for module in (settings, pipeline):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, settings.Settings) and model.__module__ == module.__name__:
                for name, field in model.model_fields.items():
                    nested = isinstance(field.annotation, type) and issubclass(field.annotation, settings.Settings)
                    assert nested or (field.description or "").endswith("."), f"{model.__name__}.{name} has no help"
