"""Classes of the task get other names, or are taken away: what becomes of their labels, and undo."""

from __future__ import annotations

from pathlib import Path

from gui.driving import Hands, redo, undo
from gui.letters import add_target, kept, opened, press, rename, show_target
from importing import read, write
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from engine.project import Project
from metapt_gui.pages.few_shot import FewShotPage


def test_imported_labels_go_with_the_new_name_of_their_class(
    hands: Hands, letters: FewShotPage, project_folder: Path
) -> None:
    press(hands, letters, 10, Qt.Key.Key_2)
    rename(hands, letters, 2, "glad")
    rename(hands, letters, 2, "merry")
    model = letters.table.model
    assert model.counts() == {"unhappy": 3, "merry": 4}
    assert (model.label(1), model.label(10)) == ("merry", "merry")
    assert letters.side.labelled.value.text() == "7"
    assert not letters.side.unknown.isVisible()
    project = hands.window.document.project
    assert project is not None
    assert project.value("task")["renamed"] == {"happy": "merry"}
    target = letters._target()
    assert (target["renamed"], target["labels"]) == ({"happy": "merry"}, {10: "merry"})
    hands.window.document.close()
    assert opened(hands, project_folder).table.model.counts() == {"unhappy": 3, "merry": 4}


def test_a_new_name_is_undone_with_what_was_before_it(hands: Hands, letters: FewShotPage) -> None:
    model, words = letters.table.model, letters.side.words
    press(hands, letters, 10, Qt.Key.Key_2)
    rename(hands, letters, 2, "glad")
    press(hands, letters, 20, Qt.Key.Key_2)
    stack = hands.window.document.undo
    assert [stack.text(number) for number in range(stack.count())] == [
        "Label 11 as happy",
        "Rename happy to glad",
        "Label 21 as glad",
    ]
    undo(hands)
    undo(hands)
    assert (words.classes(), words.words()["happy"]) == (["unhappy", "happy"], "good")
    assert kept(hands) == {10: "happy"}
    assert (model.label(1), model.label(10), model.counts()) == ("happy", "happy", {"unhappy": 3, "happy": 4})
    assert hands.window.document.value("task")["renamed"] == {}
    undo(hands)
    assert kept(hands) == {}
    for _ in range(3):
        redo(hands)
    assert words.classes() == ["unhappy", "glad"]
    assert kept(hands) == {10: "glad", 20: "glad"}
    assert model.counts() == {"unhappy": 3, "glad": 5}


def test_a_name_that_another_imported_class_had_is_undone(hands: Hands, letters: FewShotPage) -> None:
    buttons = letters.side.words.findChildren(QPushButton)
    hands.click(next(button for button in buttons if button.accessibleName() == "Take class unhappy away"))
    rename(hands, letters, 1, "unhappy")
    assert letters.table.model.counts() == {"unhappy": 6}
    undo(hands)
    assert letters.table.model.counts() == {"happy": 3, "unhappy": 3}
    assert hands.window.document.value("task")["renamed"] == {}


def test_a_name_stays_with_the_texts_that_it_was_given_for(hands: Hands, letters: FewShotPage) -> None:
    project = hands.window.document.project
    assert project is not None
    press(hands, letters, 200, Qt.Key.Key_2)
    before = hands.window.document.corpus("target").content_hash
    rename(hands, letters, 2, "glad")
    show_target(hands, add_target(project, 20), 20)
    undo(hands)
    assert letters.side.words.classes() == ["unhappy", "happy"]
    assert (project.labels(before), kept(hands)) == ({200: "happy"}, {})


def test_a_class_that_is_taken_away_is_not_counted_and_named(hands: Hands, letters: FewShotPage) -> None:
    hands.click(letters.side.words.add)
    buttons = letters.side.words.findChildren(QPushButton)
    hands.click(next(button for button in buttons if button.accessibleName() == "Take class happy away"))
    assert letters.side.words.classes() == ["unhappy", "class 3"]
    assert letters.side.labelled.value.text() == "3"
    assert letters.summary() == "3 labels"
    assert letters.side.unknown.isVisible()
    assert "happy" in letters.side.unknown.text()
    rename(hands, letters, 2, "happy")
    assert letters.table.model.counts() == {"unhappy": 3, "happy": 3}
    assert not letters.side.unknown.isVisible()


def stars(project: Project, number: int, most: int) -> Path:
    """Write texts with so many stars into the project."""
    rows = [(f"the soup of day {n} at {most}", str(1 + n % most)) for n in range(10)]
    folder = project.folder / "runs" / f"{number}-import"
    read(write(project.folder / f"{number}.csv", rows=rows), folder, text_column="review", label_column="stars")
    return folder


def test_words_of_five_stars_are_not_those_of_two(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        project.set_value("task", {})
        places = {most: stars(project, 4000 + most, most) for most in (5, 2)}
        for role in ("source", "target"):
            project.assign(role, places[5])
    hands.window.projects.open(project_folder)
    training, tuning = hands.step(3), hands.step(4)
    hands.until(lambda: len(tuning.side.words.classes()) == 5)
    for page in (training, tuning):
        five = page.side.words
        assert five.words()["2"] == "bad"
    hands.window.document.set_value("source words", training.side.words.words())
    tuning.side.compare.toggle()  # whatever is changed, all is kept
    assert hands.window.document.value("task")["words"]["2"] == "bad"
    for role in ("source", "target"):
        hands.window.document.assign(role, places[2])
    hands.until(lambda: tuning.side.words.classes() == ["1", "2"])
    assert tuning.side.words.words() == {"1": "bad", "2": "good"}
    hands.step(3)
    assert training.side.words.words() == {"1": "bad", "2": "good"}


def test_a_renamed_class_that_another_file_has_as_well_is_told(
    hands: Hands, letters: FewShotPage, project_folder: Path
) -> None:
    rename(hands, letters, 1, "complaint")
    assert not letters.side.unknown.isVisible()
    rows = [(f"letter {n} to nobody", ("unhappy", "happy", "complaint")[n % 3]) for n in range(9)]
    folder = project_folder / "runs" / "5000-import"
    read(write(project_folder / "5000.csv", rows=rows), folder, text_column="review", label_column="stars")
    show_target(hands, folder, 9)
    assert "read so: unhappy as complaint." in letters.side.unknown.text()
    assert letters.side.unknown.isVisible()
