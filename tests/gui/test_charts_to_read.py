"""Plots to read: bars, histograms, reliability; and what all plots save."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from gui.looking import pixel, texts_of
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
    diagram = shown(ReliabilityDiagram("Reliability"))
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
