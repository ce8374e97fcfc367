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
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engine.clustering.edits import ClusterEdit
from engine.errors import ProjectError, ProjectLockedError, StorageError, storage_error, storage_errors
from engine.migrations import SCHEMA, bring_up, check_known, migrate, migrated
from engine.roles import MADE_BY
from engine.running.jobs import Job
from engine.storage import read_json, write_json

SUFFIX = ".metapt"


class Project:
    """An open project; use `Project.create`, `Project.open`, and close it.

    Attributes
    ----------
    folder
        Where it is.
    read_only
        Whether it was opened for reading only; nothing can be changed then.
    write_manifest
        Writes ``project.json``; whoever must not wait for the disk puts a function here that writes it elsewhere.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], lock: FileLock | None) -> None:
        self.folder, self._manifest, self._lock = folder, manifest, lock
        self.write_manifest: Callable[[Path, dict[str, Any]], None] = write_json
        self._database: sqlite3.Connection | None = None

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
                with _database_errors(folder / "project.db"):
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
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed."""
        return self._lock is None

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
        document = job.document()
        runs = self.folder / "runs"
        numbers = [0]
        for folder in sorted(runs.glob("*-*"), reverse=True):
            if folder.is_dir() and all(path.name.startswith(".") for path in folder.iterdir()):
                continue  # killed before it began: there is nothing in it, and its name is free
            with contextlib.suppress(ValueError):
                numbers.append(int(folder.name.split("-")[0]))
            if folder.is_symlink():
                continue  # it may lead out of the project, and a job would write there
            if not fresh and job.describes(document, self._recorded(folder)):
                return folder, self._completed(folder)
        return runs / f"{max(numbers) + 1:04d}-{job.stage}", False

    @staticmethod
    def _recorded(folder: Path) -> Any:
        with contextlib.suppress(StorageError):  # what another run left, damaged or cut off, stops no job
            return read_json(folder / "job.json")
        return None

    @staticmethod
    def _completed(folder: Path) -> bool:
        path = folder / "result.json"
        try:
            result = read_json(path)
        except StorageError:
            if path.is_file():
                raise
            return False  # there is none, or a run that goes on has just taken it away
        return isinstance(result, dict) and result.get("event") == "Finished" and result.get("outcome") == "completed"

    def assign(self, role: str, folder: Path) -> None:
        """Let ``role`` (``source``, ``target``, ``clusters``, ...) stand on a run from now on."""
        self._check_writable()
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
        self._check_writable()
        if folder.parent == self.folder / "runs" and not (folder / "checkpoint.safetensors").exists():
            shutil.rmtree(folder, ignore_errors=True)

    # Small values of the project: the task, what the forms were set to ------------------------------------------------

    def value(self, name: str, default: Any = None) -> Any:
        """Return what was kept under ``name``."""
        return copy.deepcopy(self._manifest.get("values", {}).get(name, default))

    def set_value(self, name: str, value: Any) -> None:
        """Keep a JSON-able value with the project; what has not changed is not written again."""
        self._check_writable()
        values = self._manifest.setdefault("values", {})
        if name not in values or values[name] != value:
            values[name] = copy.deepcopy(value)  # the caller may change its own, and must then find a difference
            self.write_manifest(self.folder / "project.json", self._manifest)

    # Labels, edits of groups, notes -----------------------------------------------------------------------------------

    def labels(self, corpus: str) -> dict[int, str]:
        """Return row -> class of the labels that the person gave to a corpus (by its content hash)."""
        with self._connection() as database:
            return dict(database.execute("SELECT row, class FROM labels WHERE corpus = ?", (corpus,)).fetchall())

    def set_label(self, corpus: str, row: int, name: str | None) -> None:
        """Label a row, or clear it with ``None``; on disk, with its history, before this returns."""
        self.set_labels(corpus, {row: name})

    def set_labels(self, corpus: str, labels: Mapping[int, str | None]) -> None:
        """Label rows, or clear them with ``None``: all or none; on disk, with their history, before this returns."""
        self._check_writable()
        with self._connection() as database:
            for row, name in labels.items():
                place = (corpus, row)
                found = database.execute("SELECT class FROM labels WHERE corpus = ? AND row = ?", place).fetchone()
                if name is None:
                    database.execute("DELETE FROM labels WHERE corpus = ? AND row = ?", place)
                else:
                    database.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", (corpus, row, name))
                database.execute(
                    "INSERT INTO label_history (corpus, row, before, after, at) VALUES (?, ?, ?, ?, ?)",
                    (corpus, row, found[0] if found else None, name, time.time()),
                )

    def cluster_edits(self, clustering: Path) -> dict[int, ClusterEdit]:
        """Return cluster -> what the person changed of it, for the clustering in a run's folder."""
        with self._connection() as database:
            found = database.execute(
                "SELECT cluster, name, included, merged_into FROM cluster_edits WHERE run = ?", (clustering.name,)
            ).fetchall()
        return {cluster: ClusterEdit(name, bool(included), into) for cluster, name, included, into in found}

    def set_cluster_edit(self, clustering: Path, cluster: int, edit: ClusterEdit | None) -> None:
        """Change a cluster, or take its changes back with ``None``; on disk before this returns."""
        self._check_writable()
        with self._connection() as database:
            database.execute("DELETE FROM cluster_edits WHERE run = ? AND cluster = ?", (clustering.name, cluster))
            if edit is not None and edit != ClusterEdit():
                values = (clustering.name, cluster, edit.name, edit.included, edit.merged_into)
                database.execute("INSERT INTO cluster_edits VALUES (?, ?, ?, ?, ?)", values)

    def note(self, subject: str) -> str:
        """Return the note on a subject, such as a run."""
        with self._connection() as database:
            found = database.execute("SELECT note FROM notes WHERE subject = ?", (subject,)).fetchone()
        return str(found[0]) if found else ""

    def set_note(self, subject: str, note: str) -> None:
        """Write the note on a subject."""
        self._check_writable()
        with self._connection() as database:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (subject, note))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        path = self.folder / "project.db"
        with _database_errors(path):
            if self._database is None:
                self._database = _open_to_read(path) if self.read_only else _open_to_write(path)
            with self._database:
                yield self._database

    def _check_writable(self) -> None:
        if self.read_only:
            raise ProjectError(
                "The project is open for reading only", where=self.folder, remedy="Close the other window."
            )


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


