"""The scatter of texts: colours of symbols and of the picture, live points, mouse, keys, what it saves."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QApplication, QToolTip

from metapt_gui.theme import DARK, LIGHT, Theme
from metapt_gui.widgets.cluster_scatter import ClusterScatter
from metapt_gui.widgets.lasso import enclosed
from metapt_gui.widgets.raster import DISC, DOT, PART, rasterise

CORNERS = np.array([[0, 0], [10, 0], [0, 6], [10, 6], [5, 3]], np.float32)
GROUPS = np.array([0, 1, 2, 3, -1], np.int16)


@pytest.fixture
def scatter(qtbot) -> ClusterScatter:
    """A scatter of 640 x 400 pixels, shown; empty."""
    made = ClusterScatter("Texts")
    qtbot.addWidget(made)
    made.resize(640, 400)
    made.set_theme(LIGHT)
    with qtbot.waitExposed(made):
        made.show()
    return made


def pixel(scatter: ClusterScatter, x: float, y: float) -> QPoint:
    """Return where a place in data coordinates is on the viewport."""
    return scatter.plot.mapFromScene(scatter.plot.getViewBox().mapViewToScene(QPointF(x, y)))


def colour(scatter: ClusterScatter, x: float, y: float) -> QColor:
    """Return the colour that is painted there."""
    return scatter.plot.viewport().grab().toImage().pixelColor(pixel(scatter, x, y))


def drag(qtbot, scatter: ClusterScatter, places: Sequence[tuple[float, float]], modifier: Qt.KeyboardModifier) -> None:
    """Press the left button at the first place, move over the others, and release it at the last."""
    left, viewport = Qt.MouseButton.LeftButton, scatter.plot.viewport()
    path = [pixel(scatter, *place) for place in places]
    qtbot.mousePress(viewport, left, modifier, path[0])
    for where in map(QPointF, path[1:]):
        event = QMouseEvent(QEvent.Type.MouseMove, where, viewport.mapToGlobal(where), left, left, modifier)
        QApplication.sendEvent(viewport, event)
    qtbot.mouseRelease(viewport, left, modifier, path[-1])


def near(one: QColor, other: QColor) -> bool:
    """Return whether two colours differ by no more than rounding."""
    return all(abs(a - b) <= 3 for a, b in zip(one.getRgb()[:3], other.getRgb()[:3], strict=True))


def is_faded(seen: QColor, full: QColor, theme: Theme = LIGHT) -> bool:
    """Return whether a colour is between the full one and the background, and nearer to the background."""
    shares = [
        (a - c) / (b - c)
        for a, b, c in zip(seen.getRgb()[:3], full.getRgb()[:3], theme.colour("surface").getRgb()[:3], strict=True)
        if abs(b - c) > 60
    ]
    return bool(shares) and all(0.02 < share < 0.5 for share in shares)


def crowd(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points in five dense blobs around `CORNERS`, each with the group of its corner, in no order."""
    random = np.random.default_rng(0)
    which = random.integers(0, len(CORNERS), points)
    return (CORNERS[which] + random.uniform(-0.6, 0.6, (points, 2))).astype(np.float32), GROUPS[which]


@pytest.fixture(params=[5, 100_000], ids=["symbols", "picture"])
def filled(request: pytest.FixtureRequest, qtbot, scatter: ClusterScatter) -> ClusterScatter:
    """A scatter with points of group g around corner g, few or many."""
    scatter.set_points(*((CORNERS, GROUPS) if request.param == 5 else crowd(request.param)))
    qtbot.waitUntil(lambda: near(colour(scatter, 0, 0), LIGHT.category(0)), timeout=3000)
    return scatter


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


def picture(scatter: ClusterScatter) -> pg.ImageItem | None:
    """Return the picture that is seen in place of symbols."""
    found = [item for item in scatter.plot.scene().items() if isinstance(item, pg.ImageItem) and item.isVisible()]
    return found[0] if found else None


def symbols(scatter: ClusterScatter) -> int:
    """Return the number of points that are drawn as symbols."""
    items = [item for item in scatter.plot.scene().items() if isinstance(item, pg.ScatterPlotItem)]
    return sum(len(item.getData()[0]) for item in items)


# Colours --------------------------------------------------------------------------------------------------------------


