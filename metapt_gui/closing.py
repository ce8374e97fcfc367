"""What becomes of a job that runs when the window is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from metapt_gui.widgets.dialogs import Question

if TYPE_CHECKING:
    from metapt_gui.main_window import MainWindow

PATIENCE_MS = 9000
"""A step that takes longer is broken off; what the run has saved before stays."""


class Closing(QObject):
    """Asks whoever closes the window while a job runs, and closes it when the job is over."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._runner = window, window.runner
        self._decided = self._keeps = False

    def ready(self) -> bool:
        """Whether the window may be closed now; if not, the person is asked."""
        if self._runner.current is not None and self._keeps:
            self._runner.cancel(keep=True)
        if self._runner.current is None or self._decided:
            return True
        Question(
            self._window,
            "A step is still running.",
            "Stop and keep: it ends after its present step and can be resumed. Cancel: this run is given up.",
            [("Stop and keep", self._stop), ("Cancel the run", self._cancel), ("Stay", None)],
        ).open()
        return False

    def on_ended(self) -> None:
        """A job is over: close the window if that was waited for, once the pages have seen its end."""
        if self._decided:
            QTimer.singleShot(0, self._window, self._window.close)

    def _stop(self) -> None:
        self._decided = self._keeps = True
        if self._runner.current is None:  # it ended while the question stood there
            self._window.close()
            return
        self._window.setEnabled(False)
        self._window.status.show_engine("finishing its present step, then the window closes")
        self._runner.stop()
        QTimer.singleShot(PATIENCE_MS, self, self.break_off)

    def break_off(self) -> None:
        """Close the window in the middle of a step: the run stays and can be resumed from what it saved last."""
        if self._runner.current is not None:
            self._window.close()

    def _cancel(self) -> None:
        self._decided = True
        if self._runner.current is None:
            self._window.close()
        else:
            self._runner.cancel()  # the end of the run closes the window
