"""How numbers, times, sizes and a person's texts are written: as in a terminal, and what only the window says."""

from __future__ import annotations

import html

from PySide6.QtGui import Qt

from engine.wording import count, duration, percent, progress, rate, unit

__all__ = ["brief", "count", "duration", "one_line", "percent", "progress", "rate", "short", "size", "tooltip", "unit"]

LINE = 1_000
"""Characters of a text that a cell of a table shows: more than the widest screen has room for."""
TOOLTIP = 600
"""Characters of a text that a tooltip shows."""
ONE_LINE = 80


def one_line(text: str) -> str:
    """Return the beginning of a text on one line: a table measures and draws all that it is given."""
    return " ".join(text[:LINE].split())


def tooltip(text: str) -> str:
    """Return what a tooltip shows a person's text with: as it is written, its lines broken and, if long, cut.

    A short line stays as it is unless Qt would take it for markup: a screen reader may read it.
    """
    if len(text) <= ONE_LINE and not Qt.mightBeRichText(text):
        return text
    shown = text if len(text) <= TOOLTIP else text[:TOOLTIP] + " …"
    return f'<div style="white-space: pre-wrap">{html.escape(shown)}</div>'


def brief(name: str, most: int = 40) -> str:
    """Return a name, cut with dots where it is longer than ``most`` characters."""
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def short(number: int) -> str:
    """Return ``9,999``, ``100k`` or ``7.0M``, for where there is little room."""
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1000:.0f}k" if number < 999_500 else f"{number / 1e6:.1f}M"


def size(bytes_: float) -> str:
    """Return ``307 KB``, ``3.1 GB``."""
    for name in ("bytes", "KB", "MB"):
        if bytes_ < 1000:
            return f"{bytes_:.0f} {name}" if name == "bytes" or bytes_ >= 10 else f"{bytes_:.1f} {name}"
        bytes_ /= 1000
    return f"{bytes_:.1f} GB"
