"""The runs of a step: when, how far, how good, a note of the person's own, and a tick that overlays the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem

from metapt_gui.widgets.pieces import dense

COLUMNS = ("show", "started", "state", "steps", "best", "note")


@dataclass(frozen=True)
class RunLine:
    """A run as it is listed; ``name`` is that of its folder."""

    name: str
    started: str
    state: str
    steps: str
    best: str
    note: str


class RunHistory(QTableWidget):
    """Lists runs; a tick asks for a run's curves, the last column is a note that can be edited."""

    ticked = Signal(str, bool)
    noted = Signal(str, str)

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setAccessibleName("Runs")
        self.setToolTip("Tick a run to lay its curves over the present ones. Notes can be edited (F2).")
        self.setHorizontalHeaderLabels(list(COLUMNS))
        self.verticalHeader().hide()
        dense(self)
        self.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        self._lines: list[RunLine] = []
        self._shown: set[str] = set()
        self.itemChanged.connect(self._on_item)

    def show_runs(self, lines: Sequence[RunLine]) -> None:
        """List runs; ticks stay."""
        self._lines = list(lines)
        self._shown &= {line.name for line in lines}
        self.blockSignals(True)
        self.setRowCount(len(lines))
        for row, line in enumerate(lines):
            for column, text in enumerate(("", line.started, line.state, line.steps, line.best, line.note)):
                item = QTableWidgetItem(text)
                flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
                if column == 0:
                    flags |= Qt.ItemFlag.ItemIsUserCheckable
                    item.setCheckState(Qt.CheckState.Checked if line.name in self._shown else Qt.CheckState.Unchecked)
                    item.setToolTip(f"Show the curves of {line.name}")
                elif column == len(COLUMNS) - 1:
                    flags |= Qt.ItemFlag.ItemIsEditable
                    item.setToolTip(text or "Double-click to write a note.")
                item.setFlags(flags)
                self.setItem(row, column, item)
        self.blockSignals(False)

    def is_ticked(self, name: str) -> bool:
        """Whether the curves of a run are asked for."""
        return name in self._shown

    def _on_item(self, item: QTableWidgetItem) -> None:
        line = self._lines[item.row()]
        if item.column() == 0:
            shown = item.checkState() == Qt.CheckState.Checked
            (self._shown.add if shown else self._shown.discard)(line.name)
            self.ticked.emit(line.name, shown)
        elif item.column() == len(COLUMNS) - 1:
            self.noted.emit(line.name, item.text())
