"""How many labels each class has: as many classes as two lines have room for, and all of them in a menu."""

from __future__ import annotations

import html
from typing import NamedTuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QLabel, QMenu

from metapt_gui.theme import Theme, tabular
from metapt_gui.widgets.pieces import button
from metapt_gui.wording import brief

LINES = 2
LONGEST_NAMES = (30, 20)
"""Characters of a name in its chip; fewer where not all chips have room otherwise."""
LONGEST_CHOICE = 80
"""Characters of a name in the menu."""
_SLACK = 4
"""Pixels that a chip may be wider than its letters: its key is bold."""


class Chip(NamedTuple):
    """A class: its name, the key that gives it (or none), its labels and the number of its colour."""

    name: str
    key: str
    labels: int
    category: int


class ClassChips(QLabel):
    """Shows chips on two lines at most; `more`, a button to put beside it, has a menu of all classes.

    Signals
    -------
    chosen
        The class that was chosen in the menu.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setFont(tabular(self.font()))
        self.setToolTip("Labels of each class, with the key that gives it; your own and those from the corpus")
        self.more = button("", "All classes with their labels; choose one to see its texts.", self._offer, "link")
        self.more.hide()
        self._chips: list[Chip] = []
        self._theme: Theme | None = None

    def show_chips(self, chips: list[Chip], theme: Theme | None) -> None:
        """Show other chips."""
        self._chips, self._theme = chips, theme
        spoken = ", ".join(f"{chip.name} {chip.labels:,}" for chip in chips)
        self.setAccessibleName(f"Labels of each class: {spoken}" if spoken else "No classes yet")
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as many as there is room for now."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        for longest in LONGEST_NAMES:
            names = [brief(" ".join(chip.name.split()), longest) for chip in self._chips]
            fitting = self._fitting(names)
            if fitting == len(self._chips):
                break
        drawn = map(self._drawn, self._chips[:fitting], names)
        self.setText("   ".join(drawn))
        hidden = len(self._chips) - fitting
        self.more.setText(f"and {hidden:,} more")
        self.more.setAccessibleName(f"{hidden:,} more classes")
        self.more.setVisible(hidden > 0)

    def _fitting(self, names: list[str]) -> int:
        """Return how many chips, so named, have room; one at least."""
        metrics, lines, used = self.fontMetrics(), 1, 0
        space = metrics.horizontalAdvance(" ")
        for number, (chip, name) in enumerate(zip(self._chips, names, strict=True)):
            width = metrics.horizontalAdvance(f" ■ {chip.key} {name} {chip.labels:,} ") + _SLACK
            if used and used + space + width > self.width():
                lines, used = lines + 1, 0
                if lines > LINES:
                    return number
            used += (space if used else 0) + width
        return len(self._chips)

    def _drawn(self, chip: Chip, name: str) -> str:
        words = html.escape(name).replace(" ", "&nbsp;").replace("-", "&#8209;")
        inside = f"&nbsp;{f'<b>{chip.key}</b>&nbsp;' if chip.key else ''}{words}&nbsp;{chip.labels:,}&nbsp;"
        if self._theme is None:
            return inside
        square = f'<span style="color: {self._theme.category(chip.category).name()}">&nbsp;■</span>{inside}'
        return f'<span style="background-color: {self._theme.selection}">{square}</span>'

    def _offer(self) -> None:
        """Open a menu of all classes."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for chip in self._chips:
            name = brief(f"{chip.key} {chip.name}".strip(), LONGEST_CHOICE).replace("&", "&&").replace("\t", " ")
            menu.addAction(f"{name}\t{chip.labels:,}").setData(chip.name)
        menu.triggered.connect(self._choose)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    def _choose(self, action: QAction) -> None:
        self.chosen.emit(action.data())
