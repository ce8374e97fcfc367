"""Results of a tuning: what they say of seeds and of the prompt to export, and the way to a text that went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gui.driving import Hands
from gui.letters import opened, press
from importing import read, write
from made_runs import as_if_run, figures
from PySide6.QtCore import QModelIndex, QSize, Qt
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from engine.corpus.store import Corpus
from engine.evaluation.results import ALONE, ClassFigures, DrawnRows, Evaluation, RunResults
from engine.jobs import ProbeJob, TuneJob
from engine.project import Project
from metapt_gui.models.label_model import USE
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.result_files import read_results
from metapt_gui.widgets.results_view import ALONE_TIP, GONE, IN_THE_TEST_FILE, UNSPREAD_TIP, Results, ResultsView, Wrong

CLASS = ClassFigures(0.5, 0.5, 0.5, 1)
EVALUATION = Evaluation(0.0, 0.0, 0.5, 0.5, 0.5, {"unhappy": CLASS, "happy": CLASS}, [[0, 1], [1, 0]])


def made(probe: float = 0.7, **changes: object) -> Results:
    """Return the results of two methods and a probe on 10 texts of the task and some of another file."""
    wrong = {"MetaPT seed 1": [Wrong(7, "happy", "unhappy", 0.9, "a"), Wrong(12, "happy", "unhappy", 0.8, "b")]}
    summary = {"MetaPT": figures(0.8, 0.1), "PT": figures(0.6, 0.2), "Sentence-BERT probe": figures(probe, 0.0)}
    found = Results(
        ["unhappy", "happy"], "MetaPT seed 1", "test", summary, {"MetaPT seed 1": EVALUATION}, wrong, {}, (), 10
    )
    return found._replace(**changes)


@pytest.fixture
def view(qtbot) -> ResultsView:
    shown = ResultsView()
    qtbot.addWidget(shown)
    shown.resize(700, 600)
    shown.show()
    return shown


def test_no_spread_is_shown_where_every_seed_learns_from_the_same(view: ResultsView) -> None:
    view.show_results(made(unspread=("Sentence-BERT probe",)))
    cells = [view.methods.item(row, 1) for row in range(3)]
    assert [cell.text() for cell in cells] == ["80.0 ± 10.0 %", "60.0 ± 20.0 %", "70.0 %"]
    assert cells[2].toolTip() == UNSPREAD_TIP


def test_a_method_that_was_better_than_the_prompt_to_export_is_named(view: ResultsView) -> None:
    view.show_results(made())
    assert "export" not in view.note.text()
    view.show_results(made(probe=0.9))
    assert "The prompt to export is MetaPT seed 1, the best of MetaPT on the validation texts" in view.note.text()
    assert "Sentence-BERT probe was better (90.0 % against 80.0 %)." in view.note.text()
    view.show_results(made(probe=0.7, measured_on="validation"))
    assert "export" not in view.note.text()
    view.show_results(made(probe=0.9, measured_on="validation"))
    said = view.note.text()
    assert "For these figures a probe learns from the training texts alone." in said
    assert "Even so the Sentence-BERT probe was better than MetaPT (90.0 % against 80.0 %)" in said
    assert "The step Use and export can use it instead." in said


def test_the_backbone_alone_says_what_it_is_and_is_named_where_it_is_better(view: ResultsView) -> None:
    alone = {**figures(0.9), "accuracy_std": None, "macro_f1_std": None}
    view.show_results(made(summary={"MetaPT": figures(0.8, 0.1), ALONE: alone}))
    assert [view.methods.item(1, column).text() for column in range(3)] == [ALONE, "90.0 %", "90.0 %"]
    assert view.methods.item(1, 1).toolTip() == ALONE_TIP
    assert "on the test texts the backbone alone was better (90.0 % against 80.0 %)." in view.note.text()


def test_a_long_name_has_a_row_for_each_of_its_lines(view: ResultsView) -> None:
    names = ("PT", "Sentence-BERT probe + source", "one name after another name after another name after another name")
    view.show_results(made(summary={name: figures() for name in names}))
    heights = [view.methods.rowHeight(row) for row in range(3)]
    line = view.methods.fontMetrics().lineSpacing()
    assert heights[0] < heights[1] <= heights[2] - line


def test_rows_are_numbered_and_those_of_test_texts_are_told(qtbot, view: ResultsView) -> None:
    view.show_results(made())
    assert [view.errors.item(row, 0).text() for row in range(2)] == ["8", "test 3"]
    asked: list[Wrong] = []
    view.text_asked.connect(asked.append)
    for row in range(2):
        view.errors.setCurrentCell(row, 4)
        qtbot.keyClick(view.errors, Qt.Key.Key_Return)
    assert [wrong.row for wrong in asked] == [7]
    assert view._cell.text() == IN_THE_TEST_FILE


def test_the_text_has_most_of_the_width(qtbot, view: ResultsView) -> None:
    item = Wrong(1, "a class whose name is long and longer", "another name as long as that one", 0.9, "text " * 50)
    view.show_results(made(wrong={"MetaPT seed 1": [item]}))
    widths = [view.errors.columnWidth(column) for column in range(5)]
    assert max(widths[:4]) <= 90
    assert widths[4] > 1.5 * max(widths[:4])
    assert view.errors.rowHeight(0) > 2 * view.errors.fontMetrics().lineSpacing(), "and two lines"


class Counting(QStyledItemDelegate):
    """Counts how often a table asks how large a cell is."""

    asked = 0

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        self.asked += 1
        return super().sizeHint(option, index)


def test_other_errors_are_measured_once(view: ResultsView) -> None:
    wrong = [Wrong(row, "happy", "unhappy", 0.9, f"text {row}") for row in range(200)]
    view.show_results(made(wrong={"MetaPT seed 1": wrong}))
    counting = Counting()
    view.errors.setItemDelegate(counting)
    view.grab()
    counting.asked = 0
    view._on_cell(1, 0)
    view.grab()
    assert view.errors.rowCount() == 200
    assert 0 < counting.asked <= 2 * view.errors.rowCount() * view.errors.columnCount()


# From a project -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tuned(project_folder: Path) -> Path:
    """A project whose tuning took all labels with both seeds, has a probe beside it, and got row 33 wrong."""
    with Project.open(project_folder) as project:
        target = {"corpus": str(project.role("target")), "classes": ["unhappy", "happy"]}
        folder = as_if_run(project, "tune", TuneJob(**target))
        draws = {
            "1": DrawnRows(training=[0, 1], validation=[2, 3]),
            "2": DrawnRows(training=[3, 2], validation=[1, 0]),
        }
        RunResults(
            summary={"MetaPT": figures(0.8, 0.1)},
            best="MetaPT seed 1",
            draws=draws,
            evaluations={"MetaPT seed 1": EVALUATION},
        ).save(folder)
        row = {"run": "MetaPT seed 1", "row": 33, "label": "happy", "prediction": "unhappy", "confidence": 0.9}
        pq.write_table(pa.Table.from_pylist([row]), folder / "predictions.parquet")
        probe = as_if_run(project, "linear-probe", ProbeJob(**target))
        RunResults(summary={"Sentence-BERT probe": figures(0.7, 0.0)}).save(probe)
    return project_folder


def test_a_probe_has_a_spread_as_soon_as_seeds_draw_other_texts(tuned: Path) -> None:
    with Project.open(tuned) as project:
        corpus = Corpus.open(project.role("target"))
        places = project.role("tune"), project.role("linear-probe"), corpus
    found = read_results(*places)
    assert found is not None
    assert (found.unspread, found.own_rows) == (("Sentence-BERT probe",), 60)
    path = places[0] / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results["draws"]["2"]["validation"] = [1, 5]
    path.write_text(json.dumps(results), encoding="utf-8")
    found = read_results(*places)
    assert found is not None
    assert found.unspread == ()


def test_a_probe_that_was_only_validated_stands_beside_the_prompts(tuned: Path) -> None:
    with Project.open(tuned) as project:
        tuning, probe = project.role("tune"), project.role("linear-probe")
        corpus = Corpus.open(project.role("target"))
    tested = RunResults.open(tuning)
    validated = {"summary": {}, "validation_summary": tested.summary, "measured_on": "validation"}
    tested.model_copy(update=validated).save(tuning)
    measured = {"Sentence-BERT probe": figures(0.9, 0.0)}
    RunResults(summary={}, validation_summary=measured, measured_on="validation").save(probe)
    found = read_results(tuning, probe, corpus)
    assert found is not None
    assert list(found.summary) == ["MetaPT", "Sentence-BERT probe"]
    assert found.unspread == (), "each seed learns from other texts, and is measured on the others"


def test_a_text_that_went_wrong_is_found_among_the_labels(hands: Hands, tuned: Path) -> None:
    page: FewShotPage = opened(hands, tuned)
    hands.until(lambda: page.results.errors.rowCount() == 1)
    page.table.search.setText("nothing has this in it")
    page.tabs.setCurrentIndex(2)
    errors = page.results.errors
    where = errors.visualItemRect(errors.item(0, 4)).center()
    hands.qtbot.mouseClick(errors.viewport(), Qt.MouseButton.LeftButton, pos=where)
    hands.qtbot.mouseDClick(errors.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert page.tabs.currentIndex() == 0
    assert page.table.current_row() == 33
    press(hands, page, 33, Qt.Key.Key_1)
    assert page.labels.own() == {33: "unhappy"}


def test_results_are_shown_with_the_texts_that_they_were_measured_on(hands: Hands, tuned: Path) -> None:
    with Project.open(tuned) as project:
        before = Corpus.open(project.role("target"))
        again = project.folder / "runs" / "2000-import"
        rows = [(text, "happy") for text in ["a new message", *before.texts]]
        read(write(project.folder / "again.csv", rows=rows), again, text_column="review", label_column="stars")
        project.assign("target", again)
    page = opened(hands, tuned)
    errors = page.results.errors
    hands.until(lambda: errors.rowCount() == 1)
    assert errors.item(0, 4).text() == before.texts[33]
    uses = {page.table.model.index(row, USE).data() for row in range(60)}
    assert uses == {""}, "the rows are others now"
    page.tabs.setCurrentIndex(2)
    errors.setCurrentCell(0, 4)
    hands.qtbot.keyClick(errors, Qt.Key.Key_Return)
    assert page.tabs.currentIndex() == 0
    assert page.table.current_row() == 34


def test_a_text_that_is_gone_is_told(hands: Hands, tuned: Path) -> None:
    with Project.open(tuned) as project:
        again = project.folder / "runs" / "2000-import"
        read(write(project.folder / "again.csv"), again, text_column="review", label_column="stars")
        project.assign("target", again)
    page = opened(hands, tuned)
    errors = page.results.errors
    hands.until(lambda: errors.rowCount() == 1)
    page.tabs.setCurrentIndex(2)
    errors.setCurrentCell(0, 4)
    hands.qtbot.keyClick(errors, Qt.Key.Key_Return)
    assert page.tabs.currentIndex() == 2
    assert page.results._cell.text() == GONE
