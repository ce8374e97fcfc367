"""How the window looks: what is aligned, what can be told apart, what leads."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QLineEdit, QSpinBox, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from metapt_gui.theme import ThemeKeeper
from metapt_gui.widgets.pieces import inset


def test_controls_of_a_form_are_of_one_height(qtbot: QtBot, themes: ThemeKeeper) -> None:
    box = QWidget()
    layout = QVBoxLayout(box)
    controls = [QComboBox(), QSpinBox(), QLineEdit()]
    for control in controls:
        layout.addWidget(control)
    for control in box.findChildren(QSpinBox):
        inset(control)
    qtbot.addWidget(box)
    box.show()
    assert len({control.height() for control in controls}) == 1
