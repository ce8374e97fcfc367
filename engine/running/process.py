"""The engine process: jobs run in a process of their own, so that a crash costs one run, never the window or a label.

The host (`EngineProcess`, no Qt in it; the window's QThread and the command line own one) starts a spawned process and
reads events from a pipe. It grants the process credit for events: a host that stops reading pauses the job. What is
wanted of a job (`Wish`) goes the other way. On a second pipe, short questions are answered between the events of a job.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from engine.errors import EngineDiedError, EngineProcessError
from engine.events import Event, Failed, Finished
from engine.jobs import Job
from engine.running.failures import error_from, failed
from engine.stage import StopToken

CREDIT = 8
"""Events that the process may be ahead of its reader."""
PATIENCE = 0.1
"""Seconds between two looks at whether the job was cancelled meanwhile."""
NICENESS = 10
"""Of 19, of an engine that gives way."""
CONTEXT = multiprocessing.get_context("spawn")
"""How an engine process is started: nothing of its host is in it."""


class Wish:
    """What is wanted of a job; from any thread, also before the job has begun.

    Attributes
    ----------
    stopped
        It shall end after its present step and keep the best so far.
    paused
        It shall hold after its present step, as long as this is so.
    cancelled
        It shall be given up at once.
    """

    stopped = paused = cancelled = False


class EngineProcess:
    """A spawned engine process that runs one job at a time.

    Parameters
    ----------
    threads
        CPU threads that it may use; ``None`` leaves the choice to torch.
    gives_way
        It computes at a lower priority, so that a window does not wait for it, nor whatever else a person does.

    Use as a context manager, or call `close`.
    """

    def __init__(self, *, threads: int | None = None, gives_way: bool = False) -> None:
        self._events, theirs = CONTEXT.Pipe()
        self._questions, their_questions = CONTEXT.Pipe()
        self._sending, self._asking = threading.Lock(), threading.Lock()
        self._number = self._asked = self._leaving = 0
        self._wish = Wish()
        # OpenMP reads its variables when it is loaded, in the new process: a waiting thread must not burn a core.
        before = os.environ.get("OMP_WAIT_POLICY")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        try:
            self._process = CONTEXT.Process(
                target=_serve, args=(theirs, their_questions, threads, gives_way), name="MetaPT engine", daemon=True
            )
            with _interrupts_held_back():
                self._process.start()
        finally:
            if before is None:
                os.environ.pop("OMP_WAIT_POLICY", None)
        theirs.close()
        their_questions.close()

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid or 0

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.is_alive()

    def run(self, job: Job, folder: Path, wish: Wish | None = None) -> Generator[Event, None, None]:
        """Run ``job`` into ``folder`` and yield its events; the last one is `Finished` or `Failed`.

        Not asking for the next event pauses the job; closing the iterator, or `cancel` from another thread, cancels
        it, and then the iterator ends without a last event.

        Parameters
        ----------
        wish
            What whoever runs the job wants of it, meanwhile or already.

        Raises
        ------
        EngineDiedError
            If the process died.
        """
        wish = self._wish = wish or Wish()
        self._number += 1
        number = self._number
        self.let_go()
        if wish.cancelled:
            return
        over = stopped = paused = False
        self._send(("job", number, job, folder))
        try:
            while not wish.cancelled:
                if wish.stopped and not stopped:
                    stopped = True
                    self._send(("stop", number))
                if wish.paused != paused:
                    paused = wish.paused
                    self._send(("pause", number, paused))
                received = self._receive()
                if received is None or received[0] != number or received[1] is None:  # nothing yet, or of another job
                    continue
                event = received[1]
                over = isinstance(event, (Finished, Failed))
                if not over:
                    self._send(("credit", number))
                yield event
                if over:
                    return
        finally:
            if not over:
                self._leaving = number
                with contextlib.suppress(EngineProcessError):
                    self._send(("cancel", number))

    def request_stop(self) -> None:
        """Ask the job to stop and keep the best so far; may be called from any thread, and by a handler of signals.

        Whoever reads the events passes it on.
        """
        self._wish.stopped = True

    def cancel(self) -> None:
        """Give up the job at once, though it may be in a long step; may be called from any thread."""
        self._wish.cancelled = True

    def let_go(self, seconds: float = math.inf) -> bool:
        """Wait until nothing of a job that was cancelled is done or written any more; return whether it is so.

        The process has to end its present step first. What it sends meanwhile is read and passed over: it must not
        wait for a reader, while its reader waits for it.
        """
        ends = time.monotonic() + seconds
        while self._leaving:
            if time.monotonic() >= ends:
                return False
            try:
                received = self._receive()
            except EngineProcessError:
                self._leaving = 0  # the dead do nothing
            else:
                if received == (self._leaving, None):
                    self._leaving = 0
        return True

    def ask(self, question: str, *, timeout: float = 60.0, **arguments: Any) -> Any:
        """Return the answer to one of `engine.jobs.session.QUESTIONS`, between the steps of a job; from any thread.

        Raises
        ------
        MetaPTError
            Whatever the answer raised, or `EngineProcessError` if none came within ``timeout`` seconds.
        """
        with self._asking:
            self._asked += 1
            answered, answer = 0, None
            try:
                deadline = time.monotonic() + timeout
                self._questions.send((self._asked, question, arguments, deadline))
                while answered != self._asked:  # an answer that came too late for an earlier question is passed over
                    while not self._questions.poll(min(1.0, max(0.0, deadline - time.monotonic()))):
                        if not self._process.is_alive() and not self._questions.poll():
                            raise self._death()
                        if time.monotonic() >= deadline:
                            raise EngineProcessError(
                                f"The engine did not answer within {timeout:.0f} seconds",
                                remedy="Wait for its present step, try again.",
                            )
                    answered, answer = self._questions.recv()
            except (EOFError, OSError) as error:
                raise self._death() from error
        if isinstance(answer, Failed):
            raise error_from(answer)
        return answer

    def close(self, timeout: float = 10.0) -> None:
        """End the process within ``timeout`` seconds, by force if need be."""
        if self._process.is_alive():
            half = time.monotonic() + timeout / 2
            # A message that the process does not read yet may hold up another thread, which must not hold up this one.
            if self._sending.acquire(timeout=timeout / 4):
                with contextlib.suppress(OSError):
                    self._events.send(("quit",))
                self._sending.release()
            self._process.join(max(0.0, half - time.monotonic()))
            if self._process.is_alive():
                self._process.terminate()
                self._process.join(timeout / 2)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._events.close()
        self._questions.close()

    def _send(self, message: tuple[Any, ...]) -> None:
        try:
            with self._sending:
                self._events.send(message)
        except (OSError, TypeError) as error:  # the latter where the pipe is closed while something is written
            if isinstance(error, TypeError) and not self._events.closed:
                raise
            raise self._death() from error

    def _receive(self) -> tuple[int, Event | None] | None:
        """Return the number of a job and its event, or ``None`` in its place when it is let go of."""
        try:
            if not self._events.poll(PATIENCE):
                # On Windows the host holds the child's end until it has begun, so a death before that closes nothing.
                if self._process.is_alive() or self._events.poll():
                    return None
                raise self._death()
            received: tuple[int, Event | None] = self._events.recv()
            return received
        except (EOFError, OSError) as error:
            raise self._death() from error

    def _death(self) -> EngineDiedError:
        self._process.join(2)
        code = self._process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return EngineDiedError(
            f"The engine process ended unexpectedly ({how})",
            remedy="Resume the run: it goes on from its last checkpoint. If it happens again, choose smaller settings.",
        )


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Keep Ctrl-C from a process that is started here: it goes to the whole group, and the host decides on it.

    A new process takes the mask over, and so is not killed before it can say that it ignores the signal.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it beside the process would take the mask away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Cancelled(Exception):
    """The host closed the iterator of the job."""


class _Quit(Exception):
    """The host closed the process."""


def _serve(events: Connection, questions: Connection, threads: int | None, gives_way: bool) -> None:
    """Main function of the engine process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # What Apple's GPU has no kernel for, the processor does.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    if gives_way:
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process()
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if os.name == "nt" else max(NICENESS, process.nice()))
    threading.Thread(target=_end_with_host, name="watches the host", daemon=True).start()
    # The host may say good-bye, or be gone.
    with contextlib.suppress(_Quit, EOFError, BrokenPipeError, ConnectionResetError):
        _Server(events, questions).serve()


