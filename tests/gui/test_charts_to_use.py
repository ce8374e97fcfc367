"""Plots to work with: the sweep over K, thresholds, the confusion matrix."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
import pytest
from gui.looking import contrast, pixel, texts_of
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QHBoxLayout, QPushButton, QWidget

from metapt_gui.theme import DARK, LIGHT
from metapt_gui.widgets.charts import SweepPlot, mixed
from metapt_gui.widgets.confusion_matrix import STRONGEST, ConfusionMatrix
from metapt_gui.widgets.plot import PlotCard
from metapt_gui.widgets.threshold_histogram import ThresholdHistogram


def drag(qtbot, plot: PlotCard, start: QPoint, stop: QPoint) -> None:
    """Drag with the left button, slowly enough for the plot's limit of 100 moves a second."""
    viewport = plot.plot.viewport()
    qtbot.mouseMove(viewport, start)
    qtbot.wait(20)
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    for part in range(1, 9):
        qtbot.mouseMove(viewport, start + (stop - start) * part / 8)
        qtbot.wait(20)
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=stop)


# The sweep ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sweep(shown) -> SweepPlot:
    sweep = shown(SweepPlot("Silhouette"))
    sweep.set_values({5: 0.2, 3: 0.1, 10: 0.3, 20: math.nan})
    sweep.grab()
    return sweep


def test_a_click_on_a_point_chooses_it(sweep, qtbot):
    with qtbot.waitSignal(sweep.chosen) as heard:
        qtbot.mouseClick(sweep.plot.viewport(), Qt.MouseButton.LeftButton, pos=pixel(sweep, 5, 0.2))
    assert heard.args == [5]
    assert [text.toPlainText() for text in texts_of(sweep)] == ["K = 5"]


def test_a_click_beside_the_points_chooses_nothing(sweep, qtbot):
    with qtbot.assertNotEmitted(sweep.chosen, wait=50):
        qtbot.mouseClick(sweep.plot.viewport(), Qt.MouseButton.LeftButton, pos=pixel(sweep, 7, 0.1))


def test_arrow_keys_choose_the_next_number(sweep, qtbot):
    heard: list[int] = []
    sweep.chosen.connect(heard.append)
    sweep.set_chosen(5)
    assert heard == []
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Left):
        qtbot.keyClick(sweep.plot, key)
    assert heard == [10, 5, 3]
    assert sweep.table() == (("K", "score"), [(3, 0.1), (5, 0.2), (10, 0.3)])
    sweep.set_values({})
    qtbot.keyClick(sweep.plot, Qt.Key.Key_Right)
    assert heard == [10, 5, 3]
    assert texts_of(sweep) == []


# Thresholds -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def thresholds(shown) -> ThresholdHistogram:
    plot = shown(ThresholdHistogram("Confidence of the pseudo-labels"))
    plot.set_histograms({"bad": np.arange(40), "good": np.arange(40)[::-1], "fine": np.full(40, 5)})
    for name, value in (("bad", 0.3), ("good", 0.6), ("fine", 0.6)):
        plot.set_threshold(name, value)
    plot.grab()
    return plot


class Heard:
    """What the plot said."""

    def __init__(self, plot: ThresholdHistogram) -> None:
        self.changed: list[tuple[str, float]] = []
        self.set: list[tuple[str, float, float]] = []
        plot.threshold_changed.connect(lambda name, value: self.changed.append((name, value)))
        plot.threshold_set.connect(lambda *values: self.set.append(values))


def test_a_line_is_dragged(thresholds, qtbot):
    heard = Heard(thresholds)
    drag(qtbot, thresholds, pixel(thresholds, 0.3, 0.5), pixel(thresholds, 0.5, 0.5))
    assert thresholds.thresholds()["bad"] == pytest.approx(0.5, abs=0.011)
    assert thresholds.thresholds()["good"] == 0.6
    assert 2 <= len(heard.changed) < 8  # 8 moves in 160 ms, told 20 times a second
    assert heard.changed[-1] == ("bad", thresholds.thresholds()["bad"])
    assert heard.set == [("bad", 0.3, thresholds.thresholds()["bad"])]
    assert thresholds.selected() == "bad"


def test_a_line_stops_at_the_ends(thresholds, qtbot):
    heard = Heard(thresholds)
    drag(qtbot, thresholds, pixel(thresholds, 0.3, 0.5), pixel(thresholds, -0.01, 0.5) - QPoint(30, 0))
    assert thresholds.thresholds()["bad"] == 0.0
    assert heard.set == [("bad", 0.3, 0.0)]


def test_of_lines_that_lie_on_each_other_each_is_dragged_by_its_label(thresholds, qtbot):
    for name in ("good", "fine"):
        label = next(text for text in texts_of(thresholds) if text.toPlainText().startswith(name))
        start = thresholds.plot.mapFromScene(label.sceneBoundingRect().center())
        drag(qtbot, thresholds, start, start + (pixel(thresholds, 0.8, 0.5) - pixel(thresholds, 0.6, 0.5)))
        assert thresholds.thresholds()[name] == pytest.approx(0.8, abs=0.011)
    assert thresholds.thresholds()["bad"] == 0.3


