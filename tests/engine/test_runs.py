"""What a project stands on after a command: the same rules as in the window (tests/gui/test_runs_of_the_window.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_runs import FAILED, STOPPED, as_if_run, leaving, training

from engine.errors import TrainingError
from engine.events import Event, Finished
from engine.jobs import ClusterJob, ImportJob, Job, TuneJob
from engine.project import Project
from engine.running.pipeline import SO_FAR, Steps
from engine.stage import Stopped
from engine.storage import read_json


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "a.metapt") as made:
        yield made


def run(project: Project, role: str, job: Job, last: Event, left: str = "prompt.safetensors") -> Path:
    """Run a job as a command does, which leaves a file and ends so; return its folder."""
    ran: list[Path] = []

    def runner(job: Job, folder: Path) -> Iterator[Event]:
        ran.append(folder)
        yield leaving(job, folder, last, left)

    steps = Steps(project, runner, lambda role, event: None)
    if last is FAILED:
        with pytest.raises(TrainingError):
            steps.run(role, job)
    elif last is STOPPED:
        with pytest.raises(Stopped) as stopped:
            steps.run(role, job)
        assert (str(stopped.value) == SO_FAR) is (project.has_role(role) and project.role(role) == ran[0])
    else:
        steps.run(role, job)
    return ran[0]


@pytest.mark.parametrize("last", [FAILED, STOPPED])
def test_a_training_without_an_end_replaces_no_complete_one(project: Project, last: Event) -> None:
    complete = as_if_run(project, "meta-train", training())
    assert run(project, "meta-train", training(20), last) != complete
    assert project.role("meta-train") == complete


@pytest.mark.parametrize("last", [FAILED, STOPPED])
def test_a_training_without_an_end_stands_where_there_was_none(project: Project, last: Event) -> None:
    run(project, "meta-train", training(), last, left="events.jsonl")
    assert not project.has_role("meta-train"), "it has no prompt yet"
    first = run(project, "meta-train", training(20), last)
    assert project.role("meta-train") == first
    run(project, "meta-train", training(30), FAILED)
    assert project.role("meta-train") == first
    stopped = run(project, "meta-train", training(40), STOPPED)
    assert project.role("meta-train") == stopped, "what was stopped last"
    complete = run(project, "meta-train", training(50), Finished(""))
    assert project.role("meta-train") == complete


def test_a_backbone_is_looked_at_for_changes_however_it_is_written(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5" / "config.json").write_text("{}")
    first = run(project, "meta-train", training(backbone="~/t5"), Finished(""))
    assert read_json(first / "job.json")["backbone"]["backbone"] == str(tmp_path / "t5")
    (tmp_path / "t5" / "config.json").write_text('{"other": 1}')
    assert run(project, "meta-train", training(backbone="~/t5"), Finished("")) != first


def test_a_tuning_is_used_in_the_place_of_a_prompt_that_was_loaded(project: Project) -> None:
    project.set_value("loaded prompt", "/elsewhere/mood.safetensors")
    run(project, "meta-train", training(), Finished(""))
    assert project.value("loaded prompt")
    run(project, "tune", TuneJob(corpus=""), Finished(""))
    assert project.value("loaded prompt") is None


def test_half_of_the_answers_are_no_predictions(project: Project) -> None:
    run(project, "predictions", ImportJob(files=["a.csv"]), STOPPED, "corpus.json")
    assert not project.has_role("predictions")


@pytest.mark.parametrize(
    ("role", "job", "left"),
    [
        ("source", ImportJob(files=["a.csv"]), "corpus.json"),
        ("clusters", ClusterJob(corpus="", cache=""), "clusters.json"),
    ],
)
def test_a_stopped_import_or_clustering_is_kept_where_there_was_none(
    project: Project, role: str, job: Job, left: str
) -> None:
    folder = run(project, role, job, STOPPED, left)
    assert project.role(role) == folder
    other = job.model_copy(update={"files": ["b.csv"]} if role == "source" else {"corpus": "another"})
    complete = run(project, role, other, Finished(""), left)
    run(project, role, job, STOPPED, left)
    assert project.role(role) == complete
