"""What a project keeps in its database: labels with their history, changes of groups, notes."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.clustering.edits import ClusterEdit
from engine.errors import ProjectError, storage_error
from engine.migrations import SCHEMA, bring_up

LONGEST_NUMBER = 9
"""Digits of the number of a run."""
MANY = 1000
"""Of more rows than these all labels of the corpus are read at once."""


class ProjectDatabase:
    """The part of `engine.project.Project` that is in ``project.db``; opened when it is first asked.

    Attributes
    ----------
    folder
        The project's.
    read_only
        Whether nothing can be changed.
    """

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self.folder, self.read_only = folder, read_only
        self._database: sqlite3.Connection | None = None

    def close_database(self) -> None:
        """Close it; it is opened again when it is asked again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def labels(self, corpus: str) -> dict[int, str]:
        """Return row -> class of the labels that the person gave to a corpus (by its content hash)."""
        with self._connection() as database:
            return dict(database.execute("SELECT row, class FROM labels WHERE corpus = ?", (corpus,)).fetchall())

    def labelled(self) -> dict[str, dict[int, str]]:
        """Return content hash -> row -> class for every corpus that the person labelled, the last one first."""
        with self._connection() as database:
            rows = database.execute(
                "SELECT corpus, row, class FROM labels LEFT JOIN "
                "(SELECT corpus, MAX(at) AS last FROM label_history GROUP BY corpus) USING (corpus) ORDER BY last DESC"
            ).fetchall()
        found: dict[str, dict[int, str]] = {}
        for corpus, row, name in rows:
            found.setdefault(corpus, {})[row] = name
        return found

    def ever_labelled(self, corpus: str) -> bool:
        """Whether the person has given a corpus a label, even if it was taken away again."""
        with self._connection() as database:
            found = database.execute("SELECT 1 FROM label_history WHERE corpus = ? LIMIT 1", (corpus,)).fetchone()
        return found is not None

    def set_label(self, corpus: str, row: int, name: str | None) -> None:
        """Label a row, or clear it with ``None``; on disk, with its history, before this returns."""
        self.set_labels(corpus, {row: name})

    def set_labels(self, corpus: str, labels: Mapping[int, str | None]) -> None:
        """Label rows, or clear them with ``None``: all or none; on disk, with their history, before this returns."""
        self.label_corpora({corpus: labels})

    def label_corpora(self, labels: Mapping[str, Mapping[int, str | None]]) -> None:
        """Do as `set_labels` in several corpora (by their content hash), all or none."""
        self.check_writable()
        with self._connection() as database:
            now = time.time()
            for corpus, given in labels.items():
                if len(given) > MANY:
                    known = database.execute("SELECT row, class FROM labels WHERE corpus = ?", (corpus,)).fetchall()
                else:
                    one = "SELECT row, class FROM labels WHERE corpus = ? AND row = ?"
                    known = [found for row in given for found in database.execute(one, (corpus, row)).fetchall()]
                before = dict(known)
                cleared = ((corpus, row) for row, name in given.items() if name is None)
                database.executemany("DELETE FROM labels WHERE corpus = ? AND row = ?", cleared)
                named = ((corpus, row, name) for row, name in given.items() if name is not None)
                database.executemany("INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", named)
                history = ((corpus, row, before.get(row), name, now) for row, name in given.items())
                database.executemany(
                    "INSERT INTO label_history (corpus, row, before, after, at) VALUES (?, ?, ?, ?, ?)", history
                )

    def cluster_edits(self, clustering: Path) -> dict[int, ClusterEdit]:
        """Return cluster -> what the person changed of it, for the clustering in a run's folder."""
        with self._connection() as database:
            found = database.execute(
                "SELECT cluster, name, included, merged_into FROM cluster_edits WHERE run = ?", (clustering.name,)
            ).fetchall()
        return {cluster: ClusterEdit(name, bool(included), into) for cluster, name, included, into in found}

    def set_cluster_edits(self, clustering: Path, edits: Mapping[int, ClusterEdit | None]) -> None:
        """Change clusters, or take their changes back with ``None``, all or none; on disk before this returns."""
        self.check_writable()
        with self._connection() as database:
            for cluster, edit in edits.items():
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
        self.check_writable()
        with self._connection() as database:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (subject, note))

    def known_numbers(self) -> list[int]:
        """Return the numbers of runs with notes or changed groups: of one that is gone, no other may inherit them."""
        if not (self.folder / "project.db").exists():
            return []
        with self._connection() as database:
            names = database.execute("SELECT subject FROM notes UNION SELECT run FROM cluster_edits").fetchall()
        found = (str(name).split("-")[0] for (name,) in names)
        return [int(number) for number in found if number.isdecimal() and len(number) <= LONGEST_NUMBER]

    def forget_run(self, name: str) -> None:
        """Delete the note on a run and the changes of its groups."""
        self.check_writable()
        with self._connection() as database:
            database.execute("DELETE FROM notes WHERE subject = ?", (name,))
            database.execute("DELETE FROM cluster_edits WHERE run = ?", (name,))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        path = self.folder / "project.db"
        with database_errors(path):
            if self._database is None:
                self._database = _open_to_read(path) if self.read_only else _open_to_write(path)
            with self._database:
                yield self._database

    def check_writable(self) -> None:
        """Refuse to change a project that is open for reading only."""
        if self.read_only:
            raise ProjectError(
                "The project is open for reading only", where=self.folder, remedy="Close the other window."
            )


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
def database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a sentence for the person."""
    try:
        yield
    except sqlite3.Error as error:
        system = _SQLITE_ERRORS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if system is not None:
            raise storage_error(OSError(system, os.strerror(system)), path) from error
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ProjectError(
                "Another program is using the project's database",
                where=path,
                remedy="Wait for it, or close it (a backup, a virus scanner, a viewer of databases); then try again.",
            ) from error
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
