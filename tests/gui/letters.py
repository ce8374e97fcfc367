"""A task of letters on the page Label and tune: its texts, and hands that label them and name its classes."""

from __future__ import annotations

from pathlib import Path

from gui.driving import Hands
from importing import read, write
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit

from engine.project import Project
from metapt_gui.pages.few_shot import FewShotPage

TUNE = 4


def add_target(project: Project, rows: int, *, labelled: int = 0) -> Path:
    """Write texts of a task into the project; the first ones have a label."""
    lines = [(f"letter {number} of {rows}", ("unhappy", "happy")[number % 2]) for number in range(rows)]
    lines = [(text, mood if number < labelled else "") for number, (text, mood) in enumerate(lines)]
    folder = project.folder / "runs" / f"{rows:04d}-import"
    read(
        write(project.folder / f"{rows}.csv", rows=lines),
        folder,
        text_column="review",
        label_column="stars",
        keep_unlabelled=True,
    )
    return folder


def show_target(hands: Hands, folder: Path, rows: int) -> None:
    """Let the project stand on these texts, as a new import does."""
    hands.window.document.assign("target", folder)
    page = hands.page(FewShotPage)
    hands.until(lambda: page.labels.texts is not None and page.table.model.rowCount() == rows)


def opened(hands: Hands, folder: Path) -> FewShotPage:
    """Open a project on its page Label and tune."""
    hands.window.projects.open(folder)
    page = hands.to(FewShotPage)
    hands.until(lambda: page.table.model.rowCount() > 0)
    return page


def press(hands: Hands, page: FewShotPage, row: int, *keys: Qt.Key) -> None:
    """Go to a row of the table and press keys."""
    page.table.view.setFocus()
    page.table.go_to(row)
    for key in keys:
        hands.qtbot.keyClick(page.table.view, key)


def kept(hands: Hands) -> dict[int, str]:
    """Return the labels of the present texts in the project."""
    document = hands.window.document
    assert document.project is not None
    return document.project.labels(document.corpus("target").content_hash)


def rename(hands: Hands, page: FewShotPage, number: int, name: str) -> None:
    hands.qtbot.wait(20)  # lines of classes that are gone are deleted
    line = next(line for line in page.side.words.findChildren(QLineEdit) if line.accessibleName() == f"Class {number}")
    hands.type(line, name)
