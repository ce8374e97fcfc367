"""What a job is: a stage with its inputs and settings in the words of files."""

from __future__ import annotations

import hashlib
import os
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar, get_args

from engine.errors import storage_errors
from engine.jobs.session import Session
from engine.settings import BackboneSettings, Initialisation, Settings
from engine.stage import Stage, StopToken

ANNOTATED_FROM = {"labelled": "source", "unlabelled": "open-text"}
"""Input of the job that pseudo-labels -> the role that it is taken from."""
NO_PATHS = ("", "bundled", *get_args(Initialisation))
"""What stands for no file, whatever lies in the present folder."""
WHERE_AND_HOW = {
    "": ("device", "cache"),
    "backbone": ("device", "threads", "offline"),
    "settings": ("tasks_per_pass", "checkpoint_every", "device", "offline"),
    "tune": ("checkpoint_every",),
}
"""Section of a job -> its settings that change no result but its last digits."""
ORDERED = ("starts", "label_map")
"""Mappings whose order decides on results: which start is kept as the prompt, and which class comes first."""
LARGEST = 2**26
"""Bytes of a file of a run that is told by its content: to look for changes must take no time."""


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
        return {"stage": self.stage, **self.model_dump(mode="json"), "inputs": self.versions()}

    def versions(self) -> dict[str, Version]:
        """Return path -> version of the files and runs that the job names."""
        return _input_versions(self.model_dump(mode="json"))


AnyJob = TypeVar("AnyJob", bound=Job)
Version: TypeAlias = str | list[int]
"""What a file was when a job read it: a hash of what a run left, size and time of change of a person's own file."""


def essence(job: Job) -> Any:
    """Return what decides on a job's results; on another device it goes on, as whoever lost a GPU is told to do."""
    return _essence(job.model_dump(mode="json"))


def _essence(value: Any, section: str = "") -> Any:
    if isinstance(value, dict):
        parts = {
            name: _essence(part, name) for name, part in value.items() if name not in WHERE_AND_HOW.get(section, ())
        }
        return list(parts.items()) if section in ORDERED else parts
    return (within_project(value) or value) if isinstance(value, str) else value


def within_project(path: str) -> str:
    """Return an absolute path of a run, or of a file in one, from ``runs`` on; an empty string if it is none.

    So much stays the same when a project is moved, renamed or copied.
    """
    parts = Path(path).parts if os.path.isabs(path) else ()
    places = [place for place, part in enumerate(parts) if part == "runs"]
    if not places or not re.match(r"\d+-", "".join(parts[places[-1] + 1 :][:1])):
        return ""
    return "/".join(parts[places[-1] :])


def is_version(state: Path, version: Any) -> bool:
    """Whether a file is still what a job recorded of it.

    Jobs of an older MetaPT recorded size and time of change of what runs left, too.
    """
    try:
        return (_hash(state) if isinstance(version, str) else _stamp(state)) == version
    except (OSError, ValueError):  # a path that no file can have
        return False


def same_versions(mine: Mapping[str, Version], recorded: Mapping[str, Version]) -> bool:
    """Whether inputs are still what was recorded of them, wherever the project lies by now."""
    known = {within_project(path) or path: version for path, version in recorded.items()}
    names = {path: within_project(path) or path for path in mine}
    return known.keys() <= set(names.values()) and all(
        known[names[path]] == version or (isinstance(version, str) and is_version(_state(path), known[names[path]]))
        if names[path] in known
        else _state(path).is_dir()  # an older MetaPT did not look at backbones
        for path, version in mine.items()
    )


def _state(path: str) -> Path:
    """Return what tells the versions of an input apart: the file, the result of a run, or the folder of a backbone."""
    if not os.path.isdir(path):
        return Path(path)
    result = Path(path) / "result.json"
    return Path(path) if not result.exists() and (Path(path) / "config.json").is_file() else result


def _hash(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(path: Path) -> list[int]:
    """Return size and time of change of a file, or of what a backbone's folder holds."""
    found = [os.stat(part) for part in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return [sum(part.st_size for part in found), max(part.st_mtime_ns for part in found)]


def with_whole_paths(job: AnyJob) -> AnyJob:
    """Return ``job`` with the paths of its backbone and starting prompts from the root on: only those are looked at."""
    changes: dict[str, Any] = {}
    backbone = getattr(job, "backbone", None)
    if isinstance(backbone, BackboneSettings):
        changes["backbone"] = with_whole_path(backbone)
    if start := getattr(job, "start", ""):
        changes["start"] = _whole(start)
    if starts := getattr(job, "starts", {}):
        changes["starts"] = {name: _whole(value) for name, value in starts.items()}
    return job.model_copy(update=changes)


def with_whole_path(settings: BackboneSettings) -> BackboneSettings:
    """Return ``settings`` with the path of a backbone that is a folder from the root on."""
    return settings.model_copy(update={"backbone": _whole(settings.backbone)})


def _whole(name: str) -> str:
    try:
        path = Path(name).expanduser()
        return str(path.absolute()) if name not in NO_PATHS and path.exists() else name
    except (OSError, RuntimeError):  # a name that no file can have, or a home folder that there is not
        return name


def _input_versions(values: Any) -> dict[str, Version]:
    """Return the version of every file, and of every run, that an absolute path names.

    What runs left is told by its content: a project that was copied or unpacked is the same as before.
    """
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        return {path: version for value in values for path, version in _input_versions(value).items()}
    if not isinstance(values, str) or "\x00" in values or len(values) > 4096 or not os.path.isabs(values):
        return {}
    state = _state(values)
    if not state.exists():
        return {}
    with storage_errors(state):
        if state.is_dir():
            return {values: _stamp(state)}
        size, changed = _stamp(state)
        of_a_run = size <= LARGEST and (state.parent / "job.json").is_file()
        return {values: _hash(state) if of_a_run else [size, changed]}
