"""Labels stay with their texts, however often and wherever the texts of a task are imported again."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands, undo
from gui.letters import TUNE, kept, opened, press, rename
from importing import read, write
from PySide6.QtCore import Qt

from engine.project import Project
from metapt_gui.models.annotated import AUDIT
from metapt_gui.pages.few_shot import FewShotPage

READING = {"text_column": "review", "label_column": "stars", "keep_unlabelled": True}


def texts(project: Path, number: int, names: list[str]) -> Path:
    """Write texts of a task into a project, as the import of a file leaves them."""
    folder = project / "runs" / f"{number}-import"
    read(write(project / f"{number}.csv", rows=[(f"a letter called {name}", "") for name in names]), folder, **READING)
    return folder


@pytest.fixture
def empty(hands: Hands, project_folder: Path) -> FewShotPage:
    """The page with three letters, none of which has a label."""
    with Project.open(project_folder) as project:
        project.assign("target", texts(project_folder, 3001, ["a", "b", "c"]))
    return opened(hands, project_folder)


def show(hands: Hands, page: FewShotPage, folder: Path, rows: int) -> None:
    hands.window.document.assign("target", folder)
    hands.until(lambda: page.labels.texts is not None and page.table.model.rowCount() == rows)


def test_labels_come_back_after_a_wrong_file(hands: Hands, empty: FewShotPage, project_folder: Path) -> None:
    for row, key in enumerate((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_1)):
        press(hands, empty, row, key)
    labelled = {0: "unhappy", 1: "happy", 2: "unhappy"}
    assert kept(hands) == labelled
    show(hands, empty, texts(project_folder, 3002, ["w", "x", "y", "z"]), 4)
    assert kept(hands) == {}
    assert "3 labels stood at texts that are gone" in empty.banner.text.text()
    show(hands, empty, texts(project_folder, 3003, ["new", "a", "b", "c", "d"]), 5)
    assert kept(hands) == {row + 1: name for row, name in labelled.items()}
    assert empty.banner.text.text().count("went over") == 1, "what was said of the wrong file is said no more"
    undo(hands)
    assert kept(hands) == {}


def test_what_was_labelled_last_counts_and_what_has_a_label_keeps_it(
    hands: Hands, empty: FewShotPage, project_folder: Path
) -> None:
    press(hands, empty, 0, Qt.Key.Key_1)
    press(hands, empty, 1, Qt.Key.Key_1)
    show(hands, empty, texts(project_folder, 3002, ["a", "b", "c", "d"]), 4)
    press(hands, empty, 1, Qt.Key.Key_2)
    press(hands, empty, 3, Qt.Key.Key_2)
    show(hands, empty, project_folder / "runs" / "3001-import", 3)
    assert kept(hands) == {0: "unhappy", 1: "unhappy"}, "they were labelled here"
    show(hands, empty, texts(project_folder, 3003, ["d", "b", "a"]), 3)
    assert kept(hands) == {0: "happy", 1: "happy", 2: "unhappy"}


def test_texts_that_a_terminal_imported_have_their_labels(
    hands: Hands, empty: FewShotPage, project_folder: Path
) -> None:
    press(hands, empty, 0, Qt.Key.Key_1)
    press(hands, empty, 2, Qt.Key.Key_2)
    hands.window.projects.close()
    with Project.open(project_folder) as project:
        project.set_label(f"{AUDIT}something", 0, "5")
        project.assign("target", texts(project_folder, 3002, ["c", "b", "a", "z"]))
    page = opened(hands, project_folder)
    hands.until(lambda: bool(kept(hands)))
    assert kept(hands) == {0: "happy", 2: "unhappy"}
    press(hands, page, 0, Qt.Key.Key_Backspace)
    assert kept(hands) == {2: "unhappy"}
    hands.window.projects.close()
    page = opened(hands, project_folder)
    hands.qtbot.wait(200)
    assert kept(hands) == {2: "unhappy"}, "a label that was cleared does not come back"


def test_a_class_is_renamed_in_all_texts(hands: Hands, empty: FewShotPage, project_folder: Path) -> None:
    press(hands, empty, 0, Qt.Key.Key_2)
    show(hands, empty, texts(project_folder, 3002, ["a", "d"]), 2)
    press(hands, empty, 1, Qt.Key.Key_2)
    rename(hands, empty, 2, "pleased")
    assert kept(hands) == {0: "pleased", 1: "pleased"}
    show(hands, empty, project_folder / "runs" / "3001-import", 3)
    assert kept(hands) == {0: "pleased"}
    hands.step(TUNE)
    undo(hands)
    assert kept(hands) == {0: "happy"}


def test_labels_of_texts_that_are_deleted_are_no_problem(
    hands: Hands, empty: FewShotPage, project_folder: Path
) -> None:
    import shutil

    press(hands, empty, 0, Qt.Key.Key_1)
    show(hands, empty, texts(project_folder, 3002, ["x", "y"]), 2)
    shutil.rmtree(project_folder / "runs" / "3001-import")
    show(hands, empty, texts(project_folder, 3003, ["a", "y", "z"]), 3)
    assert kept(hands) == {}
