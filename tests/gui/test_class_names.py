"""Classes of the task get other names, or are taken away: what becomes of their labels, and undo."""

from __future__ import annotations

from pathlib import Path

from gui.driving import Hands, redo, undo
from gui.letters import add_target, kept, opened, press, rename, show_target
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

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
