"""A project while other programs use its files: a copy that is cut off, a database that is locked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import project_copy
from engine.errors import ProjectError, StorageError
from engine.project import Project
from engine.project_copy import copy_project
from engine.storage import UNFINISHED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a label, and a run that is under way."""
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_label("texts", 1, "good")
        run = project.folder / "runs" / "0001-import"
        run.mkdir()
        (run / "job.json").write_text("{}")
        (run / f".corpus.parquet.0123456789ab{UNFINISHED}").write_bytes(b"half of it")
    return tmp_path / "a.metapt"


def test_what_is_just_being_written_is_not_copied(folder: Path, tmp_path: Path) -> None:
    copied = copy_project(folder, tmp_path / "b.metapt")
    assert [path.name for path in (copied / "runs" / "0001-import").iterdir()] == ["job.json"]
    with Project.open(copied) as project:
        assert project.labels("texts") == {1: "good"}
    with pytest.raises(StorageError, match="exist"):
        copy_project(folder, copied)


def test_half_a_copy_is_no_project(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "b.metapt"

    def fail(_path: Path, _target: Path) -> None:
        assert not target.exists(), "it is not called so before it is whole"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(project_copy, "_copy_database", fail)
    with pytest.raises(StorageError):
        copy_project(folder, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.metapt"]
    monkeypatch.undo()
    copy_project(folder, target)


def test_a_database_that_another_program_locks_is_not_said_to_be_damaged(folder: Path) -> None:
    with Project.open(folder) as project, closing(sqlite3.connect(folder / "project.db")) as other:
        project.set_label("texts", 2, "bad")
        assert project._database is not None
        project._database.execute("PRAGMA busy_timeout = 50")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ProjectError, match="Another program is using"):
            project.set_label("texts", 3, "bad")
        other.rollback()
        project.set_label("texts", 3, "bad")
        assert project.labels("texts") == {1: "good", 2: "bad", 3: "bad"}
