"""The runs of a step: when, how far, how good, a note of the person's own, and a tick that overlays the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QHeaderView, QMenu, QTableWidget, QTableWidgetItem

from metapt_gui.widgets.pieces import set_up
from metapt_gui.wording import tooltip

COLUMNS = ("show", "started", "state", "steps", "best", "note")
SIZE = COLUMNS.index("steps")


@dataclass(frozen=True)
class RunLine:
    """A run as it is listed; ``name`` is that of its folder."""

    name: str
    started: str
    state: str
    size: str
    best: str
    note: str
    used: bool = False


class RunHistory(QTableWidget):
    """Lists runs; a tick asks for a run's curves, the last column is a note that can be edited, a menu does the rest.

    Parameters
    ----------
    size
        What the size of a run is called.
    ticks
        Whether curves can be asked for.

    Signals
    -------
    ticked, noted
        The name of a run, and whether its curves are asked for, or its note.
    use_asked, delete_asked
        The name of a run.
    """

    ticked = Signal(str, bool)
    noted = Signal(str, str)
    use_asked = Signal(str)
    delete_asked = Signal(str)

    def __init__(self, size: str = COLUMNS[SIZE], *, ticks: bool = True) -> None:
        super().__init__()
        tip = "Tick a run to lay its curves over the present ones. " if ticks else ""
        tip += "Notes can be edited (F2). A right click offers to use a run's prompt and settings, or to delete it."
        set_up(self, [*COLUMNS[:SIZE], size, *COLUMNS[SIZE + 1 :]], "Runs", tip, editable=True)
        self.setColumnHidden(0, not ticks)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        self._lines: list[RunLine] = []
        self._shown: set[str] = set()
        self.itemChanged.connect(self._on_item)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._offer)

    def show_runs(self, lines: Sequence[RunLine]) -> None:
        """List runs; ticks stay."""
        self._lines = list(lines)
        self._shown &= {line.name for line in lines}
        self.blockSignals(True)
        self.setRowCount(len(lines))
        for row, line in enumerate(lines):
            state = f"{line.state}, in use" if line.used else line.state
            for column, text in enumerate(("", line.started, state, line.size, line.best, line.note)):
                item = QTableWidgetItem(text)
                flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
                if column == 0:
                    flags |= Qt.ItemFlag.ItemIsUserCheckable
                    item.setCheckState(Qt.CheckState.Checked if line.name in self._shown else Qt.CheckState.Unchecked)
                    item.setToolTip(f"Show the curves of {line.name}")
                elif column == len(COLUMNS) - 1:
                    flags |= Qt.ItemFlag.ItemIsEditable
                    item.setToolTip(tooltip(text) or "Double-click to write a note.")
                item.setFlags(flags)
                self.setItem(row, column, item)
        self.blockSignals(False)
        self.resizeColumnsToContents()  # once: a header that does so by itself measures all rows at each change
        self.horizontalHeader().setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)

    def _offer(self, place: QPoint) -> None:
        """Offer what can be done with a run."""
        item = self.itemAt(place) or self.currentItem()
        if item is None:
            return
        line = self._lines[item.row()]
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        use = menu.addAction("Use this run", partial(self.use_asked.emit, line.name))
        delete = menu.addAction("Delete this run …", partial(self.delete_asked.emit, line.name))
        for action in (use, delete):
            action.setEnabled(not line.used)
        menu.popup(self.viewport().mapToGlobal(place))

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
