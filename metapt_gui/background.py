"""Short work beside the event loop: read a file, scan a column. Long work belongs to the engine process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal

from engine.errors import MetaPTError
from engine.stage import StopToken


class _Results(QObject):
    ready = Signal(object, object, object)


class _Work(QRunnable):
    def __init__(self, ticket: object, function: Callable[[], Any], results: _Results) -> None:
        super().__init__()
        self._ticket, self._function, self._results = ticket, function, results

    def run(self) -> None:
        result, error = None, None
        try:
            result = self._function()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the window is gone
            self._results.ready.emit(self._ticket, result, error)


class Background(QObject):
    """Runs functions in a thread pool and hands their results to callbacks in the thread of the window.

    Only the newest call of a ``key`` is answered; `forget` drops what is still under way.
    """

    failed = Signal(object)

    def __init__(self, parent: QObject | None = None, *, threads: int = 2) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(threads)
        self._results = _Results(self)
        self._results.ready.connect(self._ready)
        self._newest: dict[str, object] = {}
        self._stops: dict[str, StopToken] = {}
        self._waiting: dict[object, tuple[str, Callable[[Any], object], Callable[[MetaPTError], None] | None]] = {}

    def run(
        self,
        key: str,
        function: Callable[[], Any],
        then: Callable[[Any], object],
        failed: Callable[[MetaPTError], None] | None = None,
        stop: StopToken | None = None,
    ) -> None:
        """Call ``function`` elsewhere and ``then`` with its result here; ``failed`` with a `MetaPTError`, if given.

        ``stop`` ends the function early: it is requested when nobody waits for the result any more.
        """
        ticket = object()
        self._request_stop(key)
        self._newest[key] = ticket
        if stop is not None:
            self._stops[key] = stop
        self._waiting[ticket] = (key, then, failed)
        self._pool.start(_Work(ticket, function, self._results))

    def forget(self) -> None:
        """Let nothing that is under way be answered."""
        self._newest.clear()
        for key in list(self._stops):
            self._request_stop(key)

    def _request_stop(self, key: str) -> None:
        if (stop := self._stops.pop(key, None)) is not None:
            stop.request()

    def wait(self) -> None:
        """Wait for what is under way."""
        self._pool.waitForDone()

    def close(self) -> None:
        """Wait for what is under way and answer nothing any more."""
        self.forget()
        self.wait()

    def _ready(self, ticket: object, result: Any, error: Exception | None) -> None:
        key, then, failed = self._waiting.pop(ticket)
        if self._newest.get(key) is not ticket:
            return
        if error is None:
            try:
                then(result)
            except MetaPTError as kept_from:  # such as a disk that is full
                self.failed.emit(kept_from)
        elif failed is not None and isinstance(error, MetaPTError):
            failed(error)
        else:
            self.failed.emit(error)
