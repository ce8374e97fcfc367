"""What the window gets from the engine: predictions, quick cancel, answers to questions, presets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from counting import CountJob

from engine.corpus.drawing import few_shot_draws
from engine.errors import EngineProcessError
from engine.evaluation.results import ALONE
from engine.events import Finished
from engine.jobs.session import QUESTIONS, Session
from engine.presets import DESCRIPTIONS, PARTS, Preset, as_many_texts, other_budget, preset
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import describe_prompt, load_prompt, save_prompt
from engine.prompting.verbalizer import COMMON_WORDS, suggest_words
from engine.running.pipeline import PipelineSettings
from engine.running.process import EngineProcess
from engine.settings import (
    BackboneSettings,
    ClusterSettings,
    MetaTrainSettings,
    PretrainSettings,
    PromptSettings,
    TuneSettings,
)
from engine.stage import StopToken, result_of
from engine.storage import read_json
from engine.training.few_shot import few_shot

# Predictions of few-shot tuning ---------------------------------------------------------------------------------------

CLASSES = ("0", "1", "2")


def tune_few(
    scorer, examples, folder: Path, settings: TuneSettings, pool: np.ndarray, test: np.ndarray | None = None
) -> tuple[dict, Finished]:
    starts = {
        name: [initial_prompt(name, scorer.backbone, scorer.verbalizer, 4, seed) for seed in (1, 0)]
        for name in ("vocabulary", "random")
    }
    draws = few_shot_draws(examples.labels, pool, settings)
    *_, last = few_shot(scorer, examples, draws, starts, settings, folder, stop=StopToken(), test=test)
    return read_json(folder / "results.json"), last


def check_predictions(folder: Path, results: dict, scorer, examples, rows_of_seed: dict[int, list[int]]) -> None:
    """Compare the predictions with the results and with what the kept prompts say."""
    table = pq.read_table(folder / "predictions.parquet")
    assert table.column_names == ["run", "row", "label", "prediction", "confidence"]
    found: dict[str, list[dict]] = {}
    for item in table.to_pylist():
        found.setdefault(item["run"], []).append(item)
    alone = [ALONE] if results["measured_on"] == "test" else []
    assert list(found) == [*results["runs"], *alone] == list(results["evaluations"])
    for name, items in found.items():
        rows = [item["row"] for item in items]
        assert rows == rows_of_seed[SEEDS[0] if name == ALONE else int(name[-1])]
        assert [item["label"] for item in items] == [CLASSES[examples.labels[row]] for row in rows]
        confusion = np.zeros((3, 3), int)
        for item in items:
            confusion[CLASSES.index(item["label"]), CLASSES.index(item["prediction"])] += 1
        assert confusion.tolist() == results["evaluations"][name]["confusion"]
        assert np.trace(confusion) / len(items) == pytest.approx(results["evaluations"][name]["accuracy"])
        vectors = torch.empty(0, scorer.backbone.width)
        if name != ALONE:
            vectors = load_prompt(folder / "prompts" / f"{name.replace(' seed ', '-')}.safetensors").vectors
        chances = result_of(scorer.probabilities(vectors[None], examples.texts.take(np.array(rows))))[0]
        assert [item["prediction"] for item in items] == [CLASSES[number] for number in chances.argmax(1)]
        assert np.allclose([item["confidence"] for item in items], chances.max(1), atol=1e-4)


def check_best(folder: Path, results: dict) -> None:
    first = [name for name in results["runs"] if name.startswith("vocabulary")]
    figures = {name: results["runs"][name] for name in first}
    best = max(first, key=lambda name: (figures[name]["validation_accuracy"], -figures[name]["validation_loss"]))
    assert results["best"] == best != first[0], "the best is not the first run"
    kept = load_prompt(folder / "prompts" / f"{best.replace(' seed ', '-')}.safetensors").vectors
    assert torch.equal(load_prompt(folder / "prompt.safetensors").vectors, kept)


def drawn(examples, pool: np.ndarray, settings: TuneSettings) -> dict[str, dict[str, list[int]]]:
    return {
        str(seed): {"training": draw.training.tolist(), "validation": draw.validation.tolist()}
        for seed, draw in few_shot_draws(examples.labels, pool, settings)
    }


SEEDS = (3, 4)
SETTINGS = TuneSettings(training_rows=12, validation_rows=15, seeds=2, first_seed=SEEDS[0], epochs=3, learning_rate=0.3)


def test_predictions_on_test_rows_agree_with_the_results(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(3)
    examples = make_examples(scorer, 90)
    pool, test = np.arange(60), np.arange(60, 90)[::-1].copy()
    results, last = tune_few(scorer, examples, tmp_path, SETTINGS, pool, test)
    check_predictions(tmp_path, results, scorer, examples, dict.fromkeys(SEEDS, test.tolist()))
    check_best(tmp_path, results)
    assert results["draws"] == drawn(examples, pool, SETTINGS)
    assert results["measured_on"] == "test"
    assert set(results["summary"]) == {"vocabulary", "random", ALONE}
    assert (results["summary"][ALONE]["seeds"], results["summary"][ALONE]["accuracy_std"]) == (1, None)
    assert results["validation_summary"] == {}
    for name, figures in results["runs"].items():
        assert figures["test_accuracy"] == results["evaluations"][name]["accuracy"]
    assert last.summary["summary"] == results["summary"]


def test_without_test_rows_each_run_is_measured_on_its_own_validation_rows(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(3)
    examples = make_examples(scorer, 60)
    results, last = tune_few(scorer, examples, tmp_path, SETTINGS, np.arange(60), np.empty(0, np.int64))
    draws = drawn(examples, np.arange(60), SETTINGS)
    assert results["draws"] == draws
    assert draws[str(SEEDS[0])]["validation"] != draws[str(SEEDS[1])]["validation"]
    check_predictions(tmp_path, results, scorer, examples, {seed: draws[str(seed)]["validation"] for seed in SEEDS})
    check_best(tmp_path, results)
    assert results["measured_on"] == "validation"
    assert results["summary"] == last.summary["summary"] == {}
    assert set(results["validation_summary"]) == {"vocabulary", "random"}
    for name, figures in results["runs"].items():
        assert "test_accuracy" not in figures
        assert results["evaluations"][name]["accuracy"] == pytest.approx(figures["validation_accuracy"])
    for start, summary in results["validation_summary"].items():
        mine = [results["evaluations"][f"{start} seed {seed}"]["accuracy"] for seed in SEEDS]
        assert summary["accuracy_mean"] == pytest.approx(np.mean(mine))
        errors = [results["evaluations"][f"{start} seed {seed}"]["expected_calibration_error"] for seed in SEEDS]
        assert summary["expected_calibration_error_mean"] == pytest.approx(np.mean(errors)), "no other start is in it"


def test_with_nothing_to_measure_on_there_are_no_predictions(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(3)
    examples = make_examples(scorer, 9)
    settings = TuneSettings(seeds=2, epochs_without_validation=1)
    results, last = tune_few(scorer, examples, tmp_path, settings, np.arange(len(examples)))
    assert last.outcome == "completed"
    assert results["evaluations"] == results["summary"] == results["validation_summary"] == {}
    assert all(len(draw["training"]) == 9 and not draw["validation"] for draw in results["draws"].values())
    assert not (tmp_path / "predictions.parquet").exists()
    assert (tmp_path / "prompt.safetensors").exists()


# Cancelling -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine():
    with EngineProcess(threads=1) as process:
        yield process


def test_cancelling_does_not_wait_for_a_long_step(engine, tmp_path):
    assert list(engine.run(CountJob(to=1), tmp_path / "first"))[-1].outcome == "completed", "the process is up"
    events, ended = [], []

    def read() -> None:
        events.extend(engine.run(CountJob(to=50, seconds=3.0), tmp_path / "long"))
        ended.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 10
    while not (tmp_path / "long" / "job.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # now it is in its first step
    asked = time.monotonic()
    engine.cancel()
    reader.join(10)
    assert ended[0] - asked < 0.5
    assert events == [], "there is no last event"
    following = list(engine.run(CountJob(to=3), tmp_path / "next"))
    assert [event.value for event in following[:-1]] == [0, 1, 2]
    assert following[-1] == Finished(str(tmp_path / "next"), "completed", {"reached": 3})
    assert not (tmp_path / "long" / "result.json").exists()


def test_events_on_their_way_when_a_job_is_cancelled_are_dropped(engine, tmp_path):
    stream = engine.run(CountJob(to=100_000), tmp_path / "a")
    next(stream)
    time.sleep(0.5)  # now it is as far ahead as it may be, and waits
    reached = (tmp_path / "a" / "reached").read_text()
    engine.cancel()
    assert list(stream) == []
    following = list(engine.run(CountJob(to=3), tmp_path / "b"))
    assert [event.value for event in following[:-1]] == [0, 1, 2]
    assert following[-1] == Finished(str(tmp_path / "b"), "completed", {"reached": 3})
    time.sleep(0.3)
    assert (tmp_path / "a" / "reached").read_text() == reached, "the cancelled job does not go on"


def test_cancelling_nothing_does_not_cancel_the_next_job(engine, tmp_path):
    engine.cancel()
    assert list(engine.run(CountJob(to=2), tmp_path))[-1].outcome == "completed"


# Questions ------------------------------------------------------------------------------------------------------------


def on_cpu(folder: Path) -> dict:
    return BackboneSettings(backbone=str(folder), device="cpu").model_dump()


def test_suggestions_are_ordered_and_of_one_token(backbone):
    tokenizer = backbone.tokenizer
    split = [word for word in COMMON_WORDS if len(tokenizer(word, add_special_tokens=False)["input_ids"]) > 1]
    seen = []

    def encode(words: Sequence[str]) -> np.ndarray:
        """Words lie on a circle: the nearer in the list, the likelier; ``good`` is what is asked for."""
        seen.extend(words)
        angles = np.linspace(0, 3, len(words))
        angles[1:] = angles[:0:-1]  # the last candidate is the likest
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    found = suggest_words("good", tokenizer, encode, count=4)
    assert seen[0] == "good"
    assert "good" not in seen[1:]
    assert not set(split) & set(seen)
    assert found == seen[:-5:-1]


def test_suggested_words_are_single_tokens_of_like_meaning(tiny_t5):
    session = Session()
    for word in ("unsatisfactory", "good"):
        found = session.suggest_words(on_cpu(tiny_t5), word)
        assert len(set(found)) == 3
        assert word not in found
        assert all(len(session.word_tokens(on_cpu(tiny_t5), other)) == 1 for other in found)
    assert session.suggest_words(on_cpu(tiny_t5), "data privacy")[:2] == ["data", "privacy"]
    assert "payment" in session.suggest_words(on_cpu(tiny_t5), "billing")
    assert {"terrible", "awful", "horrible", "bad", "poor", "wrong", "worst", "complaint"} & set(
        session.suggest_words(on_cpu(tiny_t5), "unsatisfactory")
    )


def test_devices_and_memory(tiny_t5):
    session = Session()
    devices = session.devices()
    assert devices[-1]["name"] == "cpu"
    assert json.loads(json.dumps(devices)) == devices
    assert all(set(device) == {"name", "description", "memory"} for device in devices)
    assert session.device_memory() is None, "nothing is loaded"
    session.word_tokens(on_cpu(tiny_t5), "good")
    assert session.device_memory() is None, "the backbone is on the CPU"


def test_questions_of_the_window_cross_the_pipe(engine, tmp_path, tiny_t5, kept_prompt):
    assert engine.ask("devices")[-1]["name"] == "cpu"
    assert engine.ask("device_memory") is None
    assert engine.ask("describe_prompt", prompt=str(kept_prompt))["soft_tokens"] == 4
    written = engine.ask("export_prompt", prompt=str(kept_prompt), target=str(tmp_path / "out.safetensors"), peft=False)
    assert written == (tmp_path / "out.safetensors").stat().st_size
    with pytest.raises(EngineProcessError, match="no question"):
        engine.ask("sentence_encoder")
    assert all(callable(getattr(Session, name)) for name in QUESTIONS)


@pytest.fixture
def kept_prompt(make_scorer, tmp_path, tiny_t5) -> Path:
    """A prompt file with words and metrics."""
    scorer = make_scorer(2, words={"0": "bad", "1": "great"})
    vectors = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, 0)
    described = describe_prompt(vectors, scorer, metrics={"test_accuracy": 0.75}, training={"method": "by hand"})
    save_prompt(described, tmp_path / "kept.safetensors")
    return tmp_path / "kept.safetensors"


def test_a_prompt_describes_itself(kept_prompt, tiny_t5, tmp_path):
    session = Session()
    found = session.describe_prompt(str(kept_prompt))
    assert found == {
        "classes": ["0", "1"],
        "backbone": tiny_t5.name,
        "words": {"0": "bad", "1": "great"},
        "soft_tokens": 4,
        "width": 32,
        "settings": PromptSettings(soft_tokens=4, text_tokens=32).model_dump(),
        "metrics": {"test_accuracy": 0.75},
    }
    session.export_prompt(str(kept_prompt), str(tmp_path / "peft"), True)
    assert session.describe_prompt(str(tmp_path / "peft")) == found
    (tmp_path / "peft" / "metapt.json").unlink()
    bare = session.describe_prompt(str(tmp_path / "peft"))
    assert (bare["backbone"], bare["words"], bare["soft_tokens"], bare["width"]) == (None, {}, 4, 32)


@pytest.mark.parametrize("peft", [False, True])
def test_an_exported_prompt_is_the_same_prompt(kept_prompt, tmp_path, peft):
    target = tmp_path / ("folder" if peft else "out.safetensors")
    written = Session().export_prompt(str(kept_prompt), str(target), peft)
    files = sorted(target.iterdir()) if peft else [target]
    assert written == sum(path.stat().st_size for path in files) > 4 * 4 * 32
    if peft:
        names = ["adapter_config.json", "adapter_model.safetensors", "metapt.json"]
        assert [path.name for path in files] == names
    before, after = load_prompt(kept_prompt), load_prompt(target)
    assert torch.equal(before.vectors, after.vectors)
    for part in ("backbone", "words", "settings", "metrics", "training"):
        assert getattr(before, part) == getattr(after, part)


# Presets --------------------------------------------------------------------------------------------------------------

MODELS = {
    "meta_train": MetaTrainSettings,
    "pretrain": PretrainSettings,
    "prompt": PromptSettings,
    "tune": TuneSettings,
}


@pytest.mark.parametrize("backbone", ["bundled", "google/t5-v1_1-base"])
@pytest.mark.parametrize("name", get_args(Preset))
def test_every_preset_is_valid_and_is_what_its_description_says(name, backbone):
    values = preset(name, backbone)
    assert set(values) == set(MODELS)
    for part, model in MODELS.items():
        assert model(**values[part]).model_dump() == values[part]
    for figure in (
        f"{values['meta_train']['steps']:,} ",
        f"{values['prompt']['soft_tokens']} soft tokens",
        f"{values['prompt']['text_tokens']} tokens",
    ):
        assert figure in DESCRIPTIONS[name]
    assert ("first-order" in DESCRIPTIONS[name]) == (values["meta_train"]["gradient"] == "first_order")


@pytest.mark.parametrize("backbone", ["bundled", "google/t5-v1_1-base"])
def test_the_papers_preset_is_the_defaults(backbone):
    assert preset("paper", backbone) == {part: model().model_dump() for part, model in MODELS.items()}


@pytest.mark.parametrize("name", ["quick", "laptop"])
def test_the_bundled_rates_are_for_the_bundled_backbone_only(name):
    bundled, other, paper = preset(name), preset(name, "google/t5-v1_1-base"), preset("paper")
    rates = {
        ("meta_train", "alpha"),
        ("meta_train", "beta"),
        ("pretrain", "learning_rate"),
        ("tune", "learning_rate"),
    }
    differ = {(part, key) for part in bundled for key in bundled[part] if bundled[part][key] != other[part][key]}
    assert differ == rates
    assert all(other[part][key] == paper[part][key] for part, key in rates)
    assert bundled == preset(name, "bundled")


@pytest.mark.parametrize("name", ["quick", "laptop"])
def test_ppt_reads_as_many_texts_as_the_meta_training_of_the_same_preset(name):
    values = preset(name)
    meta, pretrain = MetaTrainSettings(**values["meta_train"]), PretrainSettings(**values["pretrain"])
    assert pretrain.steps * pretrain.batch_size == meta.steps * 2 * meta.shots * ClusterSettings().clusters
    assert pretrain.initialisation == meta.initialisation
    assert pretrain.steps // pretrain.validate_every == meta.steps // meta.validate_every


def test_ppt_reads_as_many_texts_when_a_pipeline_changes_the_meta_training():
    changed = {"meta_train": {"steps": 70, "shots": 3, "initialisation": "random"}, "cluster": {"clusters": 4}}
    files = {part: {"files": ["a.csv"]} for part in ("source", "target")}
    made = PipelineSettings(preset="laptop", **files, **changed)
    assert made.pretrain.steps * made.pretrain.batch_size == 70 * 2 * 3 * 4
    assert made.pretrain.initialisation == "random"
    own = PipelineSettings(preset="laptop", **files, **changed, pretrain={"steps": 9})
    assert (own.pretrain.steps, own.pretrain.batch_size) == (9, 24)


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, 80),
        ({"tasks_per_step": 5}, 40),
        ({"tasks_per_step": 12}, 80),
        ({"inner_steps": 3}, 160),
        ({"shots": 2, "inner_steps": 2, "tasks_per_step": 3}, 18),
    ],
)
def test_a_text_counts_for_ppt_as_often_as_meta_training_has_it_go_through_the_backbone(changes, texts):
    assert as_many_texts(MetaTrainSettings(**changes), 10)["batch_size"] == texts


def test_that_ppt_reads_less_or_more_is_said():
    laptop = {part: PARTS[part](**preset("laptop")[part]) for part in ("pretrain", "meta_train")}
    assert other_budget(laptop["pretrain"], laptop["meta_train"], 10, 10_000) == ""
    assert other_budget(laptop["pretrain"], laptop["meta_train"], 4, 10_000), "the groups are fewer than the preset's"
    told = other_budget(PretrainSettings(), MetaTrainSettings(), 10, 10_000)
    assert "PPT reads at most 45,000 texts and MetaPT 1,600,000" in told
