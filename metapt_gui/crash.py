"""When the window itself fails: a report on disk, offered at the next start."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from engine import __version__
from engine.folders import user_folders


class CrashReports:
    """Writes ``crash-TIME.txt`` for whatever nobody caught, and remembers which were seen.

    Parameters
    ----------
    folder
        Where the reports lie; default: the platform's folder of logs.

    Attributes
    ----------
    tell
        Is handed each error with its report (``None`` if it could not be written), in whatever thread it happened.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_folders()["logs"]
        self._fault_file: TextIO | None = None
        self.tell: Callable[[BaseException, Path | None], object] | None = None

    def install(self) -> None:
        """Catch what nobody else does, in all threads, and crashes below Python (written to ``fault-TIME-PID.txt``)."""
        sys.excepthook = self._caught
        threading.excepthook = self._caught_in_thread
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"fault-{int(time.time())}-{os.getpid()}.txt"
            self._fault_file = open(path, "w", encoding="utf-8")  # noqa: SIM115
            faulthandler.enable(self._fault_file)
        except OSError:
            self._fault_file = None  # no reports then, but the window works

    def close(self) -> None:
        """Leave nothing of a run that went well."""
        if self._fault_file is not None:
            faulthandler.disable()
            name = Path(self._fault_file.name)
            self._fault_file.close()
            self._fault_file = None
            with contextlib.suppress(OSError):  # on Windows it may tell of errors that somebody has handled
                name.unlink(missing_ok=True)

    def write(self, error: BaseException) -> Path | None:
        """Write a report about ``error`` and return it; ``None`` if not even that works."""
        text = (
            f"MetaPT {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
            f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n\n" + "".join(traceback.format_exception(error))
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / time.strftime("crash-%Y%m%d-%H%M%S.txt")
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError:
            return None
        return path

    def unseen(self) -> list[Path]:
        """Return the reports of earlier starts that nobody has looked at; another window's open file is left alone."""
        current = Path(self._fault_file.name) if self._fault_file is not None else None
        found = [path for kind in ("crash-*.txt", "fault-*.txt") for path in self.folder.glob(kind)]
        return sorted(path for path in found if path != current and _size(path))

    def mark_seen(self, path: Path) -> None:
        """Keep a report, but do not offer it again."""
        with contextlib.suppress(OSError):  # another window's, that is still open on Windows
            path.replace(path.with_suffix(".seen.log"))

    def _caught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            self._report(error.with_traceback(trace))
        sys.__excepthook__(kind, error, trace)

    def _caught_in_thread(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            self._report(arguments.exc_value)
        threading.__excepthook__(arguments)

    def _report(self, error: BaseException) -> None:
        path = self.write(error)
        if self.tell is not None:
            with contextlib.suppress(RuntimeError):  # the window is gone
                self.tell(error, path)


def _size(path: Path) -> int:
    """Return the bytes of a file; none if another window has just taken it away."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
