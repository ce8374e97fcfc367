"""What the folder of a run says of it: the job that was asked for, on which inputs, and how it ended.

Such a folder may be damaged, or come from another MetaPT or from somebody else: whoever reads it through here is handed
what was checked, or an error with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from engine.errors import SettingsError, StorageError
from engine.jobs import job_from
from engine.jobs.job import Job, Version, essence, same_versions
from engine.settings import Settings, validated
from engine.storage import read_json
from engine.wording import percent


class _Inputs(Settings):
    inputs: dict[str, Version] = Field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """What was asked of a run.

    Attributes
    ----------
    folder
        Of the run.
    job
        Its job; what an older MetaPT did not know has its default.
    versions
        Path of an input -> what it was when the job read it.
    """

    folder: Path
    job: Job
    versions: Mapping[str, Version]

    @classmethod
    def open(cls, folder: Path) -> RunRecord:
        """Read ``job.json``.

        Raises
        ------
        StorageError
            If it is missing or damaged, or another MetaPT wrote what this one does not know.
        """
        document = read_json(folder / "job.json")
        if not isinstance(document, dict):
            raise _damaged(folder)
        try:
            inputs = validated(_Inputs, {"inputs": document.get("inputs", {})}).inputs
            return cls(folder, job_from(document), inputs)
        except SettingsError as error:
            raise _damaged(folder) from error

    def input(self, name: str) -> Path:
        """Return the folder of the run that an input of the job names.

        Runs lie beside each other, wherever the project has been moved since.

        Raises
        ------
        StorageError
            If the job names none there.
        """
        run = Path(getattr(self.job, name, "")).name
        if not run.isprintable() or not run:
            raise _damaged(self.folder)
        return self.folder.parent / run

    def is_of(self, asked: RunRecord) -> bool:
        """Whether this is a run of the job of ``asked`` on the same inputs: device and the like decide on nothing."""
        same = self.job.stage == asked.job.stage and self._essence == asked._essence
        return same and same_versions(asked.versions, self.versions)

    @cached_property
    def _essence(self) -> Any:
        return essence(self.job)


class Ending(NamedTuple):
    """How a run ended: ``completed``, ``stopped`` or ``failed``; ``interrupted`` if nothing was written of it."""

    outcome: str
    summary: dict[str, Any]

    @property
    def figure(self) -> str:
        """How good the result is: a tuning's first start on the texts to test on, else what validation said.

        Empty if nothing was measured, or it is of another form.
        """
        try:
            if "summary" not in self.summary:
                return percent(self.summary["validation_accuracy"])
            name, figures = next(iter(self.summary["summary"].items()))
            return f"{name} {percent(figures['accuracy_mean'], figures['accuracy_std'])}"
        except (AttributeError, LookupError, StopIteration, TypeError, ValueError):
            return ""


def ending(folder: Path) -> Ending:
    """Return how the run in ``folder`` ended.

    Raises
    ------
    StorageError
        If that cannot be read.
    """
    path = folder / "result.json"
    try:
        result = read_json(path)
    except StorageError:
        if path.is_file():
            raise
        result = None  # there is none, or a run that goes on has just taken it away
    found = result if isinstance(result, dict) else {}
    outcome, summary = found.get("outcome"), found.get("summary")
    known = outcome if found.get("event") == "Finished" and outcome in ("completed", "stopped") else "interrupted"
    return Ending("failed" if found.get("event") == "Failed" else known, summary if isinstance(summary, dict) else {})


def _damaged(folder: Path) -> StorageError:
    return StorageError(
        "What was asked of this run cannot be read: it is damaged, or of another MetaPT",
        where=folder / "job.json",
        remedy="Run that step again.",
    )
