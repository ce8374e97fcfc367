"""The rail of steps on the left: where one is, and how far each step is."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import QButtonGroup, QFrame, QPushButton, QVBoxLayout

from engine.workflow import STEPS, State
from metapt_gui.icons import icon
from metapt_gui.theme import GRID, Theme
from metapt_gui.widgets.pieces import button
from metapt_gui.wording import tooltip

_ICONS = {
    State.TODO: ("todo", "muted"),
    State.READY: ("ready", "accent"),
    State.RUNNING: ("running", "accent"),
    State.DONE: ("done", "good"),
    State.OUTDATED: ("outdated", "warning"),
}
WIDTH = 192
_ROOM = WIDTH - 2 * GRID - 48
"""Pixels for the letters of a step, beside its picture and what surrounds both."""


class Rail(QFrame):
    """Step buttons with state and a line about each, and the switch of the log."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "rail")
        self.setFixedWidth(WIDTH)
        self.setAccessibleName("Steps")
        self._group = QButtonGroup(self)
        self._states: dict[str, State] = {}
        self._theme: Theme | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(GRID, GRID + 4, GRID, GRID)
        box.setSpacing(4)
        self.buttons: list[QPushButton] = []
        for number, step in enumerate(STEPS):
            made = button(step.title, _tip(number), role="step")
            made.setCheckable(True)
            made.setMinimumHeight(52)
            made.setIconSize(QSize(20, 20))
            self._group.addButton(made, number)
            self.buttons.append(made)
            box.addWidget(made)
        box.addStretch(1)
        self.log = button("Log", "Show or hide what has happened so far. Ctrl+L", role="step")
        self.log.setCheckable(True)
        box.addWidget(self.log)
        self._group.idClicked.connect(self.chosen)

    def set_current(self, number: int) -> None:
        """Mark the step whose page is shown; -1 for none."""
        self._group.setExclusive(number >= 0)
        for place, made in enumerate(self.buttons):
            made.setChecked(place == number)

    def show_states(self, states: Mapping[str, State], details: Mapping[str, str]) -> None:
        """Show state and detail of every step; without a project all are disabled."""
        for number, (step, made) in enumerate(zip(STEPS, self.buttons, strict=True)):
            state = states.get(step.key, State.TODO)
            detail = details.get(step.key) or state.value
            shown = _elided(detail, made)
            made.setText(f"{step.title}\n{shown}")
            made.setToolTip(_tip(number) if shown == detail else tooltip(f"{detail}\n{_tip(number)}"))
            made.setAccessibleName(f"{step.title}: {state.value}")
            made.setAccessibleDescription(detail)
            made.setEnabled(bool(states))
        if dict(states) != self._states:
            self._states = dict(states)
            self._paint()

    def set_theme(self, theme: Theme) -> None:
        """Paint the icons in the colours of ``theme``."""
        self._theme = theme
        self._paint()

    def _paint(self) -> None:
        if self._theme is None:
            return
        for step, made in zip(STEPS, self.buttons, strict=True):
            name, colour = _ICONS[self._states.get(step.key, State.TODO)]
            made.setIcon(icon(name, self._theme, colour=colour))
        self.log.setIcon(icon("log", self._theme))


def _tip(number: int) -> str:
    return f"{STEPS[number].sentence} Ctrl+{number + 1}"


def _elided(detail: str, shown: QPushButton) -> str:
    """Return as much of ``detail`` as there is room for on a button while it is the bold one."""
    shown.ensurePolished()
    font = QFont(shown.font())
    font.setWeight(QFont.Weight.DemiBold)
    return QFontMetrics(font).elidedText(detail, Qt.TextElideMode.ElideRight, _ROOM)
