"""A project, an engine process and a display, for as long as a command runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.command_line.display import make_display
from engine.project import Project
from engine.running.pipeline import Steps
from engine.running.process import EngineProcess


@contextmanager
def engine_steps(project: Path, json: bool) -> Iterator[Steps]:
    """Open the project, start an engine process, and let Ctrl-C stop the job (a second one cancels it)."""
    display = make_display(json)
    with Project.open_or_create(project) as opened, EngineProcess() as engine:
        asked: list[bool] = []

        def interrupted(_signal: int, _frame: Any) -> None:
            if asked:
                raise KeyboardInterrupt
            asked.append(True)
            print("Stopping after this step ... (Ctrl-C again to give up at once)", file=sys.stderr)
            engine.request_stop()

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield Steps(opened, engine.run, display.show)
        finally:
            signal.signal(signal.SIGINT, before)
            display.close()
