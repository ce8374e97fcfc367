"""Processes that start in a moment: forked from a server that has imported torch and the window's modules."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from faults.stages import BACKBONE

from engine.errors import EngineProcessError
from engine.events import Event
from engine.running.jobs import Job
from engine.running.process import EngineProcess

ROOT = Path(__file__).parents[2]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["faults.preload"])


def start_server(backbone: Path) -> None:
    """Start the server, with a backbone loaded; it ends with this process."""
    from multiprocessing import forkserver

    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with mock.patch.dict(os.environ, {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", BACKBONE: str(backbone)}):
        forkserver.ensure_running()
        first = CONTEXT.Process(target=time.sleep, args=(0,))  # comes up when the server has imported everything
        first.start()
        first.join()


@contextmanager
def engine() -> Iterator[EngineProcess]:
    """An engine process like any other, but for how it is started and for its sentence encoder."""
    with mock.patch.object(multiprocessing, "get_context", return_value=CONTEXT):
        process = EngineProcess()
    with process:
        yield process


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
