"""The page of labels and tuning by itself, and what is common to all pages: projects, dialogs, themes, names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gui.driving import Hands, redo, undo
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)

from engine.corpus.store import Corpus
from engine.project import Project
from engine.workflow import State
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.use import UsePage
from metapt_gui.widgets.dialogs import ErrorDialog, Question, TableDialog

# Label and tune -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tuning(hands: Hands, project_folder: Path) -> FewShotPage:
    hands.window.projects.open(project_folder)
    page = hands.to(FewShotPage)
    hands.until(lambda: page.table.model.rowCount() == 60)
    return page


def test_labels_by_key_undo_redo_and_disk(hands: Hands, tuning: FewShotPage, project_folder: Path) -> None:
    view, corpus = tuning.table.view, Corpus.open(hands.window.document.path("target"))
    view.setFocus()
    view.selectRow(0)
    for key in (Qt.Key.Key_1, Qt.Key.Key_1, Qt.Key.Key_2):
        hands.qtbot.keyClick(view, key)

    def on_disk() -> dict[int, str]:
        with Project.open(project_folder, read_only=True) as other:
            return other.labels(corpus.content_hash)

    assert on_disk() == {0: "unhappy", 1: "unhappy", 2: "happy"}
    assert hands.window.document.states()["tune"] in (State.READY, State.TODO)
    undo(hands)
    undo(hands)
    assert on_disk() == {0: "unhappy"}
    redo(hands)
    assert on_disk() == {0: "unhappy", 1: "unhappy"}
    where = view.visualRect(view.model().index(0, 1)).center()
    hands.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    hands.qtbot.keyClick(view, Qt.Key.Key_0)
    assert on_disk() == {1: "unhappy"}


def test_words_are_checked_while_typed(hands: Hands, tuning: FewShotPage) -> None:
    editor = tuning.side.words
    lines = [line for line in editor.findChildren(type(tuning.table.search)) if "word" in line.accessibleName()]
    hands.until(lambda: lines[0].accessibleDescription() == "1 token")
    hands.type(lines[0], "good")
    hands.until(lambda: lines[0].accessibleDescription() == "used twice")
    assert not tuning.primary.isEnabled()
    assert "share a label word" in tuning.primary.toolTip()
    hands.type(lines[0], "antidisestablishmentarianism")
    hands.until(lambda: "tokens" in lines[0].accessibleDescription())
    hands.until(editor.advice.isVisible)
    assert "Try for ‘antidisestablishmentarianism’ " in editor.advice.text()
    hands.type(lines[1], "data privacy")
    hands.until(lambda: "; for ‘data privacy’ data, privacy, " in editor.advice.text())
    hands.type(lines[0], "good")
    hands.until(lambda: "anti" not in editor.advice.text())
    assert "Try for ‘data privacy’ data, privacy, " in editor.advice.text()


def test_the_exact_input_is_shown_for_the_selected_text(hands: Hands, tuning: FewShotPage) -> None:
    tuning.table.view.selectRow(7)
    hands.until(lambda: "parcel 7" in tuning.side.preview.text())
    assert "<extra_id_0>" in tuning.side.preview.text()
    assert "20 soft tokens" in tuning.side.preview.text()


def test_texts_that_are_worth_a_label_are_put_first(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        path = project.role("target") / "corpus.parquet"
    table = pq.read_table(path)
    labels = [name if row < 2 else None for row, name in enumerate(table["label"].to_pylist())]
    pq.write_table(table.set_column(1, "label", pa.array(labels, pa.string())), path)
    hands.window.projects.open(project_folder)
    page = hands.to(FewShotPage)
    model = page.table.model
    hands.until(lambda: model.rowCount() == 60)

    def first() -> list[int]:
        return [model.corpus_row(place) for place in range(10)]

    before = first()
    hands.click(page.side.suggest)
    hands.until(lambda: first() != before and page.side.suggest.isEnabled())
    suggested = first()
    for _ in range(3):
        hands.qtbot.keyClick(page.table.view, Qt.Key.Key_1)  # the table has the keyboard by now, and goes on by itself
    assert [model.label(row) for row in suggested[:4]] == ["unhappy"] * 3 + [None]
    hands.click(page.side.suggest)
    hands.until(lambda: first() != suggested and page.side.suggest.isEnabled())
    assert not {row for row in first() if model.label(row)}
    hands.click(page.side.at_random)
    assert not {row for row in first() if model.label(row)}


def test_nothing_is_suggested_when_every_text_has_a_label(tuning: FewShotPage) -> None:
    assert not tuning.side.suggest.isEnabled()
    assert tuning.side.suggest.toolTip() == "Every text has a label."


def test_labels_come_from_a_file(hands: Hands, tuning: FewShotPage, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("row,label\n1,happy\n4,unhappy\n", encoding="utf-8")
    hands.next_file(path)
    hands.click(tuning.side.from_file)
    project, corpus = hands.window.document.project, hands.window.document.corpus("target")
    assert project is not None
    assert corpus is not None
    hands.until(lambda: project.labels(corpus.content_hash) == {0: "happy", 3: "unhappy"})
    texts = corpus.texts
    path.write_text(f"row,text,label\n1,{texts[1]},unhappy\n4,{texts[3]},happy\n", encoding="utf-8")
    hands.click(tuning.side.from_file)  # the rows of another file: 1 does not hold the text that stands beside it
    hands.until(lambda: project.labels(corpus.content_hash) == {0: "happy", 1: "unhappy", 3: "happy"})
    path.write_text("row,label\n1,cheerful\n", encoding="utf-8")
    hands.click(tuning.side.from_file)
    dialog = hands.dialog(ErrorDialog)
    assert "'cheerful' is no class" in dialog.sentence.text()
    dialog.reject()


def test_a_renamed_class_takes_its_labels_along(hands: Hands, tuning: FewShotPage) -> None:
    tuning.table.view.setFocus()
    tuning.table.view.selectRow(5)
    hands.qtbot.keyClick(tuning.table.view, Qt.Key.Key_2)
    name = next(
        line for line in tuning.side.words.findChildren(type(tuning.table.search)) if line.accessibleName() == "Class 2"
    )
    hands.type(name, "glad")
    project, corpus = hands.window.document.project, hands.window.document.corpus("target")
    assert project is not None
    assert corpus is not None
    assert project.labels(corpus.content_hash) == {5: "glad"}
    assert project.value("task")["classes"] == ["unhappy", "glad"]
    assert project.value("task")["words"]["glad"] == "good"


# Projects and dialogs -------------------------------------------------------------------------------------------------


def test_a_project_that_is_open_elsewhere_is_offered_for_reading(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder):
        hands.window.projects.open(project_folder)
        question = hands.dialog(Question)
        assert "open in another window" in question.text()
        hands.answer(question, "Open for reading only")
        assert "reading only" in hands.window.windowTitle()
        for number in range(5):
            page = hands.step(number)
            assert not page.primary.isEnabled()
            assert "reading only" in page.primary.toolTip()


def test_a_project_of_a_newer_version_is_refused(hands: Hands, project_folder: Path) -> None:
    manifest = json.loads((project_folder / "project.json").read_text(encoding="utf-8"))
    (project_folder / "project.json").write_text(json.dumps({**manifest, "schema": 99}), encoding="utf-8")
    hands.window.projects.open(project_folder)
    dialog = hands.dialog(ErrorDialog)
    assert "newer MetaPT" in dialog.sentence.text()
    assert "Update MetaPT" in dialog.report
    dialog.reject()
    assert hands.window.document.project is None


def test_a_failing_job_opens_a_dialog_with_what_where_and_remedy(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    (Path(hands.window.document.path("clusters")) / "clusters.json").write_text("{", encoding="utf-8")
    page = hands.step(3)
    hands.press(page)
    dialog = hands.dialog(ErrorDialog)
    assert dialog.sentence.text()
    hands.click(dialog.copy)
    assert str(project_folder) in QApplication.clipboard().text()
    hands.qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    hands.until(page.primary.isEnabled)


def test_plots_are_saved_as_csv(hands: Hands, project_folder: Path, tmp_path: Path) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(ImportPage)
    target = tmp_path / "classes.csv"
    hands.next_file(target)
    page.charts.classes.export("CSV")
    with open(target, newline="", encoding="utf-8") as stream:
        assert [row[0] for row in csv.reader(stream)][1:] == ["1", "2", "3", "4", "5"]


def test_a_prompt_is_loaded_from_a_file_and_put_back(hands: Hands, project_folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nonsense")
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    assert not page.side.save.isEnabled()
    hands.next_file(bad)
    hands.click(page.side.load)
    dialog = hands.dialog(ErrorDialog)
    assert dialog.sentence.text()
    dialog.reject()
    assert not page.side.save.isEnabled()


def test_themes_switch_and_are_remembered(hands: Hands) -> None:
    window = hands.window
    before = window.grab().toImage().pixelColor(600, 300)
    dark = next(action for action in window.findChildren(type(window.menus.undo)) if action.text() == "Dark")
    dark.trigger()
    assert window.themes.theme.name == "dark"
    assert window.grab().toImage().pixelColor(600, 300).lightness() < before.lightness() / 3
    assert window.settings.get("theme", "system") == "dark"


def test_every_control_has_a_name_and_a_tooltip(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractItemView, QPlainTextEdit)
    nameless = []
    for number in range(6):
        page = hands.step(number)
        hands.qtbot.wait(50)
        for widget in page.findChildren(QWidget):
            inner = isinstance(widget.parent(), (QAbstractSpinBox, QComboBox, QAbstractItemView, QLineEdit, QTabBar))
            if not isinstance(widget, kinds) or isinstance(widget, QHeaderView) or inner or not widget.isVisible():
                continue
            if not (widget.accessibleName() and widget.toolTip()):
                nameless.append((page.step.key, type(widget).__name__, widget.accessibleName(), widget.toolTip()))
    assert nameless == []


def test_keys_are_listed(hands: Hands) -> None:
    hands.key(Qt.Key.Key_Question)
    dialog = hands.dialog(TableDialog)
    listed = {dialog.table.item(row, 0).text() for row in range(dialog.table.rowCount())}
    for key in ("F5", "Ctrl+1", "Ctrl+6", "Ctrl+E", "?"):
        assert QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) in listed
    dialog.reject()


def test_warnings_of_a_run_stay_on_its_page_and_in_the_log_once(hands: Hands, tmp_path: Path) -> None:
    path = tmp_path / "one class.csv"
    path.write_text("text,label\n" + "".join(f"text number {n},same\n" for n in range(20)), encoding="utf-8")
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.window.page
    assert isinstance(page, ImportPage)
    hands.next_file(path)
    hands.click(page.drop.browse)
    hands.until(lambda: page.model.rowCount() == 20)
    hands.choose(page.label_column, "label")
    hands.run(page)
    assert page.banner.isVisible()
    assert "Nothing can be learnt from one class" in page.banner.text.text()
    assert hands.window.log.toPlainText().count("Nothing can be learnt") == 1
