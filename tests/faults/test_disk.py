"""A disk that is full, limited or read-only under every stage: a sentence, nothing lost, and it goes on afterwards."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.conftest import Here, Reference
from faults.stages import STAGES, FastSession, Inputs, begin, check_whole, fail_here, fast_engine, results, run_here

from engine.errors import StorageError
from engine.events import Failed, Finished
from engine.project import Project
from engine.running.perform import perform
from engine.stage import StopToken
from engine.storage import UNFINISHED


class Disk:
    """Stands before ``os.fsync``, which every file passes on its way: from some write on, the disk says no."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes, self._left, self._code = 0, -1, 0
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._sync)

    def refuse_after(self, writes: int, code: int = errno.ENOSPC) -> None:
        """Let so many writes through, and none from then on."""
        self._left, self._code = writes, code

    def free(self) -> None:
        """Let everything through again, and count from 0."""
        self.writes, self._left = 0, -1

    def _sync(self, handle: int) -> None:
        if self._left == 0:
            raise OSError(self._code, os.strerror(self._code))
        self._left -= 1
        self.writes += 1
        self._fsync(handle)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk of this process."""
    return Disk(monkeypatch)


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_ends_a_stage_with_a_sentence(
    stage: str, inputs: Inputs, here: Callable[[str], Here], session: FastSession, disk: Disk, tmp_path: Path
) -> None:
    before, undisturbed = results(inputs.folder), here(stage)
    project = tmp_path / "a.metapt"
    job = STAGES[stage](inputs, project)
    run = begin(project, job)
    for writes in (0, undisturbed.writes // 2):
        disk.refuse_after(writes)
        failure = fail_here(job, run, session)
        assert (failure.error, failure.what) == ("StorageError", "The disk is full")
        assert "Free some space" in str(failure.remedy)
        check_whole(project)
    disk.free()
    run_here(job, run, session)
    assert results(project) == undisturbed.results
    assert results(inputs.folder) == before
    assert not list(project.rglob(f".*{UNFINISHED}"))


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_soak_every_write_of_a_stage_meets_a_full_disk(
    stage: str,
    inputs: Inputs,
    here: Callable[[str], Here],
    session: FastSession,
    disk: Disk,
    tmp_path: Path,
    record: dict[str, dict[str, float]],
) -> None:
    began = time.monotonic()
    figures = record.setdefault(f"disk full at every write: {stage}", {"failures": 1})
    writes = 0
    while True:
        project = tmp_path / f"{writes}.metapt"
        job = STAGES[stage](inputs, project)
        run = begin(project, job)
        disk.refuse_after(writes)
        last = list(perform(job, run, session, StopToken()))[-1]
        disk.free()
        if isinstance(last, Finished):
            break
        assert isinstance(last, Failed)
        assert last.what == "The disk is full"
        check_whole(project)
        run_here(job, run, session)
        assert results(project) == here(stage).results
        writes += 1
    figures |= {"writes": writes, "failures": 0, "seconds": round(time.monotonic() - began, 1)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_limit_that_the_writers_themselves_meet_is_a_sentence(
    stage: str, inputs: Inputs, here: Callable[[str], Here], session: FastSession, tmp_path: Path
) -> None:
    """Arrow, safetensors, tokenizers, NumPy and Python's own files each tell of a failed write in their own way."""
    undisturbed = here(stage)
    project = tmp_path / "a.metapt"
    job = STAGES[stage](inputs, project)
    run = begin(project, job)
    with _files_of_at_most(undisturbed.largest - 1):
        failure = fail_here(job, run, session)
    assert failure.error == "StorageError"
    assert "disk" in failure.what
    assert "Free some space" in str(failure.remedy)
    check_whole(project)
    run_here(job, run, session)
    assert results(project) == undisturbed.results


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_soak_a_small_file_system(
    stage: str, inputs: Inputs, reference: Callable[[str], Reference], tmp_path: Path
) -> None:
    """A file system of its own that is too small; where one may be mounted."""
    undisturbed = reference(stage)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        project = small / "a.metapt"
        job = STAGES[stage](inputs, project)
        run = begin(project, job)
        size = 64
        failures = 0
        while True:
            with fast_engine() as process:
                last = list(process.run(job, run))[-1]
            check_whole(project)
            if isinstance(last, Finished):
                break
            assert isinstance(last, Failed)
            assert (last.error, last.what) == ("StorageError", "The disk is full"), last
            failures += 1
            size *= 2
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(small)], check=True)
        assert results(project) == undisturbed.results
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_folder_that_turns_read_only_is_a_sentence(
    code: int, inputs: Inputs, session: FastSession, disk: Disk, tmp_path: Path
) -> None:
    project = tmp_path / "a.metapt"
    job = STAGES["meta-train"](inputs, project)
    run = begin(project, job)
    disk.refuse_after(3, code)
    failure = fail_here(job, run, session)
    assert failure.error == "StorageError"
    assert "write" in str(failure.remedy)
    disk.free()
    run_here(job, run, session)


def test_labels_say_that_they_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    with Project.create(tmp_path / "a.metapt") as project:
        project.set_label("hash", 1, "good")
    monkeypatch.setattr(sqlite3, "connect", small)
    with Project.open(tmp_path / "a.metapt") as project:
        written = [1]

        def label_all() -> None:
            for row in range(2, 10_000):
                project.set_label("hash", row, "good" * 100)
                written.append(row)

        with pytest.raises(StorageError, match=r"The disk is full .*Free some space") as caught:
            label_all()
        assert caught.value.where == str(tmp_path / "a.metapt" / "project.db")
        assert set(project.labels("hash")) == set(written)
