"""The line icons, drawn in the colours of a theme, and the application's own mark."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QIcon, QImage, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from metapt_gui.theme import Theme
from resources import resource

SIZES = (16, 20, 24, 32)
"""Logical pixels; each is drawn for plain and for doubled screens."""

APP_SIZES = (16, 24, 32, 48, 64, 128, 256)
"""Logical pixels of the application's mark."""


@cache
def icon(name: str, theme: Theme, *, colour: str | None = None) -> QIcon:
    """Return an icon in the text colour of ``theme`` or in its ``colour``, and muted where it is disabled.

    Parameters
    ----------
    name
        File of ``resources/icons`` without its ending, such as ``cluster``.
    colour
        Name of a colour of the theme, such as ``accent`` or ``good``.

    Raises
    ------
    FileNotFoundError
        If there is no such icon.
    """
    drawing = resource("icons", f"{name}.svg").read_text(encoding="utf-8")
    made = QIcon()
    _add(made, drawing.replace("currentColor", theme.colour(colour or "text").name()), SIZES, QIcon.Mode.Normal)
    _add(made, drawing.replace("currentColor", theme.muted), SIZES, QIcon.Mode.Disabled)
    return made


@cache
def app_icon() -> QIcon:
    """Return the application's mark: soft tokens that flow into one prompt; the same in every theme."""
    made = QIcon()
    _add(made, resource("icons", "app.svg").read_text(encoding="utf-8"), APP_SIZES, QIcon.Mode.Normal)
    return made


def _add(made: QIcon, drawing: str, sizes: tuple[int, ...], mode: QIcon.Mode) -> None:
    renderer = QSvgRenderer(QByteArray(drawing.encode()))
    for size in sizes:
        for ratio in (1, 2):
            image = QImage(size * ratio, size * ratio, QImage.Format.Format_ARGB32_Premultiplied)
            image.fill(Qt.GlobalColor.transparent)
            painter = QPainter(image)
            renderer.render(painter)
            painter.end()
            image.setDevicePixelRatio(ratio)
            made.addPixmap(QPixmap.fromImage(image), mode)
