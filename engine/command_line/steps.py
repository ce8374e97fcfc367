"""An engine process and a display, with or without a project, for as long as a command runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.command_line.display import make_display
from engine.events import Event
from engine.project import Project
from engine.running.job import Job
from engine.running.pipeline import Steps, run_to_end
from engine.running.process import EngineProcess


@contextmanager
def engine_steps(project: Path, json: bool) -> Iterator[Steps]:
    """Open the project, start an engine process, and let Ctrl-C stop the job (a second one cancels it)."""
    with Project.open_or_create(project) as opened, _engine(json) as (engine, show):
        yield Steps(opened, engine.run, show)


@contextmanager
def engine_alone(json: bool) -> Iterator[Callable[[Job, Path], None]]:
    """Start an engine process and hand out what runs a job into a folder outside of any project; Ctrl-C as above."""
    with _engine(json) as (engine, show):
        yield lambda job, folder: run_to_end(engine.run, job, folder, lambda event: show(job.stage, event))


@contextmanager
def _engine(json: bool) -> Iterator[tuple[EngineProcess, Callable[[str, Event], None]]]:
    display = make_display(json)
    with EngineProcess() as engine:
        asked: list[bool] = []

        def interrupted(_signal: int, _frame: Any) -> None:
            if asked:
                raise KeyboardInterrupt
            asked.append(True)
            print("Stopping after this step ... (Ctrl-C again to give up at once)", file=sys.stderr)
            engine.request_stop()

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield engine, display.show
        finally:
            signal.signal(signal.SIGINT, before)
            display.close()
