"""Eyes for the tests: where something is in a plot and which colours it has, and points to look at."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtGui import QColor

from metapt_gui.widgets.cluster_scatter import ClusterScatter
from metapt_gui.widgets.plot import PlotCard

CORNERS = np.array([[0, 0], [10, 0], [0, 6], [10, 6], [5, 3]], np.float32)
GROUPS = np.array([0, 1, 2, 3, -1], np.int16)


def pixel(plot: PlotCard, x: float, y: float) -> QPoint:
    """Return where a place in data coordinates is on the plot's viewport."""
    return plot.plot.mapFromScene(plot.plot.getViewBox().mapViewToScene(QPointF(x, y)))


def texts_of(plot: PlotCard) -> list[pg.TextItem]:
    """Return the texts in the plot that are seen."""
    return [item for item in plot.plot.scene().items() if isinstance(item, pg.TextItem) and item.isVisible()]


def contrast(one: QColor, other: QColor) -> float:
    """Return the contrast ratio of WCAG 2."""

    def luminance(colour: QColor) -> float:
        channels = [colour.redF(), colour.greenF(), colour.blueF()]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colour(scatter: ClusterScatter, x: float, y: float) -> QColor:
    """Return the colour that is painted there."""
    return scatter.plot.viewport().grab().toImage().pixelColor(pixel(scatter, x, y))


def near(one: QColor, other: QColor) -> bool:
    """Return whether two colours differ by no more than rounding."""
    return all(abs(a - b) <= 3 for a, b in zip(one.getRgb()[:3], other.getRgb()[:3], strict=True))


def crowd(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points in five dense blobs around `CORNERS`, each with the group of its corner, in no order."""
    random = np.random.default_rng(0)
    which = random.integers(0, len(CORNERS), points)
    return (CORNERS[which] + random.uniform(-0.6, 0.6, (points, 2))).astype(np.float32), GROUPS[which]


def picture(scatter: ClusterScatter) -> pg.ImageItem | None:
    """Return the picture that is seen in place of symbols."""
    found = [item for item in scatter.plot.scene().items() if isinstance(item, pg.ImageItem) and item.isVisible()]
    return found[0] if found else None


def symbols(scatter: ClusterScatter) -> int:
    """Return the number of points that are drawn as symbols."""
    items = [item for item in scatter.plot.scene().items() if isinstance(item, pg.ScatterPlotItem)]
    return sum(len(item.getData()[0]) for item in items)