def test_each_point_has_the_colour_of_its_category(filled: ClusterScatter) -> None:
    for (x, y), group in zip(CORNERS, GROUPS, strict=True):
        assert near(colour(filled, x, y), LIGHT.category(int(group))), group
    assert near(colour(filled, 2.5, 3), LIGHT.colour("surface"))


def test_another_theme_changes_background_and_grey(qtbot, filled: ClusterScatter) -> None:
    filled.set_theme(DARK)
    qtbot.waitUntil(lambda: near(colour(filled, 5, 3), DARK.category(-1)), timeout=3000)
    assert near(colour(filled, 2.5, 3), DARK.colour("surface"))


def test_highlight_fades_the_others_until_it_is_taken_back(qtbot, filled: ClusterScatter) -> None:
    filled.highlight(1)
    qtbot.waitUntil(lambda: is_faded(colour(filled, 0, 0), LIGHT.category(0)), timeout=3000)
    assert near(colour(filled, 10, 0), LIGHT.category(1))
    assert is_faded(colour(filled, 0, 6), LIGHT.category(2))
    filled.highlight(None)
    qtbot.waitUntil(lambda: near(colour(filled, 0, 0), LIGHT.category(0)), timeout=3000)


@pytest.mark.parametrize("points", [2, 100_000])
def test_what_is_highlighted_lies_above_the_others(qtbot, scatter: ClusterScatter, points: int) -> None:
    positions, categories = np.zeros((points, 2), np.float32), np.ones(points, np.int16)
    categories[0] = 0  # the first, so all others are painted over it
    scatter.set_points(positions, categories)
    qtbot.waitUntil(lambda: near(colour(scatter, 0, 0), LIGHT.category(1)), timeout=3000)
    scatter.highlight(0)
    qtbot.waitUntil(lambda: near(colour(scatter, 0, 0), LIGHT.category(0)), timeout=3000)


def test_values_go_from_dark_to_bright_and_unknown_ones_are_grey(qtbot, filled: ClusterScatter) -> None:
    values = np.array([0.0, 0.25, 0.75, 1.0, np.nan], np.float32)
    _, categories = (CORNERS, GROUPS) if filled.count == 5 else crowd(filled.count)
    filled.colour_by_value(values[categories], "confidence")  # group -1 takes the last
    qtbot.waitUntil(lambda: not near(colour(filled, 0, 0), LIGHT.category(0)), timeout=3000)
    light = [colour(filled, *CORNERS[corner]).lightness() for corner in range(4)]
    assert light == sorted(light)
    assert light[3] - light[0] > 60
    assert near(colour(filled, 5, 3), LIGHT.category(-1))
    assert "confidence" in filled.note.text()
    filled.colour_by_category(None)
    qtbot.waitUntil(lambda: near(colour(filled, 0, 0), LIGHT.category(0)), timeout=3000)
    assert not filled.note.text()


def test_colours_of_other_categories_leave_clicks_as_they_were(qtbot, filled: ClusterScatter) -> None:
    _, categories = (CORNERS, GROUPS) if filled.count == 5 else crowd(filled.count)
    filled.colour_by_category(np.where(categories == 0, 7, categories).astype(np.int16))
    qtbot.waitUntil(lambda: near(colour(filled, 0, 0), LIGHT.category(7)), timeout=3000)
    with qtbot.waitSignal(filled.category_clicked) as clicked:
        qtbot.mouseClick(filled.plot.viewport(), Qt.MouseButton.LeftButton, pos=pixel(filled, 0, 0))
    assert clicked.args == [0]


# Few and many ---------------------------------------------------------------------------------------------------------


def test_many_points_are_one_picture_and_few_are_symbols(qtbot, scatter: ClusterScatter) -> None:
    scatter.set_points(*crowd(100_000))
    qtbot.waitUntil(lambda: picture(scatter) is not None, timeout=3000)
    assert symbols(scatter) == 0
    scatter.set_points(CORNERS, GROUPS)
    qtbot.waitUntil(lambda: symbols(scatter) == 5, timeout=3000)
    assert picture(scatter) is None


