"""The scatter of texts as it is used: a line around points, live points, mouse, keys, what it saves."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from gui.looking import CORNERS, GROUPS, colour, crowd, near, picture, pixel, symbols
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QToolTip

from metapt_gui.theme import LIGHT
from metapt_gui.widgets.cluster_scatter import ClusterScatter
from metapt_gui.widgets.lasso import enclosed


def drag(qtbot, scatter: ClusterScatter, places: Sequence[tuple[float, float]], modifier: Qt.KeyboardModifier) -> None:
    """Press the left button at the first place, move over the others, and release it at the last."""
    left, viewport = Qt.MouseButton.LeftButton, scatter.plot.viewport()
    path = [pixel(scatter, *place) for place in places]
    qtbot.mousePress(viewport, left, modifier, path[0])
    for where in map(QPointF, path[1:]):
        event = QMouseEvent(QEvent.Type.MouseMove, where, viewport.mapToGlobal(where), left, left, modifier)
        QApplication.sendEvent(viewport, event)
    qtbot.mouseRelease(viewport, left, modifier, path[-1])


@pytest.mark.parametrize("modifier", [Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier])
def test_a_line_drawn_with_shift_picks_what_it_encloses(qtbot, filled: ClusterScatter, modifier) -> None:
    """Without the key the view moves, and nothing is picked."""
    picked = []
    filled.picked.connect(picked.append)
    before = filled.plot.getViewBox().viewRect()
    drag(qtbot, filled, [(-1, -1), (4, -1), (4, 4), (-1, 4)], modifier)
    if modifier == Qt.KeyboardModifier.NoModifier:
        assert not picked
        return
    (rows,) = picked
    inside = ((filled._positions > -1) & (filled._positions < 4)).all(1)
    assert rows.tolist() == np.flatnonzero(inside).tolist()
    assert set(filled._categories[rows]) == {0}
    assert filled.plot.getViewBox().viewRect() == before


def test_what_a_polygon_encloses() -> None:
    corners = np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]], float)  # with a notch from above
    points = np.array([[1, 1], [3, 2], [2, 3], [2, 0.5], [5, 1], [np.nan, 1], [-1, 2]], np.float32)
    assert enclosed(points, corners).tolist() == [0, 1, 3]
    assert enclosed(points, corners[::-1]).tolist() == [0, 1, 3]
    assert enclosed(points, corners[:2]).tolist() == []


# Live -----------------------------------------------------------------------------------------------------------------


def test_placed_points_are_seen_within_300_ms(qtbot, scatter: ClusterScatter) -> None:
    scatter.begin(len(CORNERS))
    assert scatter.count == 0
    scatter.place(np.array([0, 3]), CORNERS[[0, 3]], GROUPS[[0, 3]])
    began = time.perf_counter()
    qtbot.waitUntil(lambda: symbols(scatter) == 2, timeout=2000)
    assert time.perf_counter() - began < 0.3
    assert scatter.count == 2
    assert near(colour(scatter, 10, 6), LIGHT.category(3))
    scatter.place(np.array([0, 1]), CORNERS[[2, 1]], None)  # one moves, one appears without a category
    assert scatter.count == 3
    qtbot.waitUntil(lambda: near(colour(scatter, 0, 6), LIGHT.category(0)), timeout=2000)
    assert near(colour(scatter, 10, 0), LIGHT.category(-1))


def test_the_slot_itself_draws_nothing(qtbot, scatter: ClusterScatter) -> None:
    scatter.set_points(CORNERS, GROUPS)
    assert symbols(scatter) == 0
    qtbot.waitUntil(lambda: symbols(scatter) == 5, timeout=2000)


def test_begin_forgets_everything(qtbot, filled: ClusterScatter) -> None:
    filled.highlight(1)
    filled.begin(3)
    assert filled.count == 0
    assert list(filled.table()[1]) == []
    filled.place(np.array([1, 2]), CORNERS[[0, 3]], GROUPS[[0, 3]])
    qtbot.waitUntil(lambda: symbols(filled) == 2, timeout=2000)
    assert near(colour(filled, 0, 0), LIGHT.category(0))  # not faded


def test_one_point_is_in_the_middle(qtbot, scatter: ClusterScatter) -> None:
    scatter.begin(3)
    scatter.place(np.array([2]), np.zeros((1, 2), np.float32), None)
    qtbot.waitUntil(lambda: symbols(scatter) == 1, timeout=2000)
    middle = scatter.plot.viewport().rect().center()
    assert (pixel(scatter, 0, 0) - middle).manhattanLength() < 30


@pytest.mark.parametrize("back", ["key", "double click"])
def test_the_view_follows_the_points_until_the_person_moves_it(qtbot, scatter: ClusterScatter, back: str) -> None:
    view = scatter.plot.getViewBox()
    scatter.set_points(CORNERS, GROUPS)
    qtbot.waitUntil(lambda: symbols(scatter) == 5, timeout=2000)
    scatter.place(np.arange(5), CORNERS * 10, None)
    qtbot.waitUntil(lambda: view.viewRect().contains(QPointF(100, 60)), timeout=2000)
    qtbot.keyClick(scatter.plot, Qt.Key.Key_Plus)
    kept = view.viewRect()
    scatter.place(np.arange(5), CORNERS * 100, None)
    qtbot.wait(350)
    assert view.viewRect() == kept
    if back == "key":
        qtbot.keyClick(scatter.plot, Qt.Key.Key_A)
    else:
        qtbot.mouseDClick(scatter.plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(200, 100))
    qtbot.waitUntil(lambda: view.viewRect().contains(QPointF(1000, 600)), timeout=2000)


def test_keys_move_the_view(qtbot, filled: ClusterScatter) -> None:
    view = filled.plot.getViewBox()
    for key, across, up in [
        (Qt.Key.Key_Left, -1, 0),
        (Qt.Key.Key_Right, 1, 0),
        (Qt.Key.Key_Up, 0, 1),
        (Qt.Key.Key_Down, 0, -1),
    ]:
        before = view.viewRect()
        qtbot.keyClick(filled.plot, key)
        moved = view.viewRect().center() - before.center()
        assert (np.sign(round(moved.x(), 6)), np.sign(round(moved.y(), 6))) == (across, up)
    width = view.viewRect().width()
    qtbot.keyClick(filled.plot, Qt.Key.Key_Plus)
    assert view.viewRect().width() < width
    qtbot.keyClick(filled.plot, Qt.Key.Key_Minus)
    assert view.viewRect().width() == pytest.approx(width)


# Mouse ----------------------------------------------------------------------------------------------------------------


def test_a_click_tells_the_category_of_the_nearest_point(qtbot, filled: ClusterScatter) -> None:
    clicked: list[int] = []
    filled.category_clicked.connect(clicked.append)
    viewport = filled.plot.viewport()
    for (x, y), group in zip(CORNERS, GROUPS, strict=True):
        qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=pixel(filled, x, y) + QPoint(3, -2))
        assert clicked.pop() == group
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=pixel(filled, 2.5, 3))
    assert clicked.pop() == -1


def test_a_drag_is_no_click(qtbot, filled: ClusterScatter) -> None:
    clicked: list[int] = []
    filled.category_clicked.connect(clicked.append)
    viewport, start = filled.plot.viewport(), pixel(filled, 0, 0)
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(viewport, start + QPoint(40, -20))
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=start + QPoint(40, -20))
    assert clicked == []


def test_hover_finds_the_nearest_row_and_shows_its_text(
    qtbot, scatter: ClusterScatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [""]
    monkeypatch.setattr(QToolTip, "showText", lambda where, text, *rest: shown.append(text))
    monkeypatch.setattr(QToolTip, "hideText", lambda: shown.append(""))
    scatter.set_hover_text(lambda row: f"text <b> {row}")
    scatter.set_points(CORNERS, GROUPS)
    qtbot.waitUntil(lambda: symbols(scatter) == 5, timeout=2000)
    viewport = scatter.plot.viewport()
    for row in (3, 1, 4):
        qtbot.mouseMove(viewport, pixel(scatter, *CORNERS[row]) + QPoint(3, 3))
        # wrapped as rich text, and the text is no markup
        qtbot.waitUntil(lambda row=row: f"text &lt;b&gt; {row}" in shown[-1], timeout=2000)
    qtbot.mouseMove(viewport, pixel(scatter, 2.5, 3))
    qtbot.waitUntil(lambda: shown[-1] == "", timeout=2000)


def test_hover_among_a_million_finds_the_nearest_quickly(qtbot, scatter: ClusterScatter) -> None:
    positions = np.random.default_rng(5).normal(0, 10, (1_000_000, 2)).astype(np.float32)
    scatter.set_points(positions, np.zeros(len(positions), np.int16))
    qtbot.waitUntil(lambda: picture(scatter) is not None, timeout=5000)
    qtbot.wait(600)
    rows: list[int] = []
    scatter.set_hover_text(lambda row: rows.append(row) or "")
    where = pixel(scatter, 4, -3)
    qtbot.mouseMove(scatter.plot.viewport(), where)
    qtbot.waitUntil(lambda: bool(rows), timeout=2000)
    view = scatter.plot.getViewBox()
    point = view.mapSceneToView(scatter.plot.mapToScene(where))
    distances = np.hypot(positions[:, 0] - point.x(), positions[:, 1] - point.y())
    assert distances[rows[0]] == pytest.approx(distances.min(), abs=1e-4)


# Saving ---------------------------------------------------------------------------------------------------------------


def test_the_csv_has_every_placed_row(qtbot, scatter: ClusterScatter, tmp_path: Path) -> None:
    positions, categories = crowd(40_000)
    scatter.begin(40_001)  # the last is never placed
    scatter.place(np.arange(40_000), positions, categories)
    scatter.save(tmp_path / "texts.csv")
    with open(tmp_path / "texts.csv", encoding="utf-8-sig", newline="") as stream:
        names, *rows = csv.reader(stream)
    assert names == ["row", "x", "y", "group"]
    table = np.array([[*row[:3], row[3] or 0] for row in rows], float)
    assert table[:, 0].tolist() == list(range(1, 40_001))
    assert np.allclose(table[:, 1:3], positions)
    assert (table[:, 3] == categories + 1).all(), "counted from 1 as long as they have no names"


def test_the_csv_says_what_the_dots_are_coloured_by(scatter: ClusterScatter) -> None:
    scatter.set_points(CORNERS[:3], np.array([0, 1, -1], np.int16))
    scatter.set_names({0: "meals", 1: "rooms and beds"})
    assert [row[3] for row in scatter.table()[1]] == ["meals", "rooms and beds", ""]
    scatter.colour_by_value(np.array([0.5, 0.25, 1.0]), "confidence")
    names, rows = scatter.table()
    assert names[3] == "confidence"
    assert [row[3] for row in rows] == [0.5, 0.25, 1.0]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_it_is_saved_as_a_picture(filled: ClusterScatter, tmp_path: Path, ending: str) -> None:
    filled.save(tmp_path / f"texts.{ending}")
    assert (tmp_path / f"texts.{ending}").stat().st_size > 1000


def test_rows_without_a_place_are_neither_drawn_nor_clicked(qtbot, scatter: ClusterScatter) -> None:
    scatter.begin(3)
    scatter.place(np.array([1]), CORNERS[[3]], GROUPS[[3]])
    qtbot.waitUntil(lambda: symbols(scatter) == 1, timeout=2000)
    with qtbot.waitSignal(scatter.category_clicked) as clicked:
        qtbot.mouseClick(scatter.plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, 20))
    assert clicked.args == [-1]
