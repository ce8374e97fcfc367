"""What begins like a formula is text in every table that a spreadsheet program may open."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.corpus.spreadsheet import FORMULA_STARTS, plain_cell
from engine.events import Finished
from engine.prompting.classifier import TextClassifier
from engine.settings import AnnotateSettings, ImportSettings
from engine.stage import StopToken

ROOT = Path(__file__).parents[2]
WRITERS = {"engine/evaluation/answers.py", "engine/annotation/results.py", "metapt_gui/widgets/plot.py"}
"""Every module that writes CSV; one that is new has to be looked at here."""
EVIL = ["=1+1", "+1", "-1+1", "@SUM(1)", '=HYPERLINK("http://a")', "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_every_dangerous_start_is_neutralised(start: str) -> None:
    assert start in FORMULA_STARTS
    assert plain_cell(f"{start}1") == f"'{start}1"
    assert plain_cell(f"soup {start}") == f"soup {start}"


def test_no_other_module_writes_tables() -> None:
    found = set()
    for room in ("engine", "metapt_gui", "resources"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if re.search(
                r"\b(csv|pacsv)\.(writer|DictWriter|CSVWriter|write_csv)\b|\.to_csv\(|\bWorkbook\(|xlsxwriter", text
            ):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == WRITERS


class FirstClass(TextClassifier):
    """Finds the first of the classes, whatever the text."""

    def __init__(self, *classes: str) -> None:
        self.classes_ = np.array(classes)

    def probabilities(self, texts, *, stop=None, stage="predict"):
        yield from ()
        return np.tile(np.linspace(1, 0.5, len(self.classes_), dtype=np.float32), (len(texts), 1))


def predict(folder: Path, ending: str, *, neutralise: bool) -> Path:
    """Classify the evil texts of a file with an evil name into evil classes."""
    from engine.evaluation.prediction import predict_files

    source = folder / "=a.txt"
    source.write_text("\n".join([*EVIL, "plain soup"]), encoding="utf-8")
    output = folder / f"out{ending}"
    stage = predict_files(
        FirstClass("=evil", "good"), [str(source)], output, ImportSettings(), folder / "run",
        spreadsheet=neutralise, stop=StopToken(),
    )  # fmt: skip
    assert isinstance(list(stage)[-1], Finished)
    return output


def test_predictions_in_csv_are_neutralised_in_every_column(tmp_path: Path) -> None:
    with open(predict(tmp_path, ".csv", neutralise=True), newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.reader(stream))
    assert len(rows) == 8
    assert not [cell for row in rows for cell in row if cell.startswith(FORMULA_STARTS)]
    assert [row[2] for row in rows[1:]] == [f"'{text}" for text in EVIL] + ["plain soup"]


def test_neutralising_can_be_switched_off(tmp_path: Path) -> None:
    with open(predict(tmp_path, ".csv", neutralise=False), newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["text"] for row in rows] == [*EVIL, "plain soup"]
    assert {(row["source"], row["prediction"]) for row in rows} == {("=a.txt", "=evil")}


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_formats_that_no_spreadsheet_runs_keep_the_text(tmp_path: Path, ending: str) -> None:
    output = predict(tmp_path, ending, neutralise=True)
    assert b"'=1+1" not in output.read_bytes()


def test_the_sample_of_pseudo_labels_is_neutralised(tmp_path: Path) -> None:
    from engine.annotation.results import write_audit

    corpus = SimpleNamespace(texts=EVIL)
    labels = np.zeros(len(EVIL), np.int64)
    write_audit(
        tmp_path, ("=evil",), corpus, np.arange(len(EVIL)), labels, np.ones(len(EVIL)), AnnotateSettings()
    )  # fmt: skip
    with open(tmp_path / "audit.csv", newline="", encoding="utf-8-sig") as stream:
        assert not [cell for row in csv.reader(stream) for cell in row if cell.startswith(FORMULA_STARTS)]


def test_the_figures_of_a_plot_are_neutralised(tmp_path: Path) -> None:
    pytest.importorskip("PySide6.QtWidgets")
    from metapt_gui.widgets.plot import PlotCard

    class Evil(PlotCard):
        def table(self):
            return ("=name", "value"), [("=1+1", -0.5)]

    PlotCard.save(Evil.__new__(Evil), tmp_path / "a.csv")  # writing a table needs no window
    with open(tmp_path / "a.csv", newline="", encoding="utf-8-sig") as stream:
        assert list(csv.reader(stream)) == [["'=name", "value"], ["'=1+1", "-0.5"]]
