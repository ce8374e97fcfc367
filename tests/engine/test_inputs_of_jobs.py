"""A job is done anew when a backbone or a starting prompt that it names has changed, however the path is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.command_line.steps import named_starts
from engine.events import Finished, to_json
from engine.project import Project
from engine.running.job import Job, with_whole_paths
from engine.running.jobs import MetaTrainJob, TuneJob
from engine.settings import BackboneSettings
from engine.storage import write_json


def job(**changes: str) -> MetaTrainJob:
    return MetaTrainJob(corpus="", clusters="", backbone=BackboneSettings(backbone=changes.pop("backbone")), **changes)


@pytest.fixture
def backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "t5" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    return folder


def finish(project: Project, wanted: Job) -> Path:
    """Let a job be done."""
    folder, done = project.run_folder(wanted)
    assert not done
    folder.mkdir(parents=True)
    write_json(folder / "job.json", wanted.document())
    (folder / "result.json").write_text(to_json(Finished(str(folder))), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["t5/model", "./t5/model", "{whole}"])
def test_weights_that_changed_make_another_job(backbone: Path, tmp_path: Path, name: str) -> None:
    wanted = with_whole_paths(job(backbone=name.format(whole=backbone)))
    assert wanted.backbone.backbone == str(backbone)
    with Project.create(tmp_path / "a.metapt") as project:
        folder = finish(project, wanted)
        assert project.run_folder(wanted) == (folder, True)
        (backbone / "model.safetensors").write_bytes(b"other weights")
        assert not project.run_folder(wanted)[1]


def test_a_starting_prompt_that_changed_makes_another_job(backbone: Path, tmp_path: Path) -> None:
    start = tmp_path / "t5" / "start.safetensors"
    start.write_bytes(b"a prompt")
    for name in ("t5/start.safetensors", str(start)):
        wanted = with_whole_paths(job(backbone="bundled", start=name))
        assert wanted.start == str(start)
        assert list(wanted.document()["inputs"]) == [str(start)]
    tune = with_whole_paths(TuneJob(corpus="", starts={"mine": "t5/start.safetensors", "PT": "random"}))
    assert tune.starts == {"mine": str(start), "PT": "random"}


def test_a_run_of_a_metapt_that_did_not_look_at_backbones_is_done(backbone: Path, tmp_path: Path) -> None:
    wanted = job(backbone=str(backbone))
    with Project.create(tmp_path / "a.metapt") as project:
        folder = finish(project, wanted)
        write_json(folder / "job.json", {**wanted.document(), "inputs": {}})
        assert project.run_folder(wanted) == (folder, True)


def test_names_are_left_alone(backbone: Path) -> None:
    for name in ("bundled", "random"):
        os.makedirs(name)
        assert with_whole_paths(job(backbone=name)).backbone.backbone == name
    assert with_whole_paths(job(backbone="google/t5-v1_1-base")).backbone.backbone == "google/t5-v1_1-base"


def test_a_start_without_a_name_is_its_own() -> None:
    assert named_starts(["words=label_text", "random"]) == {"words": "label_text", "random": "random"}


@pytest.mark.parametrize(
    ("part", "changes", "same"),
    [
        ("backbone", {"device": "cuda:0", "threads": 3, "offline": True}, True),
        ("settings", {"tasks_per_pass": 1, "checkpoint_every": 7}, True),
        ("backbone", {"precision": "bfloat16"}, False),
        ("settings", {"alpha": 3.0}, False),
    ],
)
def test_a_run_goes_on_with_other_settings_that_decide_nothing(tmp_path: Path, part: str, changes, same: bool) -> None:
    wanted = job(backbone="bundled")
    with Project.create(tmp_path / "a.metapt") as project:
        folder, _ = project.run_folder(wanted)
        folder.mkdir(parents=True)
        write_json(folder / "job.json", wanted.document())  # begun, and stopped
        other = wanted.model_copy(update={part: getattr(wanted, part).model_copy(update=changes)})
        assert (project.run_folder(other) == (folder, False)) is same
