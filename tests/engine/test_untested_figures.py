"""What is shown of a tuning for which nothing was set aside to test on."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

from engine.command_line.tables import show_comparison
from engine.corpus.drawing import few_shot_draws
from engine.evaluation.metrics import evaluate, summarise
from engine.evaluation.results import RunResults
from engine.events import Notice
from engine.project import Project
from engine.prompting.bank import initial_prompt
from engine.settings import TuneSettings
from engine.stage import StopToken
from engine.training.few_shot import few_shot

MEASURED = {"MetaPT": summarise([evaluate(np.eye(2), np.array([0, 1]), ("bad", "good"))])}


def in_a_project(folder: Path) -> Project:
    """Return a project whose runs all lie in ``folder``."""
    project = MagicMock(spec=Project)
    project.role.return_value = folder
    return project


def test_the_files_of_probes_are_named(tmp_path, capsys):
    RunResults(summary={}, best="MetaPT seed 0").save(tmp_path)
    (tmp_path / "probe.safetensors").touch()
    show_comparison(MEASURED, in_a_project(tmp_path), probed=True)
    assert str(tmp_path / "probe.safetensors") in capsys.readouterr().out
    show_comparison(MEASURED, in_a_project(tmp_path), probed=False)
    assert "Probes" not in capsys.readouterr().out


def test_other_figures_stand_in_and_are_called_what_they_are(tmp_path, capsys):
    RunResults(summary={}, best="MetaPT seed 0", validation_summary=MEASURED).save(tmp_path)
    show_comparison({}, in_a_project(tmp_path), probed=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "Nothing was set aside to test on" in said
    assert said.count("validation") == 3  # in the sentence, and in the heads of two columns
    assert "100.0 %" in said
    assert "--test-rows N" in said
    assert "test_rows under [tune] in a pipeline file" in said
    assert "Kept for export" in said
    show_comparison(MEASURED, in_a_project(tmp_path), probed=False)
    said = capsys.readouterr().out
    assert "accuracy" in said
    assert "validation" not in said
    assert "--test-rows" not in said


def test_a_probe_that_was_better_than_the_kept_prompt_is_named(tmp_path, capsys):
    summary = {"PT": MEASURED["MetaPT"] | {"accuracy_mean": 0.3}, "Sentence-BERT probe": MEASURED["MetaPT"]}
    RunResults(summary={}, best="PT seed 0", validation_summary=summary).save(tmp_path)
    for tested in ({}, summary):
        show_comparison(tested, in_a_project(tmp_path), probed=True)
        said = " ".join(capsys.readouterr().out.split())
        assert "30.0 %" in said
        assert "The Sentence-BERT probe was better than that prompt, with 100.0 %: use that one." in said


def test_without_validation_there_is_nothing_to_show(tmp_path, capsys):
    RunResults(summary={}, best="MetaPT seed 0").save(tmp_path)
    show_comparison({}, in_a_project(tmp_path), probed=False)
    assert "Nothing was measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "told"), [(16, []), (12, ["There are labels for 6 to train and 6 to validate, not for 8 to train and 8"])]
)
def test_fewer_rows_than_asked_for_are_told(make_scorer, make_examples, tmp_path, rows, told):
    scorer = make_scorer(2)
    settings = TuneSettings(training_rows=8, validation_rows=8, seeds=1, epochs=1)
    starts = {"PT": [initial_prompt("random", scorer.backbone, scorer.verbalizer, 4, 0)]}
    examples = make_examples(scorer, rows)
    draws = few_shot_draws(examples.labels, np.arange(rows), settings)
    stage = few_shot(scorer, examples, draws, starts, settings, tmp_path, stop=StopToken())
    found = [event.text for event in stage if isinstance(event, Notice)]
    assert len(found) == len(told)
    assert all(text.startswith(start) for text, start in zip(found, told, strict=True))
