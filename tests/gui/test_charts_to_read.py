"""Plots to read: curves that stream, bars, histograms, reliability; and what all plots save."""

from __future__ import annotations

import csv
import math
import time

import numpy as np
import pyqtgraph as pg
import pytest
from gui.looking import contrast, pixel, texts_of
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QFileDialog

from metapt_gui.theme import DARK, LIGHT
from metapt_gui.widgets.charts import BarChart, Histogram, ReliabilityDiagram, SweepPlot
from metapt_gui.widgets.confusion_matrix import ConfusionMatrix
from metapt_gui.widgets.live_curves import LiveCurves
from metapt_gui.widgets.plot import PlotCard
from metapt_gui.widgets.threshold_histogram import ThresholdHistogram


def inside(plot: PlotCard) -> bool:
    """Return whether all texts that are seen lie wholly in the view, to half a pixel."""
    view = plot.plot.getViewBox().sceneBoundingRect().adjusted(-0.5, -0.5, 0.5, 0.5)
    return all(view.contains(text.sceneBoundingRect()) for text in texts_of(plot))


# Live curves ----------------------------------------------------------------------------------------------------------


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
    assert [pen.widthF() for pen in pens] == [1, 1]


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


# Bars and histograms --------------------------------------------------------------------------------------------------


def test_values_beside_bars_are_not_clipped(shown):
    bars = shown(BarChart("Texts of each class", "texts"))
    bars.set_bars(["terrible", "great", "none"], [123_456, 7, 0], [0, 1, 2])
    bars.grab()
    texts = texts_of(bars)
    assert sorted(text.toPlainText() for text in texts) == ["0", "123,456", "7"]
    assert inside(bars)
    places = {text.toPlainText(): text.sceneBoundingRect().center() for text in texts}
    assert places["123,456"].y() < places["7"].y() < places["0"].y()
    bars.resize(300, 200)
    bars.grab()
    assert inside(bars)
    assert bars.table() == (("name", "value"), [("terrible", 123_456), ("great", 7), ("none", 0)])
    bars.set_bars([], [], [])
    assert texts_of(bars) == []
    bars.grab()


def test_of_many_bars_the_highest_are_drawn_and_named(shown):
    bars = shown(BarChart("Probability of each class", "per cent", end=100.0))
    values = [(37 * number) % 99 / 10 for number in range(99)]
    values[60] = 60.0
    bars.set_bars([f"class {number}" for number in range(99)], values, list(range(99)))
    bars.grab()
    names = [name for _, name in bars.plot.getAxis("left")._tickLevels[0]]
    assert names[0] == "class 60"
    assert len(names) == 10
    figures = [text.toPlainText() for text in sorted(texts_of(bars), key=lambda text: text.pos().y())]
    assert figures == ["60", "9.8", "9.7", "9.6", "9.5", "9.4", "9.3", "9.2", "9.1", "9"]
    assert inside(bars)
    assert bars.note.text() == "the 10 highest, and 89 more"
    picture = bars.plot.viewport().grab().toImage()
    assert picture.pixelColor(pixel(bars, 1, 0)) == LIGHT.category(60)
    assert len(bars.table()[1]) == 99
    assert bars.table()[1][60] == ("class 60", 60)


def test_colours_of_bars_are_those_of_the_theme(shown):
    bars = shown(BarChart("Texts of each class", "texts"))
    bars.set_bars(["bad", "good"], [2, 2], [0, 3])
    for theme in (LIGHT, DARK):
        bars.set_theme(theme)
        picture = bars.plot.viewport().grab().toImage()
        for row, number in enumerate((0, 3)):
            assert picture.pixelColor(pixel(bars, 1, row)) == theme.category(number)


def test_bins_of_unequal_width_are_equally_wide(shown):
    histogram = shown(Histogram("Length of the texts", "characters", "texts"))
    histogram.set_counts([0, 20, 50, 10_000], [3, 5, 1])
    picture = histogram.plot.viewport().grab().toImage()
    colour = QColor(LIGHT.accent)
    assert [picture.pixelColor(pixel(histogram, place, 0.5)) == colour for place in (0.5, 1.5, 2.5)] == [True] * 3
    assert picture.pixelColor(pixel(histogram, 2.5, 2.0)) == QColor(LIGHT.surface)
    assert histogram.table() == (("from", "to", "count"), [(0, 20, 3), (20, 50, 5), (50, 10_000, 1)])
    histogram.set_counts([0, 0.5, 1], [4, 2])
    picture = histogram.plot.viewport().grab().toImage()
    assert picture.pixelColor(pixel(histogram, 0.25, 3)) == colour
    assert picture.pixelColor(pixel(histogram, 0.75, 3)) == QColor(LIGHT.surface)
    histogram.set_counts([], [])
    assert histogram.table()[1] == []
    histogram.grab()


BINS = [
    {"confidence": 0.51, "accuracy": 0.40, "rows": 12},
    {"confidence": 0.99, "accuracy": 0.90, "rows": 12_345},
]


def test_reliability_of_the_engine_is_drawn(shown):
    from engine.annotation.calibration import reliability

    random = np.random.default_rng(0)
    confidence = random.uniform(0.2, 1, 2000)
    bins = reliability(confidence, random.random(2000) < confidence)
    diagram = shown(ReliabilityDiagram("Reliability"))
    diagram.set_bins(bins)
    picture = diagram.plot.viewport().grab().toImage()
    for found in bins:
        place = (math.ceil(found["confidence"] * 15) - 0.5) / 15
        assert picture.pixelColor(pixel(diagram, place, 0.02)) == QColor(LIGHT.accent)
    assert picture.pixelColor(pixel(diagram, 0.5 / 15, 0.5)) == QColor(LIGHT.surface)
    assert len(texts_of(diagram)) == len(bins)


