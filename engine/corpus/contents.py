"""What files hold, as a hash each, so that it is noticed when rows were added to one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from engine.corpus.sources import find_sources
from engine.errors import DataError, StorageError, storage_errors
from engine.stage import Part, ProgressMeter, StopToken

BLOCK = 16 * 2**20


def content_hashes(names: Sequence[str], stage: str, *, stop: StopToken) -> Part[dict[str, str | None] | None]:
    """Read everything that ``names`` stand for once, without keeping it.

    Parameters
    ----------
    names
        Files, folders and globs.
    stage
        Name of the stage in `Progress`.

    Returns
    -------
    dict or None
        Name -> SHA-256 of the contents of its files in their order, ``None`` where there is no such file on this
        computer. ``None`` in place of all if stopped on the way.

    Raises
    ------
    StorageError
        If a file cannot be read.
    """
    files = {name: _files(name) for name in names}
    every = dict.fromkeys(path for found in files.values() for path in found)
    sizes = 0
    for path in every:
        with storage_errors(path):
            sizes += path.stat().st_size
    meter, done = ProgressMeter(stage, sizes, "bytes"), 0
    hashes: dict[Path, str] = {}
    for path in every:
        digest = hashlib.sha256()
        with storage_errors(path), open(path, "rb") as stream:
            while block := stream.read(BLOCK):
                if stop.requested:
                    return None
                digest.update(block)
                done += len(block)
                yield meter.at(done, "Looking whether the texts have changed")
        hashes[path] = digest.hexdigest()
    return {
        name: hashlib.sha256("".join(hashes[path] for path in found).encode()).hexdigest() if found else None
        for name, found in files.items()
    }


def _files(name: str) -> list[Path]:
    """Return the files of a name, an archive once and not for each of its members; none if there is none."""
    try:
        return list(dict.fromkeys(source.path for source in find_sources([name])))
    except (DataError, StorageError):
        return []
