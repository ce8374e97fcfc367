"""The labels of the page Label and tune, and what of its settings comes back: other texts, undo, new names, menus."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from gui.driving import Hands, redo, undo
from gui.letters import TUNE, add_target, kept, opened, press, show_target
from PySide6.QtCore import Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QSplitter

import metapt_gui.pages.few_shot
from engine.corpus.drawing import rows_to_test
from engine.errors import storage_error
from engine.project import Project
from engine.settings import TuneSettings
from metapt_gui.crash import CrashReports
from metapt_gui.main_window import MainWindow
from metapt_gui.models.label_model import LABEL
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.starts import FILE, META, RANDOM, VOCABULARY
from metapt_gui.user_settings import UserSettings
from metapt_gui.widgets.dialogs import ErrorDialog

# Undo -----------------------------------------------------------------------------------------------------------------


def test_undo_after_another_import_leaves_the_new_texts_alone(hands: Hands, letters: FewShotPage) -> None:
    project = hands.window.document.project
    assert project is not None
    press(hands, letters, 200, Qt.Key.Key_1)
    before = hands.window.document.corpus("target").content_hash
    show_target(hands, add_target(project, 20), 20)
    undo(hands)
    assert (project.labels(before), kept(hands)) == ({}, {})
    redo(hands)
    assert (project.labels(before), kept(hands)) == ({200: "unhappy"}, {})
    assert letters.table.model.counts() == {"unhappy": 0, "happy": 0}
    press(hands, letters, 3, Qt.Key.Key_2)
    assert kept(hands) == {3: "happy"}


def test_labels_of_rows_that_the_texts_do_not_have_are_passed_over(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        folder = add_target(project, 20)
        project.assign("target", folder)
    with hands.qtbot.captureExceptions() as failures:
        opened(hands, project_folder)
        assert hands.window.document.project is not None
        hands.window.document.project.set_labels(
            hands.window.document.corpus("target").content_hash, {200: "happy", 19: "happy", 2: "unhappy"}
        )
        hands.window.document.close()
        page = opened(hands, project_folder)
        hands.until(lambda: page.summary() == "2 labels")
    assert failures == []
    assert page.labels.usable(["happy", "unhappy"]) == {19: "happy", 2: "unhappy"}
    for only in ("labelled", "unlabelled", "happy"):
        page.table.model.set_filter("", only)
    assert page.table.model.rowCount() == 1


def test_what_is_undone_is_counted_at_once(hands: Hands, letters: FewShotPage) -> None:
    press(hands, letters, 10, Qt.Key.Key_1, Qt.Key.Key_2)
    assert (letters.side.labelled.value.text(), letters.summary()) == ("8", "8 labels")
    undo(hands)
    assert (letters.side.labelled.value.text(), letters.summary()) == ("7", "7 labels")
    hands.until(lambda: "7 labels" in hands.window.rail.buttons[TUNE].text())
    redo(hands)
    assert letters.side.labelled.value.text() == "8"


def test_a_label_that_cannot_be_written_is_told_and_leaves_nothing(
    hands: Hands, letters: FewShotPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = hands.window.document.undo
    press(hands, letters, 10, Qt.Key.Key_1)

    def full(*_: object) -> None:
        raise storage_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "project.db")

    monkeypatch.setattr(Project, "label_corpora", full)
    press(hands, letters, 20, Qt.Key.Key_1)
    hands.dialog(ErrorDialog).reject()
    assert (stack.count(), stack.index()) == (1, 1)
    assert (letters.table.model.label(20), letters.table.current_row()) == (None, 20)
    undo(hands)
    hands.dialog(ErrorDialog).reject()
    assert stack.count() == 0
    assert (letters.table.model.label(10), kept(hands)) == ("unhappy", {10: "unhappy"})
    name = next(line for line in letters.side.words.findChildren(QLineEdit) if line.accessibleName() == "Class 1")
    hands.type(name, "sad")
    hands.dialog(ErrorDialog).reject()
    assert letters.side.words.classes() == ["unhappy", "happy"], "the class keeps its name, as its labels do"


# The first edit -------------------------------------------------------------------------------------------------------


def type_number(hands: Hands, page: FewShotPage, name: str, text: str) -> None:
    control = page.side.form.control(name)
    control.setFocus()
    hands.qtbot.keyClick(control, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    hands.qtbot.keyClicks(control, text)


def test_the_first_number_that_is_typed_stays(hands: Hands, letters: FewShotPage) -> None:
    project = hands.window.document.project
    assert project is not None
    type_number(hands, letters, "training_rows", "23")
    hands.until(lambda: (project.value("tune") or {}).get("training_rows") == 23, 5_000)
    hands.qtbot.wait(50)
    assert letters.side.form.values()["training_rows"] == 23


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (80, "none is left to test on. With 20 labels more, some are."),
        (81, "none is left to test on. With 19 labels more, some are."),
        (100, "20 are left to test on."),
    ],
)
def test_a_handful_of_labels_is_not_tested_on(hands: Hands, project_folder: Path, labels: int, said: str) -> None:
    with Project.open(project_folder) as project:
        project.assign("target", add_target(project, 120, labelled=labels))
    page = opened(hands, project_folder)
    hands.until(lambda: page.side.labelled.value.text() == str(labels))
    assert page.side.split.text() == f"Each seed takes 40 for training and 40 for validation; {said}"
    settings = page.side.form.settings()
    assert isinstance(settings, TuneSettings)
    assert [rows_to_test(number, settings) for number in (60, labels, 500)] == [0, 20 if labels == 100 else 0, 200]


def test_what_cannot_be_kept_yet_stays_in_its_control(hands: Hands, letters: FewShotPage) -> None:
    type_number(hands, letters, "learning_rate", "2e-")
    hands.until(lambda: bool(letters.side.form.problem()))
    hands.click(letters.side.compare)
    hands.qtbot.wait(300)
    assert letters.side.form.values()["learning_rate"] == "2e-"


def test_start_and_comparison_come_back(hands: Hands, letters: FewShotPage, project_folder: Path) -> None:
    side = letters.side
    assert side.start_from.currentText() == VOCABULARY, "there is no learned one yet"
    hands.click(side.compare)
    assert not side.compare.isChecked()
    hands.window.document.assign("meta-train", Path(hands.window.document.path("clusters")))
    assert side.start_from.currentText() == META, "nobody has chosen another"
    hands.choose(side.start_from, VOCABULARY)
    hands.window.document.changed.emit("meta-train")
    assert side.start_from.currentText() == VOCABULARY
    hands.window.document.close()
    page = opened(hands, project_folder)
    assert (page.side.start_from.currentText(), page.side.compare.isChecked()) == (VOCABULARY, False)
    hands.choose(side.start_from, RANDOM)
    hands.next_file("/prompts/mine.safetensors")
    hands.choose(side.start_from, FILE)
    hands.window.document.close()
    page = opened(hands, project_folder)
    assert page.side.start_from.currentText() == FILE
    starts, file = page.side.starts()
    assert (next(iter(starts.items())), file) == (
        ("From a file", "/prompts/mine.safetensors"),
        Path("/prompts/mine.safetensors"),
    )


def test_widths_of_columns_come_back_and_nothing_is_pickled(
    hands: Hands, letters: FewShotPage, project_folder: Path, tmp_path: Path
) -> None:
    letters.table.view.horizontalHeader().resizeSection(LABEL, 171)
    hands.window.close()
    written = (tmp_path / "settings" / "window.ini").read_text(encoding="utf-8")
    assert "label%20columns" in written
    assert "PyObject" not in written
    again = MainWindow(UserSettings(tmp_path / "settings"), hands.window.themes, CrashReports(tmp_path / "logs"))
    hands.qtbot.addWidget(again)
    page = again.pages[TUNE]
    assert isinstance(page, FewShotPage)
    assert page.table.view.columnWidth(LABEL) == 171
    again.close()


def test_splitters_come_back_where_they_were_whichever_tab_was_seen(
    hands: Hands, letters: FewShotPage, tmp_path: Path
) -> None:
    for tab in (1, 2):
        letters.tabs.setCurrentIndex(tab)
        hands.qtbot.wait(20)
    hands.window.close()
    again = MainWindow(UserSettings(tmp_path / "settings"), hands.window.themes, CrashReports(tmp_path / "logs"))
    hands.qtbot.addWidget(again)
    page = again.pages[TUNE]
    assert isinstance(page, FewShotPage)
    page.results.resize(900, 700)
    page.results.grab()  # it is laid out as when it is shown
    beside = page.results.matrix.parentWidget()
    assert isinstance(beside, QSplitter)
    assert beside.orientation() is Qt.Orientation.Horizontal
    again.close()


def test_bytes_are_kept_as_qt_keeps_them(tmp_path: Path) -> None:
    settings = UserSettings(tmp_path / "own")
    settings.set("state", b"\x00widths")
    settings.save()
    assert "PyObject" not in (tmp_path / "own" / "window.ini").read_text(encoding="utf-8")
    assert bytes(UserSettings(tmp_path / "own").bytes("state").data()) == b"\x00widths"


# Many labels ----------------------------------------------------------------------------------------------------------


def test_all_selected_texts_are_written_at_once(
    hands: Hands, letters: FewShotPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    reset: list[str] = []
    monkeypatch.setattr(
        Project,
        "set_labels",
        lambda self, corpus, labels, really=Project.set_labels: (
            written.append(len(labels)),
            really(self, corpus, labels),
        ),
    )
    letters.table.model.modelReset.connect(lambda: reset.append("reset"))
    press(hands, letters, 0)
    hands.qtbot.keyClick(letters.table.view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    hands.qtbot.keyClick(letters.table.view, Qt.Key.Key_1)
    assert (written, len(kept(hands)), reset) == ([300], 300, [])
    undo(hands)
    assert (written, kept(hands)) == ([300, 300], {})


def test_a_text_stays_under_the_filter_until_it_is_set_again(hands: Hands, letters: FewShotPage) -> None:
    hands.choose(letters.table.filter, "Without a label")
    assert letters.table.model.rowCount() == 294
    press(hands, letters, 10, Qt.Key.Key_2)
    assert letters.table.model.rowCount() == 294
    assert letters.table.model.index(4, LABEL).data() == "2 happy"
    assert letters.table.current_row() == 11


def test_a_file_of_labels_is_read_beside_the_window_and_written_at_once(
    hands: Hands, letters: FewShotPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    really = metapt_gui.pages.few_shot.read_labels
    monkeypatch.setattr(
        metapt_gui.pages.few_shot,
        "read_labels",
        lambda *arguments: (threads.append(threading.current_thread()), really(*arguments))[1],
    )
    path = tmp_path / "labels.csv"
    path.write_text("text,label\nletter 7 of 300,happy\nletter 8 of 300,unhappy\n", encoding="utf-8")
    hands.next_file(path)
    hands.click(letters.side.from_file)
    hands.until(lambda: kept(hands) == {7: "happy", 8: "unhappy"})
    assert threads[0] is not threading.main_thread()
    assert hands.window.document.undo.undoText() == "Import 2 labels"
    undo(hands)
    assert kept(hands) == {}


# The menu -------------------------------------------------------------------------------------------------------------


def ask_menu(page: FewShotPage, row: int) -> QMenu:
    """Press the right button on a row, and return the menu that opens."""
    view = page.table.view
    place = view.visualRect(view.model().index(row, LABEL)).center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, view.viewport().mapToGlobal(place))
    QApplication.sendEvent(view.viewport(), event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def choose_from(hands: Hands, menu: QMenu, text: str) -> None:
    """Choose an entry with the keyboard."""
    while menu.activeAction() is None or menu.activeAction().text().split("\t")[0] != text:
        hands.qtbot.keyClick(menu, Qt.Key.Key_Down)
    hands.qtbot.keyClick(menu, Qt.Key.Key_Return)


def test_a_menu_offers_every_class_and_none(hands: Hands, letters: FewShotPage) -> None:
    hands.until(lambda: letters.table.hint.text() == "Press 1 or 2, or right-click, to label.")
    hands.click(letters.side.words.add)
    hands.until(lambda: letters.table.hint.text() == "Press 1 to 3, or right-click, to label.")
    for _ in range(7):
        hands.click(letters.side.words.add)
    hands.until(lambda: letters.table.hint.text() == "Press 1 to 9, or right-click for all 10 classes, to label.")
    assert letters.table.hint.isVisible()
    press(hands, letters, 10)
    for _ in range(2):
        hands.qtbot.keyClick(letters.table.view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    menu = ask_menu(letters, 11)
    shown = [action.text() for action in menu.actions() if not action.isSeparator()]
    assert shown[:3] == ["unhappy\t1", "happy\t2", "class 3\t3"]
    assert shown[-2:] == ["class 10", "No label\t0"]
    choose_from(hands, menu, "class 10")
    assert kept(hands) == dict.fromkeys((10, 11, 12), "class 10")
    choose_from(hands, ask_menu(letters, 11), "No label")
    assert kept(hands) == {}
    undo(hands)
    assert kept(hands) == dict.fromkeys((10, 11, 12), "class 10")


def test_who_only_reads_is_offered_no_class(hands: Hands, letters: FewShotPage, project_folder: Path) -> None:
    hands.until(letters.table.hint.isVisible)
    letters.table.set_read_only("The project is open for reading only.")
    hands.until(lambda: not letters.table.hint.isVisible())
    press(hands, letters, 10)
    menu = ask_menu(letters, 10)
    assert not any(action.isEnabled() for action in menu.actions() if not action.isSeparator())
    menu.close()
