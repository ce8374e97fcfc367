"""Steps are out of date when their inputs have changed, and not because the project lies elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from made_runs import as_if_run

from engine.jobs import MetaTrainJob
from engine.jobs.job import is_version
from engine.project import Project
from engine.settings import BackboneSettings
from engine.storage import read_json
from engine.workflow import CLUSTER, TRAIN, State, states


@pytest.fixture
def trained(project_folder: Path) -> Path:
    """The prepared project with a run that stands on its corpus and its groups, as if it had been trained."""
    with Project.open(project_folder) as project:
        job = MetaTrainJob(corpus=str(project.role("source")), clusters=str(project.role("clusters")))
        as_if_run(project, "meta-train", job)
    return project_folder


def state(folder: Path) -> dict[str, State]:
    with Project.open(folder) as project:
        found = states(project)
    return {key: found[key] for key in (CLUSTER.key, TRAIN.key)}


DONE = {CLUSTER.key: State.DONE, TRAIN.key: State.DONE}


def unpacked(folder: Path, target: Path) -> Path:
    """Copy a project as an archive does that keeps no times."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("project.lock"))
    for path in target.rglob("*"):
        os.utime(path, (1, 1))
    return target


def test_a_project_that_was_unpacked_elsewhere_is_up_to_date(trained: Path, tmp_path: Path) -> None:
    assert state(trained) == DONE
    assert state(unpacked(trained, tmp_path / "elsewhere.metapt")) == DONE


def test_a_run_that_went_on_makes_what_stands_on_it_out_of_date(trained: Path) -> None:
    with Project.open(trained) as project:
        result = project.role("clusters") / "result.json"
    before = result.stat()
    finished = read_json(result)
    result.write_text(json.dumps({**finished, "outcome": "stopped"}, indent=2), encoding="utf-8")
    os.utime(result, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert state(trained) == {CLUSTER.key: State.DONE, TRAIN.key: State.OUTDATED}
    result.unlink()
    assert state(trained)[TRAIN.key] is State.OUTDATED


def test_runs_of_an_older_version_are_up_to_date_and_found_again(trained: Path) -> None:
    with Project.open(trained) as project:
        folder = project.role("meta-train")
        job = MetaTrainJob(corpus=str(project.role("source")), clusters=str(project.role("clusters")))
        older = read_json(folder / "job.json")
        for path in older["inputs"]:
            found = (Path(path) / "result.json").stat()
            older["inputs"][path] = [found.st_size, found.st_mtime_ns]
        (folder / "job.json").write_text(json.dumps(older), encoding="utf-8")
        assert project.run_folder(job) == (folder, True)
    assert state(trained) == DONE
    result = Path(next(iter(older["inputs"]))) / "result.json"
    os.utime(result, (1, 1))
    assert state(trained)[TRAIN.key] is State.OUTDATED
    with Project.open(trained) as project:
        assert project.run_folder(job)[0] != folder


def test_a_folder_called_runs_that_is_none_of_a_project_does_not_count(
    project_folder: Path, tiny_t5: Path, tmp_path: Path
) -> None:
    backbone = shutil.copytree(tiny_t5, tmp_path / "runs" / "t5")
    with Project.open(project_folder) as project:
        corpora = {"corpus": str(project.role("source")), "clusters": str(project.role("clusters"))}
        job = MetaTrainJob(**corpora, backbone=BackboneSettings(backbone=str(backbone)))
        as_if_run(project, "meta-train", job)
        assert str(backbone) in job.document()["inputs"]
    assert state(project_folder) == DONE


def test_what_cannot_be_a_version_is_none(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert not is_version(path, "0" * 64)
    path.write_text("{}", encoding="utf-8")
    for version in (None, 3, [], [1, 2], "", {"size": 2}):
        assert not is_version(path, version)