def _open_to_write(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    _refuse_programs(database, path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    bring_up(database)
    return database


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open the database as it is, or, if it is of an older schema or there is none, a copy in memory."""
    memory = sqlite3.connect(":memory:")
    if path.exists():
        # Where nobody can write, SQLite cannot make the files that readers and a writer share; and nobody writes.
        alone = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
        database = sqlite3.connect(f"{path.as_uri()}?mode=ro{'&immutable=1' if alone else ''}", uri=True)
        _refuse_programs(database, path)
        if database.execute("PRAGMA user_version").fetchone() == (SCHEMA,):
            return database
        with contextlib.closing(database):
            database.backup(memory)
    bring_up(memory)
    return memory


def _refuse_programs(database: sqlite3.Connection, path: Path) -> None:
    """Refuse a database in which reading or writing a label would run what somebody else has written into it."""
    try:
        found = database.execute("SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    if found is not None:
        database.close()
        raise ProjectError(
            "The project's database holds a view or a trigger, and MetaPT makes none",
            where=path,
            remedy="Restore a copy, and ask whoever gave you the project.",
        )


@contextlib.contextmanager
def _database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a sentence for the person."""
    try:
        yield
    except sqlite3.Error as error:
        system = _SQLITE_ERRORS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if system is not None:
            raise storage_error(OSError(system, os.strerror(system)), path) from error
        raise ProjectError(
            f"The project's database cannot be used ({error})",
            where=path,
            remedy="Check the disk, or restore a copy.",
        ) from error


_SQLITE_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
}
