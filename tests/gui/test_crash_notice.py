"""An error that nobody caught is shown at once, and is no crash at the next start."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from gui.driving import Hands
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from metapt_gui.widgets.dialogs import ErrorDialog


def fail() -> None:
    raise ZeroDivisionError("in the soup")


def dialogs() -> list[ErrorDialog]:
    return [
        widget for widget in QApplication.topLevelWidgets() if isinstance(widget, ErrorDialog) and widget.isVisible()
    ]


@pytest.fixture
def caught(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hands]:
    """The window, with reports of crashes as in the application."""
    for name in ("sys.excepthook", "threading.excepthook"):
        monkeypatch.setattr(name, None)
    for name in ("sys.__excepthook__", "threading.__excepthook__"):
        monkeypatch.setattr(name, lambda *_: None)
    hands.window.crashes.install()
    yield hands
    hands.window.crashes.close()


def test_an_error_in_a_slot_is_shown_once_and_not_at_the_next_start(caught: Hands) -> None:
    for _ in range(3):
        QTimer.singleShot(0, fail)
    dialog = caught.dialog(ErrorDialog)
    caught.qtbot.wait(100)
    assert "went wrong" in dialog.sentence.text()
    assert "in the soup" in dialog.report
    assert len(dialogs()) == 1
    assert caught.window.crashes.unseen() == []
    dialog.accept()
    QTimer.singleShot(0, fail)
    caught.dialog(ErrorDialog).accept()
    caught.window.help.offer_crash_report()
    assert dialogs() == []


def test_an_error_in_a_thread_is_shown_too(caught: Hands) -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    dialog = caught.dialog(ErrorDialog)
    assert "in the soup" in dialog.report
    dialog.accept()


def test_a_window_that_is_gone_is_told_nothing(caught: Hands) -> None:
    caught.window.close()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    caught.qtbot.wait(50)
    assert dialogs() == []
    assert len(caught.window.crashes.unseen()) == 1
