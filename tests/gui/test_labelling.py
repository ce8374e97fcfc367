"""Labels in the label table: given by keys, undone, and in the database at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import pytest
from gui.answering import Page, cell
from PySide6.QtCore import Qt

from engine.errors import StorageError
from engine.project import Project
from metapt_gui.models.commands import description
from metapt_gui.models.label_model import LABEL
from metapt_gui.widgets.label_table import MOST_AT_ONCE

# Keys -----------------------------------------------------------------------------------------------------------------


def test_a_key_labels_the_current_row_and_moves_on(table, qtbot):
    page = Page(table)
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    qtbot.keyClick(table.view, Qt.Key.Key_Down)
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert page.labels == {0: "bad", 1: "good", 3: "good"}
    assert table.current_row() == 4
    assert cell(table.model, 0, LABEL) == "1 bad"
    assert cell(table.model, 2, LABEL) == ""


def test_the_last_row_stays_current(table, qtbot):
    page = Page(table)
    table.go_to(5)
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    assert page.labels == {5: "bad"}
    assert table.current_row() == 5


@pytest.mark.parametrize("key", [Qt.Key.Key_0, Qt.Key.Key_Delete])
def test_a_label_is_cleared_and_the_row_stays_current(table, qtbot, key):
    page = Page(table)
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    qtbot.keyClick(table.view, Qt.Key.Key_Up)
    qtbot.keyClick(table.view, key)
    assert page.labels == {}
    assert table.current_row() == 0


def test_what_would_change_nothing_is_not_asked(table, qtbot):
    page = Page(table)
    qtbot.keyClick(table.view, Qt.Key.Key_0)  # there is no label to clear
    qtbot.keyClick(table.view, Qt.Key.Key_3)  # there is no third class
    assert (page.stack.count(), table.current_row()) == (0, 0)
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    table.go_to(0)
    qtbot.keyClick(table.view, Qt.Key.Key_1)  # has it already: only moves on
    assert (page.stack.count(), table.current_row()) == (1, 1)


def test_all_selected_rows_are_labelled_by_one_command(table, qtbot):
    page = Page(table)
    qtbot.keyClick(table.view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(table.view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert page.labels == {0: "good", 1: "good", 2: "good"}
    assert table.current_row() == 3
    assert page.stack.undoText() == "Label 3 texts as good"
    page.stack.undo()
    assert page.labels == {}


def test_a_whole_corpus_is_not_labelled_by_a_slip(table, qtbot):
    page = Page(table, ["text"] * (MOST_AT_ONCE + 1))
    qtbot.keyClick(table.view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    assert page.labels == {}
    assert f"{MOST_AT_ONCE:,}" in table.note.text()


def test_read_only_asks_for_nothing_and_says_why(table, qtbot):
    page = Page(table)
    table.set_read_only("The project is open in another window.")
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    assert page.labels == {}
    qtbot.waitUntil(lambda: "another window" in table.note.text())
    table.set_read_only("")
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    assert page.labels == {0: "bad"}


# Undo -----------------------------------------------------------------------------------------------------------------


def test_undo_and_redo(table, qtbot):
    page = Page(table)
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    qtbot.keyClick(table.view, Qt.Key.Key_Up)
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert page.stack.undoText() == "Label 1 as good"
    page.stack.undo()
    assert page.labels == {0: "bad"}
    assert cell(table.model, 0, LABEL) == "1 bad"
    page.stack.undo()
    assert page.labels == {}
    page.stack.redo()
    page.stack.redo()
    assert page.labels == {0: "good"}


def test_what_cannot_be_written_leaves_no_step_and_no_label(table, qtbot, monkeypatch):
    page = Page(table)
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    works = page.write

    def full(corpus: str, labels: Mapping[int, str | None]) -> None:
        raise StorageError("The disk is full")

    page.write = full
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert (page.stack.count(), page.stack.index()) == (1, 1)
    assert table.current_row() == 1, "it goes on only from what has a label"
    assert (page.labels, cell(table.model, 1, LABEL)) == ({0: "bad"}, "")
    page.write = works
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert page.labels == {0: "bad", 1: "good"}
    monkeypatch.setattr(page.model, "change_labels", lambda labels: full("hash", labels))
    page.stack.undo()
    assert (page.stack.count(), page.stack.index()) == (1, 1)
    assert [str(error) for error in page.failures] == ["The disk is full."] * 2


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({11: "good"}, "Label 12 as good"),
        ({11: None}, "Clear the label of 12"),
        ({0: None, 1: None}, "Clear the labels of 2 texts"),
        ({0: "good", 1: "bad"}, "Label 2 texts"),
    ],
)
def test_commands_have_names(labels, text):
    assert description(labels) == text


def test_a_label_is_in_the_database_at_once(table, qtbot, tmp_path):
    with Project.create(tmp_path / "reviews.metapt") as project:
        page = Page(table, project=project)

        def on_disk() -> list[tuple[int, str]]:
            database = sqlite3.connect(project.folder / "project.db")
            try:
                return database.execute("SELECT row, class FROM labels WHERE corpus = 'hash' ORDER BY row").fetchall()
            finally:
                database.close()

        qtbot.keyClick(table.view, Qt.Key.Key_2)
        assert on_disk() == [(0, "good")]
        qtbot.keyClick(table.view, Qt.Key.Key_1)
        assert on_disk() == [(0, "good"), (1, "bad")]
        page.stack.undo()
        assert on_disk() == [(0, "good")]
        page.stack.redo()
        assert on_disk() == [(0, "good"), (1, "bad")]
