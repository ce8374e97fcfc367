"""The engine process as the window sees it: a QThread owns it and turns its events into signals.

Every event carries the number of its job; whoever draws compares it with the job that it started, so that nothing of a
cancelled job is ever drawn. Short questions go through a thread of their own and are answered while a job runs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QThread, Signal

from engine.errors import DeviceLostError, EngineDiedError, EngineProcessError, MetaPTError
from engine.events import Event, Failed, Finished
from engine.jobs import Job
from engine.running.failures import error_from, failed
from engine.running.process import PATIENCE, EngineProcess, Wish

CLOSING_SECONDS = 8.0
AHEAD = 64
"""Events that may wait for the window: while it is held up, the job is, and not its memory filled."""
LETTING_GO_SECONDS = 30.0
"""A step of a cancelled job that takes longer ends with its process: the next job waits for it."""


@dataclass(frozen=True)
class Cancelled(Event):
    """The job was given up; the engine sent nothing more."""


class _Process:
    """The engine process, started when it is needed and again when it died; used from two threads."""

    def __init__(self, threads: int | None) -> None:
        self.threads = threads
        self._lock = threading.Lock()
        self._process: EngineProcess | None = None
        self._closed = False

    def get(self) -> EngineProcess:
        with self._lock:
            if self._closed:
                raise EngineProcessError("The engine is being closed")
            if self._process is None or not self._process.alive:
                if self._process is not None:
                    self._process.close(0)
                self._process = EngineProcess(threads=self.threads, gives_way=True)
            return self._process

    def end(self) -> None:
        """End the process at once; the next one who asks for it starts another."""
        with self._lock:
            if self._process is not None:
                self._process.close(0)
                self._process = None

    def current(self) -> EngineProcess | None:
        return self._process

    def close(self, timeout: float) -> None:
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.close(timeout)


class _JobWorker(QObject):
    """Lives in the thread of the jobs."""

    streamed = Signal(int, object)
    released = Signal(int)

    def __init__(self, process: _Process) -> None:
        super().__init__()
        self._process = process
        self.room = threading.Semaphore(AHEAD)

    def warm(self) -> None:
        """Start the process, so that the first question need not wait for it."""
        try:
            self._process.get()
        except Exception as error:
            self.streamed.emit(0, failed(error))

    def run(self, number: int, job: Job, folder: Path, wish: Wish) -> None:
        """Run one job to its end; whatever happens, one last event says how it ended, and then it is let go of."""
        last: Event = Cancelled()
        process: EngineProcess | None = None
        try:
            if not wish.cancelled:
                process = self._process.get()
                with contextlib.closing(process.run(job, folder, wish)) as events:
                    for event in events:
                        if isinstance(event, (Finished, Failed)):
                            last = event
                        elif self._has_room(wish):
                            self.streamed.emit(number, event)
            if isinstance(last, Failed) and isinstance(error_from(last), DeviceLostError):
                self._process.end()  # in that process the device stays lost; resuming needs another one
        except Exception as error:
            last = failed(error, folder)
        self.streamed.emit(number, Cancelled() if wish.cancelled else last)
        if process is not None and not process.let_go(LETTING_GO_SECONDS):
            self._process.end()
        self.released.emit(number)

    def _has_room(self, wish: Wish) -> bool:
        """Wait until the window has seen enough of what was streamed; false if the job is cancelled meanwhile."""
        while not wish.cancelled:
            if self.room.acquire(timeout=PATIENCE):
                return True
        return False


class _AskWorker(QObject):
    """Lives in the thread of the questions."""

    answered = Signal(int, object, object)

    def __init__(self, process: _Process, newest: dict[str, int]) -> None:
        super().__init__()
        self._process, self._newest = process, newest

    def ask(self, number: int, key: str, question: str, arguments: dict[str, Any]) -> None:
        """Answer one question, unless a newer one of its key waits behind it.

        It is no fault of the question's if the process dies of the job that runs: another process is asked then, once.
        """
        answer, error = None, None
        for _ in range(2):
            if self._newest.get(key) != number:
                break
            try:
                answer, error = self._process.get().ask(question, **arguments), None
            except MetaPTError as caught:
                error = caught
            except Exception as caught:  # a bug must not end the thread in silence
                error = EngineProcessError(f"The question could not be asked ({caught})")
            if not isinstance(error, EngineDiedError):
                break
        self.answered.emit(number, answer, error)


class EngineHost(QObject):
    """Owns the engine process and the two threads that talk to it.

    Parameters
    ----------
    threads
        CPU threads of the engine, which gives way to the window; ``None`` leaves the choice to torch.
    """

    streamed = Signal(int, object)
    """Number of the job, and its event; the last one is `Finished`, `Failed` or `Cancelled`."""
    released = Signal(int)
    """Number of a job that the engine is done with: one that was cancelled may have been in a long step."""
    state_changed = Signal()
    _run = Signal(int, object, object, object)
    _ask = Signal(int, str, str, object)
    _warm = Signal()

    def __init__(self, threads: int | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process = _Process(threads)
        self._number = self._question = 0
        self._running = 0
        self._wish = Wish()
        self._newest: dict[str, int] = {}
        self._needed: set[str] = set()
        self._callbacks: dict[int, tuple[str, Callable[[Any], None], Callable[[MetaPTError], None] | None]] = {}
        self._jobs, self._questions = QThread(self), QThread(self)
        self._jobs.setObjectName("engine jobs")
        self._questions.setObjectName("engine questions")
        self._worker = _JobWorker(self._process)
        self._asker = _AskWorker(self._process, self._newest)
        self._worker.moveToThread(self._jobs)
        self._asker.moveToThread(self._questions)
        self._run.connect(self._worker.run)
        self._warm.connect(self._worker.warm)
        self._ask.connect(self._asker.ask)
        self._worker.streamed.connect(self._on_event)
        self._worker.released.connect(self.released)
        self._asker.answered.connect(self._on_answer)
        self._jobs.start()
        self._questions.start()

    @property
    def pid(self) -> int:
        """Process id of the engine; 0 while there is none."""
        process = self._process.current()
        return process.pid if process is not None and process.alive else 0

    @property
    def running(self) -> int:
        """Number of the job that runs; 0 for none."""
        return self._running

    @property
    def paused(self) -> bool:
        """Whether the job is paused."""
        return bool(self._running) and self._wish.paused

    def warm(self) -> None:
        """Start the engine process in the background."""
        self._warm.emit()

    def start(self, job: Job, folder: Path) -> int:
        """Run ``job`` into ``folder`` and return its number; one job runs at a time.

        Raises
        ------
        EngineProcessError
            If another job runs.
        """
        if self._running:
            raise EngineProcessError("Another job is running", remedy="Wait for it, or stop it.")
        self._number += 1
        self._running, self._wish = self._number, Wish()
        self._run.emit(self._number, job, folder, self._wish)
        self.state_changed.emit()
        return self._number

    def pause(self) -> None:
        """Hold the job after its present step."""
        self._wish.paused = True
        self.state_changed.emit()

    def resume(self) -> None:
        """Let a paused job go on."""
        self._wish.paused = False
        self.state_changed.emit()

    def stop(self) -> None:
        """Ask the job to stop after its present step and keep the best so far."""
        if self._running:
            self._wish.paused = False
            self._wish.stopped = True

    def cancel(self) -> None:
        """Give up the job now; it counts as over at once, and is over when it is `released`."""
        number = self._running
        if not number:
            return
        self._wish.cancelled = True
        self._running = 0
        self.streamed.emit(number, Cancelled())
        self.state_changed.emit()

    def ask(
        self,
        question: str,
        then: Callable[[Any], None],
        failed: Callable[[MetaPTError], None] | None = None,
        *,
        key: str = "",
        needed: bool = False,
        **arguments: Any,
    ) -> None:
        """Ask the engine and call ``then`` with the answer, here.

        Of the same question with the same ``key`` only the newest is answered. One that is ``needed`` is answered in
        any case, whatever is asked or forgotten after it: it does something.
        """
        self._question += 1
        key = f"{question} {self._question}, needed" if needed else f"{question} {key}"
        if needed:
            self._needed.add(key)
        self._newest[key] = self._question
        self._callbacks[self._question] = (key, then, failed)
        self._ask.emit(self._question, key, question, arguments)

    def forget(self, question: str = "", key: str = "") -> None:
        """Let what waits be answered to nobody: a question with a ``key``, or all; but for what is needed."""
        for known in [f"{question} {key}"] if question else self._newest.keys() - self._needed:
            self._newest.pop(known, None)

    def end_process(self) -> None:
        """End the engine process at once, whatever it does; the next one who needs it starts another."""
        self._process.end()

    def close(self, timeout: float = CLOSING_SECONDS) -> None:
        """End the job, the process and the threads; never returns while a thread runs."""
        self._callbacks.clear()
        self._newest.clear()
        self.cancel()
        self._jobs.quit()
        self._questions.quit()
        self._process.close(timeout)
        self._jobs.wait()
        self._questions.wait()

    def _on_event(self, number: int, event: Event) -> None:
        last = isinstance(event, (Finished, Failed, Cancelled))
        if not last:
            self._worker.room.release()
        if number != self._running:
            return  # of a job that was cancelled
        if last:
            self._running = 0
            self.streamed.emit(number, event)
            self.state_changed.emit()
        else:
            self.streamed.emit(number, event)

    def _on_answer(self, number: int, answer: Any, error: MetaPTError | None) -> None:
        key, then, if_failed = self._callbacks.pop(number, ("", None, None))
        if then is None or self._newest.get(key) != number:
            return
        self._needed.discard(key)
        if error is None:
            then(answer)
        elif if_failed is not None:
            if_failed(error)
