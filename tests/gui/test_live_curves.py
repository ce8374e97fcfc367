"""Curves that stream: what is drawn of them, what their legend names, and how long that takes."""

from __future__ import annotations

import math
import time

import numpy as np
import pyqtgraph as pg
import pytest
from gui.looking import contrast
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from metapt_gui.theme import LIGHT
from metapt_gui.widgets.live_curves import LiveCurves


def drawn(plot: LiveCurves) -> list[pg.PlotDataItem]:
    """Return the curves that have points, in the order of their drawing."""
    items = [item for item in plot.plot.getPlotItem().listDataItems() if item.getOriginalDataset()[0] is not None]
    return [item for item in items if len(item.getOriginalDataset()[0])]


def legend(plot: LiveCurves) -> list[str]:
    """Return the names in the legend."""
    items = [item for item in plot.plot.scene().items() if isinstance(item, pg.LegendItem)]
    return [label.text for _, label in items[0].items] if items else []


def assert_covers_little(plot: LiveCurves) -> None:
    """Check that the legend lies in the plot and leaves most of it free."""
    item = next(item for item in plot.plot.scene().items() if isinstance(item, pg.LegendItem))
    view = plot.plot.getViewBox().sceneBoundingRect()
    box = item.sceneBoundingRect()
    assert view.adjusted(-1, -1, 1, 1).contains(box)
    assert box.height() <= 0.5 * view.height()


@pytest.fixture
def curves(shown) -> LiveCurves:
    return shown(LiveCurves("Query loss", "meta steps", "loss"))


def test_points_are_drawn_soon_and_not_at_once(curves, qtbot):
    for step in range(10):
        curves.add("loss", step, 1.0 - step / 10)
    assert drawn(curves) == []
    qtbot.waitUntil(lambda: len(drawn(curves)) == 1, timeout=300)
    steps, values = drawn(curves)[0].getOriginalDataset()
    np.testing.assert_array_equal(steps, np.arange(10))
    np.testing.assert_allclose(values, 1.0 - np.arange(10) / 10)
    curves.add("loss", 10, 7.0)
    qtbot.waitUntil(lambda: drawn(curves)[0].getOriginalDataset()[1][-1] == 7.0, timeout=300)


def test_a_hidden_plot_waits_until_it_is_seen(curves, qtbot):
    curves.hide()
    curves.add("loss", 1, 0.5)
    qtbot.wait(250)
    assert drawn(curves) == []
    curves.show()
    qtbot.waitUntil(lambda: len(drawn(curves)) == 1, timeout=300)


def test_long_curves_are_smoothed_with_the_raw_values_behind(curves, qtbot):
    values = 1.0 + np.random.default_rng(0).normal(0, 0.3, 400)
    for step, value in enumerate(values):
        curves.add("loss", step, value)
    qtbot.waitUntil(lambda: len(drawn(curves)) == 2, timeout=300)
    raw, smooth = sorted(drawn(curves), key=lambda item: item.zValue())
    np.testing.assert_array_equal(raw.getOriginalDataset()[1], values)
    smoothed = smooth.getOriginalDataset()[1]
    assert smoothed[:100].mean() == pytest.approx(1.0, abs=0.1)
    assert smoothed[100:].std() < 0.1 < values.std()
    assert contrast(raw.opts["pen"].color(), QColor(LIGHT.surface)) < contrast(
        smooth.opts["pen"].color(), QColor(LIGHT.surface)
    )


def test_raw_values_can_be_left_out(shown, qtbot):
    curves = shown(LiveCurves("Tasks", "meta steps", "loss", raw=False, names=False))
    for step in range(100):
        curves.add("task 1", step, float(step % 2))
    qtbot.waitUntil(lambda: len(drawn(curves)) == 1, timeout=300)
    assert legend(curves) == []


def test_a_resumed_run_drops_the_later_points(curves):
    for step in (10, 20, 30, 40):
        curves.add("loss", step, step / 10)
    curves.add("loss", 30, 9.0)
    curves.add("loss", 35, 8.0)
    assert curves.table()[1] == [("loss", 10, 1.0), ("loss", 20, 2.0), ("loss", 30, 9.0), ("loss", 35, 8.0)]


def test_what_is_not_finite_is_skipped(curves):
    curves.add("loss", 1, 0.5)
    curves.add("loss", 2, math.nan)
    curves.add("loss", 3, math.inf)
    assert curves.table()[1] == [("loss", 1, 0.5)]


def test_colours_follow_the_order_of_appearance(curves, qtbot):
    for name in ("training", "validation"):
        curves.add(name, 0, 1.0)
    qtbot.waitUntil(lambda: len(drawn(curves)) == 2, timeout=300)
    pens = [item.opts["pen"] for item in drawn(curves)]
    assert [pen.color() for pen in pens] == [LIGHT.category(0), LIGHT.category(1)]
    assert {pen.style() for pen in pens} == {Qt.PenStyle.SolidLine}
    assert [pen.widthF() for pen in pens] == [2, 2]


