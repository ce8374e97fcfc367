"""Projects of an older MetaPT become projects of this one: a step for each schema, and a copy of what was there.

The manifest and the database each say of which schema they are (``schema``, ``PRAGMA user_version``), because a process
can end between the writing of one and of the other: each is brought up from where it stands.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import ProjectError
from engine.storage import replacing, write_json

SCHEMA = 2
"""Schema of the projects that this MetaPT makes."""

LABELS = """
CREATE TABLE IF NOT EXISTS labels (corpus TEXT, row INTEGER, class TEXT NOT NULL, PRIMARY KEY (corpus, row));
CREATE TABLE IF NOT EXISTS label_history (
    id INTEGER PRIMARY KEY, corpus TEXT, row INTEGER, before TEXT, after TEXT, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS notes (subject TEXT PRIMARY KEY, note TEXT NOT NULL);
"""
CLUSTER_EDITS = """
CREATE TABLE IF NOT EXISTS cluster_edits (
    run TEXT, cluster INTEGER, name TEXT, included INTEGER NOT NULL, merged_into INTEGER, PRIMARY KEY (run, cluster));
"""


@dataclass(frozen=True)
class Step:
    """What brings a project from one schema to the next: statements for the database, a change of the manifest."""

    database: str
    manifest: Callable[[dict[str, Any]], None]


def _with_values(manifest: dict[str, Any]) -> None:
    """Settings of the forms and the task stand in the manifest."""
    manifest.setdefault("values", {})


_MIGRATIONS: dict[int, Step] = {1: Step(CLUSTER_EDITS, _with_values)}
"""Schema -> the step to the one after it."""


def check_known(schema: int, where: Path | None = None) -> None:
    """Refuse a project that this MetaPT is too old for.

    Raises
    ------
    ProjectError
        If ``schema`` is a newer one.
    """
    if schema > SCHEMA:
        raise ProjectError(
            f"The project was made by a newer MetaPT (schema {schema}, this one knows {SCHEMA})",
            where=where,
            remedy="Update MetaPT; nothing of the project was changed.",
        )


def migrated(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return ``manifest`` in this schema."""
    found = dict(manifest)
    for schema in range(found["schema"], SCHEMA):
        _MIGRATIONS[schema].manifest(found)
    return found | {"schema": SCHEMA}


def bring_up(database: sqlite3.Connection) -> None:
    """Give an open database, old or new, the tables of this schema, all or none of them.

    Raises
    ------
    ProjectError
        If it is of a newer schema.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    check_known(version)
    if version == SCHEMA:
        return
    steps = [_MIGRATIONS[schema].database for schema in range(max(1, version), SCHEMA)]
    # LABELS are those of schema 1, whose databases do not say so: they stand at 0, as a new one does.
    statements = [LABELS, *steps, f"PRAGMA user_version = {SCHEMA};"]
    with database:
        database.executescript("BEGIN IMMEDIATE;" + "".join(statements) + "COMMIT;")


def migrate(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Bring the project in ``folder`` up to this schema on disk and return its manifest; whoever calls holds its lock.

    The project as it was stays beside it: ``project.json.vN.bak`` and ``project.db.vN.bak``, N its schema.

    Raises
    ------
    StorageError, sqlite3.Error
        If it cannot be written; the project is as it was then, or further up, and can be opened again.
    """
    suffix = f".v{manifest['schema']}.bak"
    path = folder / "project.db"
    _keep(folder / f"project.json{suffix}", partial(shutil.copyfile, folder / "project.json"))
    if path.exists():
        with contextlib.closing(sqlite3.connect(path)) as database:
            _keep(folder / f"project.db{suffix}", partial(_copy, database))
            bring_up(database)
    found = migrated(manifest)
    write_json(folder / "project.json", found)
    return found


def _keep(target: Path, write: Callable[[Path], object]) -> None:
    """Make a copy, unless one is there from a migration that was interrupted: that one is older."""
    if not target.exists():
        with replacing(target) as temporary:
            write(temporary)


def _copy(database: sqlite3.Connection, target: Path) -> None:
    """Copy an open database, with what stands in its log, as one file."""
    with contextlib.closing(sqlite3.connect(target)) as copy:
        database.backup(copy)
