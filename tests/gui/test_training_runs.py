"""What can be done with earlier meta-trainings: used again with their settings, deleted, never mixed up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gui.driving import Hands
from made_runs import as_if_run
from PySide6.QtWidgets import QApplication, QMenu

from engine.clustering.edits import ClusterEdit
from engine.errors import ProjectError
from engine.jobs import MetaTrainJob, TuneJob
from engine.jobs.record import RunRecord
from engine.project import Project
from engine.settings import BackboneSettings, MetaTrainSettings, PromptSettings
from engine.workflow import TRAIN, TUNE, State
from metapt_gui.document import Document
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.widgets.dialogs import ErrorDialog, Question
from metapt_gui.widgets.run_history import RunHistory, RunLine


def trained(project: Project, steps: int, words: dict[str, str] | None = None) -> Path:
    """Let the project stand on a meta-training of so many steps, as if it had been run."""
    job = MetaTrainJob(
        corpus=str(project.role("source")),
        clusters=str(project.role("clusters")),
        settings=MetaTrainSettings(steps=steps),
        prompt=PromptSettings(text_tokens=steps),
        backbone=BackboneSettings(**project.value("backbone")),
        words=words or {},
    )
    folder = as_if_run(project, "meta-train", job)
    (folder / "prompt.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def two(hands: Hands, project_folder: Path) -> MetaTrainPage:
    """The page of a project with two meta-trainings, of 30 and of 40 steps; the later one is in use."""
    with Project.open(project_folder) as project:
        trained(project, 30, {str(number): f"word{number}" for number in range(1, 6)})
        trained(project, 40)
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.until(lambda: page.history.rowCount() == 2)
    return page


def choose(hands: Hands, page: MetaTrainPage, row: int, text: str) -> None:
    """Right-click a run and choose from the menu."""
    history = page.history
    history.customContextMenuRequested.emit(history.visualItemRect(history.item(row, 1)).center())
    menu = next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, QMenu) and widget.isVisible())
    action = next(action for action in menu.actions() if action.text() == text)
    assert action.isEnabled()
    action.trigger()
    menu.close()


def test_an_earlier_run_is_used_again_with_its_settings(hands: Hands, two: MetaTrainPage) -> None:
    document = hands.window.document
    assert [two.history.item(row, 2).text() for row in range(2)] == ["completed, in use", "completed"]
    earlier = two.runs._lines[1].name
    choose(hands, two, 1, "Use this run")
    assert Path(document.path("meta-train")).name == earlier
    assert [two.history.item(row, 2).text() for row in range(2)] == ["completed", "completed, in use"]
    assert (two.side.form.values()["steps"], two.side.prompt_form.values()["text_tokens"]) == (30, 30)
    assert two.side.words.words()["2"] == "word2"
    assert two.side.preset.currentText() == "own settings"
    assert document.changed_settings("meta-train") == []
    assert document.states()[TRAIN.key] is State.DONE
    hands.until(lambda: not two.banner.isVisible())


def test_a_tuning_of_the_other_start_is_out_of_date_then(hands: Hands, two: MetaTrainPage) -> None:
    document = hands.window.document
    assert document.project is not None
    start = str(Path(document.path("meta-train")) / "prompt.safetensors")
    task = document.project.value("task")
    job = TuneJob(corpus=document.path("target"), classes=task["classes"], starts={"MetaPT": start})
    as_if_run(document.project, "tune", job)
    assert document.states()[TUNE.key] is State.DONE
    choose(hands, two, 1, "Use this run")
    assert document.states()[TUNE.key] is State.OUTDATED


def test_a_run_without_a_prompt_is_not_used(hands: Hands, two: MetaTrainPage) -> None:
    assert hands.window.document.project is not None
    (hands.window.document.project.folder / "runs" / two.runs._lines[1].name / "prompt.safetensors").unlink()
    before = hands.window.document.path("meta-train")
    choose(hands, two, 1, "Use this run")
    dialog = hands.dialog(ErrorDialog)
    assert "left no prompt" in dialog.sentence.text()
    dialog.reject()
    assert hands.window.document.path("meta-train") == before


def test_a_run_is_deleted_after_a_question(hands: Hands, two: MetaTrainPage) -> None:
    assert hands.window.document.project is not None
    name = two.runs._lines[1].name
    folder = hands.window.document.project.folder / "runs" / name
    for answer in ("Keep", "Delete"):
        assert folder.exists()
        choose(hands, two, 1, "Delete this run …")
        hands.answer(hands.dialog(Question), answer)
    hands.until(lambda: two.history.rowCount() == 1)
    assert not folder.exists()


def test_what_is_in_use_is_not_deleted(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        first = trained(project, 30)
        with pytest.raises(ProjectError, match="meta-train stands on it"):
            project.delete_run(first)
        start = {"MetaPT": str(first / "prompt.safetensors")}
        as_if_run(project, "tune", TuneJob(corpus=str(project.role("target")), starts=start))
        second = trained(project, 40)
        with pytest.raises(ProjectError, match="tune stands on it"):
            project.delete_run(first)
        with pytest.raises(ProjectError, match="stands on it"):
            project.delete_run(project.role("source"))
        project.assign("meta-train", first)
        project.delete_run(second)
        assert not second.exists()
        assert first.exists()


def test_notes_and_groups_of_a_run_that_is_gone_are_nobodys(project_folder: Path) -> None:
    import shutil

    with Project.open(project_folder) as project:
        first, second, third = (trained(project, steps) for steps in (30, 40, 50))
        project.set_note(second.name, "the good one")
        project.set_cluster_edits(second, {0: ClusterEdit("soups")})
        project.delete_run(second)
        assert project.note(second.name) == ""
        assert project.cluster_edits(second) == {}
        project.set_note(third.name, "deleted by hand")
        project.assign("meta-train", first)
        shutil.rmtree(third)
        assert trained(project, 60).name.split("-")[0] > third.name.split("-")[0]


def test_many_runs_are_listed_at_once(qtbot, themes) -> None:
    history = RunHistory()
    qtbot.addWidget(history)
    history.resize(900, 300)
    history.show()
    lines = [RunLine(f"{n:04d}-meta-train", "01 May 10:00", "completed", "10 of 10", "50.0 %", "") for n in range(200)]
    history.show_runs(lines)
    begun = time.perf_counter()
    for _ in range(5):
        history.show_runs(lines)
    assert time.perf_counter() - begun < 2.5, "half a second each, on a busy machine"


def test_a_changed_setting_makes_little_work_and_reads_no_run_again(
    hands: Hands, two: MetaTrainPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for owner, name in ((Project, "run_folder"), (RunRecord, "open"), (Document, "states")):
        monkeypatch.setattr(owner, name, noted(getattr(owner, name), done))
    quiet(hands, done)
    done.clear()
    two.side.form.set_values({**two.side.form.values(), "steps": 31, "alpha": 2.0}, quiet=False)
    hands.until(lambda: hands.window.document.value("meta_train")["steps"] == 31)
    quiet(hands, done)
    # Once for the change, once when all pages have seen it; the engine may answer for the label words meanwhile.
    assert 1 <= done.count("run_folder") <= 3
    assert done.count("states") == 1
    assert "open" not in done


def quiet(hands: Hands, done: list[str]) -> None:
    """Wait until nothing more is done."""
    before = -1
    while before != len(done):
        before = len(done)
        hands.qtbot.wait(300)


def noted(real: Callable[..., object], done: list[str]) -> Callable[..., object]:
    """Return what does the same and notes it."""

    def instead(*arguments: object, **named: object) -> object:
        done.append(real.__name__)
        return real(*arguments, **named)

    return instead
