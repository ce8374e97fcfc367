"""Files are whole or absent, and what the system says becomes a sentence."""

from __future__ import annotations

import errno
import os

import pytest

from engine.errors import StorageError, storage_errors
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
