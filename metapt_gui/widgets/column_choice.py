"""Which column of a file is the text, which the label, and what its values mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QComboBox, QGridLayout, QMenu

from metapt_gui.theme import GRID
from metapt_gui.widgets.class_map import ClassMap
from metapt_gui.widgets.pieces import Card, keep_narrow, label

NO_LABEL = "(no labels)"


def suits(settings: Mapping[str, Any], preview: Mapping[str, Any]) -> bool:
    """Whether columns and classes that were chosen for another file mean something in the one of a preview."""
    label, columns = settings.get("label_column", ""), preview["columns"]
    if settings.get("text_column", "") not in columns or (label and label not in columns):
        return False
    mapped, values = settings.get("label_map") or {}, preview["label_values"].get(label)
    return not mapped or values is None or not values.keys().isdisjoint(mapped)


class ColumnChoice(Card):
    """Chooses the columns of an import, and the class of each value of the label."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Columns")
        self._values: Mapping[str, Mapping[str, int]] = {}
        self._note = ""
        self._mapped = ""
        self.text, self.label = QComboBox(), QComboBox()
        grid = QGridLayout()
        grid.setHorizontalSpacing(GRID)
        grid.setVerticalSpacing(GRID // 2)
        grid.setColumnStretch(1, 1)
        for line, (box, name, tooltip) in enumerate(
            (
                (self.text, "Text column", "The column that holds the text."),
                (self.label, "Label column", "The column that holds the label or rating, if there is one."),
            )
        ):
            keep_narrow(box, 14)
            box.setAccessibleName(name)
            box.setToolTip(f"{tooltip} You may also click a column's head in the preview.")
            box.activated.connect(self._on_chosen)
            grid.addWidget(label(name), line, 0)
            grid.addWidget(box, line, 1)
        self.box.addLayout(grid)
        self.class_map = ClassMap()
        self.class_map.changed.connect(self.changed)
        self.box.addWidget(self.class_map)

    def forget(self) -> None:
        """Offer no columns."""
        self.text.clear()
        self.label.clear()
        self.class_map.hide()

    def show_columns(self, preview: Mapping[str, Any], text: str, labelled: str) -> None:
        """Offer the columns of a preview; two of them are chosen, no label if ``labelled`` is none of them."""
        columns = preview["columns"]
        self._values = preview["label_values"]
        self.forget()
        self.text.addItems(columns)
        self.label.addItems([NO_LABEL, *columns])
        self.text.setCurrentText(text)
        self.label.setCurrentText(labelled if labelled in columns else NO_LABEL)

    def show_classes(self, label_map: Mapping[str, str], note: str = "") -> None:
        """Show the values of the label column with their classes; ``note`` says how far they were counted."""
        self._note, self._mapped = note, self.labelled()
        values = self._values.get(self._mapped, {})
        if note:  # what was mapped before may stand further down
            values = {**dict.fromkeys(label_map, 0), **values}
        self.class_map.setVisible(bool(values))
        self.class_map.show_values(values, label_map, note)

    def labelled(self) -> str:
        """Return the label column; empty if there is none."""
        return "" if self.label.currentText() == NO_LABEL else self.label.currentText()

    def roles(self) -> dict[str, str]:
        """Return column -> what it is used as."""
        return {self.labelled(): "label", self.text.currentText(): "text"}

    def settings(self) -> dict[str, Any]:
        """Return the settings of the import that are chosen here."""
        labelled = self.labelled()
        label_map = self.class_map.label_map() if labelled else {}
        return {"text_column": self.text.currentText(), "label_column": labelled, "label_map": label_map}

    def offer(self, name: str) -> None:
        """Ask what the column ``name`` is to be used as."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Use as the text", partial(self._use, self.text, name))
        menu.addAction("Use as the label", partial(self._use, self.label, name))
        if name == self.labelled():
            menu.addAction("Do not use as the label", partial(self._use, self.label, NO_LABEL))
        menu.popup(QCursor.pos())

    def _use(self, box: QComboBox, name: str) -> None:
        box.setCurrentText(name)
        self._on_chosen()

    def _on_chosen(self) -> None:
        if self.labelled() != self._mapped:  # else the classes that were typed stay
            self.show_classes({}, self._note)
        self.changed.emit()
