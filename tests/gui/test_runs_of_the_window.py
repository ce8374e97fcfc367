"""What a project stands on after a run of the window: the same rules as after a command (tests/engine/test_runs.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands
from made_runs import FAILED, STOPPED, as_if_run, leaving, training

from engine.events import Event, Finished
from engine.jobs import ClusterJob, ImportJob, Job, TuneJob
from engine.project import Project
from metapt_gui.earlier_runs import changed_settings
from metapt_gui.engine_host import EngineHost


@pytest.fixture
def project(hands: Hands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project of a window whose engine does nothing."""
    Project.create(tmp_path / "a.metapt").close()
    hands.window.projects.open(tmp_path / "a.metapt")
    monkeypatch.setattr(EngineHost, "start", lambda *_: 7)
    found = hands.window.document.project
    assert found is not None
    return found


def run(hands: Hands, role: str, job: Job, last: Event, left: str = "prompt.safetensors") -> Path:
    """Run a job as a page does, which leaves a file and ends so; return its folder."""
    started = hands.window.runner.start("none of the pages", role, job)
    hands.window.host.streamed.emit(7, leaving(started.job, started.folder, last, left))
    return started.folder


def test_a_training_that_failed_replaces_none_and_one_that_was_stopped_to_keep_it_does(
    hands: Hands, project: Project
) -> None:
    complete = as_if_run(project, "meta-train", training())
    assert run(hands, "meta-train", training(20), FAILED) != complete
    assert project.role("meta-train") == complete
    stopped = run(hands, "meta-train", training(30), STOPPED)
    assert project.role("meta-train") == stopped, "the button says: stop and keep the best"


@pytest.mark.parametrize("last", [FAILED, STOPPED])
def test_a_training_without_an_end_stands_where_there_was_none(hands: Hands, project: Project, last: Event) -> None:
    run(hands, "meta-train", training(), last, left="events.jsonl")
    assert not project.has_role("meta-train"), "it has no prompt yet"
    assert run(hands, "meta-train", training(20), last) == project.role("meta-train")


def test_a_backbone_is_looked_at_for_changes_however_it_is_written(
    hands: Hands, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5" / "config.json").write_text("{}")
    first = run(hands, "meta-train", training(backbone="~/t5"), Finished(""))
    project.set_value("backbone", {"backbone": "~/t5"})
    assert changed_settings(project, "meta-train") == []
    (tmp_path / "t5" / "config.json").write_text('{"other": 1}')
    assert run(hands, "meta-train", training(backbone="~/t5"), Finished("")) != first


def test_a_tuning_is_used_in_the_place_of_a_prompt_that_was_loaded(hands: Hands, project: Project) -> None:
    project.set_value("loaded prompt", "/elsewhere/mood.safetensors")
    run(hands, "meta-train", training(), Finished(""))
    assert project.value("loaded prompt")
    run(hands, "tune", TuneJob(corpus=""), Finished(""))
    assert project.value("loaded prompt") is None


@pytest.mark.parametrize(
    ("role", "job", "left"),
    [
        ("source", ImportJob(files=["a.csv"]), "corpus.json"),
        ("clusters", ClusterJob(corpus="", cache=""), "clusters.json"),
    ],
)
def test_a_stopped_import_or_clustering_is_kept(hands: Hands, project: Project, role: str, job: Job, left: str) -> None:
    assert run(hands, role, job, STOPPED, "events.jsonl").name
    assert not project.has_role(role)
    assert run(hands, role, job, STOPPED, left) == project.role(role)
