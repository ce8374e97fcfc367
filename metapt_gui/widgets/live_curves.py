"""Curves that grow while a job runs: raw values faint, smoothed ones on top, other runs dashed beside them."""

from __future__ import annotations

import html
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QHelpEvent, QShowEvent
from PySide6.QtWidgets import QToolTip

from metapt_gui import wording
from metapt_gui.theme import Theme
from metapt_gui.widgets.charts import mixed
from metapt_gui.widgets.pieces import single_shot
from metapt_gui.widgets.plot import PlotCard
from metapt_gui.widgets.point_under import point_under
from metapt_gui.wording import tooltip

INTERVAL = 100
"""Milliseconds between redraws."""
NAMES, FEW_NAMES = 8, 4
"""Most lines of the legend; in a narrow plot fewer, so that they cover no curve."""
NARROW = 480
"""Pixels; a narrower plot has one column of names."""
SEED = re.compile(r" seed \d+$")
"""What tells the curves of a start apart, which share a colour and a line of the legend."""
NEW_AT_A_TIME = 2
"""Curves that come into the plot in one redraw."""
STRONG = 300
"""A curve of no more points is drawn two pixels wide; of more that would take Qt five times as long."""
SMOOTHED_FROM = 20
"""A curve of more points is drawn smoothed, with the raw values faint behind it."""
SMOOTHING = 0.05
"""Weight of a new value in the smoothed curve, once there are more than 1 / SMOOTHING values; their mean until then."""
FAINT = 0.3
"""Share of its colour that raw values behind a smoothed curve have; the rest is the surface's."""
OVERLAY = "{key}: {curve}"
STYLES = {"dashed": Qt.PenStyle.DashLine, "dotted": Qt.PenStyle.DotLine}
"""Of the curves of another run, which share a colour."""
LEGEND_TIP = "Click a line to hide or show its curve; drag to move the names."


