"""The scatter of texts as it is painted: colours, few points as symbols, many as one picture."""

from __future__ import annotations

import time

import numpy as np
import pytest
from gui.looking import CORNERS, GROUPS, colour, crowd, near, picture, pixel, symbols
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from metapt_gui.theme import DARK, LIGHT, Theme
from metapt_gui.widgets.cluster_scatter import ClusterScatter
from metapt_gui.widgets.raster import DISC, DOT, PART, rasterise


def is_faded(seen: QColor, full: QColor, theme: Theme = LIGHT) -> bool:
    """Return whether a colour is between the full one and the background, and nearer to the background."""
    shares = [
        (a - c) / (b - c)
        for a, b, c in zip(seen.getRgb()[:3], full.getRgb()[:3], theme.colour("surface").getRgb()[:3], strict=True)
        if abs(b - c) > 60
    ]
    return bool(shares) and all(0.02 < share < 0.5 for share in shares)


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