def test_the_picture_is_made_anew_when_zooming_is_over(qtbot, scatter: ClusterScatter) -> None:
    scatter.set_points(*crowd(100_000))
    qtbot.waitUntil(lambda: picture(scatter) is not None, timeout=3000)
    item = picture(scatter)
    assert item is not None
    before = item.image
    for _ in range(3):
        qtbot.keyClick(scatter.plot, Qt.Key.Key_Plus)
    assert item.image is before  # it only moves while the keys are pressed
    qtbot.waitUntil(lambda: item.image is not before, timeout=3000)
    seen, view = item.mapRectToParent(item.boundingRect()), scatter.plot.getViewBox().viewRect()
    assert seen.width() == pytest.approx(view.width(), rel=1e-3)
    assert seen.left() == pytest.approx(view.left(), abs=1e-3)


def test_points_that_arrive_are_painted_once(qtbot, scatter: ClusterScatter) -> None:
    positions, categories = crowd(100_000)
    scatter.set_points(positions, categories)
    qtbot.waitUntil(lambda: picture(scatter) is not None, timeout=3000)
    qtbot.wait(500)
    pictures: list[float] = []
    item = picture(scatter)
    assert item is not None
    item.sigImageChanged.connect(lambda: pictures.append(time.perf_counter()))
    scatter.place(np.arange(len(positions)), positions * 3, None)  # the view follows, and its range changes
    qtbot.waitUntil(lambda: bool(pictures), timeout=3000)
    qtbot.wait(400)
    assert len(pictures) == 1


@pytest.mark.parametrize("stamp", [DOT, DISC])
def test_the_parts_of_a_picture_are_as_one(stamp: tuple[tuple[int, int], ...]) -> None:
    random = np.random.default_rng(3)
    points = 2 * PART + 7
    positions = random.uniform(-1, 11, (points, 2)).astype(np.float32)
    positions[::50] = np.nan
    colours = np.full(points, 0xFF0000FF, np.uint32)
    found = rasterise(positions, colours, (0.0, 0.0, 10.0, 10.0), (900, 900), stamp)[..., 0] == 255
    seen = positions[((positions >= 0) & (positions < 10)).all(1)]
    wanted = np.zeros((900, 900), bool)
    column, row = (seen * np.float32(90)).astype(int).T
    for y, x in stamp:
        inside = (row + y >= 0) & (row + y < 900) & (column + x >= 0) & (column + x < 900)
        wanted[row[inside] + y, column[inside] + x] = True
    assert (found == wanted).all()


def test_later_points_lie_over_earlier_ones_across_parts() -> None:
    points = PART + 1
    colours = np.full(points, 0xFF00FF00, np.uint32)
    colours[-1] = 0xFF0000FF
    found = rasterise(np.full((points, 2), 0.5, np.float32), colours, (0.0, 0.0, 1.0, 1.0), (3, 3), DOT)
    assert found[1, 1].tolist() == [255, 0, 0, 255]
    assert found[0, 0].tolist() == [0, 0, 0, 0]


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
    shown: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda where, text, *rest: shown.append(text))
    scatter.set_hover_text(lambda row: f"text <b> {row}")
    scatter.set_points(CORNERS, GROUPS)
    qtbot.waitUntil(lambda: symbols(scatter) == 5, timeout=2000)
    rows: list[int] = []
    scatter.hovered.connect(rows.append)
    viewport = scatter.plot.viewport()
    for row in (3, 1, 4):
        qtbot.mouseMove(viewport, pixel(scatter, *CORNERS[row]) + QPoint(3, 3))
        qtbot.waitUntil(lambda row=row: rows[-1:] == [row], timeout=2000)
        assert f"text &lt;b&gt; {row}" in shown[-1]  # wrapped as rich text, and the text is no markup
    qtbot.mouseMove(viewport, pixel(scatter, 2.5, 3))
    qtbot.waitUntil(lambda: rows[-1:] == [-1], timeout=2000)


def test_hover_among_a_million_finds_the_nearest_quickly(qtbot, scatter: ClusterScatter) -> None:
    positions = np.random.default_rng(5).normal(0, 10, (1_000_000, 2)).astype(np.float32)
    scatter.set_points(positions, np.zeros(len(positions), np.int16))
    qtbot.waitUntil(lambda: picture(scatter) is not None, timeout=5000)
    qtbot.wait(600)
    rows: list[int] = []
    scatter.hovered.connect(rows.append)
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
    with open(tmp_path / "texts.csv", encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream)
    assert names == ["row", "x", "y", "group"]
    table = np.array(rows, float)
    assert table[:, 0].tolist() == list(range(1, 40_001))
    assert np.allclose(table[:, 1:3], positions)
    assert (table[:, 3] == categories).all()


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
