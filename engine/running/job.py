"""What a job is: a stage with its inputs and settings in the words of files."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from engine.running.session import Session
from engine.settings import Settings
from engine.stage import Stage, StopToken


class Job(Settings):
    """Base of the jobs; ``stage`` names the kind."""

    stage: ClassVar[str]

    @abstractmethod
    def run(self, session: Session, folder: Path, stop: StopToken) -> Stage:
        """Stream the events of the job and write its results into ``folder``."""

    def document(self) -> dict[str, Any]:
        """Return the job as JSON-able values that `job_from` reads, with the versions of its inputs.

        Two jobs are the same when these are: a file that was changed or a run that went on makes another job.
        """
        values = self.model_dump(mode="json")
        return {"stage": self.stage, **values, "inputs": _input_versions(values)}

    def describes(self, mine: dict[str, Any], document: Any) -> bool:
        """Whether a document, perhaps of a version with fewer settings, says of this job what ``mine`` says."""
        if document == mine:
            return True
        if not isinstance(document, dict) or document.get("stage") != self.stage:
            return False
        values = {name: value for name, value in document.items() if name not in ("stage", "inputs")}
        try:
            completed = type(self).model_validate(values).model_dump(mode="json")
        except ValidationError:
            return False
        return {"stage": self.stage, **completed, "inputs": document.get("inputs")} == mine


def _input_versions(values: Any) -> dict[str, list[int]]:
    """Return size and time of change of every file, and of every run's result, that an absolute path names."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        return {path: version for value in values for path, version in _input_versions(value).items()}
    if not isinstance(values, str) or "\x00" in values or len(values) > 4096 or not os.path.isabs(values):
        return {}
    for path in (values, os.path.join(values, "result.json")):
        if os.path.isfile(path):
            state = os.stat(path)
            return {values: [state.st_size, state.st_mtime_ns]}
    return {}