def test_arrow_keys_move_the_threshold_of_the_selected_class(thresholds, qtbot):
    heard = Heard(thresholds)
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Right)
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Down)
    assert thresholds.selected() == "good"
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Left)
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Left)
    assert thresholds.thresholds() == {"bad": 0.31, "good": 0.58, "fine": 0.6}
    assert heard.set == [("bad", 0.3, 0.31), ("good", 0.6, 0.59), ("good", 0.59, 0.58)]
    assert heard.changed[-1] == ("good", 0.58)
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Up)
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Up)
    assert thresholds.selected() == "fine"
    thresholds.set_threshold("fine", 1.0)
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Right)
    assert thresholds.thresholds()["fine"] == 1.0
    assert len(heard.set) == 3


def test_a_key_held_down_is_one_change(thresholds, qtbot):
    heard = Heard(thresholds)
    for _ in range(5):
        qtbot.keyPress(thresholds.plot, Qt.Key.Key_Right)
    assert heard.set == []
    qtbot.keyRelease(thresholds.plot, Qt.Key.Key_Right)
    assert heard.set == [("bad", 0.3, 0.35)]
    assert heard.changed[-1] == ("bad", 0.35)


def test_tab_goes_through_the_classes_and_on(thresholds, qtbot):
    page = QWidget()
    box = QHBoxLayout(page)
    box.addWidget(thresholds)
    following = QPushButton("Next")
    box.addWidget(following)
    page.show()
    page.activateWindow()
    thresholds.plot.setFocus()
    qtbot.waitUntil(thresholds.plot.hasFocus)
    seen = [thresholds.selected()]
    for _ in range(2):
        qtbot.keyClick(thresholds.plot, Qt.Key.Key_Tab)
        seen.append(thresholds.selected())
    assert seen == ["bad", "good", "fine"]
    assert thresholds.plot.hasFocus()
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Tab)
    assert following.hasFocus()
    qtbot.keyClick(following, Qt.Key.Key_Backtab)
    assert thresholds.plot.hasFocus()
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Backtab)
    assert thresholds.selected() == "good"
    page.hide()
    thresholds.setParent(None)


def test_thresholds_are_set_silently_and_survive_new_counts(thresholds, qtbot):
    heard = Heard(thresholds)
    thresholds.set_threshold("bad", 0.7)
    thresholds.set_threshold("unknown", 0.7)
    thresholds.set_histograms({"bad": [1, 2], "new": [3, 4]})
    qtbot.wait(120)
    assert (heard.changed, heard.set) == ([], [])
    assert thresholds.thresholds() == {"bad": 0.7, "new": 0.5}
    assert thresholds.table()[1][:2] == [("bad", 0.0, 0.5, 1, 0.7), ("bad", 0.5, 1.0, 2, 0.7)]
    thresholds.set_histograms({})
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Right)
    assert (thresholds.thresholds(), thresholds.table()[1], thresholds.selected()) == ({}, [], "")


def test_of_many_classes_the_selected_one_is_named_and_its_threshold_typed(thresholds, qtbot):
    assert not thresholds.value.isVisible()
    assert len(labels(thresholds)) == 3
    names = [f"class {number}" for number in range(20)]
    thresholds.set_histograms({name: np.arange(40) for name in names})
    thresholds.select("class 7")
    assert labels(thresholds) == ["class 7 0.50"]
    heard = Heard(thresholds)
    thresholds.value.setFocus()
    thresholds.value.selectAll()
    qtbot.keyClicks(thresholds.value, "0.83")
    assert heard.set == []
    qtbot.keyClick(thresholds.value, Qt.Key.Key_Return)
    assert heard.changed == [("class 7", 0.83)]
    assert heard.set == [("class 7", 0.5, 0.83)]
    thresholds.plot.setFocus()
    qtbot.keyClick(thresholds.plot, Qt.Key.Key_Down)
    assert labels(thresholds) == ["class 8 0.50"]
    assert (thresholds.value.value(), thresholds.value.accessibleName()) == (0.5, "Threshold of class 8")
    assert thresholds.thresholds()["class 7"] == 0.83


def labels(plot: ThresholdHistogram) -> list[str]:
    """Return what stands beside the lines and is seen."""
    items = [item for item in plot.plot.scene().items() if isinstance(item, pg.InfLineLabel)]
    return [item.toPlainText() for item in items if item.isVisible()]


