"""Charts that stand still: bars, a histogram, a reliability diagram, a score over numbers of clusters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent

from engine.evaluation.bins import BINS, bin_of
from metapt_gui.theme import GRID
from metapt_gui.widgets.plot import PlotCard

LONGEST_NAME = 150
"""Pixels; a longer name on an axis is cut and ends in dots."""
LINE = 15
"""Pixels that a line of text on an axis needs."""
THICKEST = 64
"""Pixels that a bar and the gap to the next one take at most: a few bars in a high plot are no blocks."""
MOST_BARS = 10
"""Of more bars than these the highest are drawn."""


def mixed(colour: QColor, background: QColor, share: float) -> QColor:
    """Return ``background`` with ``share`` (0..1) of ``colour`` in it; opaque, so that overlaps do not darken."""
    channels = (
        (colour.red(), background.red()),
        (colour.green(), background.green()),
        (colour.blue(), background.blue()),
    )
    return QColor(*(round(share * over + (1 - share) * under) for over, under in channels))


def elided(text: str, width: float, metrics: QFontMetricsF) -> str:
    """Return ``text``, cut with dots at its end where it is wider than ``width`` pixels."""
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)


class StillPlot(PlotCard):
    """A plot whose ranges are its own: neither dragged nor zoomed, so that the wheel scrolls the page."""

    def __init__(self, title: str, x: str = "", y: str = "") -> None:
        super().__init__(title, x, y)
        self.plot.setMouseEnabled(False, False)
        for name in ("bottom", "left"):
            self.plot.getAxis(name).enableAutoSIPrefix(False)
            self.plot.getAxis(name).setStyle(tickLength=0)
        # Else the name of a tick at either end of the axis is left out.
        self.plot.getAxis("bottom").setStyle(hideOverlappingLabels=False)
        self.show_data(False)

    def metrics(self) -> QFontMetricsF:
        """Return what measures the texts in the plot."""
        return QFontMetricsF(self.plot.font())


class BarChart(StillPlot):
    """Horizontal bars with their names on the axis and their values beside them; ``end`` fixes where the axis ends.

    Of more than ten, the ten highest are drawn, the highest on top, and the others counted; all of them are saved.
    """

    def __init__(self, title: str, x: str, *, end: float | None = None) -> None:
        super().__init__(title, x)
        self._end = end
        if end is not None:  # there is room beyond it, for the values
            ticks = [(value, f"{value:g}") for value in np.linspace(0, end, 6).tolist()]
            self.plot.getAxis("bottom").setTicks([ticks])
        self._all: list[tuple[str, float]] = []
        self._names: list[str] = []
        self._values = np.empty(0)
        self._categories: list[int] | None = None
        self._bars = pg.BarGraphItem(x0=[], width=[], y=[], height=0.7)
        self._texts: list[pg.TextItem] = []
        self.plot.addItem(self._bars)
        view = self.plot.getViewBox()
        view.invertY(True)
        view.sigResized.connect(self._lay_out)

    def set_bars(self, names: Sequence[str], values: Sequence[float], categories: Sequence[int] | None = None) -> None:
        """Show a bar a name, the first on top, or the highest ones.

        Parameters
        ----------
        names, values
            As many of both; values are not negative.
        categories
            Number of the colour (`Theme.category`) of each bar; all have the accent colour without.
        """
        self._all = list(zip(names, values, strict=True))
        self._values = np.asarray(values, dtype=float)
        drawn = list(range(len(names)))
        if len(names) > MOST_BARS:
            drawn = np.argsort(-self._values, kind="stable")[:MOST_BARS].tolist()
        self._names = [names[place] for place in drawn]
        self._values = self._values[drawn]
        self._categories = None if categories is None else [categories[place] for place in drawn]
        others = len(names) - len(drawn)
        self.note.setText(f"the {MOST_BARS} highest, and {others:,} more" if others else "")
        self.show_data(bool(self._names))
        for text in self._texts:
            self.plot.removeItem(text)
        self._texts = []
        for row, value in enumerate(self._values):
            text = pg.TextItem(_figure(value), anchor=(0, 0.5))
            text.setPos(value, row)
            self.plot.addItem(text)
            self._texts.append(text)
        rows = np.arange(len(self._names))
        self._bars.setOpts(x0=np.zeros(len(rows)), width=self._values, y=rows, height=0.7)
        self.plot.setMinimumHeight(len(rows) * (LINE + 1) + 6 * GRID)  # enough for every name
        self._lay_out()
        self.repaint_items()

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return name and value of every bar."""
        return ("name", "value"), [(name, _plain(value)) for name, value in self._all]

    def repaint_items(self) -> None:
        """Give the bars their colours."""
        if self.theme is None:
            return
        numbers = self._categories
        colours = [
            self.theme.colour("accent") if numbers is None else self.theme.category(numbers[row])
            for row in range(len(self._names))
        ]
        self._bars.setOpts(pen=pg.mkPen(None), brushes=colours or None)
        for text in self._texts:
            text.setColor(self.theme.text)

    def _lay_out(self) -> None:
        """Name the bars, and leave room for the values on the right."""
        view = self.plot.getViewBox()
        rows = len(self._names)
        metrics = self.metrics()
        self.plot.getAxis("left").setTicks(
            [[(row, elided(name, LONGEST_NAME, metrics)) for row, name in enumerate(self._names)]]
        )
        width = max((text.boundingRect().width() for text in self._texts), default=0.0) + GRID
        share = max(0.2, 1 - width / max(view.width(), 1.0))
        highest = self._end or float(self._values.max(initial=0.0)) or 1.0
        margin = max(0.6, 0.6 * LINE * rows / max(view.height(), 1.0), (view.height() / THICKEST - rows + 1) / 2)
        view.setRange(xRange=(0, highest / share), yRange=(-margin, max(rows, 1) - 1 + margin), padding=0)


