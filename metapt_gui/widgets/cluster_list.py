"""The list of clusters and the card about the one that is selected: name, size, labels, terms, central texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from engine.clustering.edits import Group
from metapt_gui import wording
from metapt_gui.icons import icon
from metapt_gui.theme import Theme
from metapt_gui.widgets.pieces import Card, button, enable, label, table_of
from metapt_gui.wording import tooltip

LONGEST = 160


class ClusterList(QWidget):
    """Selects clusters; asks for them to be renamed, left out or merged.

    Signals
    -------
    selected
        The group that is selected now, whoever selected it; -1 if there is none, or several.
    chosen
        The person selected other groups in the list.
    """

    selected = Signal(int)
    chosen = Signal()
    rename_asked = Signal(int, str)
    include_asked = Signal(object, bool)
    merge_asked = Signal(object)
    split_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[Group] = []
        self._texts: Mapping[int, str] = {}
        self._theme: Theme | None = None
        self._reason = "Cluster first."
        self._coloured = True
        listed = Card("Groups")
        tip = "Select a group to see what is in it; select several with Ctrl or Shift to merge them."
        self.table = table_of(("group", "texts"), "Groups", tip, figures=(1,))
        self.table.setShowGrid(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setMinimumHeight(282)  # the ten groups that there are by default
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.table.itemSelectionChanged.connect(self.chosen)
        listed.box.addWidget(self.table)
        row = QHBoxLayout()
        self.merge = button("Merge", "Make one group of the selected ones.", self._merge)
        self.leave_out = button("Leave out", "Meta-training does not use the selected groups.", self._leave_out)
        self.split = button("Split again", "Undo the merging of this group.", self._split)
        for widget in (self.merge, self.leave_out, self.split):
            row.addWidget(widget)
        listed.box.addLayout(row)

        about = Card("Selected group")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the group")
        self.name.setToolTip("A name of your own; Enter keeps it.")
        self.name.setPlaceholderText("Select a group")
        self.name.editingFinished.connect(self._rename)
        about.box.addWidget(self.name)
        self.facts = label("", wrap=True)
        self.terms = label("", "muted", wrap=True)
        self.central = label("", wrap=True)
        for text in (self.facts, self.terms, self.central):
            about.box.addWidget(text)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(listed)
        box.addWidget(about)
        self._enable()

    def show_groups(self, groups: Sequence[Group], texts: Mapping[int, str], reason: str = "") -> None:
        """Show groups; ``texts`` are those of the central rows, ``reason`` says why nothing can be changed."""
        numbers = self.numbers()
        self.groups, self._texts, self._reason = list(groups), texts, reason
        self.table.blockSignals(True)
        self.table.setRowCount(len(groups))
        for row, group in enumerate(self.groups):
            name = QTableWidgetItem(group.name if group.included else f"{group.name} (left out)")
            name.setToolTip(tooltip(group.name))
            size = QTableWidgetItem(f"{group.size:,}")
            for column, item in enumerate((name, size)):
                if not group.included:
                    font = item.font()
                    font.setStrikeOut(True)
                    item.setFont(font)
                self.table.setItem(row, column, item)
        self.table.resizeColumnToContents(1)  # once: a header that does so by itself measures all at each change
        self._paint()
        self.table.clearSelection()
        self.table.blockSignals(False)
        self.select([number for number in numbers if any(group.number == number for group in groups)])
        self._on_selection()

    def select(self, numbers: Sequence[int]) -> None:
        """Select the groups that these clusters belong to."""
        self.table.blockSignals(True)
        self.table.clearSelection()
        model, mode = self.table.selectionModel(), self.table.selectionModel().SelectionFlag
        for row, group in enumerate(self.groups):
            if any(number in group.members for number in numbers):
                model.select(self.table.model().index(row, 0), mode.Select | mode.Rows)
                self.table.scrollTo(self.table.model().index(row, 0))
        self.table.blockSignals(False)
        self._on_selection()

    def numbers(self) -> list[int]:
        """Return the numbers of the selected groups."""
        rows = sorted({index.row() for index in self.table.selectionModel().selectedRows()})
        return [self.groups[row].number for row in rows if row < len(self.groups)]

    def set_theme(self, theme: Theme) -> None:
        """Paint the colours of the groups."""
        self._theme = theme
        self.merge.setIcon(icon("merge", theme))
        self.leave_out.setIcon(icon("hide", theme))
        self._paint()

    def set_coloured(self, coloured: bool) -> None:
        """Show the colour of each group, or none while the dots are coloured by something else."""
        self._coloured = coloured
        self._paint()

    def _paint(self) -> None:
        for row, group in enumerate(self.groups):
            item = self.table.item(row, 0)
            if item is not None and self._theme is not None:
                colour = self._theme.category(group.number if group.included else -1)
                item.setIcon(_chip(colour) if self._coloured else QIcon())

    def _chosen(self) -> list[Group]:
        numbers = self.numbers()
        return [group for group in self.groups if group.number in numbers]

    def _on_selection(self) -> None:
        chosen = self._chosen()
        one = chosen[0] if len(chosen) == 1 else None
        self.name.setText(one.name if one else "")
        self.name.setCursorPosition(0)  # what does not fit is the end
        self.name.setPlaceholderText("Several groups" if len(chosen) > 1 else "Select a group")
        self.facts.setText("")
        self.terms.setText("")
        self.central.setText("")
        if chosen:
            total = sum(group.size for group in chosen)
            labels = ", ".join(f"{name}: {count:,}" for name, count in one.labels.items()) if one else ""
            self.facts.setText(wording.count(total, "texts") + (f"   ({labels})" if labels else ""))
        if one:
            self.terms.setText("Telling words: " + ", ".join(one.terms) if one.terms else "")
            shown = [self._texts[row] for row in one.central_rows if row in self._texts]
            self.central.setText("\n\n".join("“" + _short(text) + "”" for text in shown))
        self._enable()
        self.selected.emit(one.number if one else -1)

    def _enable(self) -> None:
        chosen = self._chosen()
        enable(self.merge, self._reason or ("" if len(chosen) > 1 else "Select two or more groups with Ctrl or Shift."))
        enable(self.leave_out, self._reason or ("" if chosen else "Select a group."))
        merged = len(chosen) == 1 and len(chosen[0].members) > 1
        enable(self.split, self._reason or ("" if merged else "Select a group that was merged."))
        enable(self.name, self._reason or ("" if len(chosen) == 1 else "Select one group."))
        out = bool(chosen) and all(not group.included for group in chosen)
        self.leave_out.setText("Use again" if out else "Leave out")
        self.leave_out.setAccessibleName(self.leave_out.text())

    def _merge(self) -> None:
        self.merge_asked.emit(self.numbers())

    def _leave_out(self) -> None:
        chosen = self._chosen()
        self.include_asked.emit(self.numbers(), all(not group.included for group in chosen))

    def _split(self) -> None:
        self.split_asked.emit(self.numbers()[0])

    def _rename(self) -> None:
        chosen = self._chosen()
        if len(chosen) == 1 and self.name.text().strip() and self.name.text().strip() != chosen[0].name:
            self.rename_asked.emit(chosen[0].number, self.name.text().strip())


def _chip(colour: QColor) -> QIcon:
    picture = QPixmap(12, 12)
    picture.fill(colour)
    return QIcon(picture)


def _short(text: str) -> str:
    text = wording.one_line(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rsplit(" ", 1)[0] + " …"
