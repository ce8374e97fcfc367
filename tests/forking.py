"""Processes that start in a moment: forked from a server that has imported torch and whatever else the tests run.

A process that is forked has the environment of whoever asked for it, as a spawned one has, and none of its modules.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any
from unittest import mock

import preloaded

from engine.errors import EngineProcessError
from engine.events import Event
from engine.jobs import Job
from engine.running import process as engine_process
from engine.running.process import EngineProcess

ROOT = Path(__file__).parents[1]
THERE = sys.platform == "linux"
"""Whether processes are forked from a server here; elsewhere the engine is spawned."""


class ForkedProcess(ForkServerProcess):
    """A process of the server that takes on the environment of this process, and begins with ``first``."""

    first: Callable[[], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._environment, self._first = dict(os.environ), type(self).first

    def run(self) -> None:
        os.environ.clear()
        os.environ.update(self._environment)
        if self._first is not None:
            self._first()
        super().run()


class ForkedContext(ForkServerContext):
    """Where `EngineProcess` and the tests get such processes from."""

    Process = ForkedProcess


CONTEXT = ForkedContext()


def start_server(backbone: Path) -> None:
    """Start the server, with a backbone loaded; it ends with this process."""
    from multiprocessing import forkserver

    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", preloaded.BACKBONE: str(backbone)}
    CONTEXT.set_forkserver_preload(["preloaded"])
    with mock.patch.dict(os.environ, environment):
        forkserver.ensure_running()
        first = CONTEXT.Process(target=time.sleep, args=(0,))  # comes up when the server has imported everything
        first.start()
        first.join()


@contextmanager
def forked_engines(first: Callable[[], None] | None = None) -> Iterator[None]:
    """Engine processes are like any other, but forked from the server; they begin with ``first``."""
    forked = staticmethod(first) if first is not None else None
    with mock.patch.object(engine_process, "CONTEXT", CONTEXT), mock.patch.object(ForkedProcess, "first", forked):
        yield


def killed(process: EngineProcess, job: Job, folder: Path, seconds: float) -> list[Event] | None:
    """Run a job and kill its process after so many seconds; ``None`` if the job was over before."""
    kill = threading.Timer(seconds, os.kill, (process.pid, signal.SIGKILL))
    events: list[Event] = []
    kill.start()
    try:
        for event in process.run(job, folder):
            events.append(event)
    except EngineProcessError as error:
        if "SIGKILL" not in error.what:
            raise
        return events
    finally:
        kill.cancel()
        kill.join()
    return None


def timed(process: EngineProcess, job: Job, folder: Path) -> tuple[list[Event], float]:
    """Run a job and return its events and how long it took, seconds."""
    began = time.monotonic()
    events = list(process.run(job, folder))
    return events, time.monotonic() - began
