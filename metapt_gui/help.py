"""The Help menu, and the report of a crash of an earlier start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from engine import __version__
from engine.errors import MetaPTError
from engine.folders import user_folders
from metapt_gui import help_texts
from metapt_gui.widgets.dialogs import TableDialog, TextDialog, show_error

if TYPE_CHECKING:
    from metapt_gui.main_window import MainWindow


class Help(QObject):
    """Explains the window that it belongs to."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window

    def page(self) -> None:
        """Explain the page that is shown."""
        step = self._window.page.step if self._window.page is not None else None
        key, title = (step.key, step.title) if step is not None else ("", "MetaPT")
        TextDialog(self._window, f"Help: {title}", help_texts.TEXTS[key]).open()

    def keys(self) -> None:
        """List all keys."""
        rows = [*self._window.menus.shortcuts(), *help_texts.PAGE_KEYS]
        TableDialog(self._window, "Keyboard", ("Keys", "What they do"), rows).open()

    def folders(self) -> None:
        """Say where settings and logs are."""
        rows = [(name, str(path)) for name, path in user_folders().items()]
        TableDialog(self._window, "Folders", ("What", "Where"), rows).open()

    def about(self) -> None:
        """Say what this is."""
        TextDialog(self._window, "About MetaPT", help_texts.ABOUT.format(version=__version__)).open()

    def offer_crash_report(self) -> None:
        """Offer the report of a crash of an earlier start."""
        crashes = self._window.crashes
        unseen = crashes.unseen()
        if unseen:
            newest = unseen[-1]
            details = newest.read_text(encoding="utf-8", errors="replace")
            for path in unseen:
                crashes.mark_seen(path)
            error = MetaPTError(
                "MetaPT ended unexpectedly last time",
                where=newest.with_suffix(".seen.log"),
                remedy="Your projects are as they were. To report it, copy the details.",
            )
            show_error(self._window, error, details)
