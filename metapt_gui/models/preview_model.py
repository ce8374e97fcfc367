"""The first rows of a file, as they were read, with the role of each column in its header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from metapt_gui.wording import one_line, tooltip

Index = QModelIndex | QPersistentModelIndex
_NOTHING = QModelIndex()
SHORT = 40
"""Characters that a column has room for."""


class PreviewModel(QAbstractTableModel):
    """Rows of strings; the columns that are used are named with their role."""

    def __init__(self) -> None:
        super().__init__()
        self._columns: list[str] = []
        self._rows: list[list[str]] = []
        self._lines: list[int] = []
        self._roles: dict[str, str] = {}

    def show(self, columns: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self._columns, self._rows, self._lines = list(columns), [list(row) for row in rows], list(lines)
        self.endResetModel()

    def column(self, name: str) -> int:
        """Return the number of a column; -1 if there is none of that name."""
        return self._columns.index(name) if name in self._columns else -1

    def set_roles(self, roles: dict[str, str]) -> None:
        """Name columns with their role (column -> ``text`` or ``label``)."""
        if roles != self._roles:
            self._roles = dict(roles)
            if self._columns:
                self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(self._columns) - 1)

    def rowCount(self, parent: Index = _NOTHING) -> int:
        """Number of rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = _NOTHING) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The cell as it was read."""
        row = self._rows[index.row()]
        text = row[index.column()] if index.column() < len(row) else ""
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(text)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tooltip(text) if len(text) > SHORT else None
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Column names with roles; line numbers of the file."""
        if orientation == Qt.Orientation.Vertical:
            return self._lines[section] if role == Qt.ItemDataRole.DisplayRole else None
        name = self._columns[section]
        used = self._roles.get(name)
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{name}  ▸ {used}" if used else name
        if role == Qt.ItemDataRole.ToolTipRole:
            return "Click to use this column as the text or as the label."
        return None
