"""The first rows of a file, and a sentence about how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStackedWidget, QTableView, QWidget

from engine.corpus.encodings import named
from metapt_gui import wording
from metapt_gui.models.preview_model import PreviewModel
from metapt_gui.widgets.pieces import Card, button, dense, label

FORMATS = {"csv": "CSV", "jsonl": "JSON lines", "json": "JSON", "parquet": "Parquet", "xlsx": "XLSX", "txt": "text"}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
NARROW, WIDE = 110, 300
"""Pixels of a column, and at least of that of the text."""


class PreviewTable(QTableView):
    """Shows a preview; the column of the text takes the room, and is in sight."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = PreviewModel()
        self._text = -1
        self.setModel(self.rows)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Preview of the file")
        self.setToolTip("The first rows. Click the head of a column to say that it is the text or the label.")
        dense(self)
        self.horizontalHeader().setSectionsClickable(True)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)

    def show_preview(self, preview: Mapping[str, Any], text_column: str) -> None:
        """Show the rows of a preview (`engine.corpus.preview.preview_file`)."""
        self.rows.show(preview["columns"], preview["rows"], preview["lines"])
        for number in range(len(preview["columns"])):
            self.setColumnWidth(number, NARROW)
        self._text = -1
        self.show_text_column(text_column)

    def show_text_column(self, name: str) -> None:
        """Give the room to the column ``name``, and scroll to it."""
        number = self.rows.column(name)
        if number != self._text:
            header = self.horizontalHeader()
            header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            if self._text >= 0:
                self.setColumnWidth(self._text, NARROW)
            self._text = number
            self._give_room()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the text the room that there is now."""
        super().resizeEvent(event)
        self._give_room()

    def _give_room(self) -> None:
        if self._text < 0:
            return
        header = self.horizontalHeader()
        others = header.length() - header.sectionSize(self._text)
        least = min(WIDE, max(NARROW, self.viewport().width() - NARROW))
        room = self.viewport().width() - others >= least
        modes = QHeaderView.ResizeMode
        header.setSectionResizeMode(self._text, modes.Stretch if room else modes.Interactive)
        if not room:
            self.setColumnWidth(self._text, least)
        self.updateGeometries()
        self.scrollTo(self.rows.index(max(0, self.rowAt(0)), self._text))


class TableOrNothing(QStackedWidget):
    """A table, or a text where there is nothing to show, with a button that does something about it."""

    def __init__(self, table: QWidget, choose: str, tooltip: str, chosen: Callable[[], object]) -> None:
        super().__init__()
        card = Card()
        self.text = label("", wrap=True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = button(choose, tooltip, chosen)
        card.box.addStretch(1)
        card.box.addWidget(self.text)
        card.box.addWidget(self.button, alignment=Qt.AlignmentFlag.AlignCenter)
        card.box.addStretch(1)
        self.addWidget(card)
        self.addWidget(table)

    def show_text(self, text: str, *, choose: bool = False) -> None:
        """Show a text, and the button if there is something to ``choose``."""
        self.text.setText(text)
        self.button.setVisible(choose)
        self.setCurrentIndex(0)

    def show_table(self) -> None:
        """Show the table."""
        self.setCurrentIndex(1)


def detected(preview: Mapping[str, Any]) -> str:
    """Say how the file of a preview is read."""
    kind, delimiter = preview["format"], DELIMITERS.get(preview["delimiter"], "")
    sheets = preview["sheets"]
    sheet = f"sheet ‘{preview['sheet']}’ of {len(sheets)} (others: under Advanced)" if len(sheets) > 1 else ""
    named = "" if preview["named"] else "no header line"
    above = f"{wording.count(preview['skipped'], 'rows')} above the table left out" if preview["skipped"] else ""
    parts = [FORMATS.get(kind, kind), preview["encoding"].removesuffix("-sig"), delimiter, sheet, above, named]
    found = (
        f"Detected: {', '.join(filter(None, parts))}. Shown: the first {wording.count(len(preview['rows']), 'rows')}."
    )
    if preview["sources"] > 1:
        found += f" {preview['sources']:,} files will be read."
    if preview["broken"]:
        found += f" Broken among them: {len(preview['broken']):,}."
    return found


def guess(preview: Mapping[str, Any]) -> str:
    """Say which encoding was guessed; empty if the file says it."""
    if not preview["guessed"]:
        return ""
    return f"The encoding was guessed: {named(preview['encoding'])}. Check the accents in the preview."


def counted(preview: Mapping[str, Any], files: int) -> str:
    """Say where the values of columns were counted; empty if everywhere. ``files`` is how many were chosen."""
    if not preview.get("whole", True):
        return f"Counted in the first {preview['counted']:,} rows; other values may follow."
    if preview.get("sources", 1) > 1 or files > 1:
        return f"Counted in {preview.get('source', 'the first file')}; the other files may have other values."
    return ""
