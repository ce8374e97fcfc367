"""A line drawn around points, and which of them it encloses."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF

from metapt_gui.theme import Theme

STEP = 4
"""Pixels between two corners of the line, so that the fastest hand makes no more than it needs."""


class Lasso:
    """The line, from the press of the mouse to its release; in the coordinates of ``view``."""

    def __init__(self, view: pg.ViewBox) -> None:
        self._view = view
        self._line = pg.PlotCurveItem()
        self._line.setZValue(10)
        self._line.hide()
        view.addItem(self._line, ignoreBounds=True)
        self._last = QPointF()
        self._corners: list[tuple[float, float]] = []

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colour of what is selected."""
        self._line.setPen(pg.mkPen(theme.accent, width=2))

    @property
    def drawing(self) -> bool:
        """Whether the line has been begun."""
        return bool(self._corners)

    def begin(self, pixel: QPointF, place: QPointF) -> None:
        """Begin where the mouse is, in pixels, and that is in the view."""
        self._corners = []
        self._add(pixel, place)
        self._line.show()

    def go_on(self, pixel: QPointF, place: QPointF) -> None:
        """Draw on to where the mouse is now."""
        if (pixel - self._last).manhattanLength() >= STEP:
            self._add(pixel, place)

    def _add(self, pixel: QPointF, place: QPointF) -> None:
        self._last = pixel
        self._corners.append((place.x(), place.y()))
        self._line.setData(*np.array([*self._corners, self._corners[0]]).T)

    def end(self, positions: np.ndarray) -> np.ndarray:
        """Take the line away; return the numbers of the ``positions``, float32 [n, 2], that it encloses, int64 [k]."""
        corners, self._corners = np.array(self._corners), []
        self._line.hide()
        return enclosed(positions, corners)


def enclosed(positions: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the numbers of the ``positions`` [n, 2] inside of a polygon, int64 [k]; NaN is outside.

    A point is inside if a ray from it to the right crosses the sides, ``corners`` [c, 2] in order, an odd number of
    times; only those in the polygon's rectangle are looked at.
    """
    if len(corners) < 3:
        return np.empty(0, np.int64)
    low, high = corners.min(0), corners.max(0)
    near = np.flatnonzero(((positions >= low) & (positions <= high)).all(1))
    x, y = positions[near].T.astype(float)
    inside = np.zeros(len(near), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return near[inside]
