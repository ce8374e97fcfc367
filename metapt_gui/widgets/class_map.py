"""Which class each value of the label column belongs to: a table of values, and common choices above it."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHeaderView, QTableWidgetItem, QVBoxLayout, QWidget

from engine.corpus.columns import MAXIMUM_CLASSES
from engine.corpus.doubtful import doubtful_labels, plain_map
from engine.settings import ImportSettings
from metapt_gui.widgets.pieces import label, table_of

EACH, HALVES, OWN = "Each value is a class", "Low and high: two classes, the middle dropped", "As in the table"
MENDED = "Mended: spellings joined, n/a dropped"
"""Offered where values differ only in capitals, or look like no label."""


class ClassMap(QWidget):
    """Edits the ``label_map`` of an import.

    An empty class in the table drops the rows of that value.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._values: list[str] = []
        self._counts: dict[str, int] = {}
        self.choice = QComboBox()
        self.choice.addItems([EACH, HALVES, OWN])
        self.choice.setAccessibleName("How values become classes")
        self.choice.setToolTip("Whether every value of the label column is a class of its own, or values are joined.")
        tip = "Type a class beside each value; the same class joins values, an empty one drops them."
        columns = ("value", "texts", "class")
        self.table = table_of(columns, "Class of each label value", tip, editable=True, figures=(1,))
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setMinimumHeight(150)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        self.doubt = label("", "warning", wrap=True)
        self.note = label("", "muted", wrap=True)
        self.doubt.hide()
        self.note.hide()
        for widget in (self.choice, self.doubt, self.table, self.note):
            box.addWidget(widget)
        self.choice.currentTextChanged.connect(self._on_choice)
        self.table.itemChanged.connect(self._on_item)

    def show_values(self, counts: Mapping[str, int], label_map: Mapping[str, str], note: str = "") -> None:
        """Show the values of a label column with the class that each has; ``note`` says how far they were counted."""
        self._values, self._counts = sorted(counts, key=_by_number), dict(counts)
        self.note.setText(note)
        self.note.setVisible(bool(note))
        made = self._made()
        kept = {value: name for value, name in label_map.items() if value in counts}
        self.choice.blockSignals(True)
        self.choice.clear()
        self.choice.addItems([EACH, *([MENDED] if made[MENDED] else []), HALVES, OWN])
        self.choice.setCurrentText(next((name for name in made if made[name] == kept), OWN) if kept else EACH)
        self.choice.blockSignals(False)
        self._fill(kept or {value: value for value in self._values})
        self._say_doubts()

    def counts(self) -> dict[str, int]:
        """Return value -> texts, as shown."""
        return dict(self._counts)

    def label_map(self) -> dict[str, str]:
        """Return value -> class; empty when each value is its own class."""
        if self.choice.currentText() == EACH:
            return {}
        classes = ((self._cell(row, 0), self._cell(row, 2).strip()) for row in range(self.table.rowCount()))
        return {value: name for value, name in classes if name}

    def problem(self) -> str:
        """Return why the classes in the table are none; empty if they can be learnt from."""
        each = self.choice.currentText() == EACH
        classes = set(self._values) if each else set(self.label_map().values())
        if len(classes) > MAXIMUM_CLASSES:
            return (
                f"These are {len(classes):,} classes, and {MAXIMUM_CLASSES} are the most: join values in the table, or "
                "choose another label column."
            )
        too_few = len(self.label_map()) < min(2, len(self._values))
        return "Give at least two values a class." if too_few and not each else ""

    def _cell(self, row: int, column: int) -> str:
        item = self.table.item(row, column)
        return item.text() if item is not None else ""

    def _halves(self) -> dict[str, str]:
        try:
            numbers = [float(value) for value in self._values]
        except ValueError:
            return {}
        middle = (min(numbers) + max(numbers)) / 2 if numbers else 0
        sides = {
            value: "low" if number < middle else "high"
            for value, number in zip(self._values, numbers, strict=True)
            if number != middle
        }
        return sides

    def _made(self) -> dict[str, dict[str, str]]:
        """Return choice -> the map that it makes; empty if it makes none of these values."""
        return {MENDED: plain_map(self._counts, ImportSettings()), HALVES: self._halves()}

    def _say_doubts(self) -> None:
        """Say which values are perhaps no classes as long as each is one."""
        each = self.choice.currentText() == EACH
        said = list(doubtful_labels(self._counts, ImportSettings())) if each else []
        if said and self.choice.findText(MENDED) >= 0:
            said.append("Choose ‘Mended’ above for that.")
        self.doubt.setText(" ".join(said))
        self.doubt.setVisible(bool(said))

    def _fill(self, classes: Mapping[str, str]) -> None:
        self.table.blockSignals(True)
        self.table.setRowCount(len(self._values))
        for row, value in enumerate(self._values):
            for column, text in enumerate((value, f"{self._counts[value]:,}", classes.get(value, ""))):
                item = QTableWidgetItem(text)
                if column < 2:
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                self.table.setItem(row, column, item)
        self.table.blockSignals(False)

    def _on_choice(self, choice: str) -> None:
        if choice == EACH:
            self._fill({value: value for value in self._values})
        elif choice != OWN:
            made = self._made()[choice]
            if not made:
                self.choice.setCurrentText(OWN)
                return
            self._fill(made)
        self._say_doubts()
        self.changed.emit()

    def _on_item(self, item: QTableWidgetItem) -> None:
        if item.column() == 2:
            self.choice.blockSignals(True)
            self.choice.setCurrentText(OWN)
            self.choice.blockSignals(False)
            self._say_doubts()
            self.changed.emit()


def _by_number(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value
