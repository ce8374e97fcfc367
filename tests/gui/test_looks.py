"""How the window looks: what is aligned, what can be told apart, what leads."""

from __future__ import annotations

import pyqtgraph as pg
from gui.looking import contrast, pixel
from PySide6.QtCore import QEvent, QPoint
from PySide6.QtGui import QColor, QHelpEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QSplitter,
    QTableWidgetItem,
    QToolTip,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine.errors import StorageError
from metapt_gui.main_window import MainWindow
from metapt_gui.theme import CLUSTER_COLOURS, DARK, GRID, LIGHT, ThemeKeeper
from metapt_gui.widgets.charts import BarChart
from metapt_gui.widgets.dialogs import ErrorDialog, Question
from metapt_gui.widgets.live_curves import LiveCurves
from metapt_gui.widgets.pieces import Card, SideScroll, inset, table_of
from metapt_gui.widgets.results_view import ResultsView


def test_groups_are_seen_on_a_dark_surface_and_as_they_were_on_a_light_one() -> None:
    for number in range(len(CLUSTER_COLOURS)):
        assert contrast(DARK.category(number), DARK.colour("surface")) >= 4
        assert LIGHT.category(number) == QColor(CLUSTER_COLOURS[number])


def test_one_curve_is_named_by_the_title_and_its_steps_are_whole(qtbot: QtBot, themes: ThemeKeeper) -> None:
    curves = LiveCurves("Validation accuracy", "step", "accuracy", percent=True)
    qtbot.addWidget(curves)
    curves.set_theme(LIGHT)
    curves.resize(600, 300)
    curves.show()
    for step in (1, 2, 3):
        curves.add("validation", step, 0.5)
    qtbot.waitUntil(lambda: bool(curves.plot.getPlotItem().listDataItems()))
    legend = next(item for item in curves.plot.scene().items() if isinstance(item, pg.LegendItem))
    assert not legend.isVisible()
    assert curves.plot.getAxis("bottom").label.isVisible()
    spacings = curves.plot.getAxis("bottom").tickSpacing(1, 3, 600)
    assert [spacing for spacing, _ in spacings] == [1]
    curves.add("training", 1, 0.4)
    qtbot.waitUntil(legend.isVisible)


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


def test_figures_of_a_table_end_at_the_right_and_its_heads_begin_large(qtbot: QtBot, themes: ThemeKeeper) -> None:
    table = table_of(("class", "macro-F1"), "Figures", figures=(1,))
    qtbot.addWidget(table)
    assert [table.horizontalHeaderItem(column).text() for column in (0, 1)] == ["Class", "Macro-F1"]
    table.setRowCount(1)
    table.setItem(0, 1, QTableWidgetItem("8"))
    table.setColumnWidth(1, 200)
    table.resize(400, 100)
    table.show()
    cell = table.visualRect(table.model().index(0, 1))
    picture = table.viewport().grab(cell).toImage()
    ink = [x for x in range(4, 196) if any(picture.pixelColor(x, y).lightness() < 100 for y in range(4, 21))]
    assert min(ink) > 150


def test_a_few_bars_are_no_blocks(qtbot: QtBot, themes: ThemeKeeper) -> None:
    chart = BarChart("Bars", "texts")
    qtbot.addWidget(chart)
    chart.set_theme(LIGHT)
    chart.resize(400, 600)
    chart.show()
    chart.set_bars(["a", "b"], [1, 2])
    low, high = chart.plot.getViewBox().viewRange()[1]
    assert chart.plot.getViewBox().height() / (high - low) <= 64.5


def test_results_stand_below_each_other_in_a_narrow_window(qtbot: QtBot, themes: ThemeKeeper) -> None:
    view = ResultsView()
    qtbot.addWidget(view)
    view.resize(700, 500)
    view.show()
    assert view.per_class.mapTo(view, QPoint()).x() > view.methods.mapTo(view, QPoint()).x()
    view.resize(420, 500)
    qtbot.waitUntil(lambda: view.per_class.mapTo(view, QPoint()).x() == view.methods.mapTo(view, QPoint()).x())
    assert view.findChild(QScrollArea).horizontalScrollBar().maximum() == 0


def test_the_default_answer_of_a_dialog_is_the_one_that_is_lit(qtbot: QtBot, themes: ThemeKeeper) -> None:
    question = Question(None, "Delete it?", "It is gone then.", [("Keep", None), ("Delete", None)])
    error = ErrorDialog(None, StorageError("The file cannot be read", remedy="Try again."), "details")
    for dialog, name in ((question, "Keep"), (error, "Close")):
        qtbot.addWidget(dialog)
        dialog.show()
        lit = [button.text() for button in dialog.findChildren(QPushButton) if button.property("role") == "primary"]
        assert lit == [name]
    assert error.focusWidget().text() == "Close"


def test_what_is_on_in_a_menu_is_seen(window: MainWindow) -> None:
    for action in (window.menus.offline, window.menus.log):
        assert action.isCheckable()
        assert action.icon().isNull()


def test_the_tooltip_of_a_curve_says_which_it_is_and_its_value(qtbot: QtBot, themes: ThemeKeeper) -> None:
    curves = LiveCurves("Accuracy of each task", "step", "accuracy", percent=True, names=False)
    qtbot.addWidget(curves)
    curves.set_theme(LIGHT)
    curves.resize(600, 300)
    curves.show()
    for step in (0, 50, 100):
        curves.add("app, mobile, phone", step, 0.2)
        curves.add("garden, house, built", step, 0.8)
    qtbot.waitUntil(lambda: len(curves.plot.getPlotItem().listDataItems()) == 4)
    curves.plot.grab()
    seen = {}
    for y in (0.2, 0.5, 0.8):
        where = pixel(curves, 60, y)
        event = QHelpEvent(QEvent.Type.ToolTip, where, curves.plot.viewport().mapToGlobal(where))
        QApplication.sendEvent(curves.plot.viewport(), event)
        seen[y] = QToolTip.text()
    assert seen[0.2] == "app, mobile, phone: 20.0 % at step 50"
    assert "wheel" in seen[0.5]
    assert seen[0.8] == "garden, house, built: 80.0 % at step 50"
    QToolTip.hideText()
