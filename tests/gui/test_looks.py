"""How the window looks: what is aligned, what can be told apart, what leads."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QLabel, QLineEdit, QSpinBox, QSplitter, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from metapt_gui.theme import GRID, ThemeKeeper
from metapt_gui.widgets.charts import BarChart
from metapt_gui.widgets.pieces import Card, SideScroll, inset


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


def test_heads_of_neighbours_stand_on_one_line(qtbot: QtBot, themes: ThemeKeeper) -> None:
    row = QSplitter()
    card, chart = Card("Words"), BarChart("Bars", "texts")
    card.box.addStretch(1)
    for widget in (card, chart):
        row.addWidget(widget)
    qtbot.addWidget(row)
    row.resize(600, 300)
    row.show()
    places = {
        head.mapTo(row, head.rect().center()).y()
        for head in row.findChildren(QLabel)
        if head.property("role") == "heading"
    }
    assert len(places) == 1
    assert row.handleWidth() == GRID


def test_a_column_ends_where_the_page_does_unless_it_scrolls(qtbot: QtBot, themes: ThemeKeeper) -> None:
    side = SideScroll(200)
    qtbot.addWidget(side)
    card = Card("Words")
    side.box.addWidget(card)
    side.resize(200, 300)
    side.show()
    assert card.mapTo(side, card.rect().topRight()).x() == side.width() - 1
    card.setMinimumHeight(600)
    qtbot.waitUntil(lambda: side.verticalScrollBar().maximum() > 0)
    free = side.width() - side.verticalScrollBar().width()
    qtbot.waitUntil(lambda: card.mapTo(side, card.rect().topRight()).x() < free - 2)
