"""What a run measured, as its folder keeps it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import figures

from engine.command_line.tables import kept
from engine.errors import StorageError
from engine.evaluation.results import ClassFigures, DrawnRows, Evaluation, RunResults
from engine.storage import read_json, write_json

FIGURES = ClassFigures(0.5, 0.25, 1 / 3, 4)
WHOLE = RunResults(
    summary={"PT": figures(0.75, 0.125), "one seed": {**figures(), "accuracy_std": None}},
    evaluations={"PT seed 0": Evaluation(0.75, 0.7, 0.1, 0.5, 0.6, {"good": FIGURES}, [[3, 1], [0, 4]])},
    measured_on="validation",
    best="PT seed 0",
    draws={"0": DrawnRows(training=[4, 2], validation=[])},
    runs={"PT seed 0": {"best_step": 30}},
)


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    WHOLE.save(tmp_path)
    assert RunResults.open(tmp_path) == WHOLE


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    WHOLE.save(tmp_path)
    document = read_json(tmp_path / "results.json")
    document["evaluations"]["PT seed 0"]["brier"] = 0.2
    document["summary"]["PT"]["brier_mean"] = 0.2
    write_json(tmp_path / "results.json", {**document, "confidence": []})
    assert RunResults.open(tmp_path) == WHOLE


@pytest.mark.parametrize(
    "changed",
    [
        [],
        {},
        {"summary": []},
        {"summary": {"PT": {**figures(), "accuracy_mean": None}}},
        {"summary": {}, "measured_on": "training"},
        {"summary": {}, "draws": {"0": {"training": ["a"], "validation": []}}},
        {"summary": {}, "evaluations": {"PT": {"accuracy": 1}}},
        {"summary": {}, "best": 3},
    ],
)
def test_damaged_results_are_refused_with_the_file_and_what_to_do(tmp_path: Path, changed: object) -> None:
    write_json(tmp_path / "results.json", changed)
    with pytest.raises(StorageError, match=r"damaged.*results\.json.*Run that step again"):
        RunResults.open(tmp_path)
    with pytest.raises(StorageError):
        kept(tmp_path)


def test_reading_results_loads_no_heavy_library() -> None:
    program = (
        "import sys, engine.evaluation.results; print([name for name in ('sklearn', 'torch') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
