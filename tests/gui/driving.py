"""Hands for the tests: they press, type and wait as a person does, and touch nothing private."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from metapt_gui.main_window import MainWindow
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.page import Page

LONG = 240_000
"""Milliseconds that a run of the tests may take on a busy machine."""
CTRL = Qt.KeyboardModifier.ControlModifier
Dialog = TypeVar("Dialog", bound=QDialog)
AnyPage = TypeVar("AnyPage", bound=Page)


class Hands:
    """Works in a window."""

    def __init__(self, qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
        self.qtbot, self.window, self._monkeypatch = qtbot, window, monkeypatch
        self._runs = 0
        window.runner.started.connect(self._on_started)

    def _on_started(self) -> None:
        self._runs += 1

    def click(self, widget: QWidget) -> None:
        """Press a widget with the mouse; it must be visible and enabled."""
        assert widget.isVisible(), f"{widget.accessibleName()} is not visible"
        assert widget.isEnabled(), f"{widget.accessibleName()} is disabled: {widget.toolTip()}"
        self.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)

    def until(self, done: Callable[[], bool], milliseconds: int = LONG) -> None:
        """Wait until something holds."""
        self.qtbot.waitUntil(done, timeout=milliseconds)

    def step(self, number: int) -> Page:
        """Go to a step by its button in the rail."""
        self.click(self.window.rail.buttons[number])
        return self.window.pages[number]

    def to(self, kind: type[AnyPage]) -> AnyPage:
        """Go to the page of a kind."""
        page = self.page(kind)
        self.step(self.window.pages.index(page))
        return page

    def page(self, kind: type[AnyPage]) -> AnyPage:
        """Return the page of a kind, wherever the window is."""
        return next(page for page in self.window.pages if isinstance(page, kind))

    def press(self, page: Page) -> None:
        """Press the primary button of a page as soon as it can be pressed, and wait until its job has begun."""
        self.qtbot.wait(20)  # what was done before is seen
        self.until(page.primary.isEnabled)
        before = self._runs
        self.click(page.primary)
        self.until(lambda: self._runs > before)

    def idle(self) -> None:
        """Wait until no job runs, and none follows."""
        self.until(lambda: self.window.runner.current is None)
        self.qtbot.wait(150)
        self.until(lambda: self.window.runner.current is None)

    def do(self, number: int) -> Page:
        """Go to a step, press its primary button and wait for the end."""
        page = self.step(number)
        self.run(page)
        return page

    def run(self, page: Page) -> None:
        """Press the primary button of a page and wait for the end."""
        self.press(page)
        self.idle()

    def type(self, line: QLineEdit, text: str) -> None:
        """Replace the text of a line, and leave it with Enter."""
        line.setFocus()
        self.qtbot.keyClick(line, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        self.qtbot.keyClicks(line, text)
        self.qtbot.keyClick(line, Qt.Key.Key_Return)

    def key(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key in the window, which takes shortcuts only while it is the active one."""

        def active() -> bool:
            if not self.window.isActiveWindow():
                self.window.activateWindow()
            return self.window.isActiveWindow()

        self.until(active, 10_000)
        self.qtbot.keyClick(self.window, key, modifiers)

    def choose(self, box: QComboBox, text: str) -> None:
        """Choose an entry of a combo box with the keyboard."""
        box.setFocus()
        number = box.findText(text)
        assert number >= 0, f"there is no {text} in {box.accessibleName()}"
        self.qtbot.keyClick(box, Qt.Key.Key_Home)
        for _ in range(number):
            if box.currentIndex() < number:  # what cannot be chosen is passed over
                self.qtbot.keyClick(box, Qt.Key.Key_Down)
        assert box.currentIndex() == number, f"{text} cannot be chosen"
        self.qtbot.keyClick(box, Qt.Key.Key_Return)
        assert box.currentText() == text

    def dialog(self, kind: type[Dialog]) -> Dialog:
        """Return the dialog of a kind that is open, once it is."""

        def found() -> list[Dialog]:
            return [
                widget for widget in QApplication.topLevelWidgets() if isinstance(widget, kind) and widget.isVisible()
            ]

        self.until(lambda: bool(found()))  # the engine may have to be started for it
        return found()[-1]

    def answer(self, box: QMessageBox, text: str) -> None:
        """Press a button of a question."""
        button = next(button for button in box.buttons() if button.text().replace("&", "") == text)
        assert isinstance(button, QPushButton)
        self.click(button)

    def next_file(self, path: Path | str, save: Path | str | None = None) -> None:
        """Let every file dialog from now on give ``path``, and those that save ``save`` if it is given.

        Those of the platform cannot be pressed in a test.
        """
        name, saved = str(path), str(path if save is None else save)
        self._monkeypatch.setattr(QFileDialog, "getSaveFileName", staticmethod(lambda *_, **__: (saved, "")))
        self._monkeypatch.setattr(QFileDialog, "getOpenFileName", staticmethod(lambda *_, **__: (name, "")))
        self._monkeypatch.setattr(QFileDialog, "getOpenFileNames", staticmethod(lambda *_, **__: ([name], "")))
        self._monkeypatch.setattr(QFileDialog, "getExistingDirectory", staticmethod(lambda *_, **__: name))


def undo(hands: Hands) -> None:
    """Press the keys that undo."""
    hands.key(Qt.Key.Key_Z, CTRL)


def redo(hands: Hands) -> None:
    """Press the keys that do again what was undone."""
    hands.key(Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)


def chosen(hands: Hands, page: ImportPage, *files: Path) -> None:
    """Choose files to import and wait for their preview."""
    page.set_files([str(path) for path in files])
    hands.until(lambda: page.model.rowCount() > 0)