def test_counts_are_drawn_as_roots_or_as_they_are(thresholds, qtbot):
    def highest() -> float:
        return max(item.getData()[1].max() for item in thresholds.plot.getPlotItem().listDataItems())

    assert highest() == pytest.approx(39**0.5)
    qtbot.mouseClick(thresholds.roots, Qt.MouseButton.LeftButton, pos=QPoint(8, thresholds.roots.height() // 2))
    assert highest() == 39


# The confusion matrix -------------------------------------------------------------------------------------------------


@pytest.fixture
def confusion(shown) -> ConfusionMatrix:
    plot = shown(ConfusionMatrix("Confusion"))
    plot.set_matrix(["bad", "good"], np.array([[1200, 300], [0, 0]]))
    plot.grab()
    return plot


def test_a_click_says_which_cell(confusion, qtbot):
    with qtbot.waitSignal(confusion.cell_clicked) as heard:
        qtbot.mouseClick(confusion.plot.viewport(), Qt.MouseButton.LeftButton, pos=pixel(confusion, 1.5, 0.3))
    assert heard.args == [0, 1]
    with qtbot.assertNotEmitted(confusion.cell_clicked, wait=50):
        qtbot.mouseClick(confusion.plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(3, 3))


def test_keys_go_to_a_cell_and_open_it(confusion, qtbot):
    heard: list[tuple[int, int]] = []
    confusion.cell_clicked.connect(lambda row, column: heard.append((row, column)))
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Space):
        qtbot.keyClick(confusion.plot, key)
    assert heard == [(0, 0), (1, 1)]


def test_cells_are_written_and_shaded_by_their_row(confusion):
    assert sorted(text.toPlainText() for text in texts_of(confusion)) == [
        "0\n0 %",
        "0\n0 %",
        "1,200\n80 %",
        "300\n20 %",
    ]
    for theme in (LIGHT, DARK):
        confusion.set_theme(theme)
        picture = confusion.plot.viewport().grab().toImage()
        strong, weak, none = (
            picture.pixelColor(pixel(confusion, *place)) for place in ((0.1, 0.1), (1.1, 0.1), (0.1, 1.1))
        )
        assert none == QColor(theme.surface)
        assert contrast(strong, none) > contrast(weak, none) > 1
        assert all(text.color == QColor(theme.text) for text in texts_of(confusion))
    assert confusion.plot.getAxis("left").labelText == "labelled as"
    assert confusion.plot.getAxis("bottom").labelText == "predicted"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_text_can_be_read_on_every_shade(theme):
    for share in np.linspace(0, STRONGEST, 20):
        shade = mixed(QColor(theme.accent), QColor(theme.surface), share)
        assert contrast(QColor(theme.text), shade) >= 4.5


def test_many_classes_keep_only_what_has_room(confusion):
    confusion.resize(320, 240)
    confusion.set_matrix([f"class {number}" for number in range(15)], np.full((15, 15), 1000))
    confusion.grab()
    assert {text.toPlainText() for text in texts_of(confusion)} <= {"", "7 %"}
    confusion.set_matrix([], np.zeros((0, 0)))
    assert confusion.table()[1] == []
    confusion.grab()


def test_narrow_columns_are_numbered_as_the_rows_are(confusion):
    def ticks(axis: str) -> list[str]:
        return [name for _, name in confusion.plot.getAxis(axis)._tickLevels[0]]

    def show(names: list[str]) -> None:
        confusion.set_matrix(names, np.ones((len(names), len(names)), int))
        for _ in range(6):  # the axis takes its room from what it shows
            QApplication.processEvents()
            confusion.grab()

    names = ["billing", "delivery", "data privacy", "login", "technical support", "returns"]
    confusion.resize(330, 300)
    show(names)
    assert ticks("bottom") == ["1", "2", "3", "4", "5", "6"]
    assert ticks("left")[2] == "3 data privacy"
    confusion.resize(230, 300)
    show(names)
    assert ticks("left")[0] == "1 billing"
    assert ticks("left")[4].startswith("5 tech")
    assert ticks("left")[4].endswith("…"), "the cells keep some room"
    show(["bad", "good"])
    assert (ticks("bottom"), ticks("left")) == (["bad", "good"], ["bad", "good"])
    confusion.resize(1200, 300)
    show(names)
    assert ticks("bottom") == names
    assert ticks("left") == names
    show([])


def test_of_very_many_classes_the_most_frequent_confusions_are_listed(confusion, qtbot, tmp_path):
    matrix = np.eye(99, dtype=int) * 50
    matrix[70, 3], matrix[3, 70], matrix[98, 97] = 7, 9, 1
    confusion.set_matrix([f"class {number}" for number in range(99)], matrix)
    listed = confusion.confusions
    rows = [[listed.item(row, column).text() for column in range(3)] for row in range(listed.rowCount())]
    assert rows == [["class 3", "class 70", "9"], ["class 70", "class 3", "7"], ["class 98", "class 97", "1"]]
    assert listed.isVisible()
    with qtbot.waitSignal(confusion.cell_clicked) as heard:
        where = listed.visualItemRect(listed.item(1, 0)).center()
        qtbot.mouseClick(listed.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert heard.args == [70, 3]
    with qtbot.waitSignal(confusion.cell_clicked) as heard:
        listed.setCurrentCell(2, 0)
        qtbot.keyClick(listed, Qt.Key.Key_Return)
    assert heard.args == [98, 97]
    for ending in ("png", "csv"):
        confusion.save(tmp_path / f"matrix.{ending}")
        assert (tmp_path / f"matrix.{ending}").stat().st_size > 1000
    confusion.set_matrix(["bad", "good"], np.eye(2))
    assert confusion.plot.isVisible()
