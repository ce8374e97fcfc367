"""Files that are never half-written: temp -> fsync -> replace, and JSON that is read with clear errors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import StorageError, storage_errors

if TYPE_CHECKING:
    import torch


UNFINISHED = ".metapt-part"
"""How the names of files end that are being written."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its place when the block ends well, and vanishes when not.

    Raises
    ------
    StorageError
        If the disk is full, the folder read-only and so on; what stood at ``path`` before is untouched.
    """
    path = Path(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with storage_errors(path):
            yield temporary
            os.chmod(temporary, 0o644)  # mkstemp's files are for their owner only; these are to be shared
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_files(folder: Path) -> Iterator[Path]:
    """Give an empty folder for a library that writes several files; when the block ends well they go to ``folder``.

    Each of them is whole or absent there, and what stood under another name stays.

    Raises
    ------
    StorageError
        As `replacing`.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=UNFINISHED, dir=folder) as name:
            yield Path(name)
            for path in sorted(Path(name).iterdir()):
                os.chmod(path, 0o644)  # as in `replacing`
                with open(path, "rb+") as stream:
                    os.fsync(stream.fileno())
                os.replace(path, folder / path.name)


def remove_leftovers(folder: Path) -> None:
    """Remove what was being written in ``folder`` when its process was killed; nobody else may write there now."""
    for path in sorted(folder.rglob(f".*{UNFINISHED}")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):  # it only takes space
                path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a file's name, or what somebody's JSON holds, may be no Unicode; as escapes it is kept
        text = json.dumps(value, indent=2)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    StorageError
        If the file is missing, unreadable or not JSON.
    """
    with storage_errors(path):
        raw = Path(path).read_bytes()
    try:
        return json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StorageError(
            "The file is damaged: it is not JSON", where=path, remedy="Restore it from a copy, or make it anew."
        ) from error


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata as a safetensors file, atomically.

    Raises
    ------
    StorageError
        If the disk is full, the folder read-only and so on; what stood at ``path`` before is untouched.
    """
    from safetensors.torch import save_file

    # A folder, because the library writes through a file of a name of its own, which a kill would leave for ever.
    with replacing_files(path.parent) as temporary, storage_errors(path):
        save_file(dict(tensors), temporary / path.name, metadata=dict(metadata))
