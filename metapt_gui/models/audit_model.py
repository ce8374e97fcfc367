"""Pseudo-labels to look at: a sample of each class, and what the person decided about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QFont

from engine.annotation.reselect import REJECTED
from metapt_gui.wording import one_line, tooltip

Index = QModelIndex | QPersistentModelIndex
_NOTHING = QModelIndex()
COLUMNS = ("Pseudo-label", "Confidence", "Decision", "Text")


@dataclass(frozen=True)
class Audited:
    """A row to look at: its row in the unlabelled corpus, its pseudo-label, how confident, and the text."""

    row: int
    label: str
    confidence: float
    text: str


class AuditModel(QAbstractTableModel):
    """Rows of one class, or of all, with the decisions."""

    def __init__(self) -> None:
        super().__init__()
        self._all: list[Audited] = []
        self._shown: list[Audited] = []
        self._decisions: dict[int, str] = {}
        self._only = ""

    def show(self, rows: Sequence[Audited]) -> None:
        """Show other rows."""
        self._all = list(rows)
        self.show_only(self._only)

    def show_only(self, name: str) -> None:
        """Show the rows of one class; all if ``name`` is empty."""
        self.beginResetModel()
        self._only = name
        self._shown = [row for row in self._all if not name or row.label == name]
        self.endResetModel()

    def set_decisions(self, decisions: Mapping[int, str]) -> None:
        """Show the decisions (row -> class, or `REJECTED`)."""
        self._decisions = dict(decisions)
        if self._shown:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._shown) - 1, len(COLUMNS) - 1))

    def audited(self, number: int) -> Audited:
        """Return the row that is shown at ``number``."""
        return self._shown[number]

    def decision(self, row: int) -> str | None:
        """Return what was decided about a row of the corpus."""
        return self._decisions.get(row)

    def rowCount(self, parent: Index = _NOTHING) -> int:
        """Number of rows."""
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index = _NOTHING) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Names of the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What is known of a row."""
        item = self._shown[index.row()]
        decision = self._decisions.get(item.row)
        if role == Qt.ItemDataRole.DisplayRole:
            return (item.label, f"{item.confidence:.2f}", self._said(item, decision), one_line(item.text))[
                index.column()
            ]
        if role == Qt.ItemDataRole.ToolTipRole and index.column() == 3:
            return tooltip(item.text)
        if role == Qt.ItemDataRole.FontRole and decision == REJECTED:
            font = QFont()
            font.setStrikeOut(True)
            return font
        return None

    @staticmethod
    def _said(item: Audited, decision: str | None) -> str:
        if decision is None:
            return ""
        if decision == REJECTED:
            return "rejected"
        return "accepted" if decision == item.label else f"is {decision}"
