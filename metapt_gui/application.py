"""The application of Qt, which macOS asks to open files: a project that is double-clicked comes as an event there."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication


class Application(QApplication):
    """Tells which files it is asked to open.

    Signals
    -------
    asked_to_open
        The path of a file or folder.
    """

    asked_to_open = Signal(str)

    def event(self, event: QEvent) -> bool:
        """Take what is for the application itself."""
        if isinstance(event, QFileOpenEvent) and event.file():
            self.asked_to_open.emit(event.file())
            return True
        return super().event(event)