def _end_with_host() -> None:
    """End this process when its host is gone, in whatever step it is: another may own the project by then."""
    host = multiprocessing.parent_process()
    if host is not None:
        host.join()
        os._exit(1)


class _Server:
    def __init__(self, events: Connection, questions: Connection) -> None:
        from engine.jobs.session import Session

        self._events, self._questions = events, questions
        self._number = -1
        self._stop = StopToken()
        self._session = Session()
        self._credit = 0
        self._paused = False

    def serve(self) -> None:
        while True:
            self._hear(block=True)

    def _hear(self, *, block: bool) -> None:
        """Answer what has come in; with ``block`` wait for something."""
        for ready in wait([self._events, self._questions], None if block else 0):
            if ready is self._questions:
                if self._questions.poll():  # it may have been answered while a job ran
                    self._answer()
                continue
            self._obey()
            while self._events.poll():  # the credit of a long pause must not stand before a wish to stop
                self._obey()

    def _obey(self) -> None:
        message = self._events.recv()
        if message[0] == "quit":
            raise _Quit
        if message[0] == "job":
            self._perform(*message[1:])
        elif message[1] != self._number:
            return  # of a job that is over
        elif message[0] == "credit":
            self._credit += 1
        elif message[0] == "pause":
            self._paused = message[2]
        elif message[0] == "stop":
            self._stop.request()
            self._paused = False
        elif message[0] == "cancel":
            raise _Cancelled

    def _perform(self, number: int, job: Job, folder: Path) -> None:
        from engine.running.perform import perform

        self._number, self._credit, self._paused, self._stop = number, CREDIT, False, StopToken()
        stream = perform(job, folder, self._session, self._stop)
        try:
            self._hear(block=False)  # it may have been given up before it began
            for event in stream:
                self._hear(block=False)
                last = isinstance(event, (Finished, Failed))
                while self._credit == 0 or (self._paused and not last):
                    self._hear(block=True)
                self._credit -= 1
                self._events.send((number, event))
        except _Cancelled:
            pass
        finally:
            stream.close()  # type: ignore[attr-defined]
            self._session.release_memory()
            self._number = -1
        self._events.send((number, None))

    def _answer(self) -> None:
        from engine.jobs.session import QUESTIONS

        number, question, arguments, deadline = self._questions.recv()
        if time.monotonic() > deadline:
            return  # nobody waits for it any more, nor would read it
        try:
            if question not in QUESTIONS:
                raise EngineProcessError(f"The engine knows no question '{question}'")
            answer = getattr(self._session, question)(**arguments)
        except Exception as error:
            answer = failed(error)
        self._questions.send((number, answer))
