"""A copy of a project folder, whole though labels may be given meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from pathlib import Path

from engine.errors import storage_errors
from engine.storage import UNFINISHED, replace

DATABASE = "project.db"
LEFT_OUT = ("project.lock", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f".*{UNFINISHED}")
"""What is not copied as it lies there, also what is just being written."""


def copy_project(folder: Path, target: Path) -> Path:
    """Copy a project to ``target``, which must not exist, and return it.

    Raises
    ------
    StorageError
        If it cannot be written, or is there already.
    """
    part = target.with_name(f".{target.name}{UNFINISHED}")  # half a copy must not pass for a project
    with storage_errors(target):
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        shutil.rmtree(part, ignore_errors=True)  # of a copy that was cut off
        try:
            shutil.copytree(folder, part, ignore=shutil.ignore_patterns(*LEFT_OUT))
            if (folder / DATABASE).exists():
                _copy_database(folder / DATABASE, part / DATABASE)
            replace(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
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