def test_other_runs_lie_over_it(curves, qtbot):
    curves.add("loss", 0, 1.0)
    curves.overlay("yesterday", {"loss": (np.arange(3), np.array([1.0, np.nan, 3.0]))})
    qtbot.waitUntil(lambda: len(drawn(curves)) == 2, timeout=300)
    other = drawn(curves)[1].opts["pen"]
    assert other.style() == Qt.PenStyle.DashLine
    assert other.widthF() < 1
    assert legend(curves) == ["loss", "yesterday"]
    assert curves.table()[1][1:] == [("yesterday: loss", 0, 1.0), ("yesterday: loss", 2, 3.0)]
    curves.clear(keep_overlays=True)
    assert legend(curves) == ["yesterday"]
    curves.remove_overlay("yesterday")
    curves.remove_overlay("yesterday")
    assert legend(curves) == []
    assert curves.table()[1] == []


def test_the_legend_has_a_line_for_each_run_and_no_more_than_eight(curves, qtbot):
    curves.resize(800, 400)
    curves.add("query", 0, 1.0)
    qtbot.waitUntil(lambda: len(drawn(curves)) == 1, timeout=300)
    points = np.arange(3), np.arange(3.0)
    for run in range(12):
        curves.overlay(f"run {run}", {"support": points, "query": points})
    curves.grab()
    names = [f"run {run}" for run in range(12)]
    assert legend(curves) == ["query", *names[:7], "and 5 more"]
    assert len(drawn(curves)) == 25
    first, second = (line.opts["pen"] for line in drawn(curves)[1:3])
    assert first.color() == second.color() == LIGHT.category(1)
    assert (first.style(), second.style()) == (Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
    assert_covers_little(curves)
    curves.resize(380, 240)
    curves.grab()
    assert legend(curves) == ["query", *names[:3], "and 9 more"]
    for run in range(9):
        curves.remove_overlay(f"run {run}")
    assert legend(curves) == ["query", *names[9:]]
    curves.clear()
    assert legend(curves) == []


def test_the_curves_of_a_start_share_a_line_of_the_legend(curves, qtbot):
    for number in range(40):
        curves.add(f"{('MetaPT', 'PT')[number % 2]} seed {number}", 0, 1.0)
    qtbot.waitUntil(lambda: len(drawn(curves)) == 40, timeout=5000)
    assert legend(curves) == ["MetaPT", "PT"]
    colours = [line.opts["pen"].color() for line in drawn(curves)]
    assert colours == [LIGHT.category(0), LIGHT.category(1)] * 20
    assert len({name for name, *_ in curves.table()[1]}) == 40
    item = next(item for item in curves.plot.scene().items() if isinstance(item, pg.LegendItem))
    sample = item.items[1][0]
    sample.item.setVisible(False)  # as the click does before it tells
    item.sigSampleClicked.emit(sample.item)
    assert [line.isVisible() for line in drawn(curves)] == [True, False] * 20


def test_clear_forgets_everything(curves, qtbot):
    curves.add("loss", 5, 1.0)
    curves.overlay("yesterday", {"loss": (np.arange(3), np.arange(3.0))})
    curves.clear()
    assert (curves.table()[1], legend(curves)) == ([], [])
    curves.add("loss", 0, 2.0)
    qtbot.waitUntil(lambda: len(drawn(curves)) == 1, timeout=300)
    assert drawn(curves)[0].opts["pen"].color() == LIGHT.category(0)


def test_the_axis_of_shares_is_in_percent(shown):
    curves = shown(LiveCurves("Accuracy", "steps", "accuracy", percent=True))
    axis = curves.plot.getAxis("left")
    assert "(%)" in axis.labelString()
    assert axis.tickStrings([0.5], axis.scale, 0.1) == ["50"]
    curves.add("validation", 1, 0.5)
    assert curves.table()[1] == [("validation", 1, 0.5)]


def test_a_double_click_shows_everything_again(curves, qtbot):
    for step in range(10):
        curves.add("loss", step, float(step))
    curves.plot.setXRange(2, 3)
    viewport = curves.plot.viewport()
    middle = viewport.rect().center()
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=middle)
    assert curves.plot.getViewBox().viewRange()[0][1] < 8
    qtbot.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.waitUntil(lambda: curves.plot.getViewBox().viewRange()[0][1] > 8)


def test_a_hundred_thousand_points_do_not_hold_up_the_window(curves, qtbot):
    values = np.random.default_rng(0).normal(size=100_000)
    for step, value in enumerate(values.tolist()):
        curves.add("loss", step, value)
    qtbot.waitUntil(lambda: len(drawn(curves)) == 2, timeout=1000)
    curves.grab()
    curves.add("loss", 100_000, 0.0)
    start = time.perf_counter()
    qtbot.waitUntil(lambda: len(drawn(curves)[0].getOriginalDataset()[0]) == 100_001, timeout=1000)
    curves.grab()
    assert time.perf_counter() - start < 0.5
    assert len(drawn(curves)[0].getData()[0]) < 20_000


def test_the_first_point_is_seen_before_there_is_a_line(curves, qtbot):
    curves.add("a", 10, 0.5)
    qtbot.waitUntil(lambda: len(drawn(curves)) == 1)
    (line,) = drawn(curves)
    assert line.opts["symbol"] == "o"
    assert line.opts["symbolBrush"].name() == LIGHT.category(0).name()
    curves.add("a", 20, 0.6)
    qtbot.waitUntil(lambda: line.opts["symbol"] is None)
