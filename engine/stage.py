"""The contract of a stage: a generator of events that stops when it is asked to.

A stage is ``def stage(inputs, folder, settings, *, stop) -> Iterator[Event]``. Each ``yield`` is a progress point and
the place where stopping takes effect:

* *pause*: whoever reads the events stops asking for the next one;
* *stop and keep the best*: ``stop.request()``; the stage writes what it has and yields `Finished` ``"stopped"``;
* *cancel*: the generator is closed; nothing half-written stays.

A part of a stage is a generator too, and hands back its result: ``vectors = yield from embed(...)``.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import TypeAlias, TypeVar

from engine.events import Event, Progress

Stage = Iterator[Event]
"""What a stage returns."""

Result = TypeVar("Result")
Part: TypeAlias = Generator[Event, None, Result]
"""A part of a stage: streams events, returns a ``Result``."""


class StopToken:
    """Asks a stage to stop and keep the best so far; ``requested`` says whether it was asked to."""

    requested = False

    def request(self) -> None:
        """Ask the stage to stop at its next progress point."""
        self.requested = True


class Stopped(Exception):
    """Stopping was requested, and there is nothing to keep: raised by a part, or told of a job that ended so."""


class ProgressMeter:
    """Makes `Progress` events with a smoothed rate and the time left.

    Parameters
    ----------
    stage, total, unit
        As in `Progress`.
    done
        Where the work starts (a resumed run does not start at zero).
    """

    def __init__(self, stage: str, total: int | None, unit: str, *, done: int = 0) -> None:
        self.stage, self.total, self.unit = stage, total, unit
        self._marks: list[tuple[float, int]] = [(time.monotonic(), done)]

    def at(self, done: int, message: str = "") -> Progress:
        """Return the progress event for ``done`` units; the rate is that of the last 30 seconds or 50 marks."""
        now = time.monotonic()
        self._marks.append((now, done))
        while len(self._marks) > 50 or (len(self._marks) > 2 and now - self._marks[0][0] > 30):
            self._marks.pop(0)
        then, before = self._marks[0]
        rate = (done - before) / (now - then) if now - then > 1e-3 and done > before else None
        left = (self.total - done) / rate if rate and self.total is not None else None
        return Progress(self.stage, done, self.total, self.unit, rate, left, message)


def result_of(part: Part[Result]) -> Result:
    """Run a part to its end, its events unseen, and return its result (notebooks, tests, quick questions)."""
    while True:
        try:
            next(part)
        except StopIteration as done:
            result: Result = done.value
            return result
