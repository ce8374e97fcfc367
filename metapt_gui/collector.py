"""Python's garbage collection, in the thread of the window only, between other events.

The collector runs in whichever thread happens to allocate. Objects of Qt that it finds there would be destroyed in the
wrong thread, and Qt dies of that. It also stops everything for as long as it takes.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

INTERVAL_MS = 1000


class Collector(QObject):
    """Collects once a second what the thresholds of `gc` say, from `start` to `stop`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._look)

    def start(self) -> None:
        """Take over; what has been made so far is taken for permanent."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._timer.start()

    def stop(self) -> None:
        """Give it back to Python."""
        self._timer.stop()
        gc.enable()

    def _look(self) -> None:
        generations = zip(gc.get_count(), gc.get_threshold(), strict=True)
        due = [number for number, (count, threshold) in enumerate(generations) if count > threshold]
        if due:
            gc.collect(max(due))
