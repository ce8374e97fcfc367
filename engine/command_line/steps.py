"""An engine process and a display, with or without a project, for as long as a command runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.command_line.display import make_display
from engine.errors import SettingsError
from engine.events import Event, Notice
from engine.project import Project
from engine.running.job import ANNOTATED_FROM, Job, moved_on
from engine.running.pipeline import Steps, run_to_end
from engine.running.process import EngineProcess
from engine.stage import StopToken
from engine.storage import read_json


@contextmanager
def engine_steps(project: Path, json: bool) -> Iterator[Steps]:
    """Open the project, start an engine process, and let Ctrl-C stop the job (a second one cancels it)."""
    with Project.open_or_create(project) as opened, _engine(json) as (engine, show, stop):
        yield Steps(opened, engine.run, show, stop)


@contextmanager
def engine_alone(json: bool) -> Iterator[Callable[[Job, Path], None]]:
    """Start an engine process and hand out what runs a job into a folder outside of any project; Ctrl-C as above."""
    with _engine(json) as (engine, show, _):
        yield lambda job, folder: run_to_end(engine.run, job, folder, lambda event: show(job.stage, event))


@contextmanager
def _engine(json: bool) -> Iterator[tuple[EngineProcess, Callable[[str, Event], None], StopToken]]:
    display = make_display(json)
    with EngineProcess() as engine:
        stop = StopToken()

        def interrupted(_signal: int, _frame: Any) -> None:
            if stop.requested:
                raise KeyboardInterrupt
            stop.request()
            print("Stopping after this step ... (Ctrl-C again to give up at once)", file=sys.stderr)
            engine.request_stop()

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield engine, display.show, stop
        finally:
            signal.signal(signal.SIGINT, before)
            display.close()


def training_corpus(steps: Steps) -> str:
    """Return the corpus that teaches: pseudo-labelled texts if there are any, else the source.

    Says so if the texts were imported again since they were pseudo-labelled.
    """
    project = steps.project
    if not project.has_role("annotated"):
        return str(project.role("source"))
    folder = project.role("annotated")
    for role in moved_on(project, read_json(folder / "job.json"), ANNOTATED_FROM):
        text = (
            f"The pseudo-labelled texts are older than the {role}, which was imported again since. Run `metapt "
            "annotate` to use what is there now."
        )
        steps.show("annotated", Notice(text, "warning"))
    return str(folder)


def tuned_prompt(project: Project, prompt: Path | None) -> str:
    """Return ``prompt``, or the best one that was tuned, or else meta-trained, in the project."""
    if prompt is not None:
        return str(prompt.resolve())
    role = "tune" if project.has_role("tune") else "meta-train"
    return str(project.role(role) / "prompt.safetensors")


def tuned_prompt_in(project: Path) -> str:
    """Return the best prompt of the project in a folder."""
    with Project.open(project, read_only=True) as opened:
        return tuned_prompt(opened, None)


def named_starts(pairs: list[str] | None) -> dict[str, str]:
    """Return name -> start of options of the form name=start; a start alone is its own name."""
    return {name: start or name for name, _, start in (pair.partition("=") for pair in pairs or [])}


def known_starts(project: Project) -> dict[str, str]:
    """Return all starts that a project has, the learned ones first."""
    learned = {"MetaPT": "meta-train", "PPT": "pretrain-prompt"}
    starts = {name: role for name, role in learned.items() if project.has_role(role)}
    return {name: str(project.role(role) / "prompt.safetensors") for name, role in starts.items()} | {"PT": "random"}


def label_words(pairs: list[str] | None) -> dict[str, str]:
    """Return class -> word of options of the form class=word.

    Raises
    ------
    SettingsError
        If one is of another form.
    """
    words = {}
    for pair in pairs or []:
        name, sign, word = pair.partition("=")
        if not sign:
            raise SettingsError(f"'{pair}' is not of the form class=word", where="--word", remedy="Write 1=bad, say.")
        words[name.strip()] = word.strip()
    return words
