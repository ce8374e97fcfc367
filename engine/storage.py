"""Files that are never half-written: temp -> fsync -> replace, and JSON that is read with clear errors."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import StorageError, storage_errors

if TYPE_CHECKING:
    import torch


UNFINISHED = ".metapt-part"
"""How the names of files end that are being written."""

HELD = (5, 32, 33)
"""What Windows says while another program (a virus scanner, an indexer, a sync) has a file open: WinError."""
PATIENCE = 3.0
"""So many seconds such a program is waited for."""

Done = TypeVar("Done")


def patiently(work: Callable[[], Done]) -> Done:
    """Do ``work`` on a file; on Windows again, for a while, as long as another program has it open.

    Raises
    ------
    OSError
        What the last try raised.
    """
    pause, ends = 0.01, time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except PermissionError as error:
            if getattr(error, "winerror", None) not in HELD or time.monotonic() > ends:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


def replace(path: Path, target: Path) -> None:
    """Let ``path`` take the place of ``target``, `patiently`."""
    patiently(lambda: os.replace(path, target))


def remove(path: Path) -> None:
    """Remove the file if there is one, `patiently`."""
    patiently(lambda: path.unlink(missing_ok=True))


def _unfinished(path: Path) -> Path:
    """Return a name beside ``path``; `tempfile` would try for hours where a folder of Windows may not be written to."""
    return path.parent / f".{path.name}.{secrets.token_hex(6)}{UNFINISHED}"


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
        temporary = _unfinished(path)
        temporary.open("xb").close()
    try:
        with storage_errors(path):
            yield temporary
            os.chmod(temporary, 0o644)  # whatever a library made of it; these are to be shared
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            replace(temporary, path)
    finally:
        with suppress(OSError):  # it only takes space, and must not hide what happened
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
        temporary = _unfinished(folder / folder.name)
        temporary.mkdir()
        try:
            yield temporary
            for path in sorted(temporary.iterdir()):
                os.chmod(path, 0o644)  # as in `replacing`
                with open(path, "rb+") as stream:
                    os.fsync(stream.fileno())
                replace(path, folder / path.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


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
