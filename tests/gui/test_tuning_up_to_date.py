"""A tuning is out of date when the labels that it would take, or the classes, are others now."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import as_if_run

from engine.command_line.steps import target_fields
from engine.corpus.store import Corpus
from engine.jobs import TuneJob
from engine.project import Project
from engine.workflow import TUNE, State, states


@pytest.fixture
def tuned(project_folder: Path) -> Path:
    """The prepared project with a tuning on two labels of the person's classes, as if it had been run."""
    with Project.open(project_folder) as project:
        project.set_value("task", {"classes": ["angry", "glad"]})
        project.set_label(content(project), 0, "angry")
        project.set_label(content(project), 1, "glad")
        labels = {0: "angry", 1: "glad"}
        job = TuneJob(corpus=str(project.role("target")), classes=["angry", "glad"], labels=labels)
        as_if_run(project, "tune", job)
    return project_folder


def content(project: Project) -> str:
    return Corpus.open(project.role("target")).content_hash


def test_labels_that_no_tuning_can_take_change_nothing(tuned: Path) -> None:
    with Project.open(tuned) as project:
        assert states(project)[TUNE.key] is State.DONE
        project.set_label(content(project), 2, "a class that was taken away")
        project.set_label(content(project), 10_000, "glad")
        assert states(project)[TUNE.key] is State.DONE


@pytest.mark.parametrize(
    "change", [{"classes": ["angry", "glad", "calm"]}, {"classes": ["angry", "glad"], "renamed": {"1": "angry"}}]
)
def test_other_classes_and_other_names_do(tuned: Path, change: dict[str, object]) -> None:
    with Project.open(tuned) as project:
        project.set_value("task", change)
        assert states(project)[TUNE.key] is State.OUTDATED


def test_another_label_does(tuned: Path) -> None:
    with Project.open(tuned) as project:
        project.set_label(content(project), 1, "angry")
        assert states(project)[TUNE.key] is State.OUTDATED


@pytest.mark.parametrize("own_test", [True, False])
def test_a_tuning_from_a_terminal_is_up_to_date_whatever_it_is_tested_on(project_folder: Path, own_test: bool) -> None:
    with Project.open(project_folder) as project:
        project.assign("test", project.role("target"))
        project.set_value("task", {"classes": ["unhappy", "happy"], "own_test": own_test})
        fields = target_fields(project, None)
        assert bool(fields["test"]) is own_test
        as_if_run(project, "tune", TuneJob(**fields))
        assert states(project)[TUNE.key] is State.DONE
        project.set_value("task", {"classes": ["unhappy", "happy"], "own_test": not own_test})
        assert states(project)[TUNE.key] is State.OUTDATED
