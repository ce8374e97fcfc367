"""How a run of a project begins, and what the project stands on when it has ended: the same for all who start jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from engine.errors import StorageError, TrainingError
from engine.events import Event, Failed, Finished
from engine.jobs import ImportJob
from engine.jobs.job import Job, with_whole_paths
from engine.jobs.own_labels import is_own
from engine.jobs.record import ending
from engine.jobs.target_task import task_from
from engine.project import Project
from engine.roles import MADE_BY
from engine.running.failures import error_from

PROMPT = "prompt.safetensors"
RESULTS = (PROMPT, "corpus.json", "clusters.json")
"""A run that was stopped and has one of these is worth standing on; half of the answers are not."""


class Begun(NamedTuple):
    """A job as it is run, where, and whether its result is there already."""

    job: Job
    folder: Path
    done: bool


def begin(project: Project, job: Job, *, fresh: bool = False) -> Begun:
    """Find the folder to run a job in; its paths are made whole, so that what they name is looked at for changes."""
    whole = with_whole_paths(job)
    return Begun(whole, *project.run_folder(whole, fresh=fresh))


def stand(project: Project, role: str, folder: Path) -> None:
    """Let a role stand on a run; the prompt of a tuning is used in the place of one that was loaded."""
    if role == "tune":
        project.set_value("loaded prompt", None)
    project.assign(role, folder)


def settle(project: Project, role: str, folder: Path, last: Event | None, *, wanted: bool = False) -> bool:
    """Let ``role`` stand on a run that has ended, if that is better than what there is, and return whether it does.

    A run that is complete is. One that was stopped takes the place of none and of another stopped one; of one that is
    complete only where it is ``wanted``. One whose loss was no number any more takes the place of none.

    Parameters
    ----------
    last
        The last event of the run.
    wanted
        The person said that what there is so far shall be kept.
    """
    before = _outcome(project, role)
    if isinstance(last, Finished):
        left = role in MADE_BY and any((folder / name).exists() for name in RESULTS)
        better = last.outcome == "completed" or (left and (wanted or before != "completed"))
    else:
        failed = isinstance(last, Failed) and isinstance(error_from(last), TrainingError)
        better = failed and not before and (folder / PROMPT).exists()
    if better:
        stand(project, role, folder)
    return better


def moved_on(project: Project, job: Job, inputs: Mapping[str, str]) -> list[str]:
    """Return the roles that stand on another run now than the one that ``job`` took.

    Parameters
    ----------
    inputs
        Name of an input of the job -> the role that it is taken from.
    """

    def same(name: str, role: str) -> bool:
        return project.has_role(role) and Path(getattr(job, name, "")).name == project.role(role).name

    return [role for name, role in inputs.items() if not same(name, role)]


def tested_on(project: Project) -> str:
    """Return the folder of the texts to test on; empty if there are none, or the person wants labels left over."""
    wanted = project.has_role("test") and task_from(project.value("task")).own_test
    return str(project.role("test")) if wanted else ""


def own_labels_taught(project: Project) -> str:
    """Return the folder of the labelled source if it is the labels of the person's own task; else empty."""
    record = project.record_of("source")
    files = record.job.files if record is not None and isinstance(record.job, ImportJob) else []
    own = bool(files) and all(is_own(name, "source") for name in files)
    return str(project.role("source")) if own else ""


def _outcome(project: Project, role: str) -> str:
    """Return how the run ended that a role stands on; empty if there is none."""
    if not project.has_role(role):
        return ""
    with contextlib.suppress(StorageError):
        return ending(project.role(role)).outcome
    return "unknown"
