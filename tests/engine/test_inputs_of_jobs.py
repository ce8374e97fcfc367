"""A job is done anew when a backbone or a starting prompt that it names has changed, however the path is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engine.command_line.steps import named_starts
from engine.events import Finished, to_json
from engine.jobs import AnnotateJob, ClusterJob, ImportJob, MetaTrainJob, TuneJob
from engine.jobs.job import Job, with_whole_paths
from engine.project import Project
from engine.settings import BackboneSettings, ImportSettings
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
        ("tune", {"checkpoint_every": 7}, True),
        ("tune", {"learning_rate": 7.0}, False),
        ("settings", {"seed": 1}, False),
        ("tune", {"first_seed": 1}, False),
        ("annotating", {"device": "cpu", "offline": True}, True),
        ("annotating", {"confidence": 0.1}, False),
    ],
)
def test_a_run_goes_on_with_other_settings_that_decide_nothing(tmp_path: Path, part: str, changes, same: bool) -> None:
    wanted = {"tune": TuneJob(corpus=""), "annotating": AnnotateJob(labelled="", unlabelled="", cache="")}.get(
        part, job(backbone="bundled")
    )
    part = "settings" if part == "annotating" else part
    with Project.create(tmp_path / "a.metapt") as project:
        folder, _ = project.run_folder(wanted)
        folder.mkdir(parents=True)
        write_json(folder / "job.json", wanted.document())  # begun, and stopped
        other = wanted.model_copy(update={part: getattr(wanted, part).model_copy(update=changes)})
        assert (project.run_folder(other) == (folder, False)) is same


def test_a_project_that_was_moved_knows_its_runs(tmp_path: Path) -> None:
    def steps(project: Project) -> list[Job]:
        corpus, clusters = (str(project.folder / "runs" / name) for name in ("0001-import", "0002-cluster"))
        return [
            ClusterJob(corpus=corpus, cache=str(project.cache)),
            TuneJob(corpus=corpus, starts={"mine": f"{clusters}/p.safetensors", "PT": "random"}),
            MetaTrainJob(corpus=corpus, clusters=clusters),
        ]

    with Project.create(tmp_path / "a.metapt") as project:
        finish(project, ImportJob(files=[]))
        for wanted in steps(project):
            folder = finish(project, wanted)
            (folder / "p.safetensors").write_bytes(b"a prompt")
        (folder / "result.json").unlink()  # the last was stopped on its way
    shutil.copytree(tmp_path / "a.metapt", tmp_path / "b.metapt")
    shutil.rmtree(tmp_path / "a.metapt")
    with Project.open(tmp_path / "b.metapt") as project:
        found = [project.run_folder(wanted) for wanted in steps(project)]
        assert [(folder.name, done) for folder, done in found] == [
            ("0002-cluster", True),
            ("0003-tune", True),
            ("0004-meta-train", False),
        ]
        (project.folder / "runs" / "0001-import" / "result.json").write_text("another import")
        assert [project.run_folder(wanted)[0].name for wanted in steps(project)[:2]] == ["0005-cluster", "0005-tune"]


def test_a_run_on_a_file_that_is_gone_is_not_taken_for_done(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\nsoup\n")
    with Project.create(tmp_path / "a.metapt") as project:
        wanted = ImportJob(files=[str(path)])
        finish(project, wanted)
        assert project.run_folder(wanted)[1]
        path.unlink()
        assert not project.run_folder(wanted)[1]


def test_the_order_of_starts_and_of_classes_makes_another_job(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.metapt") as project:
        tune = TuneJob(corpus="", starts={"mine": "vocabulary", "PT": "random"})
        mapped = ImportJob(files=["a.csv"], settings=ImportSettings(label_map={"1": "bad", "5": "good"}))
        finish(project, tune)
        finish(project, mapped)
        assert project.run_folder(tune)[1]
        assert project.run_folder(mapped)[1]
        turned = ImportSettings(label_map={"5": "good", "1": "bad"})
        assert not project.run_folder(mapped.model_copy(update={"settings": turned}))[1], (
            "good would be the first class"
        )
        assert not project.run_folder(TuneJob(corpus="", starts={"PT": "random", "mine": "vocabulary"}))[1]


def test_a_damaged_note_of_another_run_stops_no_job(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.metapt") as project:
        folder = finish(project, ImportJob(files=["a.csv"]))
        (folder / "job.json").write_text('{"stage": "imp')
        assert project.run_folder(ImportJob(files=["b.csv"])) == (project.folder / "runs" / "0002-import", False)


@pytest.mark.parametrize("name", ["~nosuchuser/t5", "x" * 300, "a\0b"])
def test_names_that_no_file_can_have_are_left_alone(name: str) -> None:
    assert with_whole_paths(TuneJob(corpus="", starts={"A": name})).starts == {"A": name}
