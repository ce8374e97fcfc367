"""Errors that are written for the person: what happened, where, and what to do.

Every failure that a user can cause or meet is one of these classes. The command line prints the sentence and exits with
the class's ``exit_code``; the window shows it in a dialog. Anything else that escapes is a bug.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MetaPTError(Exception):
    """Base of the project's own errors.

    Parameters
    ----------
    what
        What happened, a whole sentence.
    where
        The file, row or setting that it happened to.
    remedy
        What the person can do about it, a whole sentence.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy
        super().__init__(what, self.where, remedy)

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        advice = f" {self.remedy}" if self.remedy else ""
        return f"{self.what.rstrip('.')}{place}.{advice}"


class SettingsError(MetaPTError):
    """A setting or command-line option has a value that cannot be used."""

    exit_code = 2


class DataError(MetaPTError):
    """A corpus, a label or a word cannot be used as it is."""

    exit_code = 3


class BackboneError(MetaPTError):
    """A backbone, annotator or sentence encoder cannot be loaded or does not fit."""

    exit_code = 4


class PromptFileError(MetaPTError):
    """A prompt file is damaged, of a newer format, or made for another backbone."""

    exit_code = 4


class DeviceError(MetaPTError):
    """The device is missing or its memory is exhausted."""

    exit_code = 5


class DeviceLostError(DeviceError):
    """The device failed while it computed; nothing can be computed on it again in the same process."""


class StorageError(MetaPTError):
    """A file cannot be read or written: disk full, read-only folder, damaged file."""

    exit_code = 6


class ProjectError(StorageError):
    """A project folder is locked, damaged, or of a newer version."""


class ProjectLockedError(ProjectError):
    """A project is open in another window or command."""


class CheckpointError(StorageError):
    """A checkpoint is damaged or belongs to another run."""


class TrainingError(MetaPTError):
    """Training cannot go on: the loss is not a number, say."""

    exit_code = 7


class EngineProcessError(MetaPTError):
    """The engine cannot answer or an unexpected error ended its job; ``details`` holds the traceback, if any."""

    exit_code = 8

    def __init__(
        self, what: str, *, where: str | Path | None = None, remedy: str | None = None, details: str = ""
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.details = details


class EngineDiedError(EngineProcessError):
    """The engine process died; a run that it left goes on from its last checkpoint."""


_OS_SENTENCES = {
    errno.ENOSPC: ("The disk is full", "Free some space, or choose a folder on another disk, and run it again."),
    errno.EDQUOT: ("The disk quota is used up", "Free some space and run it again."),
    errno.EFBIG: (
        "The disk does not take a file of this size",
        "Free some space, or choose a folder on another disk, and run it again.",
    ),
    errno.EROFS: ("The folder is read-only", "Choose a folder that you may write to."),
    errno.EACCES: ("Permission was denied", "Choose a place that you may read and write."),
    errno.EPERM: ("Permission was denied", "Choose a place that you may read and write."),
    errno.ENOENT: ("There is no such file or folder", "Check the path."),
    errno.EISDIR: ("This is a folder, not a file", "Choose a file."),
    errno.ENOTDIR: ("This is a file, not a folder", "Choose a folder."),
    errno.ENAMETOOLONG: ("The name is too long", "Choose a shorter one."),
}


def system_error(error: BaseException) -> OSError | None:
    """Return the system's error that ``error`` is or tells of, ``None`` if it is none: libraries have their own words.

    Safetensors and tokenizers (in Rust) write its number into their text; NumPy tells how many items it could not
    write, and no number, which is a full disk.
    """
    if isinstance(error, OSError) and error.errno:
        return error
    number = re.search(r"\(os error (\d+)\)", str(error))
    if number is not None:
        code = int(number[1])
        # On Windows it is Windows' own number, which the third value translates.
        return OSError(0, str(error), None, code) if os.name == "nt" else OSError(code, os.strerror(code))
    if isinstance(error, OSError) and re.search(r"\d+ requested and \d+ written", str(error)):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error if isinstance(error, OSError) else None


def storage_error(error: OSError, path: str | Path | None) -> StorageError:
    """Return the sentence for an ``OSError`` about ``path``."""
    if getattr(error, "winerror", None) in (32, 33):
        what = "Another program has the file open"
        return StorageError(what, where=path, remedy="Close it there, and run it again.")
    what, remedy = _OS_SENTENCES.get(
        error.errno or 0,
        (f"The file could not be read or written ({error.strerror or error})", "Check the disk, and run it again."),
    )
    return StorageError(what, where=path, remedy=remedy)


@contextmanager
def storage_errors(path: str | Path) -> Iterator[None]:
    """Turn an ``OSError`` about ``path``, or what tells of one, into a `StorageError` with a sentence for the person.

    Raises
    ------
    StorageError
        For any error inside the block that `system_error` recognises.
    """
    try:
        yield
    except Exception as error:
        told = None if isinstance(error, MetaPTError) else system_error(error)
        if told is None:
            raise
        raise storage_error(told, path) from error
