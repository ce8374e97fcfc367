"""A form made from a settings model: one control a setting, the rarer ones under "Advanced"."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Generic

from pydantic import ValidationError
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QGridLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.settings import Model, validated
from metapt_gui.theme import GRID
from metapt_gui.widgets.pieces import button, label, set_role, single_shot
from metapt_gui.widgets.setting_controls import CONTROLS, Choice, Control, Setting, Tick, settings_of

QUIET_MILLISECONDS = 150


class SettingsForm(QWidget, Generic[Model]):
    """Shows the settings of ``model`` and gives back what the person chose.

    Parameters
    ----------
    model
        The settings; dictionaries and lists among them have no control.
    main
        Names of the settings that are shown at once, in this order; all that are not advanced if empty.
    hidden
        Names of settings that the form leaves at their default, because the page has its own controls for them.
    labels
        What a setting is called, if not by its name with blanks.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[Model],
        *,
        main: Sequence[str] = (),
        hidden: Sequence[str] = (),
        labels: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self._model = model
        self._settings: dict[str, Setting] = {}
        self._controls: dict[str, Control] = {}
        self._labels: dict[str, QWidget] = {}
        self._resets: dict[str, QPushButton] = {}
        self._wrong: dict[str, str] = {}
        self._disabled: dict[str, str] = {}
        self._filling = False
        self._timer = single_shot(self, QUIET_MILLISECONDS, self.changed.emit)
        known = {name: setting for name, setting in settings_of(model, labels).items() if name not in hidden}
        first = list(main) or [name for name, setting in known.items() if not setting.advanced]
        others = [name for name in known if name not in first]
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(GRID // 2)
        box.addLayout(self._rows([known[name] for name in first]))
        self.advanced_button = self._advanced_button()
        box.addWidget(self.advanced_button)
        self.advanced = QWidget()
        self.advanced.setLayout(self._rows([known[name] for name in others]))
        box.addWidget(self.advanced)
        self.advanced.hide()
        self.advanced_button.setVisible(bool(others))
        self.advanced_button.toggled.connect(self._open)
        self._others = frozenset(others)
        self._last = self.values()
        self._check()

    def _rows(self, settings: list[Setting]) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GRID)
        grid.setVerticalSpacing(GRID // 2)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 3)
        for row, setting in enumerate(settings):
            name = setting.name
            control = (Choice if setting.choices else CONTROLS[setting.kind])(setting)
            control.setAccessibleName(f"{setting.label}, {setting.unit}" if setting.unit else setting.label)
            control.edited.connect(self._on_edited)
            reset = button("↺", f"Back to the default, {setting.default_text}", partial(self._reset, name), "link")
            reset.setAccessibleName(f"Reset {setting.label}")
            keeps_place = reset.sizePolicy()
            keeps_place.setRetainSizeWhenHidden(True)
            reset.setSizePolicy(keeps_place)
            reset.hide()
            if isinstance(control, Tick):
                self._labels[name] = control
                grid.addWidget(control, row, 0, 1, 2)
            else:
                caption = label(setting.label, wrap=True)
                caption.setBuddy(control)
                self._labels[name] = caption
                grid.addWidget(caption, row, 0)
                grid.addWidget(control, row, 1)
            grid.addWidget(reset, row, 2)
            self._settings[name], self._controls[name], self._resets[name] = setting, control, reset
            self._show_tooltip(name)
        return grid

    def _advanced_button(self) -> QToolButton:
        made = QToolButton()
        made.setText("Advanced")
        made.setAccessibleName("Advanced")
        made.setToolTip("Settings that seldom need to be changed.")
        made.setCheckable(True)
        made.setAutoRaise(True)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setArrowType(Qt.ArrowType.RightArrow)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return made

    # What others ask --------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Return what the controls show; a number that cannot be read comes as the text that was typed."""
        return {name: control.read() for name, control in self._controls.items()}

    def settings(self) -> Model:
        """Return the settings, the hidden ones at their default.

        Raises
        ------
        SettingsError
            With one sentence that names each wrong setting.
        """
        return validated(self._model, self.values())

    def set_values(self, values: Mapping[str, Any], *, quiet: bool = True) -> None:
        """Show ``values``, and the default of each setting that they do not name; other names are passed over.

        A value that a control cannot show, such as a choice that is gone, gives way to the default. `changed` follows
        unless ``quiet``.
        """
        self._filling = True
        for name, control in self._controls.items():
            control.show_value(values.get(name, self._settings[name].default))
        self._filling = False
        if quiet:
            self._timer.stop()
            self._last = self.values()
            self._check()
        else:
            self._on_edited()

    def problem(self) -> str:
        """Return a sentence about each setting that is wrong; empty if all are right."""
        return " ".join(self._wrong.values())

    def control(self, name: str) -> QWidget:
        """Return the control of a setting."""
        return self._controls[name]

    def set_enabled_reason(self, name: str, enabled: bool, reason: str) -> None:
        """Enable a setting, or disable it for a ``reason`` that its tooltip gives."""
        if enabled:
            self._disabled.pop(name, None)
        else:
            self._disabled[name] = reason
        for widget in (self._controls[name], self._labels[name], self._resets[name]):
            widget.setEnabled(enabled)
        self._show_tooltip(name)

    # What happens -----------------------------------------------------------------------------------------------------

    def _open(self, opened: bool) -> None:
        self.advanced.setVisible(opened)
        self.advanced_button.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)

    def _reset(self, name: str) -> None:
        # The button is about to go, and the keyboard would be left anywhere.
        self._controls[name].setFocus(Qt.FocusReason.OtherFocusReason)
        self._controls[name].show_value(self._settings[name].default)

    def _on_edited(self) -> None:
        if self._filling:
            return
        self._check()
        now = self.values()
        if now != self._last:
            self._last = now
            if not self._timer.isActive():
                self._timer.start()

    def _check(self) -> None:
        """Mark what is wrong, and offer the default where something else stands."""
        before, self._wrong = self._wrong, self._reasons()
        for name, control in self._controls.items():
            set_role(control, name in self._wrong, "wrong")
            if before.get(name) != self._wrong.get(name):
                self._show_tooltip(name)
            self._resets[name].setVisible(control.read() != self._settings[name].default)
        if self._others.intersection(self._wrong):
            self.advanced_button.setChecked(True)

    def _reasons(self) -> dict[str, str]:
        """Return setting -> what is wrong with it; what is wrong with all of them together stands under ``""``."""
        try:
            self._model.model_validate(self.values())
        except ValidationError as error:
            reasons = {}
            for problem in error.errors():
                said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
                if problem["type"] == "float_parsing":
                    said = "must be a number, such as 0.08 or 2e-5"
                elif problem["type"] == "int_parsing":
                    said = "must be a whole number"
                if problem["loc"]:
                    name = str(problem["loc"][0])
                    reasons[name] = f"{self._settings[name].label} {said}."
                else:
                    # A rule of the whole model has no place; its sentence names the setting.
                    named = [name for name in self._settings if name.replace("_", " ") in said]
                    reasons[named[0] if named else ""] = f"{said[:1].upper()}{said[1:]}."
            return reasons
        return {}

    def _show_tooltip(self, name: str) -> None:
        setting = self._settings[name]
        usual = f"{setting.help}\nDefault: {setting.default_text}."
        text = self._disabled.get(name) or self._wrong.get(name) or usual
        # Qt breaks no lines of plain text by itself.
        lines = [part for line in text.splitlines() for part in textwrap.wrap(line, 72, break_on_hyphens=False)]
        for widget in (self._controls[name], self._labels[name]):
            widget.setToolTip("\n".join(lines))
