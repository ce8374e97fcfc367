"""Which of several curves the mouse is at, and where on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF

NEAR = 8
"""Pixels above or below a curve that still mean it."""


class Point(NamedTuple):
    """A point of a curve, by the name of the curve."""

    curve: str
    step: float
    value: float


def point_under(curves: Iterable[tuple[str, np.ndarray, np.ndarray]], view: pg.ViewBox, where: QPointF) -> Point | None:
    """Return the point next to a place on the curve that runs nearest to it; none if no curve is near.

    Parameters
    ----------
    curves
        Name, steps [n] and values [n] of each, n at least 1, as they are drawn.
    view, where
        The view that they are drawn in, and the place in its scene.
    """
    here, high = view.mapSceneToView(where), view.viewPixelSize()[1]
    found, least = None, float(NEAR)
    for name, steps, values in curves:
        if steps[0] <= here.x() <= steps[-1]:
            away = abs(float(np.interp(here.x(), steps, values)) - here.y()) / high
            if away <= least:
                place = int(np.abs(steps - here.x()).argmin())
                found, least = Point(name, float(steps[place]), float(values[place])), away
    return found
