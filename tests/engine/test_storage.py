"""Files are whole or absent, and what the system says becomes a sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from engine import storage
from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.errors import StorageError, storage_error, storage_errors, system_error
from engine.storage import read_json, remove_leftovers, replacing, write_json


def test_what_is_written_is_read_and_nothing_else_stays(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"soup": "crème"})
    assert read_json(tmp_path / "deep" / "a.json") == {"soup": "crème"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.json"]


def test_a_failure_on_the_way_leaves_the_file_before(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)

    def half_way():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    assert read_json(path) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "The disk is full .* Free some space"),
        (errno.EROFS, "The folder is read-only .* Choose a folder that you may write to"),
        (errno.EACCES, "Permission was denied"),
        (errno.EIO, "could not be read or written"),
    ],
)
def test_the_systems_errors_are_sentences(tmp_path, monkeypatch, code, sentence):
    path = tmp_path / "a.json"
    write_json(path, 1)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match=sentence) as caught:
        write_json(path, 2)
    assert caught.value.where == str(path)
    assert read_json(path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"a file, not a folder|could not be read or written"):
        write_json(tmp_path / "file" / "a.json", 1)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000])
def test_damaged_json_is_a_sentence(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        read_json(tmp_path / "a.json")


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(StorageError, match=r"no such file.*nothing"), storage_errors(tmp_path / "nothing"):
        (tmp_path / "nothing").read_bytes()


def test_only_what_was_being_written_here_is_cleared_away(tmp_path):
    (tmp_path / "docs" / ".thesis.part").mkdir(parents=True)
    (tmp_path / ".film.mkv.part").touch()
    for place in (tmp_path, tmp_path / "docs"):
        with replacing(place / "a.json") as temporary:
            (place / temporary.name.replace("a.json", "b.json")).touch()  # as a process leaves it that is killed
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        ".film.mkv.part",
        ".thesis.part",
        "a.json",
        "a.json",
        "docs",
    ]


# Windows, where another program may have a file open ------------------------------------------------------------------


class Held(PermissionError):
    """What Windows raises for a file that a virus scanner or a sync has open."""

    winerror = 32


@pytest.mark.parametrize("tries", [1, 3])
def test_a_file_that_is_held_for_a_moment_is_waited_for(tmp_path, monkeypatch, tries):
    write_json(tmp_path / "kept.json", {"before": True})
    replace, refused = os.replace, []

    def held(*paths):
        if len(refused) < tries:
            refused.append(paths)
            raise Held(errno.EACCES, "The process cannot access the file")
        replace(*paths)

    monkeypatch.setattr(os, "replace", held)
    write_json(tmp_path / "kept.json", {"after": True})
    assert len(refused) == tries
    assert read_json(tmp_path / "kept.json") == {"after": True}
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


def test_a_file_that_stays_open_elsewhere_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PATIENCE", 0.05)

    def held(*paths):
        raise Held(errno.EACCES, "The process cannot access the file")

    monkeypatch.setattr(os, "replace", held)
    with pytest.raises(StorageError, match="Another program has the file open"):
        write_json(tmp_path / "kept.json", {})


def test_a_denied_permission_is_not_waited_for(tmp_path, monkeypatch):
    tries = []

    def denied(*paths):
        tries.append(paths)
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(StorageError, match="Permission was denied"):
        write_json(tmp_path / "kept.json", {})
    assert len(tries) == 1


def test_tidying_up_does_not_hide_what_happened(tmp_path, monkeypatch):
    def unlink(path, missing_ok=False):
        raise Held(errno.EACCES, "The process cannot access the file")

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(StorageError, match="disk is full"), replacing(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_numbers_of_windows_are_not_taken_for_unixes(monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    told = system_error(RuntimeError("I/O error: There is not enough space on the disk. (os error 112)"))
    assert told is not None
    assert "Host is down" not in str(storage_error(told, "checkpoint"))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what is mapped is told by Linux alone")
def test_a_checkpoint_is_not_mapped_once_it_is_read(tmp_path):
    """Windows lets nobody replace a file that is mapped: the next checkpoint would fail."""
    save_checkpoint(tmp_path, {"prompt": torch.ones(200, 64)}, {"step": 3}, "run")
    saved = load_checkpoint(tmp_path, "run")
    assert saved is not None
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert saved.tensors["prompt"].sum() == 200 * 64