class _Curve:
    """Points of one curve, in buffers that double when they are full, and the items that draw them.

    ``entry`` is its line of the legend, ``number`` its colour.
    """

    def __init__(self, entry: str, number: int, style: Qt.PenStyle) -> None:
        self.entry, self.number, self.style = entry, number, style
        self.size = 0
        self._columns = np.empty((3, 256))
        self.line = pg.PlotDataItem(skipFiniteCheck=True, antialias=False)
        self.faint = pg.PlotDataItem(skipFiniteCheck=True, antialias=False)

    @property
    def steps(self) -> np.ndarray:
        """Steps, float64 [n], a view."""
        return self._columns[0, : self.size]

    @property
    def values(self) -> np.ndarray:
        """Values, float64 [n], a view."""
        return self._columns[1, : self.size]

    @property
    def smoothed(self) -> np.ndarray:
        """Exponential mean of the values up to each, float64 [n], a view."""
        return self._columns[2, : self.size]

    @property
    def drawn(self) -> np.ndarray:
        """What the line shows, float64 [n], a view: the smoothed values of many points."""
        return self.smoothed if self.size > SMOOTHED_FROM else self.values

    @property
    def width(self) -> float:
        """Pixels that the line is wide; that of another run is thin."""
        if self.style != Qt.PenStyle.SolidLine:
            return 0.5
        return 2 if self.size <= STRONG else 1

    def add(self, step: float, value: float) -> None:
        """Append a point; a step that has been passed already drops the points from there on."""
        if self.size and step <= self._columns[0, self.size - 1]:
            self.size = int(np.searchsorted(self.steps, step))
        if self.size == self._columns.shape[1]:
            self._columns = np.concatenate((self._columns, np.empty_like(self._columns)), axis=1)
        before = self._columns[2, self.size - 1] if self.size else 0.0
        weight = max(1.0 / (self.size + 1), SMOOTHING)
        self._columns[:, self.size] = step, value, before + weight * (value - before)
        self.size += 1

    def fill(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Take all points at once; those that are not finite are skipped."""
        kept = np.isfinite(values)
        smoothed, level = [], 0.0
        for number, value in enumerate(values[kept].tolist(), 1):
            level += (1.0 / number if number * SMOOTHING < 1 else SMOOTHING) * (value - level)
            smoothed.append(level)
        self._columns = np.stack((steps[kept], values[kept], smoothed))
        self.size = len(smoothed)

    def draw(self, raw: bool) -> None:
        """Hand the points to the items."""
        smooth = self.size > SMOOTHED_FROM
        dot = "o" if self.size == 1 else None  # a line of one point is none
        pen = pg.mkPen(self.line.opts["pen"])
        colour = pen.color()
        if pen.widthF() != self.width:
            pen.setWidthF(self.width)
            self.line.setPen(pen)
        self.line.setData(self.steps, self.drawn, symbol=dot, symbolSize=6, symbolPen=None, symbolBrush=colour)
        if smooth and raw:
            self.faint.setData(self.steps, self.values)
        else:
            self.faint.setData([], [])


class Steps(pg.AxisItem):
    """An axis of whole numbers: there is no step one and a half."""

    def tickSpacing(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, float]]:
        """Return the spacings that pyqtgraph has chosen, none of them below 1."""
        return [spacing for spacing in super().tickSpacing(minVal, maxVal, size) if spacing[0] >= 1] or [(1, 0)]


class LiveCurves(PlotCard):
    """A plot of values over steps that takes points as fast as they come and redraws ten times a second.

    Parameters
    ----------
    title, x, y
        As in `PlotCard`.
    percent
        Values are shares 0..1 and the axis shows them in percent.
    raw
        Whether the raw values are drawn behind a smoothed curve.
    names
        Whether there is a legend.
    """

    def __init__(
        self, title: str, x: str, y: str, *, percent: bool = False, raw: bool = True, names: bool = True
    ) -> None:
        super().__init__(title, x, f"{y} (%)" if percent else y)
        self._raw = raw
        self._curves: dict[str, _Curve] = {}
        self._overlays: dict[str, dict[str, _Curve]] = {}
        self._stale: set[str] = set()
        self._waiting: list[str] = []
        self.plot.setAxisItems({"bottom": Steps("bottom")})
        self.plot.setLabel("bottom", x)
        for axis in ("bottom", "left"):
            self.plot.getAxis(axis).enableAutoSIPrefix(False)
        if percent:
            self.plot.getAxis("left").setScale(100)
            self.plot.getViewBox().setLimits(yMin=-0.02, yMax=1.02)  # around a level line there would be shares below 0
        # Draws the highest and lowest value of each pixel column: a million points cost no more than some thousands.
        self.plot.setDownsampling(auto=True, mode="peak")
        self.plot.setClipToView(True)
        self.plot.setToolTip("Drag to move, turn the wheel to zoom; a double click shows everything again.")
        self._percent = percent
        self.plot.viewport().installEventFilter(self)
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self._legend: pg.LegendItem | None = None
        if names:
            # Where curves seldom are: shares of right answers rise, losses fall.
            self._legend = pg.LegendItem(offset=(-8, -4 if percent else 4), labelTextSize="12px", verSpacing=0)
            self._legend.layout.setContentsMargins(4, 0, 6, 0)
            self._legend.setParentItem(self.plot.getViewBox())
            # Else it stays as small as on the screen in a picture that is saved larger.
            self._legend.setFlag(self._legend.GraphicsItemFlag.ItemIgnoresTransformations, False)
            self._legend.setToolTip(LEGEND_TIP)
            self._legend.sigSampleClicked.connect(self._on_legend)
            self.plot.getViewBox().sigResized.connect(self._name)
        self._entries: list[tuple[str, pg.PlotDataItem]] = []
        self._others = pg.PlotDataItem(pen=None)  # stands for the curves that are not named
        self._timer = single_shot(self, INTERVAL, self._redraw)
        self.show_data(False)

    def add(self, curve: str, step: int, value: float) -> None:
        """Append a point to ``curve``, to be drawn soon; a value that is not finite is skipped.

        A step at or before the last one of the curve (a resumed run repeats steps) drops the points from there on.
        """
        if not math.isfinite(value):
            return
        self._grown(curve).add(step, value)

    def put_before(self, curve: str, steps: np.ndarray, values: np.ndarray) -> None:
        """Put points, steps [n] and values [n], before those that ``curve`` has; what is not before them is dropped."""
        there = self._grown(curve)
        before = steps < (there.steps[0] if there.size else np.inf)
        there.fill(np.concatenate((steps[before], there.steps)), np.concatenate((values[before], there.values)))

    def _grown(self, name: str) -> _Curve:
        """Return a curve that is about to grow, made if there is none, to be drawn soon."""
        if name not in self._curves:
            self._curves[name] = self._new(SEED.sub("", name), Qt.PenStyle.SolidLine)
            self._waiting.append(name)
        self._stale.add(name)
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()
        return self._curves[name]

    def overlay(self, key: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Draw curves of another run, dashed or dotted and thin, in one colour.

        Parameters
        ----------
        key
            What the run is called, which is its line of the legend; an overlay of the same key is replaced.
        curves
            Name -> steps [n] and values [n]; drawn smoothed as the others are.
        """
        self._draw_all()
        self.remove_overlay(key)
        added = self._overlays.setdefault(key, {})
        styles = dict(zip(curves, itertools.cycle(STYLES), strict=False))
        if self._legend is not None:
            said = ", ".join(f"{name} is {style}" for name, style in styles.items())
            self._legend.setToolTip(f"{LEGEND_TIP} Of other runs, {said}." if said else LEGEND_TIP)
        for name, (steps, values) in curves.items():
            added[name] = self._new(key, STYLES[styles[name]])
            self._attach(added[name])
            added[name].fill(steps, values)
            added[name].draw(raw=False)
        self.repaint_items()

    def remove_overlay(self, key: str) -> None:
        """Remove the curves of another run; none is fine."""
        for curve in self._overlays.pop(key, {}).values():
            self._remove(curve)
        self.show_data(bool(self._curves or self._overlays))

    def clear(self, *, keep_overlays: bool = False) -> None:
        """Remove all curves; those of other runs stay if ``keep_overlays``."""
        for curve in self._curves.values():
            self._remove(curve)
        self._curves.clear()
        self._stale.clear()
        self._waiting.clear()
        for key in [] if keep_overlays else list(self._overlays):
            self.remove_overlay(key)
        self.show_data(bool(self._overlays))
        self.plot.enableAutoRange()

    def table(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return curve, step and raw value of every point, those of other runs last."""
        return ("curve", "step", "value"), [
            (name, int(step), value)
            for name, curve in self._named().items()
            for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True)
        ]

    def save(self, path: Path) -> None:
        """Save the plot with the newest points."""
        self._draw_all()
        super().save(path)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the tooltip name the curve that the mouse is at, and its value there."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            curves = [
                (name, curve.steps, curve.drawn)
                for name, curve in self._named().items()
                if curve.size and curve.line.isVisible()
            ]
            point = point_under(curves, self.plot.getViewBox(), self.plot.mapToScene(event.pos()))
            if point is not None:
                value = wording.percent(point.value) if self._percent else f"{point.value:.3g}"
                QToolTip.showText(event.globalPos(), tooltip(f"{point.curve}: {value} at step {point.step:,.0f}"))
                return True
        return super().eventFilter(watched, event)

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what came while the plot was hidden."""
        super().showEvent(event)
        self._redraw()

    def repaint_items(self) -> None:
        """Give curves and legend the colours of the theme."""
        if self.theme is None:
            return
        for curve in self._curves.values():
            self._paint(curve, self.theme)
        for curves in self._overlays.values():
            for curve in curves.values():
                self._paint(curve, self.theme)
        if self._legend is not None:
            self._legend.setLabelTextColor(self.theme.text)
            for _, label in self._legend.items:
                label.setText(label.text, color=self.theme.text)
            background = self.theme.colour("surface")
            background.setAlpha(200)
            self._legend.setBrush(background)
            self._legend.setPen(self.theme.border)

    @staticmethod
    def _paint(curve: _Curve, theme: Theme) -> None:
        colour = theme.category(curve.number)
        curve.line.setPen(pg.mkPen(colour, width=curve.width, style=curve.style))
        # Not by opacity: values that share a pixel column would add up to a solid band.
        curve.faint.setPen(pg.mkPen(mixed(colour, theme.colour("surface"), FAINT), width=1))

    def _named(self) -> dict[str, _Curve]:
        """Return all curves by their full names."""
        others = {
            OVERLAY.format(key=key, curve=name): curve
            for key, curves in self._overlays.items()
            for name, curve in curves.items()
        }
        return self._curves | others

    def _new(self, entry: str, style: Qt.PenStyle) -> _Curve:
        """Return a curve in the colour of its line of the legend, or else in the first that is free."""
        taken = {curve.entry: curve.number for curve in self._named().values()}
        free = next(number for number in range(len(taken) + 1) if number not in taken.values())
        return _Curve(entry, taken.get(entry, free), style)

    def _attach(self, curve: _Curve) -> None:
        """Bring a curve into the plot and the legend."""
        # Faint lines lie behind every solid one, also behind those of earlier curves.
        curve.faint.setZValue(-1)
        self.show_data(True)
        self.plot.addItem(curve.faint)
        self.plot.addItem(curve.line)
        if self.theme is not None:
            self._paint(curve, self.theme)
        self._name()

    def _remove(self, curve: _Curve) -> None:
        self.plot.removeItem(curve.faint)
        self.plot.removeItem(curve.line)
        self._name()

    def _name(self) -> None:
        """Fill the legend: a line for each run or start that is drawn, side by side where there is room for it."""
        if self._legend is None:
            return
        wide = self.plot.getViewBox().width() >= NARROW
        lines: dict[str, pg.PlotDataItem] = {}
        for curve in self._named().values():
            if curve.line.scene() is not None:
                lines.setdefault(curve.entry, curve.line)
        if len(lines) == 1 and not self._overlays:
            lines = {}  # the title has said what it is
        most = NAMES if wide else FEW_NAMES
        entries = list(lines.items())[:most]
        if len(lines) > most:
            entries.append((f"and {len(lines) - most:,} more", self._others))
        self._legend.setVisible(bool(entries))
        if entries != self._entries:
            self._entries = entries
            self._legend.clear()
            self._legend.setColumnCount(2 if wide and len(entries) > FEW_NAMES else 1)
            for entry, line in entries:
                self._legend.addItem(line, html.escape(entry))
                if self.theme is not None:
                    label = self._legend.items[-1][1]
                    label.setText(label.text, color=self.theme.text)

    def _draw_all(self) -> None:
        while self._stale:
            self._redraw()

    def _redraw(self) -> None:
        # Many curves that begin at once come in one after the other: each costs some milliseconds.
        for name in self._waiting[:NEW_AT_A_TIME]:
            self._attach(self._curves[name])
        del self._waiting[:NEW_AT_A_TIME]
        drawn = self._stale.difference(self._waiting)
        for name in drawn:
            self._curves[name].draw(self._raw)
        self._stale -= drawn
        if self._stale:
            self._timer.start()

    def _on_click(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        if event.double():
            self.plot.enableAutoRange()

    def _on_legend(self, line: pg.PlotDataItem) -> None:
        curves = self._named().values()
        entries = {curve.entry for curve in curves if curve.line is line}
        for curve in curves:
            if curve.entry in entries:
                curve.line.setVisible(line.isVisible())
                curve.faint.setVisible(line.isVisible())
