"""How numbers, times and sizes are written: as in a terminal, and what only the window says."""

from __future__ import annotations

from engine.wording import count, duration, percent, progress, rate, unit

__all__ = ["brief", "count", "duration", "one_line", "percent", "progress", "rate", "short", "size", "unit"]

LINE = 1_000
"""Characters of a text that a cell of a table shows: more than the widest screen has room for."""


def one_line(text: str) -> str:
    """Return the beginning of a text on one line: a table measures and draws all that it is given."""
    return " ".join(text[:LINE].split())


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
