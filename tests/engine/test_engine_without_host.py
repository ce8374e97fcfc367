"""An engine whose host is gone: it ends at once, in whatever step it is."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest
from counting import CountJob

from engine.running.process import EngineProcess


def run_for_an_hour(folder: Path, tells: Connection) -> None:
    """Be the host of an engine that is in a long step."""
    engine = EngineProcess(threads=1)
    tells.send(engine.pid)
    next(engine.run(CountJob(to=2, seconds=3600), folder))


def test_an_engine_ends_in_its_step_when_its_host_was_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told, tells = context.Pipe(duplex=False)
    host = context.Process(target=run_for_an_hour, args=(tmp_path, tells))
    host.start()
    try:
        assert told.poll(120), "the host did not come up"
        engine = psutil.Process(told.recv())
        deadline = time.monotonic() + 120
        while not (tmp_path / "job.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)  # now it is in its step
    finally:
        host.kill()
        host.join()
    try:
        engine.wait(timeout=20)
    except psutil.TimeoutExpired:
        engine.kill()
        pytest.fail("the engine outlives its host")
