"""A job for tests of the engine process; a module of its own, so that the spawned process can import it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from engine.errors import MetaPTError
from engine.events import Finished, Metric, Points, read_only
from engine.jobs import Job
from engine.jobs.session import Session
from engine.stage import Stage, StopToken
from engine.storage import write_text


class CountJob(Job):
    """Counts, slowly, into a file; can be told to fail."""

    stage: ClassVar[str] = "count"
    to: int = 10
    seconds: float = 0.0
    fail: str = ""

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        for number in range(self.to):
            time.sleep(self.seconds)
            if stop.requested:
                yield Finished(str(folder), "stopped", {"reached": number})
                return
            if self.fail == "user":
                raise MetaPTError("The soup is cold", where="table 3", remedy="Heat it.")
            if self.fail == "bug":
                raise ZeroDivisionError("by zero")
            if self.fail == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            write_text(folder / "reached", str(number))
            yield Metric("number", number, float(number))
        yield Finished(str(folder), "completed", {"reached": self.to})


class ManyPointsJob(Job):
    """Streams large events as fast as it can, and can be named to the engine in a large message."""

    stage: ClassVar[str] = "many points"
    points: int = 200_000
    words: list[str] = Field(default_factory=list)

    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        rows, positions = np.arange(self.points), np.zeros((self.points, 2), np.float32)
        for number in range(10_000):
            if stop.requested:
                break
            write_text(folder / "reached", str(number))
            yield Points("pca", read_only(rows), read_only(positions))
        yield Finished(str(folder), "stopped")
