"""The rail of steps on the left: where one is, and how far each step is."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QIcon, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QPushButton,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QVBoxLayout,
)

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


class StepButton(QPushButton):
    """A step with its picture: its name, bold while it is shown, and below it, quieter, how far it is."""

    def __init__(self, tip: str) -> None:
        super().__init__()
        self.setProperty("role", "step")
        self.setToolTip(tip)
        self.setCheckable(True)
        self.setMinimumHeight(52)
        self.setIconSize(QSize(20, 20))
        self._theme: Theme | None = None

    def set_theme(self, theme: Theme, picture: QIcon) -> None:
        """Paint in the colours of ``theme``."""
        self._theme = theme
        self.setIcon(picture)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground as the style sheet says, and picture and lines on it."""
        if self._theme is None:
            return
        painter, option = QStylePainter(self), QStyleOptionButton()
        self.initStyleOption(option)
        option.text, option.icon = "", QIcon()
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)
        size, metrics = self.iconSize().width(), self.fontMetrics()
        picture = QRect(GRID + 2, (self.height() - size) // 2, size, size)
        self.icon().paint(painter, picture)
        left, line = picture.right() + GRID, metrics.lineSpacing()
        name, _, detail = self.text().partition("\n")
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold if self.isChecked() else QFont.Weight.Normal)
        top = self.height() // 2 - line
        for text, used, colour in (
            (name, font, "text" if self.isEnabled() else "muted"),
            (detail, self.font(), "muted"),
        ):
            painter.setFont(used)
            painter.setPen(self._theme.colour(colour))
            painter.drawText(left, top, self.width() - left, line, Qt.AlignmentFlag.AlignVCenter, text)
            top += line


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
        self.buttons: list[StepButton] = []
        for number in range(len(STEPS)):
            made = StepButton(_tip(number))
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
            made.set_theme(self._theme, icon(name, self._theme, colour=colour))
        self.log.setIcon(icon("log", self._theme))


def _tip(number: int) -> str:
    return f"{STEPS[number].sentence} Ctrl+{number + 1}"


def _elided(detail: str, shown: QPushButton) -> str:
    """Return as much of ``detail`` as there is room for on a button."""
    shown.ensurePolished()
    return shown.fontMetrics().elidedText(detail, Qt.TextElideMode.ElideRight, _ROOM)
