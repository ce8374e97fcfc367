"""A labelled file of one's own to test on: imported on the first page, measured on by tuning, and left out at will."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands

from engine.storage import read_json
from engine.workflow import TUNE, State, states
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.widgets.column_choice import NO_LABEL


def exams(path: Path, *moods: str) -> Path:
    """Write six labelled texts for each mood, all of which say that they are of the exam."""
    rows = [f"{mood},exam {number} arrived {mood}\n" for mood in moods for number in range(6)]
    path.write_text("mood,message\n" + "".join(rows), encoding="utf-8")
    return path


def imported(hands: Hands, file: Path) -> ImportPage:
    page = hands.to(ImportPage)
    hands.click(page.roles["test"])
    page.set_files([str(file)])
    hands.until(lambda: page.model.rowCount() > 0)
    hands.choose(page.text_column, "message")
    hands.choose(page.label_column, "mood")
    hands.run(page)
    return page


@pytest.fixture
def small(hands: Hands, project_folder: Path) -> Hands:
    hands.window.projects.open(project_folder)
    document = hands.window.document
    document.set_value("tune", document.value("tune") | {"seeds": 1, "epochs": 1})
    return hands


def test_tuning_is_measured_on_a_file_of_its_own(small: Hands, tmp_path: Path) -> None:
    page = imported(small, exams(tmp_path / "exams.csv", "unhappy", "happy"))
    assert page.roles["test"].text() == "Test texts: 12"
    small.choose(page.label_column, NO_LABEL)
    assert page.blocked() == "Test texts need a label column; choose one."

    tuning = small.to(FewShotPage)
    small.until(tuning.primary.isEnabled)
    assert tuning.side.own_test.isVisible()
    assert tuning.side.own_test.text() == "Test on the 12 test texts"
    assert "left to test on" not in tuning.side.split.text()
    tuning.side.compare.setChecked(False)
    small.run(tuning)
    document = small.window.document
    project = document.project
    assert project is not None
    job = read_json(project.role("tune") / "job.json")
    assert (job["test"], job["tune"]["test_rows"]) == (str(project.role("test")), 0)
    small.until(lambda: tuning.results.methods.rowCount() > 0)
    evaluations = read_json(project.role("tune") / "results.json")["evaluations"]
    evaluation, _alone = evaluations.values()
    assert sum(part["support"] for part in evaluation["per_class"].values()) == 12
    errors = tuning.results.errors
    assert errors.rowCount() == 12 - round(12 * evaluation["accuracy"])
    assert all(errors.item(row, 4).text().startswith("exam ") for row in range(errors.rowCount()))
    assert states(project)[TUNE.key] is State.DONE

    tuning.side.own_test.setChecked(False)
    assert "left to test on" in tuning.side.split.text()
    assert states(project)[TUNE.key] is State.OUTDATED


def test_classes_that_the_task_does_not_have_are_said_before_anything_runs(small: Hands, tmp_path: Path) -> None:
    imported(small, exams(tmp_path / "exams.csv", "happy", "sad"))
    tuning = small.to(FewShotPage)
    small.until(lambda: "sad" in tuning.blocked())
    assert not tuning.primary.isEnabled()
    small.click(tuning.side.own_test)
    small.until(tuning.primary.isEnabled)


def test_a_class_that_only_the_test_texts_have_goes_with_its_new_name(small: Hands, tmp_path: Path) -> None:
    imported(small, exams(tmp_path / "exams.csv", "happy", "sad"))
    tuning = small.to(FewShotPage)
    small.until(lambda: "sad" in tuning.blocked())
    tuning.labels.rename("sad", "unhappy")
    assert tuning.labels.task.renamed["sad"] == "unhappy"
