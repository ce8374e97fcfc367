"""Which T5 runs, on which device: bundled, a folder, or one of the hub, fetched with progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLineEdit

from engine.settings import BackboneSettings
from metapt_gui.widgets.pieces import Card, button, label, set_role
from metapt_gui.widgets.settings_form import SettingsForm

BUNDLED, FOLDER, HUB = "Bundled (works offline)", "A folder …", "From the hub …"


class BackbonePicker(Card):
    """Chooses the `BackboneSettings`; asks for the backbone to be loaded, and loads nothing itself."""

    changed = Signal()
    load_asked = Signal()

    def __init__(self) -> None:
        super().__init__("Backbone")
        self.kind = QComboBox()
        self.kind.addItems([BUNDLED, FOLDER, HUB])
        self.kind.setAccessibleName("Backbone")
        self.kind.setToolTip(
            "The frozen T5 that the prompt is learnt for. The paper's is T5-base (t5-base on the hub)."
        )
        self.kind.activated.connect(self._on_kind)
        self.box.addWidget(self.kind)
        row = QHBoxLayout()
        self.name = QLineEdit()
        self.name.setAccessibleName("Folder or name of the backbone")
        self.name.setToolTip("A folder that holds a T5, or a name on the hub such as t5-base.")
        self.name.editingFinished.connect(self.changed)
        self.browse = button("Browse …", "Choose a folder that holds a T5.", self._browse)
        row.addWidget(self.name, 1)
        row.addWidget(self.browse)
        self.box.addLayout(row)
        self.form = SettingsForm(
            BackboneSettings, main=("device", "precision"), hidden=("backbone", "offline", "threads")
        )
        self.form.changed.connect(self.changed)
        self.box.addWidget(self.form)
        self.load = button("Load and check", "Fetch it if need be, load it, and say what it is.", self.load_asked.emit)
        self.box.addWidget(self.load)
        self.facts = label("", "muted", wrap=True)
        self.box.addWidget(self.facts)
        self._show_line()

    def values(self, *, offline: bool) -> dict[str, Any]:
        """Return the values of the settings."""
        kind = self.kind.currentText()
        backbone = "bundled" if kind == BUNDLED else self.name.text().strip()
        return {**self.form.values(), "backbone": backbone, "offline": offline}

    def set_values(self, values: dict[str, Any]) -> None:
        """Show other values."""
        backbone = values.get("backbone", "bundled")
        local = Path(backbone).is_absolute()
        self.kind.setCurrentText(BUNDLED if backbone == "bundled" else FOLDER if local else HUB)
        self.name.setText("" if backbone == "bundled" else backbone)
        self.form.set_values({name: value for name, value in values.items() if name in ("device", "precision")})
        self._show_line()

    def problem(self) -> str:
        """Return what is missing."""
        if self.kind.currentText() != BUNDLED and not self.name.text().strip():
            return "Name the backbone: a folder, or a name on the hub."
        return self.form.problem()

    def show_facts(self, text: str, role: str = "muted") -> None:
        """Say what was found."""
        set_role(self.facts, role)
        self.facts.setText(text)

    def _on_kind(self) -> None:
        self._show_line()
        if self.kind.currentText() == FOLDER and not self.name.text():
            self._browse()
        self.changed.emit()

    def _show_line(self) -> None:
        kind = self.kind.currentText()
        self.name.setVisible(kind != BUNDLED)
        self.browse.setVisible(kind == FOLDER)
        self.name.setPlaceholderText("t5-base" if kind == HUB else "Folder")

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "A folder that holds a T5")
        if folder:
            self.name.setText(folder)
            self.changed.emit()
