"""What was said of one project, or of texts that were imported before, is not said of the next; and labels go along."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest
from gui.driving import Hands, undo
from importing import read, write
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QLabel, QWidget

from engine.events import Metric, to_json
from engine.project import Project
from engine.project_copy import copy_project
from metapt_gui import wording
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.few_shot_side import CHOOSING, SUGGEST
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.widgets.dialogs import ErrorDialog, Question

TUNE = 4


@pytest.fixture
def page(hands: Hands, project_folder: Path) -> FewShotPage:
    """Label and tune, with the texts of the task."""
    hands.window.projects.open(project_folder)
    shown = hands.to(FewShotPage)
    hands.until(lambda: shown.table.model.rowCount() == 60)
    return shown


def import_again(hands: Hands, page: FewShotPage, texts: list[str]) -> dict[int, str]:
    """Let the task have other texts, as a new import does; return the labels that they have then."""
    project = hands.window.document.project
    assert project is not None
    folder = project.folder / "runs" / "0099-import"
    source = write(project.folder / "again.csv", rows=[(text, "") for text in texts])
    read(source, folder, text_column="review", label_column="stars", keep_unlabelled=True)
    hands.window.document.assign("target", folder)
    hands.until(lambda: page.labels.texts is not None and page.table.model.rowCount() == len(texts))
    corpus = hands.window.document.corpus("target")
    assert corpus is not None
    return project.labels(corpus.content_hash)


# The same task, imported again ----------------------------------------------------------------------------------------


def test_labels_go_over_to_the_same_texts(hands: Hands, page: FewShotPage) -> None:
    texts = page.labels.texts
    assert texts is not None
    old = [texts.texts[row].as_py() for row in range(5)]
    page.labels.give({0: "happy", 1: "unhappy", 4: "happy"})
    found = import_again(hands, page, ["one that is new", old[1], old[0], "and another new one"])
    assert found == {1: "unhappy", 2: "happy"}
    assert page.banner.isVisible()
    assert page.banner.text.text() == (
        "2 labels of yours went over to the texts that were imported. 1 label stood at texts that are gone."
    )
    assert "Carry over 2 labels" in hands.window.document.undo.undoText()
    undo(hands)
    assert page.labels.own() == {}


def test_labels_that_new_texts_have_already_stay(hands: Hands, page: FewShotPage) -> None:
    texts = page.labels.texts
    assert texts is not None
    first, folder = texts.texts[0].as_py(), Path(hands.window.document.path("target"))
    page.labels.give({0: "happy"})
    assert import_again(hands, page, [first, "another one"]) == {0: "happy"}
    page.labels.give({0: "unhappy"})
    hands.window.document.assign("target", folder)
    hands.until(lambda: page.labels.texts is not None and page.table.model.rowCount() == 60)
    assert page.labels.own() == {0: "happy"}, "as they were when these texts were shown last"


# Another project ------------------------------------------------------------------------------------------------------


def test_nothing_is_said_of_a_run_of_the_last_project(
    hands: Hands, page: FewShotPage, project_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.metapt"
    shutil.copytree(project_folder, other)
    training = hands.to(MetaTrainPage)
    hands.press(training)
    hands.until(lambda: any(curve == "query" for curve, *_ in training.losses.table()[1]))
    os.kill(hands.window.host.pid, signal.SIGKILL)
    hands.until(training.banner.isVisible)
    page.curves.accuracy.add("PT, seed 0", 1, 0.5)
    page.warn("a warning")
    hands.window.projects.open(other)
    assert hands.step(3) is training
    assert not training.banner.isVisible()
    assert training.progress_text.text() == ""
    hands.step(TUNE)
    assert not page.banner.isVisible()
    assert page.curves.accuracy.table()[1] == []


def test_an_answer_for_the_last_project_leaves_the_button_as_it_was(
    hands: Hands, page: FewShotPage, project_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.metapt"
    shutil.copytree(project_folder, other)
    page.side.set_choosing(True)
    page.side.set_unlabelled(5)
    assert (page.side.suggest.text(), page.side.suggest.isEnabled()) == (CHOOSING, False)
    hands.window.projects.open(other)
    hands.step(TUNE)
    assert (page.side.suggest.text(), page.side.suggest.toolTip()) == (SUGGEST, "There are no texts yet.")
    hands.until(lambda: page.side.suggest.toolTip() == "Every text has a label.")
    assert page.side.suggest.text() == SUGGEST


def test_curves_of_a_tuning_come_back(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        folder = project.folder / "runs" / "0098-tune"
        folder.mkdir()
        lines = [Metric("validation accuracy", step, 0.5 + step / 100, "PT, seed 0") for step in (1, 2, 3)]
        (folder / "events.jsonl").write_text("".join(to_json(line) + "\n" for line in lines), encoding="utf-8")
        project.assign("tune", folder)
    hands.window.projects.open(project_folder)
    page = hands.to(FewShotPage)
    hands.until(lambda: page.curves.accuracy.table()[1][-1:] == [("PT, seed 0", 3, 0.53)])


def test_a_copy_is_whole_and_told(hands: Hands, page: FewShotPage, tmp_path: Path) -> None:
    page.labels.give({0: "happy", 7: "unhappy"})  # in the log of the database, for all that is known
    corpus = hands.window.document.corpus("target")
    assert corpus is not None
    hands.next_file(tmp_path / "backup")
    hands.window.projects.save_copy()
    hands.until(lambda: "is in" in hands.window.status.currentMessage())
    with Project.open(tmp_path / "backup.metapt") as copied:
        assert copied.labels(corpus.content_hash) == {0: "happy", 7: "unhappy"}


def test_a_copy_of_a_database_that_is_written_to(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_labels("texts", {1: "good"})
        other = sqlite3.connect(project.folder / "project.db")
        other.execute("BEGIN IMMEDIATE")
        try:
            copy_project(project.folder, tmp_path / "b.metapt")
        finally:
            other.rollback()
            other.close()
    with Project.open(tmp_path / "b.metapt") as copied:
        assert copied.labels("texts") == {1: "good"}


# Runs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Stop and keep", "Cancel the run"])
def test_a_window_whose_job_ended_before_the_answer_closes(hands: Hands, page: FewShotPage, text: str) -> None:
    training = hands.to(MetaTrainPage)
    hands.press(training)
    hands.window.close()
    question = hands.dialog(Question)
    training.runner.cancel()
    hands.until(lambda: hands.window.runner.current is None)
    hands.answer(question, text)
    hands.until(lambda: not hands.window.isVisible(), 5000)


def test_a_trial_whose_engine_dies_says_so(hands: Hands, page: FewShotPage) -> None:
    training = hands.to(MetaTrainPage)
    hands.until(training.side.estimate.isEnabled)
    hands.click(training.side.estimate)
    hands.until(lambda: hands.window.runner.current is not None and bool(hands.window.host.pid))
    os.kill(hands.window.host.pid, signal.SIGKILL)
    dialog = hands.dialog(ErrorDialog)
    assert "ended unexpectedly" in dialog.sentence.text()
    dialog.reject()


def test_a_run_that_is_there_already_is_told(hands: Hands, page: FewShotPage) -> None:
    clustering = hands.to(ClusterPage)
    hands.until(lambda: clustering.groups.table.rowCount() == 4)
    clustering.form.set_values({**clustering.form.values(), "method": "random", "projection": "none"}, quiet=False)
    hands.run(clustering)
    hands.run(clustering)
    assert "Nothing has changed since" in clustering.progress_text.text()


def test_a_key_that_cannot_start_anything_says_why(hands: Hands, tmp_path: Path) -> None:
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.step(TUNE)
    page.banner.hide()
    hands.window.start_step()
    assert page.banner.isVisible()
    assert page.banner.text.text() == "Import the texts of your task first."


def test_a_group_is_faded_only_while_groups_are_shown(hands: Hands, clustering: ClusterPage) -> None:
    clustering.groups.select([2])
    assert clustering.scatter.highlighted == 2
    hands.choose(clustering.colour, "label")
    assert clustering.scatter.highlighted is None
    hands.choose(clustering.colour, "group")
    assert clustering.scatter.highlighted == 2
    hands.click(clustering.groups.leave_out)
    clustering.groups.select([2])
    assert clustering.scatter.highlighted is None, "it has no colour of its own"
    assert clustering.groups.leave_out.accessibleName() == "Use again"


# Keys and names -------------------------------------------------------------------------------------------------------


def test_the_tab_key_goes_through_the_page_before_its_foot(hands: Hands, page: FewShotPage) -> None:
    order: list[QWidget] = []
    widget = page.nextInFocusChain()
    while widget is not page and widget not in order:
        order.append(widget)
        widget = widget.nextInFocusChain()
    places = [order.index(found) for found in (page.table.view, page.side.words.add, page.side.form, page.primary)]
    assert places == sorted(places)
    named = [line.accessibleName() for line in order if page.side.words.isAncestorOf(line) and line.accessibleName()]
    first = ["Class 1", "Label word of class 1", "Take class happy away", "Class 2", "Label word of class 2"]
    assert named[:5] == [name.replace("happy", page.side.words.classes()[0]) for name in first]
    assert named[-1] == "Add a class"


def test_texts_that_are_brought_first_are_seen(hands: Hands, page: FewShotPage) -> None:
    import_again(hands, page, [f"letter {number}" for number in range(30)])
    page.table.search.setText("nothing has this in it")
    hands.until(lambda: page.table.model.rowCount() == 0)
    hands.click(page.side.at_random)
    hands.until(lambda: page.table.model.rowCount() == 30)
    assert page.table.search.text() == ""
    assert page.table.current_row() is not None


def test_what_is_read_aloud_of_a_label_is_its_text(hands: Hands, page: FewShotPage) -> None:
    for number in range(6):
        shown = hands.step(number)
        for made in shown.findChildren(QLabel):
            name = made.accessibleName()
            assert not name or made.pixmap() or name.split(":")[0] in ("Labels of each class", "No classes yet"), name
    interface = QAccessible.queryAccessibleInterface(page.table.note)
    assert "60 texts" in interface.text(QAccessible.Text.Name)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (9_999, "9,999"), (10_000, "10k"), (999_499, "999k"), (6_990_280, "7.0M")]
)
def test_short_numbers(number: int, text: str) -> None:
    assert wording.short(number) == text
