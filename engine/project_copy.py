"""A copy of a project folder, whole though labels may be given meanwhile."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from engine.errors import storage_errors

DATABASE = "project.db"
LEFT_OUT = ("project.lock", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")


def copy_project(folder: Path, target: Path) -> Path:
    """Copy a project to ``target``, which must not exist, and return it.

    Raises
    ------
    StorageError
        If it cannot be written, or is there already.
    """
    with storage_errors(target):
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
        if (folder / DATABASE).exists():
            _copy_database(folder / DATABASE, target / DATABASE)
    return target


def _copy_database(path: Path, target: Path) -> None:
    """Let SQLite copy the database, with what stands in its log; where that cannot be, copy the files."""
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error:  # nobody may write beside it, so nobody does
        for name in (path.name, f"{path.name}-wal"):
            if path.with_name(name).exists():
                shutil.copyfile(path.with_name(name), target.with_name(name))
