"""The icons: each draws something, sharp on doubled screens, in the colours of the theme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QIcon, QImage

import metapt_gui
from metapt_gui.icons import SIZES, app_icon, icon
from metapt_gui.theme import DARK, LIGHT
from resources import resource

NAMES = sorted(file.stem for file in resource("icons").glob("*.svg"))


def drawn(made: QIcon, size: int = 24, ratio: float = 1.0, mode: QIcon.Mode = QIcon.Mode.Normal) -> QImage:
    return made.pixmap(QSize(size, size), ratio, mode).toImage().convertToFormat(QImage.Format.Format_ARGB32)


def colours(image: QImage) -> Iterator[QColor]:
    """The colours of what is nearly opaque: edges are thinned out by antialiasing."""
    for row in range(image.height()):
        for column in range(image.width()):
            colour = image.pixelColor(column, row)
            if colour.alpha() > 200:
                yield colour


def test_every_icon_is_used():
    source = "".join(path.read_text(encoding="utf-8") for path in Path(metapt_gui.__file__).parent.rglob("*.py"))
    assert [name for name in NAMES if name != "app" and f'"{name}"' not in source] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_icon_draws_something_at_every_size(qapp, name):
    made = icon(name, LIGHT)
    for size in SIZES:
        for ratio in (1, 2):
            image = drawn(made, size, ratio)
            assert image.width() == size * ratio, "drawn for this size, not stretched"
            inked = sum(1 for _ in colours(image))
            assert 0.03 < inked / (size * ratio) ** 2 < 0.98


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"app"}))
def test_lines_have_the_colours_of_the_theme(qapp, name):
    wanted = {
        LIGHT.text: drawn(icon(name, LIGHT)),
        DARK.text: drawn(icon(name, DARK)),
        LIGHT.good: drawn(icon(name, LIGHT, colour="good")),
        DARK.muted: drawn(icon(name, DARK), mode=QIcon.Mode.Disabled),
    }
    for colour, image in wanted.items():
        ink = list(colours(image))
        assert ink
        for part in zip(*(pixel.getRgb()[:3] for pixel in ink), QColor(colour).getRgb()[:3], strict=True):
            assert max(part) - min(part) <= 4  # rounding of half-transparent pixels
    assert drawn(icon(name, LIGHT)) != drawn(icon(name, DARK))


def test_states_of_a_step_can_be_told_apart(qapp):
    images = [drawn(icon(name, LIGHT), 20) for name in ("todo", "ready", "running", "done", "outdated")]
    assert all(images[one] != images[other] for one in range(5) for other in range(one))


def test_an_unknown_icon_is_named(qapp):
    with pytest.raises(FileNotFoundError, match=r"no-such-icon\.svg"):
        icon("no-such-icon", LIGHT)


def test_an_icon_is_drawn_once(qapp):
    assert icon("save", LIGHT).cacheKey() == icon("save", LIGHT).cacheKey()


def test_the_mark_of_the_application_is_colourful(qapp):
    hues = {colour.hsvHue() // 30 for colour in colours(drawn(app_icon(), 64)) if colour.hsvSaturation() > 100}
    assert len(hues) >= 5
    assert {size.width() for size in app_icon().availableSizes()} >= {16, 32, 64, 256}
