"""What the window hands to the engine: edits of groups, kept values, own classes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from made_corpora import clustering_of, corpus_of
from typer.testing import CliRunner

from engine import jobs
from engine.cli import app
from engine.clustering.edits import ClusterEdit, Group, groups_of, task_fields
from engine.clustering.store import Cluster
from engine.corpus.store import Corpus
from engine.errors import DataError, ProjectError, ProjectLockedError
from engine.events import Failed, Finished
from engine.jobs.session import Session
from engine.project import Project
from engine.prompting.prompt_file import load_prompt
from engine.running.perform import perform
from engine.settings import BackboneSettings
from engine.stage import StopToken, result_of
from engine.storage import read_json


def write_corpus(folder: Path, labels: Sequence[str | None], classes: Sequence[str], words: dict[str, str]) -> Corpus:
    """Write a corpus whose texts name their labels."""
    return corpus_of(folder, [f"{label} soup number {row}" for row, label in enumerate(labels)], labels, classes, words)


# Edits of groups ------------------------------------------------------------------------------------------------------


def test_edits_become_the_fields_of_a_job():
    edits = {
        5: ClusterEdit(merged_into=4),
        1: ClusterEdit("soups"),
        3: ClusterEdit(included=False),
        2: ClusterEdit(merged_into=4),
        0: ClusterEdit("left out", included=False),
        7: ClusterEdit("part", merged_into=6),
    }
    fields = task_fields(edits)
    assert fields == {
        "exclude": [0, 3],
        "merge": [[4, 2, 5], [6, 7]],
        "names": {0: "left out", 1: "soups", 7: "part"},
    }
    job = jobs.MetaTrainJob(corpus="a", clusters="b", **fields)
    assert jobs.job_from(json.loads(json.dumps(job.document()))) == job, "numbers of groups survive JSON"
    assert task_fields({}) == {"exclude": [], "merge": [], "names": {}}


CLUSTERS = [Cluster(number, f"g{number}", 2, {"a": 1, "b": number}, (f"t{number}",), (number,)) for number in range(4)]


def members(groups: Sequence[Group]) -> dict[str, list[int]]:
    found = {group.name: group.members for group in groups if group.included}
    assert sum(len(group.parts) for group in groups) == len(CLUSTERS), "every cluster is somewhere"
    return found


def test_excluded_groups_are_no_tasks():
    assert members(groups_of(CLUSTERS, [], [], {})) == {"g0": [0], "g1": [1], "g2": [2], "g3": [3]}
    assert members(groups_of(CLUSTERS, [0], [], {1: "mine", 0: "unseen"})) == {"mine": [1], "g2": [2], "g3": [3]}


def test_groups_are_joined_into_the_first_of_their_list():
    groups = groups_of(CLUSTERS, [], [[2, 0, 3]], {2: "target", 0: "part"})
    assert members(groups) == {"target": [0, 2, 3], "g1": [1]}, "the target is not the lowest number"
    assert (groups[0].number, groups[0].size, groups[0].labels) == (2, 6, {"a": 3, "b": 5})
    assert (groups[0].terms, groups[0].central_rows) == (["t0", "t2", "t3"], [0, 2, 3])
    groups = groups_of(CLUSTERS, [], [[2, 0, 3]], {0: "part"})
    assert members(groups) == {"part + g2 + g3": [0, 2, 3], "g1": [1]}
    groups = groups_of(CLUSTERS, [0], [[2, 0, 3]], {})
    assert members(groups) == {"g2 + g3": [2, 3], "g1": [1]}, "a member is excluded"


def test_a_joined_group_is_excluded_whole():
    fields = task_fields({0: ClusterEdit("both", included=False), 2: ClusterEdit(merged_into=0)})
    assert members(groups_of(CLUSTERS, **fields)) == {"g1": [1], "g3": [3]}


# The project ----------------------------------------------------------------------------------------------------------


def test_values_are_kept_and_written_once(tmp_path):
    folder = tmp_path / "a.metapt"
    manifest = folder / "project.json"
    with Project.create(folder) as project:
        assert project.value("task") is None
        assert project.value("task", "none") == "none"
        project.set_value("task", {"classes": ["bad", "good"]})
        project.set_value("empty", None)
        os.utime(manifest, ns=(0, 0))
        project.set_value("task", {"classes": ["bad", "good"]})
        project.set_value("empty", None)
        assert manifest.stat().st_mtime_ns == 0, "it was not written again"
        project.set_value("steps", 3)
        assert manifest.stat().st_mtime_ns > 0
    with Project.open(folder) as project:
        assert project.value("task") == {"classes": ["bad", "good"]}
        assert project.value("steps") == 3
        assert project.value("empty", "default") is None


def test_a_value_that_was_changed_in_place_is_written(tmp_path):
    words = {"1": "bad"}
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_value("words", words)
        words["2"] = "good"
        project.set_value("words", words)
    with Project.open(tmp_path / "a.metapt") as project:
        found = project.value("words")
        assert found == {"1": "bad", "2": "good"}
        found["3"] = "great"
        assert "3" not in project.value("words"), "what was handed out is not the project's own"


def test_a_read_only_project_takes_no_values_and_no_edits(tmp_path):
    with Project.create(tmp_path / "a.metapt") as first:
        first.set_value("task", 1)
        first.set_cluster_edits(Path("0002-cluster"), {1: ClusterEdit("soups")})
        with Project.open(tmp_path / "a.metapt", read_only=True) as second:
            for change in (
                lambda: second.set_value("task", 2),
                lambda: second.set_value("task", 1),
                lambda: second.set_cluster_edits(Path("0002-cluster"), {1: None}),
            ):
                with pytest.raises(ProjectError, match="reading only"):
                    change()
            assert second.value("task") == 1
            assert second.cluster_edits(Path("0002-cluster")) == {1: ClusterEdit("soups")}


def test_a_project_that_is_open_elsewhere_has_an_error_of_its_own(tmp_path):
    with Project.create(tmp_path / "a.metapt"), pytest.raises(ProjectLockedError, match="another window"):
        Project.open(tmp_path / "a.metapt")
    with pytest.raises(ProjectError) as caught:
        Project.open(tmp_path / "b.metapt")
    assert not isinstance(caught.value, ProjectLockedError)
    Project.open(tmp_path / "a.metapt").close()


def test_edits_of_clusters_are_set_replaced_and_taken_back(tmp_path):
    folder = tmp_path / "a.metapt"
    with Project.create(folder) as project:
        run, other = folder / "runs" / "0002-cluster", folder / "runs" / "0003-cluster"
        assert project.cluster_edits(run) == {}
        project.set_cluster_edits(run, {0: ClusterEdit("soups", included=False)})
        project.set_cluster_edits(run, {3: ClusterEdit(merged_into=0)})
        project.set_cluster_edits(run, {4: ClusterEdit("gone")})
        project.set_cluster_edits(run, {5: ClusterEdit("gone too")})
        project.set_cluster_edits(run, {0: ClusterEdit("stews", included=False, merged_into=2)})
        project.set_cluster_edits(run, {4: None})
        project.set_cluster_edits(run, {5: ClusterEdit()})
        project.set_cluster_edits(run, {9: None})
        expected = {0: ClusterEdit("stews", False, 2), 3: ClusterEdit(merged_into=0)}
        assert project.cluster_edits(run) == expected
        assert project.cluster_edits(other) == {}, "each clustering has edits of its own"
    moved = folder.rename(tmp_path / "b.metapt")
    with Project.open(moved) as project:
        found = project.cluster_edits(moved / "runs" / "0002-cluster")
        assert found == expected
        assert found[0].included is False


def test_runs_of_a_stage_the_newest_first(tmp_path):
    with Project.create(tmp_path / "a.metapt") as project:
        for name in ("0001-import", "0002-tune", "0003-meta-train", "0004-tune-full-model", "0010-tune", "0011-tune"):
            (project.folder / "runs" / name).mkdir()
            if name != "0011-tune":
                (project.folder / "runs" / name / "job.json").write_text("{}")
        assert [run.name for run in project.runs("tune")] == ["0010-tune", "0002-tune"]
        found = [run.name for run in project.runs("tune", "meta-train", "tune-full-model")]
        assert found == ["0010-tune", "0004-tune-full-model", "0003-meta-train", "0002-tune"]
        assert project.runs("predict") == []


# Own classes ----------------------------------------------------------------------------------------------------------

KINDS = ["bad", "good", "spam", None]


@pytest.fixture
def own_classes_job(tmp_path, tiny_t5) -> jobs.TuneJob:
    """Tunes for good, okay and bad on a corpus that knows bad, good and spam."""
    write_corpus(tmp_path / "target", KINDS * 20, ["bad", "good", "spam"], {"bad": "bad", "good": "good", "spam": "no"})
    return jobs.TuneJob(
        corpus=str(tmp_path / "target"),
        classes=["good", "okay", "bad"],
        words={"good": "great", "okay": "okay", "bad": "terrible"},
        labels={3: "okay", 2: "okay", 6: "okay", 0: "good"},
        backbone=BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="float32"),
        prompt={"soft_tokens": 4, "text_tokens": 16},
        tune={"training_rows": 12, "validation_rows": 12, "test_rows": 15, "seeds": 2, "epochs": 2},
    )


def expected_labels() -> list[int]:
    labels = [{"good": 0, "bad": 2}.get(kind, -1) for kind in KINDS * 20]
    for row, number in ((3, 1), (2, 1), (6, 1), (0, 0)):
        labels[row] = number
    return labels


def test_labels_are_mapped_to_own_classes_by_name(own_classes_job):
    _, texts, labels, pool, test = own_classes_job.target()
    assert labels.tolist() == expected_labels()
    assert len(texts) == len(labels)
    assert sorted([*pool, *test]) == [row for row, label in enumerate(expected_labels()) if label >= 0]
    assert len(test) == 15


def test_a_test_corpus_is_mapped_to_own_classes_too(own_classes_job, tmp_path):
    write_corpus(tmp_path / "test", ["bad", None, "good"], ["bad", "good"], {})
    job = own_classes_job.model_copy(update={"test": str(tmp_path / "test")})
    _, texts, labels, pool, test = job.target()
    assert labels[80:].tolist() == [2, -1, 0]
    assert test.tolist() == [80, 82]
    assert texts[82] == "good soup number 2"
    assert pool.max() < 80
    write_corpus(tmp_path / "foreign", ["bad", "spam"], ["bad", "spam"], {})
    with pytest.raises(DataError, match="does not have: spam"):
        own_classes_job.model_copy(update={"test": str(tmp_path / "foreign")}).target()


def test_a_label_outside_of_the_own_classes_is_refused(own_classes_job):
    with pytest.raises(DataError, match="Row 2 cannot be labelled 'spam'"):
        own_classes_job.model_copy(update={"labels": {1: "spam"}}).target()
    plain = own_classes_job.model_copy(update={"labels": {1: "spam"}, "classes": []})
    assert plain.target()[2][:4].tolist() == [0, 2, 2, -1], "without own classes, those of the corpus"


def test_tuning_for_own_classes(own_classes_job, tmp_path):
    *_, last = perform(own_classes_job, tmp_path / "run", Session(), StopToken())
    assert isinstance(last, Finished), last
    results = read_json(tmp_path / "run" / "results.json")
    labels = expected_labels()
    for draw in results["draws"].values():
        assert all(labels[row] >= 0 for row in draw["training"] + draw["validation"])
    for evaluation in results["evaluations"].values():
        assert list(evaluation["per_class"]) == ["good", "okay", "bad"]
    table = pq.read_table(tmp_path / "run" / "predictions.parquet").to_pylist()
    assert {item["label"] for item in table} <= {"good", "okay", "bad"}
    assert all(["good", "okay", "bad"][labels[item["row"]]] == item["label"] for item in table)
    words = load_prompt(tmp_path / "run" / "prompt.safetensors").words
    assert list(words.items()) == [("good", "great"), ("okay", "okay"), ("bad", "terrible")]


def test_a_question_beside_a_job_takes_the_jobs_backbone_and_threads(tiny_t5):
    session, usual = Session(), torch.get_num_threads()
    mine = BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="float32")
    try:
        held = result_of(session.backbone(mine.model_copy(update={"threads": 3})))
        assert torch.get_num_threads() == 3
        session.word_tokens(mine.model_copy(update={"offline": True, "threads": 5}).model_dump(), "soup")
        assert torch.get_num_threads() == 3, "a question leaves the threads to the job"
        assert result_of(session.backbone(mine)) is held, "no second copy was loaded"
        assert torch.get_num_threads() == usual, "the next job asks for no number"
    finally:
        torch.set_num_threads(usual)


def test_loading_a_backbone_is_a_job(tmp_path, tiny_t5):
    job = jobs.BackboneJob(backbone=BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="float32"))
    session = Session()
    *_, last = perform(job, tmp_path / "run", session, StopToken())
    backbone = result_of(session.backbone(job.backbone))
    weights = sum(weight.numel() for weight in backbone.model.parameters())
    assert last == Finished(
        str(tmp_path / "run"),
        "completed",
        {"name": tiny_t5.name, "parameters": weights, "width": 32, "device": "cpu"},
    )
    assert result_of(session.backbone(job.backbone)) is backbone, "the session keeps it"
    assert jobs.job_from(read_json(tmp_path / "run" / "job.json")) == job
    missing = jobs.BackboneJob(backbone=BackboneSettings(backbone=str(tmp_path / "nothing"), device="cpu"))
    (event,) = perform(missing, tmp_path / "missing", session, StopToken())
    assert isinstance(event, Failed)
    assert event.error == "BackboneError"


# The command line -----------------------------------------------------------------------------------------------------


def test_meta_train_respects_the_edits_that_the_project_keeps(tmp_path, tiny_t5):
    with Project.create(tmp_path / "a.metapt") as project:
        source, clusters = (project.folder / "runs" / name for name in ("0001-import", "0002-cluster"))
        corpus = write_corpus(source, ["bad", "good"] * 50, ["bad", "good"], {"bad": "bad", "good": "good"})
        clustering_of(clusters, corpus, np.arange(100) // 20)
        project.assign("source", source)
        project.assign("clusters", clusters)
        project.set_cluster_edits(clusters, {0: ClusterEdit("soups")})
        project.set_cluster_edits(clusters, {2: ClusterEdit(included=False)})
        project.set_cluster_edits(clusters, {4: ClusterEdit("part", merged_into=1)})
    command = ["meta-train", "--project", str(tmp_path / "a.metapt"), "--json", "--backbone", str(tiny_t5)]
    command += ["--device", "cpu", "--soft-tokens", "4", "--text-tokens", "16"]
    command += ["--shots", "2", "--steps", "1", "--validate-every", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["event"] == "Finished"
    tasks = {event["group"] for event in events if event.get("name") == "task accuracy"}
    assert tasks == {"soups", "group 1 + part", "group 3"}
    with Project.open(tmp_path / "a.metapt") as project:
        job = read_json(project.role("meta-train") / "job.json")
    assert (job["exclude"], job["merge"], job["names"]) == ([2], [[1, 4]], {"0": "soups", "4": "part"})
