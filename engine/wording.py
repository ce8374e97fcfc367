"""How numbers and times are written for a person, in a terminal as in the window."""

from __future__ import annotations

from engine.events import Progress


def unit(number: float | None, plural: str) -> str:
    """Return the unit in singular for one: ``pass`` of ``passes``."""
    return plural.removesuffix("es" if plural.endswith("sses") else "s") if number == 1 else plural


def count(number: int, plural: str) -> str:
    """Return ``1,204 texts``, ``1 text``."""
    return f"{number:,} {unit(number, plural)}"


def duration(seconds: float) -> str:
    """Return ``0:08`` (minutes and seconds) or ``1:41 h`` (hours and minutes)."""
    whole = max(0, round(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def rate(value: float, unit: str) -> str:
    """Return ``3.1 steps/s``, ``12,400 rows/s`` or, for what takes longer than a second, ``2.4 s a step``."""
    if value < 0.95:
        return f"{1 / max(value, 1e-9):.1f} s a {unit.removesuffix('s')}"
    return f"{value:,.0f} {unit}/s" if value >= 100 else f"{value:.1f} {unit}/s"


def progress(event: Progress, *, share: bool = False) -> str:
    """Return done, total, rate and time left in one line, and the ``share`` that is done where no bar shows it."""
    parts = [f"{event.done:,} of {count(event.total, event.unit)}" if event.total else count(event.done, event.unit)]
    if share and event.total:
        parts.append(f"{100 * event.done / event.total:.0f} %")
    if event.rate:
        parts.append(rate(event.rate, event.unit))
    if event.seconds_left is not None:
        parts.append(f"{duration(event.seconds_left)} left")
    return "   ".join(parts)


def percent(share: float, deviation: float | None = None) -> str:
    """Return ``71.2 %`` or ``71.2 ± 1.3 %``."""
    return f"{100 * share:.1f}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "") + " %"
