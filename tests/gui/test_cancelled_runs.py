"""Runs that were cancelled, or are under way: the engine may be in a long step, and write into their folders."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from counting import CountJob
from gui.driving import Hands

from engine.jobs import JOBS
from engine.project import Project
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.widgets.dialogs import ErrorDialog

SLOW = CountJob(to=4, seconds=1.5)
"""A job that writes into its folder at the end of a long step."""


@pytest.fixture
def in_a_step(hands: Hands, project_folder: Path) -> Path:
    """The folder of a run whose engine is in a long step."""
    hands.window.projects.open(project_folder)
    hands.step(3)
    run = hands.window.runner.start("train", "meta-train", SLOW)
    hands.until((run.folder / "job.json").exists)
    return run.folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_nothing_is_written_into_a_cancelled_run_after_it_was_thrown_away(hands: Hands, in_a_step: Path) -> None:
    hands.window.runner.cancel()
    assert hands.window.runner.current is None
    assert in_a_step.exists(), "the engine is still in there"
    hands.until(lambda: not in_a_step.exists(), 10_000)
    hands.qtbot.wait(2000)  # longer than a step
    assert not in_a_step.exists()


def test_another_job_has_another_folder_than_one_that_the_engine_is_still_in(hands: Hands, in_a_step: Path) -> None:
    runner = hands.window.runner
    runner.cancel()
    other = runner.start("train", "meta-train", CountJob(to=3))
    assert other.folder != in_a_step
    hands.idle()
    assert not in_a_step.exists()
    assert Path(hands.window.document.path("meta-train")).name == other.folder.name


def test_the_same_job_again_goes_on_in_its_folder(
    hands: Hands, in_a_step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(JOBS, SLOW.stage, CountJob)  # so that a record of it can be read
    runner = hands.window.runner
    runner.cancel()
    assert runner.start("train", "meta-train", SLOW).folder == in_a_step
    hands.idle()
    assert (in_a_step / "result.json").exists()
    assert Path(hands.window.document.path("meta-train")).name == in_a_step.name


def test_a_cancelled_trial_leaves_no_temporary_folder(hands: Hands, project_folder: Path, temporary: Path) -> None:
    hands.window.projects.open(project_folder)
    run = hands.window.runner.start("train", "", SLOW)
    hands.until((run.folder / "job.json").exists)
    hands.window.runner.cancel()
    hands.until(lambda: not list(temporary.iterdir()), 10_000)
    hands.qtbot.wait(2000)
    assert not list(temporary.iterdir())


def test_a_window_that_breaks_a_trial_off_leaves_no_temporary_folder(
    hands: Hands, project_folder: Path, temporary: Path
) -> None:
    hands.window.projects.open(project_folder)
    run = hands.window.runner.start("train", "", CountJob(to=4, seconds=3600))
    hands.until((run.folder / "job.json").exists)
    hands.window.runner.cancel(keep=True)
    hands.window.close()
    assert not list(temporary.iterdir())


def test_a_project_that_is_closed_is_nobodys_to_write_into(hands: Hands, in_a_step: Path) -> None:
    hands.window.runner.cancel()
    began = time.monotonic()
    hands.window.projects.close()
    assert time.monotonic() - began < 1.4, "it does not wait for the step"
    assert not in_a_step.exists()
    with Project.open(in_a_step.parents[1]):
        hands.qtbot.wait(2000)
    assert not in_a_step.exists()


def test_a_run_that_is_under_way_is_listed_as_such_and_neither_used_nor_deleted(
    hands: Hands, in_a_step: Path, project_folder: Path
) -> None:
    page = hands.window.page
    assert isinstance(page, MetaTrainPage)
    job = page._job()
    hands.window.runner.cancel()
    hands.until(lambda: not in_a_step.exists(), 10_000)
    run = hands.window.runner.start("train", "meta-train", job)
    hands.until((run.folder / "job.json").exists)
    page.runs.show()
    assert [page.history.item(row, 2).text() for row in range(page.history.rowCount())] == ["running"]
    for act, said in ((page.runs.delete, "is in use"), (page.runs.use, "not over yet")):
        act(run.folder.name)
        dialog = hands.dialog(ErrorDialog)
        assert said in dialog.sentence.text()
        dialog.accept()
        hands.until(lambda: not dialog.isVisible())  # noqa: B023
    assert (run.folder / "job.json").exists()
    hands.window.runner.cancel()
    assert page.history.rowCount() == 0, "a run that was cancelled is not one that was interrupted"
    hands.until(lambda: not run.folder.exists(), 20_000)
