"""What the import page says of files and columns, and what it keeps of what was chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from metapt_gui.dialogs import TableDialog
from metapt_gui.pages.import_corpus import ImportPage


@pytest.fixture
def importing(hands: Hands, tmp_path: Path) -> ImportPage:
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.window.page
    assert isinstance(page, ImportPage)
    return page


def written(path: Path, rows: int = 12, *, header: str = "stars,text", encoding: str = "utf-8") -> Path:
    """Write reviews of one, two and three stars."""
    lines = [header, *(f"{1 + n % 3},review number {n} of a café" for n in range(rows))]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def chosen(hands: Hands, page: ImportPage, *files: Path) -> None:
    page.set_files([str(path) for path in files])
    hands.until(lambda: page.model.rowCount() > 0)


# How a file is read ---------------------------------------------------------------------------------------------------


def test_a_guessed_encoding_is_said_where_it_is_seen_and_can_be_changed(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv", encoding="cp1252"))
    assert importing.guess.isVisible()
    said = "The encoding was guessed: Western European (cp1252). Check the accents in the preview."
    assert importing.guess.text.text() == said
    hands.click(importing.guess.buttons[0])
    assert hands.window.focusWidget() is importing.form.control("encoding")
    importing.form.set_values({"encoding": "cp1252"}, quiet=False)
    hands.until(lambda: not importing.guess.isVisible())
    chosen(hands, importing, written(tmp_path / "b.csv"))
    assert not importing.guess.isVisible()


def test_a_file_without_names_of_columns_is_said_to_be_one(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv", header="3,the first of all reviews"))
    assert importing.detected.text().startswith("Detected: CSV, utf-8, comma, no header line.")
    assert importing.form.control("header").isVisibleTo(importing.form)
    chosen(hands, importing, written(tmp_path / "b.csv"))
    assert importing.detected.text().startswith("Detected: CSV, utf-8, comma. ")


def test_the_second_of_two_columns_of_one_name_can_be_chosen(
    hands: Hands, importing: ImportPage, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,text,mood\nlonger than the other,short,good\nalso very long,brief,bad\n", encoding="utf-8")
    chosen(hands, importing, path)
    hands.choose(importing.text_column, "text (2)")
    hands.run(importing)
    corpus = hands.window.document.corpus("source")
    assert corpus is not None
    assert corpus.texts == ["short", "brief"]


# The keyboard ---------------------------------------------------------------------------------------------------------


def test_the_tab_key_leaves_the_preview(hands: Hands, importing: ImportPage, tmp_path: Path) -> None:
    chosen(hands, importing, written(tmp_path / "a.csv"))
    hands.key(Qt.Key.Key_Shift)  # the window is active from here on
    importing.preview.setFocus()
    hands.qtbot.keyClick(importing.preview, Qt.Key.Key_Tab)
    assert not importing.preview.hasFocus()


def test_the_tab_key_leaves_the_table_of_a_dialog(qtbot: QtBot) -> None:
    dialog = TableDialog(None, "Keys", ("key", "what it does"), [("a", "b"), ("c", "d")])
    dialog.open()
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.table.setFocus()
    qtbot.keyClick(dialog.table, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is not dialog.table
    dialog.close()
