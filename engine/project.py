"""A project is a folder ``NAME.metapt``: manifest, store of labels, runs, caches.

``project.json`` holds the schema version and which run each role of the pipeline stands on; ``project.db`` (SQLite,
WAL) holds labels, their history and notes; ``runs/NUMBER-STAGE/`` holds one run each; ``embeddings/`` is a cache by
content. The owner of the project (the window or the command line) is the only one to write the manifest and the
database; the engine process writes into the folder of its run and into the cache.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engine.errors import ProjectError, ProjectLockedError, StorageError, storage_error, storage_errors
from engine.jobs.job import Job
from engine.jobs.record import RunRecord, ending
from engine.migrations import SCHEMA, check_known, migrate, migrated
from engine.project_database import ProjectDatabase, database_errors
from engine.roles import MADE_BY
from engine.storage import read_json, write_json

SUFFIX = ".metapt"


class Project(ProjectDatabase):
    """An open project; use `Project.create`, `Project.open`, and close it.

    Attributes
    ----------
    folder
        Where it is.
    read_only
        Whether it was opened for reading only, or is closed; nothing can be changed then.
    write_manifest
        Writes ``project.json``; whoever must not wait for the disk puts a function here that writes it elsewhere.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], lock: FileLock | None) -> None:
        super().__init__(folder, read_only=lock is None)
        self._manifest, self._lock = manifest, lock
        self._records: dict[Path, tuple[tuple[int, ...], RunRecord]] = {}
        self.write_manifest: Callable[[Path, dict[str, Any]], None] = write_json

    # Opening and closing ----------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | Path) -> Project:
        """Make a new project.

        Raises
        ------
        ProjectError
            If the folder exists and is not empty.
        StorageError
            If it cannot be written.
        """
        folder = Path(folder)
        with storage_errors(folder):
            if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
                kind = "folder exists already and is not empty" if folder.is_dir() else "name is that of a file"
                raise ProjectError(f"The {kind}", where=folder, remedy="Choose another name.")
            (folder / "runs").mkdir(parents=True, exist_ok=True)
        write_json(folder / "project.json", {"schema": SCHEMA, "created": time.time(), "roles": {}})
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path, *, read_only: bool = False) -> Project:
        """Open a project, for reading only if asked to.

        One of an older MetaPT is brought up to this one's schema, and a copy of it stays (`engine.migrations`).

        Raises
        ------
        ProjectError
            If there is none, it is damaged or of a newer version.
        ProjectLockedError
            If it is open elsewhere, or its folder cannot be written to (pass ``read_only`` then).
        """
        folder = Path(folder).absolute()
        manifest = _read_manifest(folder)
        if read_only:
            return cls(folder, migrated(manifest), None)
        lock = _locked(folder)
        try:
            manifest = _read_manifest(folder)  # now nobody else writes it
            if manifest["schema"] < SCHEMA:
                with database_errors(folder / "project.db"):
                    manifest = migrate(folder, manifest)
        except BaseException:
            lock.release()
            raise
        return cls(folder, manifest, lock)

    @classmethod
    def open_or_create(cls, folder: str | Path) -> Project:
        """Open the project, making it first where there is none."""
        with storage_errors(folder):
            there = (Path(folder) / "project.json").is_file()
        return cls.open(folder) if there else cls.create(folder)

    def close(self) -> None:
        """Close the database and release the lock."""
        self.close_database()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            self.read_only = True  # another may be writing from now on

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    # Runs -------------------------------------------------------------------------------------------------------------

    @property
    def cache(self) -> Path:
        """Folder of embeddings, keyed by content."""
        return self.folder / "embeddings"

    def run_folder(self, job: Job, *, fresh: bool = False) -> tuple[Path, bool]:
        """Return the folder to run ``job`` in and whether it holds the finished result already.

        The same job on the same inputs gets the same folder, so that it is reused or resumed; any other, or with
        ``fresh``, a new one.
        """
        runs = self.folder / "runs"
        asked = RunRecord(runs, job, job.versions())
        numbers = [0, *self.known_numbers()]
        for folder in sorted(runs.glob("*-*"), reverse=True):
            record = None
            with contextlib.suppress(StorageError):  # what another run left, damaged or cut off, stops no job
                record = self.record(folder)
            if record is None and folder.is_dir() and all(path.name.startswith(".") for path in folder.iterdir()):
                continue  # killed before it began: there is nothing in it, and its name is free
            with contextlib.suppress(ValueError):
                numbers.append(int(folder.name.split("-")[0]))
            if fresh or record is None or folder.is_symlink():
                continue  # a link may lead out of the project, and a job would write there
            if record.is_of(asked):
                return folder, ending(folder).outcome == "completed"
        return runs / f"{max(numbers) + 1:04d}-{job.stage}", False

    def record(self, folder: Path) -> RunRecord:
        """Return what the folder of a run says of it; it is read again only when it was written again.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        path = folder / "job.json"
        with storage_errors(path):
            found = path.stat()
        version = found.st_ino, found.st_mtime_ns, found.st_size
        known = self._records.get(folder)
        if known is None or known[0] != version:
            known = self._records[folder] = version, RunRecord.open(folder)
        return known[1]

    def record_of(self, role: str) -> RunRecord | None:
        """Return the record of the run that a role stands on; ``None`` if there is none, or it cannot be read."""
        with contextlib.suppress(StorageError):
            return self.record(self.role(role))
        return None

    def assign(self, role: str, folder: Path) -> None:
        """Let ``role`` (``source``, ``target``, ``clusters``, ...) stand on a run from now on."""
        self.check_writable()
        self._manifest["roles"][role] = folder.relative_to(self.folder).as_posix()
        self.write_manifest(self.folder / "project.json", self._manifest)

    def role(self, role: str) -> Path:
        """Return the folder of the run that ``role`` stands on.

        Raises
        ------
        ProjectError
            If that step has not been done yet.
        """
        if role not in self._manifest["roles"]:
            known = ", ".join(sorted(self._manifest["roles"])) or "nothing"
            remedy = f"Do that step first: {MADE_BY[role]}" if role in MADE_BY else None
            raise ProjectError(f"The project has no '{role}' yet (it has {known})", where=self.folder, remedy=remedy)
        folder = (self.folder / self._manifest["roles"][role]).resolve()
        if not folder.is_relative_to(self.folder.resolve()):
            raise ProjectError("The project's manifest points outside the project", where=self.folder)
        return folder

    def has_role(self, role: str) -> bool:
        """Whether ``role`` stands on a run."""
        return role in self._manifest["roles"]

    def runs(self, *stages: str) -> list[Path]:
        """Return the folders of the runs of these stages, the newest first."""
        found = [folder for folder in (self.folder / "runs").glob("*-*") if folder.name.split("-", 1)[1] in stages]
        return sorted((folder for folder in found if (folder / "job.json").is_file()), reverse=True)

    def discard(self, folder: Path) -> None:
        """Delete a run that was cancelled and left nothing to resume."""
        self.check_writable()
        if folder.parent == self.folder / "runs" and not (folder / "checkpoint.safetensors").exists():
            shutil.rmtree(folder, ignore_errors=True)

    def delete_run(self, folder: Path) -> None:
        """Delete a run, with its note and the changes of its groups.

        Raises
        ------
        ProjectError
            If the project stands on it, or a run that it stands on was made from it.
        """
        self.check_writable()
        for role in self._manifest["roles"]:
            at = self.role(role)
            record = self.record_of(role)
            if at.name == folder.name or (record is not None and folder.name in str(record.job)):
                raise ProjectError(
                    f"The run {folder.name} is in use: {role} stands on it",
                    where=self.folder,
                    remedy="Use another run first, or keep it.",
                )
        with storage_errors(folder):
            if folder.parent == self.folder / "runs" and not folder.is_symlink():
                shutil.rmtree(folder)
        self.forget_run(folder.name)

    # Small values of the project: the task, what the forms were set to ------------------------------------------------

    def value(self, name: str, default: Any = None) -> Any:
        """Return what was kept under ``name``."""
        return copy.deepcopy(self._manifest.get("values", {}).get(name, default))

    def set_value(self, name: str, value: Any) -> None:
        """Keep a JSON-able value with the project; what has not changed is not written again."""
        self.check_writable()
        values = self._manifest.setdefault("values", {})
        if name not in values or values[name] != value:
            values[name] = copy.deepcopy(value)  # the caller may change its own, and must then find a difference
            self.write_manifest(self.folder / "project.json", self._manifest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "project.json"
    if not path.is_file():
        raise ProjectError("There is no MetaPT project here", where=folder, remedy="Choose a .metapt folder.")
    manifest = read_json(path)
    damaged = ProjectError("The project's manifest is damaged", where=folder, remedy="Restore project.json.")
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int) or manifest["schema"] < 1:
        raise damaged
    check_known(manifest["schema"], folder)
    roles, values = manifest.get("roles"), manifest.get("values", {})
    if not isinstance(roles, dict) or not isinstance(values, dict):
        raise damaged
    if not all(isinstance(place, str) and place.isprintable() for place in roles.values()):
        raise damaged  # a path with a zero or half a character in it would fail later, and without a sentence
    return manifest


def _locked(folder: Path) -> FileLock:
    lock = FileLock(folder / "project.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ProjectLockedError(
            "The project is open in another window or command",
            where=folder,
            remedy="Close it there, or open it for reading only.",
        ) from error
    except OSError as error:
        told = storage_error(error, folder)
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise told from error
        raise ProjectLockedError(
            f"The project cannot be changed here: {told.what[0].lower()}{told.what[1:]}",
            where=folder,
            remedy="Open it for reading only, or copy it to a place that you may write to.",
        ) from error
    return lock