class Histogram(StillPlot):
    """Counts of bins; bins of unequal width are drawn equally wide, with their edges below."""

    def __init__(self, title: str, x: str, y: str) -> None:
        super().__init__(title, x, y)
        self._edges = np.empty(0)
        self._counts = np.empty(0)
        self._bars = pg.BarGraphItem(x0=[], x1=[], height=[])
        self.plot.addItem(self._bars)
        # Half of the last edge stands beyond the axis.
        self.plot.getPlotItem().setContentsMargins(0, 4, 3 * GRID, 0)
        self.plot.getViewBox().sigResized.connect(self._lay_out)

    def set_counts(self, edges: Sequence[float] | np.ndarray, counts: Sequence[float] | np.ndarray) -> None:
        """Show ``counts`` [n] of the bins between ``edges`` [n + 1]; none of both empties the plot."""
        self._edges = np.asarray(edges, dtype=float)
        self._counts = np.asarray(counts, dtype=float)
        self.show_data(bool(len(self._counts)))
        places = self._places()
        self._bars.setOpts(x0=places[:-1], x1=places[1:], height=self._counts)
        self._lay_out()

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return both edges and the count of every bin."""
        rows = zip(self._edges[:-1], self._edges[1:], self._counts, strict=True)
        return ("from", "to", "count"), [tuple(_plain(value) for value in row) for row in rows]

    def repaint_items(self) -> None:
        """Give the bars the accent colour, and the surface's between them."""
        if self.theme is not None:
            self._bars.setOpts(pen=pg.mkPen(self.theme.surface), brush=self.theme.colour("accent"))

    def _places(self) -> np.ndarray:
        widths = np.diff(self._edges)
        return self._edges if np.allclose(widths, widths[:1]) else np.arange(len(self._edges), dtype=float)

    def _lay_out(self) -> None:
        places, view = self._places(), self.plot.getViewBox()
        if len(places) < 2:
            self.plot.getAxis("bottom").setTicks([[]])
            return
        view.setRange(xRange=(places[0], places[-1]), padding=0.02)
        view.setRange(yRange=(0, 1.05 * self._counts.max(initial=0.0) or 1.0), padding=0)
        if places is self._edges:
            self.plot.getAxis("bottom").setTicks(None)
            return
        texts = [_figure(edge) for edge in self._edges]
        width = max(map(self.metrics().horizontalAdvance, texts)) + GRID
        every = max(1, math.ceil(len(texts) * width / max(view.width(), 1.0)))
        self.plot.getAxis("bottom").setTicks([list(zip(places, texts, strict=True))[::every]])


