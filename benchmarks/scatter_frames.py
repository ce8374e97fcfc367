"""How long does the scatter of texts hold up the window? Times at 10,000, 100,000 and 1,000,000 points, as JSON.

    python benchmarks/scatter_frames.py [--frames 60] [--points 10000 100000 1000000]

``median_ms`` and ``p95_ms`` are of a pan frame: the range moves, the plot is painted, events are handled. The others
are the longest that the event loop is held at one go: ``settle_ms`` when panning is over and the picture is made anew,
``faded_ms`` when one category is highlighted, ``live_ms`` while all points keep moving, ``hover_ms`` while the mouse
moves. Ten groups of texts, in a window of 1000 x 700 pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from metapt_gui.theme import LIGHT
from metapt_gui.widgets.cluster_scatter import ClusterScatter

GROUPS = 10


def made_up(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions, float32 [n, 2], and categories, int16 [n], of ten round groups."""
    random = np.random.default_rng(0)
    categories = random.integers(0, GROUPS, points).astype(np.int16)
    middles = random.uniform(-40, 40, (GROUPS, 2))
    return (middles[categories] + random.normal(0, 6, (points, 2))).astype(np.float32), categories


def milliseconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    began = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - began)


def longest(application: QApplication, seconds: float, action: Callable[[], object] | None = None) -> float:
    """Return the longest that the events were handled at one go, in milliseconds; ``action`` comes before each go."""
    found, clock = 0.0, time.perf_counter()
    while time.perf_counter() - clock < seconds:
        if action is not None:
            action()
        found = max(found, milliseconds(application.processEvents))
        time.sleep(0.002)
    return found


def measure(application: QApplication, points: int, frames: int) -> dict[str, float]:
    """Return the figures of a scatter of so many points."""
    scatter = ClusterScatter("Texts")
    scatter.resize(1000, 700)
    scatter.set_theme(LIGHT)
    scatter.show()
    positions, categories = made_up(points)
    scatter.set_points(positions, categories)
    longest(application, 2.0)
    view, viewport = scatter.plot.getViewBox(), scatter.plot.viewport()
    QTest.keyClick(
        scatter.plot, Qt.Key.Key_Plus
    )  # from here on the view is the person's and does not follow the points

    def pan(step: float) -> None:
        view.translateBy(x=step, y=step / 2)
        viewport.repaint()
        application.processEvents()

    times = [milliseconds(partial(pan, step)) for step in np.sin(np.arange(frames) / 5).tolist()]
    settle = longest(application, 1.0)
    scatter.highlight(3)
    faded = longest(application, 1.0)
    scatter.highlight(None)
    rows = np.arange(points)

    def move() -> None:
        scatter.place(rows, positions + np.float32(np.sin(time.perf_counter())), None)

    QTest.keyClick(scatter.plot, Qt.Key.Key_A)  # the view follows the points again, which takes its own time
    live = longest(application, 3.0, move)
    places = iter(np.random.default_rng(1).uniform(100, 600, (10_000, 2)))

    def point() -> None:
        where = QPointF(*next(places))
        none = Qt.MouseButton.NoButton
        moved = QMouseEvent(
            QEvent.Type.MouseMove, where, viewport.mapToGlobal(where), none, none, Qt.KeyboardModifier.NoModifier
        )
        application.sendEvent(viewport, moved)

    longest(application, 1.0)
    hover = longest(application, 1.0, point)
    scatter.close()
    scatter.deleteLater()
    return {
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "settle_ms": settle,
        "faded_ms": faded,
        "live_ms": live,
        "hover_ms": hover,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    chosen = parser.parse_args()
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    found = {str(points): measure(application, points, chosen.frames) for points in chosen.points}
    print(json.dumps({points: {name: round(ms, 1) for name, ms in one.items()} for points, one in found.items()}))


if __name__ == "__main__":
    main()
