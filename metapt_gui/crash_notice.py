"""What nobody caught is told while the window is open, not at the next start."""

from __future__ import annotations

import traceback
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from engine.errors import MetaPTError
from metapt_gui.crash import CrashReports
from metapt_gui.widgets.dialogs import show_error


class CrashNotice(QObject):
    """Shows the errors that `CrashReports` writes down, one at a time."""

    _caught = Signal(object, object)

    def __init__(self, window: QWidget, crashes: CrashReports) -> None:
        super().__init__(window)
        self._window, self._crashes = window, crashes
        self._shown = False
        self._caught.connect(self._show)  # an error may come from any thread
        crashes.tell = self._caught.emit

    def end(self) -> None:
        """Show no more: the window goes."""
        self._crashes.tell = None

    def _show(self, error: BaseException, report: Path | None) -> None:
        if report is not None:
            self._crashes.mark_seen(report)
        if self._shown:
            return  # one that comes again and again must not bury the window
        self._shown = True
        told = MetaPTError(
            "Something went wrong in MetaPT itself",
            where=report.with_suffix(".seen.log") if report is not None else None,
            remedy="What you did last may not have taken effect; what was done before is kept. To report it, copy the "
            "details.",
        )
        details = "".join(traceback.format_exception(error))
        show_error(self._window, told, details).finished.connect(self._on_closed)

    def _on_closed(self) -> None:
        self._shown = False