class ReliabilityDiagram(StillPlot):
    """How often the texts of a confidence are right: on the diagonal, the confidence means what it says."""

    def __init__(self, title: str) -> None:
        super().__init__(title, "confidence", "share that is right")
        self._bins: list[dict] = []
        self._texts: list[pg.TextItem] = []
        self._bars = pg.BarGraphItem(x0=[], x1=[], height=[])
        self._diagonal = pg.PlotDataItem([0, 1], [0, 1])
        self.plot.addItem(self._bars)
        self.plot.addItem(self._diagonal)
        ticks = [[(tick / 4, f"{tick / 4:g}") for tick in range(5)]]
        self.plot.getAxis("bottom").setTicks(ticks)
        self.plot.getAxis("left").setTicks(ticks)
        self.plot.setToolTip(
            "Height of a bar: share of its texts whose label is right. Dashed: where confidence and share agree. "
            "Figures on top: how many texts."
        )
        self.set_placeholder("How often a confidence is right will be drawn here.")
        self.plot.getViewBox().sigResized.connect(self._lay_out)
        self._lay_out()

    def set_bins(self, bins: list[dict]) -> None:
        """Show ``confidence``, ``accuracy`` and ``rows`` of each bin of confidence that has rows."""
        self._bins = list(bins)
        self.show_data(bool(self._bins))
        for text in self._texts:
            self.plot.removeItem(text)
        self._texts = []
        lefts = bin_of(np.array([found["confidence"] for found in self._bins])) / BINS
        for left, found in zip(lefts, self._bins, strict=True):
            text = pg.TextItem(f"{found['rows']:,}", anchor=(0, 0.5), angle=90)
            text.setPos(left + 0.5 / BINS, 1.0)
            self.plot.addItem(text)
            self._texts.append(text)
        heights = np.array([found["accuracy"] for found in self._bins], dtype=float)
        self._bars.setOpts(x0=lefts, x1=lefts + 1 / BINS, height=heights)
        self._lay_out()
        self.repaint_items()

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return mean confidence, accuracy and rows of every bin."""
        names = ("confidence", "accuracy", "rows")
        return names, [tuple(found[name] for name in names) for found in self._bins]

    def repaint_items(self) -> None:
        """Give bars, diagonal and counts their colours."""
        if self.theme is None:
            return
        self._bars.setOpts(pen=pg.mkPen(self.theme.surface), brush=self.theme.colour("accent"))
        self._diagonal.setPen(pg.mkPen(self.theme.text, width=1, style=Qt.PenStyle.DashLine))
        for text in self._texts:
            text.setColor(self.theme.text)

    def _lay_out(self) -> None:
        """Leave room above 1 for the counts, which stand upright."""
        view = self.plot.getViewBox()
        length = max((text.textItem.boundingRect().width() for text in self._texts), default=0.0)
        share = max(0.3, 1 - length / max(view.height(), 1.0))
        view.setRange(xRange=(0, 1), padding=0.02)
        view.setRange(yRange=(0, 1 / share), padding=0)


class SweepPlot(StillPlot):
    """A score for each number of clusters; a click or the arrow keys choose a number."""

    chosen = Signal(int)

    def __init__(self, title: str) -> None:
        super().__init__(title, "number of groups K")
        self._values: dict[int, float] = {}
        self._number: int | None = None
        self._line = pg.PlotDataItem()
        self._points = pg.ScatterPlotItem(size=9, hoverable=True, tip="K = {x:.0f}: {y:.3f}".format)
        self._mark = pg.ScatterPlotItem(size=15)
        self._name = pg.TextItem(anchor=(0.5, 1.3))
        for item in (self._line, self._mark, self._points, self._name):
            self.plot.addItem(item)
        self.plot.setToolTip("Click a point, or press Left or Right, to choose that number of groups.")
        self._points.sigClicked.connect(self._on_click)
        self.plot.installEventFilter(self)

    def set_values(self, values: Mapping[int, float]) -> None:
        """Show K -> score; scores that are not finite are left out."""
        self._values = {number: values[number] for number in sorted(values) if math.isfinite(values[number])}
        self.show_data(bool(self._values))
        numbers, scores = list(self._values), list(self._values.values())
        self._line.setData(numbers, scores)
        self._points.setData(numbers, scores)
        if scores:
            # The name of the chosen one stands above its point, whichever that is.
            low, high = min(scores), max(scores)
            room = (high - low) or abs(high) or 1.0
            self.plot.setXRange(numbers[0], numbers[-1], padding=0.05)
            self.plot.setYRange(low - 0.15 * room, high + 0.45 * room, padding=0)
        self._show_chosen()

    def set_chosen(self, number: int | None) -> None:
        """Mark ``number``, or nothing, without telling anybody."""
        self._number = number
        self._show_chosen()

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return every K with its score."""
        return ("K", "score"), list(self._values.items())

    def repaint_items(self) -> None:
        """Give line, points and mark their colours."""
        if self.theme is None:
            return
        self._line.setPen(pg.mkPen(self.theme.muted, width=1))
        self._points.setPen(pg.mkPen(None))
        self._points.setBrush(self.theme.colour("accent"))
        self._mark.setPen(pg.mkPen(self.theme.text, width=2))
        self._mark.setBrush(pg.mkBrush(None))
        self._name.setColor(self.theme.text)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let Left and Right choose the next number."""
        if (
            watched is self.plot
            and isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right)
        ):
            known, now = list(self._values), self._number
            if event.key() == Qt.Key.Key_Right:
                beyond = [number for number in known if now is None or number > now][:1]
            else:
                beyond = [number for number in known if now is None or number < now][-1:]
            for number in beyond:
                self._choose(number)
            return True
        return super().eventFilter(watched, event)

    def _on_click(self, _item: object, points: np.ndarray, _event: object) -> None:
        self._choose(round(points[0].pos().x()))

    def _choose(self, number: int) -> None:
        self.set_chosen(number)
        self.chosen.emit(number)

    def _show_chosen(self) -> None:
        number = self._number
        score = self._values.get(number) if number is not None else None
        self._mark.setData([] if score is None else [number], [] if score is None else [score])
        self._name.setVisible(score is not None)
        if score is not None and number is not None:
            self._name.setText(f"K = {number}")
            self._name.setPos(number, score)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)
