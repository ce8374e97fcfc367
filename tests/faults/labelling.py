"""The window in a process of its own, labelling row after row, and telling of each label once it is painted."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from metapt_gui.crash import CrashReports
from metapt_gui.main_window import MainWindow
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.theme import ThemeKeeper
from metapt_gui.user_settings import UserSettings
from metapt_gui.widgets.label_table import LabelTable

TUNE = 4
"""Number of the page that labels."""


class Painted(QObject):
    """Tells of the labels that the table is about to paint, before it does."""

    def __init__(self, table: LabelTable, told: Connection) -> None:
        super().__init__(table)
        self._table, self._told = table, told
        self._known: dict[int, str] = {}

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            view, model = self._table.view, self._table.model
            first, last = view.rowAt(0), view.rowAt(view.viewport().height() - 1)
            rows = range(max(first, 0), (last if last >= 0 else model.rowCount() - 1) + 1)
            labels = {row: model.own_label(row) for row in map(model.corpus_row, rows)}
            new = {row: name for row, name in labels.items() if name is not None and self._known.get(row) != name}
            if new:
                self._told.send(new)
                self._known |= new
        return False


def label(project: Path, home: Path, told: Connection) -> None:
    """Open a project and label until killed; send the engine's process id first, then row -> class as it is painted."""
    os.environ["HOME"] = str(home)
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())
    application = QApplication([])
    themes = ThemeKeeper("light")
    themes.apply()
    window = MainWindow(UserSettings(home / "settings"), themes, CrashReports(home / "logs"), threads=1)
    window.show()
    window.projects.open(project)
    while len(window.pages) <= TUNE or not window.host.pid:
        application.processEvents()
    window.show_step(TUNE)
    page = window.pages[TUNE]
    assert isinstance(page, FewShotPage)
    while not page.table.model.rowCount():
        application.processEvents()
    page.table.view.viewport().installEventFilter(Painted(page.table, told))
    page.table.view.setFocus()
    page.table.go_to(0)
    told.send(window.host.pid)
    keys = (Qt.Key.Key_1, Qt.Key.Key_2)
    for number in range(page.table.model.rowCount()):
        QTest.keyClick(page.table.view, keys[number % 3 % 2])
        application.processEvents()
