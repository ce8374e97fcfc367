"""A project of which something cannot be read any more: every page can be seen, and says so in a sentence."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from gui.driving import Hands
from PySide6.QtWidgets import QApplication

from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.widgets.dialogs import ErrorDialog

STEPS = range(6)


def dismiss() -> list[str]:
    """Close the dialogs that are open, and return what they said."""
    found = [box for box in QApplication.topLevelWidgets() if isinstance(box, ErrorDialog) and box.isVisible()]
    said = [box.sentence.text() for box in found]
    for box in found:
        box.reject()
    return said


@pytest.mark.parametrize("looked", [False, True])
def test_pages_of_a_project_whose_folder_is_gone_can_be_seen(hands: Hands, project_folder: Path, looked: bool) -> None:
    hands.window.projects.open(project_folder)
    for number in STEPS if looked else ():
        hands.step(number)
    shutil.rmtree(project_folder)
    told: list[str] = []
    for number in STEPS:
        page = hands.step(number)
        assert hands.window.page is page
        told += [*dismiss(), page.banner.text.text()]
    hands.window.document.changed.emit("labels")
    told += dismiss()
    assert looked or any("There is no such file or folder" in text for text in told)


@pytest.mark.parametrize("name", ["job.json", "corpus.json"])
def test_pages_of_a_project_with_a_damaged_file_can_be_seen(hands: Hands, project_folder: Path, name: str) -> None:
    for path in project_folder.glob(f"runs/*/{name}"):
        path.write_text('{"half', encoding="utf-8")
    hands.window.projects.open(project_folder)
    for number in STEPS:
        page = hands.step(number)
        assert hands.window.page is page
        dismiss()
    assert hands.window.rail.buttons[3].isEnabled()


def test_states_that_cannot_be_told_leave_the_pages(
    hands: Hands, project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("metapt_gui.document.states", gone)
    hands.window.projects.open(project_folder)
    page = hands.step(2)
    assert hands.window.page is page
    assert "could not be read" in hands.window.status.currentMessage()
    hands.window.show_states()
    assert hands.window.log.toPlainText().count("could not be read") == 1


def test_a_trial_without_room_for_its_folder_is_told(
    hands: Hands, project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.until(page.side.estimate.isEnabled)
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    hands.click(page.side.estimate)
    assert dismiss() == ["The disk is full."]
