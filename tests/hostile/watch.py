"""Looks on while one hostile input is read: errors, seconds, memory, and what the process does besides reading."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from hostile import counts

from engine.errors import MetaPTError

Step = Callable[[], Any]


class Hung(BaseException):
    """An input took too long; no `Exception`, so that no reader takes it for a damaged file."""


_FORBIDDEN = {
    "pickle.find_class",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.bind",
    "subprocess.Popen",
    "os.system",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_watching: list[Path] = []
_seen: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in _FORBIDDEN:
        _seen.append(f"{event} {arguments!r:.200}")
    elif event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] and arguments[2] & _WRITES:
        path = os.path.abspath(os.fsdecode(arguments[0]))
        device = path.startswith(("/dev/", "/proc/")) and not path.startswith("/dev/shm")
        if not (device or path.startswith(str(_watching[0])) or path.endswith(".pyc")):
            _seen.append(f"open for writing {path}")


_audited = False


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[None]:
    global _audited
    if not _audited:
        sys.addaudithook(_audit)  # cannot be taken away again, hence the list that switches it
        _audited = True
    _watching.append(folder.resolve())
    try:
        yield
    finally:
        _watching.clear()


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `Hung` in the block when it takes longer (where the system has such a clock)."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hung(f"more than {seconds:g} seconds")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak() -> int:
    """Return the most memory that this process ever held, in bytes; where it is not told, what it holds now."""
    try:
        import resource
    except ImportError:
        return int(psutil.Process().memory_info().rss)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@dataclass
class Account:
    """What happened to the inputs of one reader."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    most_megabytes: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)

    def grown(self) -> float:
        """Return megabytes of growth from the first tenth of the inputs to the last."""
        tenth = max(1, len(self.memory) // 10)
        early, late = self.memory[:tenth], self.memory[-tenth:]
        return (min(late) - max(early)) / 2**20 if early else 0.0


_process = psutil.Process()


def attempt(steps: Iterable[Step], folder: Path, account: Account) -> None:
    """Run the steps on one input; an error of the project's own ends a step, anything else is written down.

    Raises
    ------
    AssertionError
        If a step raised another error, hung, took too much memory, or did what a reader has no business to do.
    """
    account.inputs += 1
    refused = False
    problems: list[str] = []
    for step in steps:
        for last in (False, True):  # a busy machine may be slow once
            held, before, began = _process.memory_info().rss, peak(), time.monotonic()
            try:
                with _watched(folder), time_limit(counts.SECONDS):
                    step()
            except MetaPTError as error:
                refused = True
                if not error.what or "Traceback" in str(error):
                    problems.append(f"no sentence for the person: {error!r}")
            except Hung:
                if not last:
                    continue
                problems.append(f"hung: {_where(sys.exc_info()[1])}")
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a panic of Rust's is no Exception
                problems.append(f"{type(error).__name__}: {str(error)[:200]} at {_where(error)}")
            break
        took, grown = time.monotonic() - began, max(0, peak() - max(before, held)) / 2**20
        account.seconds += took
        account.longest = max(account.longest, took)
        account.most_megabytes = max(account.most_megabytes, grown)
        if grown > counts.MEGABYTES:
            problems.append(f"grew by {grown:.0f} MB")
    problems += sorted(set(_seen))
    _seen.clear()
    account.refused += refused
    account.accepted += not refused
    account.memory.append(_process.memory_info().rss)
    assert not problems, "; ".join(problems)


def _where(error: BaseException | None) -> str:
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    ours = [frame for frame in frames if f"{os.sep}engine{os.sep}" in frame.filename or "metapt_gui" in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed((ours or frames)[-3:]))