def test_counts_of_the_reliability_diagram_are_not_clipped(shown):
    diagram = shown(ReliabilityDiagram("Reliability", "confidence", "share that is right"))
    diagram.resize(300, 230)
    diagram.set_bins(BINS)
    diagram.grab()
    assert sorted(text.toPlainText() for text in texts_of(diagram)) == ["12", "12,345"]
    assert inside(diagram)
    assert diagram.table() == (("confidence", "accuracy", "rows"), [(0.51, 0.4, 12), (0.99, 0.9, 12_345)])
    diagram.set_bins([])
    assert texts_of(diagram) == []


# What all of them share -----------------------------------------------------------------------------------------------


def filled_curves() -> PlotCard:
    plot = LiveCurves("Query loss", "meta steps", "loss")
    for step in range(30):
        plot.add("loss <raw>", step, 1 / (step + 1))
    plot.overlay("yesterday", {"loss": (np.arange(2), np.array([0.5, 0.25]))})
    return plot


def filled_bars() -> PlotCard:
    plot = BarChart("Texts of each class", "texts")
    plot.set_bars(["bad, worse", "good"], [3, 4.5], [0, 1])
    return plot


def filled_histogram() -> PlotCard:
    plot = Histogram("Length of the texts", "characters", "texts")
    plot.set_counts([0, 20, 100], [3, 4])
    return plot


def filled_reliability() -> PlotCard:
    plot = ReliabilityDiagram("Reliability")
    plot.set_bins(BINS)
    return plot


def filled_sweep() -> PlotCard:
    plot = SweepPlot("Silhouette")
    plot.set_values({3: 0.1, 4: 0.2})
    plot.set_chosen(4)
    return plot


def filled_thresholds() -> PlotCard:
    plot = ThresholdHistogram("Confidence")
    plot.set_histograms({"bad {0}": [1, 2], "good": [3, 4]})
    return plot


def filled_confusion() -> PlotCard:
    plot = ConfusionMatrix("Confusion")
    plot.set_matrix(["bad", "good"], np.array([[5, 1], [2, 7]]))
    return plot


FILLED = [
    (filled_curves, ["curve", "step", "value"], 32, ["loss <raw>", "0", "1.0"]),
    (filled_bars, ["name", "value"], 2, ["bad, worse", "3"]),
    (filled_histogram, ["from", "to", "count"], 2, ["0", "20", "3"]),
    (filled_reliability, ["confidence", "accuracy", "rows"], 2, ["0.51", "0.4", "12"]),
    (filled_sweep, ["K", "score"], 2, ["3", "0.1"]),
    (filled_thresholds, ["class", "from", "to", "texts", "threshold"], 4, ["bad {0}", "0.0", "0.5", "1", "0.5"]),
    (filled_confusion, ["labelled as", "predicted bad", "predicted good"], 2, ["bad", "5", "1"]),
]
NAMES = [make.__name__ for make, *_ in FILLED]


@pytest.mark.parametrize(("make", "names", "count", "first"), FILLED, ids=NAMES)
def test_figures_are_saved(make, names, count, first, shown, tmp_path):
    shown(make()).save(tmp_path / "plot.csv")
    with open(tmp_path / "plot.csv", newline="", encoding="utf-8-sig") as stream:
        header, *rows = csv.reader(stream)
    assert header == names
    assert len(rows) == count
    assert rows[0] == first
    assert b"\r\r" not in (tmp_path / "plot.csv").read_bytes()


def test_the_ending_counts_in_capitals_too(shown, tmp_path):
    plot = shown(filled_bars())
    names, _ = plot.table()
    for ending, begin in ((".CSV", names[0].encode()), (".SVG", b"<?xml"), (".PNG", b"\x89PNG")):
        plot.save(tmp_path / f"plot{ending}")
        assert (tmp_path / f"plot{ending}").read_bytes().removeprefix(b"\xef\xbb\xbf").startswith(begin)


def test_what_is_empty_is_not_saved(shown, tmp_path, monkeypatch):
    plot = shown(filled_bars())
    plot.show_data(False)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: pytest.fail("nothing is asked"))
    plot.export()


@pytest.mark.parametrize("make", [make for make, *_ in FILLED], ids=NAMES)
def test_pictures_are_saved(make, shown, tmp_path):
    plot = shown(make())
    plot.save(tmp_path / "plot.png")
    picture = QImage(str(tmp_path / "plot.png"))
    assert picture.width() >= 1600
    assert len({picture.pixel(x, y) for x in range(0, picture.width(), 7) for y in range(0, picture.height(), 7)}) > 2
    plot.save(tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert "<svg" in text
    assert text.count("<path") + text.count("<rect") + text.count("<polyline") > 2


@pytest.mark.parametrize("make", [make for make, *_ in FILLED], ids=NAMES)
def test_light_and_dark(make, shown):
    plot = shown(make())
    for theme in (LIGHT, DARK):
        plot.set_theme(theme)
        picture = plot.plot.viewport().grab().toImage()
        assert picture.pixelColor(1, 1) == QColor(theme.surface)
    assert plot.plot.accessibleName() == plot.accessibleName() != ""
