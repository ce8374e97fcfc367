"""What the window needs of the engine: edits, kept values, own classes, predictions, quick cancel, questions."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from counting import CountJob
from typer.testing import CliRunner

from engine.cli import app
from engine.clustering.edits import ClusterEdit, task_fields
from engine.clustering.store import Cluster, save
from engine.corpus.store import SCHEMA, describe
from engine.corpus.writing import writing_corpus
from engine.errors import DataError, EngineProcessError, ProjectError, ProjectLockedError
from engine.events import Failed, Finished
from engine.presets import DESCRIPTIONS, Preset, preset
from engine.project import Project
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import describe_prompt, load_prompt, save_prompt
from engine.prompting.verbalizer import COMMON_WORDS, suggest_words
from engine.running import jobs
from engine.running.inputs import edited_groups
from engine.running.perform import perform
from engine.running.process import EngineProcess
from engine.running.session import QUESTIONS, Session
from engine.settings import BackboneSettings, MetaTrainSettings, PromptSettings, TuneSettings
from engine.stage import StopToken, result_of
from engine.storage import read_json
from engine.training.examples import few_shot_draws
from engine.training.few_shot import few_shot


def write_corpus(folder: Path, labels: Sequence[str | None], classes: Sequence[str], words: dict[str, str]) -> None:
    """Write a corpus whose texts name their labels."""
    count = len(labels)
    rows = {
        "text": [f"{label} soup number {row}" for row, label in enumerate(labels)],
        "label": list(labels),
        "source": ["x"] * count,
        "row": list(range(count)),
    }
    folder.mkdir(parents=True)
    with writing_corpus(folder, SCHEMA) as writer:
        writer.write(pa.table(rows, schema=SCHEMA))
    describe(folder, classes, count, "hash", words)


def write_clusters(folder: Path, assignment: np.ndarray) -> None:
    """Write a clustering with groups called ``group 0``, ``group 1``, ..."""
    groups = [
        Cluster(number, f"group {number}", int(size), {}, (), ()) for number, size in enumerate(np.bincount(assignment))
    ]
    folder.mkdir(parents=True)
    facts = {"method": "random", "settings": {}, "content_hash": "hash"}
    save(folder, assignment, None, groups, {**facts, "silhouette": None, "label_nmi": None, "sweep": {}})


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


def clustering(assignment: Sequence[int], left_out: Sequence[int] = ()) -> SimpleNamespace:
    numbers = range(max(assignment) + 1)
    clusters = [Cluster(number, f"g{number}", 0, {}, (), (), number not in left_out) for number in numbers]
    return SimpleNamespace(assignment=np.array(assignment), clusters=clusters)


def named_rows(groups) -> dict[str, list[int]]:
    found = {name: rows.tolist() for name, rows in groups}
    assert len(found) == len(groups)
    return found


ASSIGNMENT = [0, 1, 2, 3, 0, 1, 2, 3, -1]
LABELS = np.array([0, 1, 0, 1, 1, -1, 0, 1, 0])


def test_groups_without_edits_hold_their_labelled_rows():
    groups = edited_groups(clustering(ASSIGNMENT), LABELS, [], [], {})
    assert named_rows(groups) == {"g0": [0, 4], "g1": [1], "g2": [2, 6], "g3": [3, 7]}


def test_excluded_groups_are_no_tasks():
    groups = edited_groups(clustering(ASSIGNMENT, left_out=[3]), LABELS, [0], [], {1: "mine", 0: "unseen"})
    assert named_rows(groups) == {"mine": [1], "g2": [2, 6]}


def test_groups_are_joined_into_the_first_of_their_list():
    groups = edited_groups(clustering(ASSIGNMENT), LABELS, [], [[2, 0, 3]], {2: "target", 0: "part"})
    assert named_rows(groups) == {"target": [0, 2, 3, 4, 6, 7], "g1": [1]}, "the target is not the lowest number"
    groups = edited_groups(clustering(ASSIGNMENT), LABELS, [], [[2, 0, 3]], {0: "part"})
    assert named_rows(groups) == {"part + g2 + g3": [0, 2, 3, 4, 6, 7], "g1": [1]}
    groups = edited_groups(clustering(ASSIGNMENT), LABELS, [0], [[2, 0, 3]], {})
    assert named_rows(groups) == {"g2 + g3": [2, 3, 6, 7], "g1": [1]}, "a member is excluded"


def test_a_joined_group_is_excluded_whole():
    fields = task_fields({0: ClusterEdit("both", included=False), 2: ClusterEdit(merged_into=0)})
    groups = edited_groups(clustering(ASSIGNMENT), LABELS, **fields)
    assert named_rows(groups) == {"g1": [1], "g3": [3, 7]}


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
        first.set_cluster_edit(Path("0002-cluster"), 1, ClusterEdit("soups"))
        with Project.open(tmp_path / "a.metapt", read_only=True) as second:
            for change in (
                lambda: second.set_value("task", 2),
                lambda: second.set_value("task", 1),
                lambda: second.set_cluster_edit(Path("0002-cluster"), 1, None),
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
        project.set_cluster_edit(run, 0, ClusterEdit("soups", included=False))
        project.set_cluster_edit(run, 3, ClusterEdit(merged_into=0))
        project.set_cluster_edit(run, 4, ClusterEdit("gone"))
        project.set_cluster_edit(run, 5, ClusterEdit("gone too"))
        project.set_cluster_edit(run, 0, ClusterEdit("stews", included=False, merged_into=2))
        project.set_cluster_edit(run, 4, None)
        project.set_cluster_edit(run, 5, ClusterEdit())
        project.set_cluster_edit(run, 9, None)
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
    with pytest.raises(DataError, match="Row 1 cannot be labelled 'spam'"):
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


# Predictions of few-shot tuning ---------------------------------------------------------------------------------------

CLASSES = ("0", "1", "2")


def tune_few(scorer, examples, folder: Path, settings: TuneSettings, **rows: np.ndarray) -> tuple[dict, Finished]:
    starts = {
        name: [initial_prompt(name, scorer.backbone, scorer.verbalizer, 4, seed) for seed in (1, 0)]
        for name in ("vocabulary", "random")
    }
    *_, last = few_shot(scorer, examples, starts, settings, folder, stop=StopToken(), **rows)
    return read_json(folder / "results.json"), last


def check_predictions(folder: Path, results: dict, scorer, examples, rows_of_seed: dict[int, list[int]]) -> None:
    """Compare the predictions with the results and with what the kept prompts say."""
    table = pq.read_table(folder / "predictions.parquet")
    assert table.column_names == ["run", "row", "label", "prediction", "confidence"]
    found: dict[str, list[dict]] = {}
    for item in table.to_pylist():
        found.setdefault(item["run"], []).append(item)
    assert list(found) == list(results["runs"]) == list(results["evaluations"])
    for name, items in found.items():
        rows = [item["row"] for item in items]
        assert rows == rows_of_seed[int(name[-1])]
        assert [item["label"] for item in items] == [CLASSES[examples.labels[row]] for row in rows]
        confusion = np.zeros((3, 3), int)
        for item in items:
            confusion[CLASSES.index(item["label"]), CLASSES.index(item["prediction"])] += 1
        assert confusion.tolist() == results["evaluations"][name]["confusion"]
        assert np.trace(confusion) / len(items) == pytest.approx(results["evaluations"][name]["accuracy"])
        vectors = load_prompt(folder / "prompts" / f"{name.replace(' seed ', '-')}.safetensors").vectors
        chances = result_of(scorer.probabilities(vectors[None], examples.texts.take(np.array(rows))))[0]
        assert [item["prediction"] for item in items] == [CLASSES[number] for number in chances.argmax(1)]
        assert np.allclose([item["confidence"] for item in items], chances.max(1), atol=1e-4)


def check_best(folder: Path, results: dict) -> None:
    first = [name for name in results["runs"] if name.startswith("vocabulary")]
    figures = {name: results["runs"][name] for name in first}
    best = max(first, key=lambda name: (figures[name]["validation_accuracy"], -figures[name]["validation_loss"]))
    assert results["best"] == best != first[0], "the best is not the first run"
    kept = load_prompt(folder / "prompts" / f"{best.replace(' seed ', '-')}.safetensors").vectors
    assert torch.equal(load_prompt(folder / "prompt.safetensors").vectors, kept)


def drawn(examples, pool: np.ndarray, settings: TuneSettings) -> dict[str, dict[str, list[int]]]:
    return {
        str(seed): {"training": draw.training.tolist(), "validation": draw.validation.tolist()}
        for seed, draw in few_shot_draws(examples.labels, pool, settings)
    }


SEEDS = (3, 4)
SETTINGS = TuneSettings(training_rows=12, validation_rows=15, seeds=2, first_seed=SEEDS[0], epochs=3, learning_rate=0.3)


def test_predictions_on_test_rows_agree_with_the_results(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(3)
    examples = make_examples(scorer, 90)
    pool, test = np.arange(60), np.arange(60, 90)[::-1].copy()
    results, last = tune_few(scorer, examples, tmp_path, SETTINGS, pool=pool, test=test)
    check_predictions(tmp_path, results, scorer, examples, dict.fromkeys(SEEDS, test.tolist()))
    check_best(tmp_path, results)
    assert results["draws"] == drawn(examples, pool, SETTINGS)
    assert results["measured_on"] == "test"
    assert set(results["summary"]) == {"vocabulary", "random"}
    assert results["validation_summary"] == {}
    for name, figures in results["runs"].items():
        assert figures["test_accuracy"] == results["evaluations"][name]["accuracy"]
    assert last.summary["summary"] == results["summary"]


def test_without_test_rows_each_run_is_measured_on_its_own_validation_rows(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(3)
    examples = make_examples(scorer, 60)
    results, last = tune_few(scorer, examples, tmp_path, SETTINGS, test=np.empty(0, np.int64))
    draws = drawn(examples, np.arange(60), SETTINGS)
    assert results["draws"] == draws
    assert draws[str(SEEDS[0])]["validation"] != draws[str(SEEDS[1])]["validation"]
    check_predictions(tmp_path, results, scorer, examples, {seed: draws[str(seed)]["validation"] for seed in SEEDS})
    check_best(tmp_path, results)
    assert results["measured_on"] == "validation"
    assert results["summary"] == last.summary["summary"] == {}
    assert set(results["validation_summary"]) == {"vocabulary", "random"}
    for name, figures in results["runs"].items():
        assert "test_accuracy" not in figures
        assert results["evaluations"][name]["accuracy"] == pytest.approx(figures["validation_accuracy"])
    for start, summary in results["validation_summary"].items():
        mine = [results["evaluations"][f"{start} seed {seed}"]["accuracy"] for seed in SEEDS]
        assert summary["accuracy_mean"] == pytest.approx(np.mean(mine))


def test_with_nothing_to_measure_on_there_are_no_predictions(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(3)
    examples = make_examples(scorer, 9)
    settings = TuneSettings(seeds=2, epochs_without_validation=1)
    results, last = tune_few(scorer, examples, tmp_path, settings)
    assert last.outcome == "completed"
    assert results["evaluations"] == results["summary"] == results["validation_summary"] == {}
    assert all(len(draw["training"]) == 9 and not draw["validation"] for draw in results["draws"].values())
    assert not (tmp_path / "predictions.parquet").exists()
    assert (tmp_path / "prompt.safetensors").exists()


# Cancelling -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine():
    with EngineProcess(threads=1) as process:
        yield process


def test_cancelling_does_not_wait_for_a_long_step(engine, tmp_path):
    assert list(engine.run(CountJob(to=1), tmp_path / "first"))[-1].outcome == "completed", "the process is up"
    events, ended = [], []

    def read() -> None:
        events.extend(engine.run(CountJob(to=50, seconds=3.0), tmp_path / "long"))
        ended.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 10
    while not (tmp_path / "long" / "job.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # now it is in its first step
    asked = time.monotonic()
    engine.cancel()
    reader.join(10)
    assert ended[0] - asked < 0.5
    assert events == [], "there is no last event"
    following = list(engine.run(CountJob(to=3), tmp_path / "next"))
    assert [event.value for event in following[:-1]] == [0, 1, 2]
    assert following[-1] == Finished(str(tmp_path / "next"), "completed", {"reached": 3})
    assert not (tmp_path / "long" / "result.json").exists()


def test_events_on_their_way_when_a_job_is_cancelled_are_dropped(engine, tmp_path):
    stream = engine.run(CountJob(to=100_000), tmp_path / "a")
    next(stream)
    time.sleep(0.5)  # now it is as far ahead as it may be, and waits
    reached = (tmp_path / "a" / "reached").read_text()
    engine.cancel()
    assert list(stream) == []
    following = list(engine.run(CountJob(to=3), tmp_path / "b"))
    assert [event.value for event in following[:-1]] == [0, 1, 2]
    assert following[-1] == Finished(str(tmp_path / "b"), "completed", {"reached": 3})
    time.sleep(0.3)
    assert (tmp_path / "a" / "reached").read_text() == reached, "the cancelled job does not go on"


def test_cancelling_nothing_does_not_cancel_the_next_job(engine, tmp_path):
    engine.cancel()
    assert list(engine.run(CountJob(to=2), tmp_path))[-1].outcome == "completed"


# Questions ------------------------------------------------------------------------------------------------------------


def on_cpu(folder: Path) -> dict:
    return BackboneSettings(backbone=str(folder), device="cpu").model_dump()


def test_suggestions_are_ordered_and_of_one_token(backbone):
    tokenizer = backbone.tokenizer
    split = [word for word in COMMON_WORDS if len(tokenizer(word, add_special_tokens=False)["input_ids"]) > 1]
    seen = []

    def encode(words: Sequence[str]) -> np.ndarray:
        """Words lie on a circle: the nearer in the list, the likelier; ``good`` is what is asked for."""
        seen.extend(words)
        angles = np.linspace(0, 3, len(words))
        angles[1:] = angles[:0:-1]  # the last candidate is the likest
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    found = suggest_words("good", tokenizer, encode, count=4)
    assert seen[0] == "good"
    assert "good" not in seen[1:]
    assert not set(split) & set(seen)
    assert found == seen[:-5:-1]


def test_suggested_words_are_single_tokens_of_like_meaning(tiny_t5):
    session = Session()
    for word in ("unsatisfactory", "good"):
        found = session.suggest_words(on_cpu(tiny_t5), word)
        assert len(set(found)) == 3
        assert word not in found
        assert all(len(session.word_tokens(on_cpu(tiny_t5), other)) == 1 for other in found)
    assert {"terrible", "awful", "horrible", "bad", "poor", "wrong", "worst", "complaint"} & set(
        session.suggest_words(on_cpu(tiny_t5), "unsatisfactory")
    )


def test_devices_and_memory(tiny_t5):
    session = Session()
    devices = session.devices()
    assert devices[-1]["name"] == "cpu"
    assert json.loads(json.dumps(devices)) == devices
    assert all(set(device) == {"name", "description", "memory"} for device in devices)
    assert session.device_memory() is None, "nothing is loaded"
    session.word_tokens(on_cpu(tiny_t5), "good")
    assert session.device_memory() is None, "the backbone is on the CPU"


def test_questions_of_the_window_cross_the_pipe(engine, tmp_path, tiny_t5, kept_prompt):
    assert engine.ask("devices")[-1]["name"] == "cpu"
    assert engine.ask("device_memory") is None
    assert engine.ask("describe_prompt", prompt=str(kept_prompt))["soft_tokens"] == 4
    written = engine.ask("export_prompt", prompt=str(kept_prompt), target=str(tmp_path / "out.safetensors"), peft=False)
    assert written == (tmp_path / "out.safetensors").stat().st_size
    with pytest.raises(EngineProcessError, match="no question"):
        engine.ask("sentence_encoder")
    assert all(callable(getattr(Session, name)) for name in QUESTIONS)


@pytest.fixture
def kept_prompt(make_scorer, tmp_path, tiny_t5) -> Path:
    """A prompt file with words and metrics."""
    scorer = make_scorer(2, words={"0": "bad", "1": "great"})
    vectors = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, 0)
    described = describe_prompt(vectors, scorer, metrics={"test_accuracy": 0.75}, training={"method": "by hand"})
    save_prompt(described, tmp_path / "kept.safetensors")
    return tmp_path / "kept.safetensors"


def test_a_prompt_describes_itself(kept_prompt, tiny_t5, tmp_path):
    session = Session()
    found = session.describe_prompt(str(kept_prompt))
    assert found == {
        "backbone": tiny_t5.name,
        "words": {"0": "bad", "1": "great"},
        "soft_tokens": 4,
        "width": 32,
        "settings": PromptSettings(soft_tokens=4, text_tokens=32).model_dump(),
        "metrics": {"test_accuracy": 0.75},
    }
    session.export_prompt(str(kept_prompt), str(tmp_path / "peft"), True)
    assert session.describe_prompt(str(tmp_path / "peft")) == found
    (tmp_path / "peft" / "metapt.json").unlink()
    bare = session.describe_prompt(str(tmp_path / "peft"))
    assert (bare["backbone"], bare["words"], bare["soft_tokens"], bare["width"]) == (None, {}, 4, 32)


@pytest.mark.parametrize("peft", [False, True])
def test_an_exported_prompt_is_the_same_prompt(kept_prompt, tmp_path, peft):
    target = tmp_path / ("folder" if peft else "out.safetensors")
    written = Session().export_prompt(str(kept_prompt), str(target), peft)
    files = sorted(target.iterdir()) if peft else [target]
    assert written == sum(path.stat().st_size for path in files) > 4 * 4 * 32
    if peft:
        names = ["adapter_config.json", "adapter_model.safetensors", "metapt.json"]
        assert [path.name for path in files] == names
    before, after = load_prompt(kept_prompt), load_prompt(target)
    assert torch.equal(before.vectors, after.vectors)
    for part in ("backbone", "words", "settings", "metrics", "training"):
        assert getattr(before, part) == getattr(after, part)


# Presets --------------------------------------------------------------------------------------------------------------

MODELS = {"meta_train": MetaTrainSettings, "prompt": PromptSettings, "tune": TuneSettings}


@pytest.mark.parametrize("backbone", ["bundled", "google/t5-v1_1-base"])
@pytest.mark.parametrize("name", get_args(Preset))
def test_every_preset_is_valid_and_is_what_its_description_says(name, backbone):
    values = preset(name, backbone)
    assert set(values) == set(MODELS)
    for part, model in MODELS.items():
        assert model(**values[part]).model_dump() == values[part]
    for figure in (
        f"{values['meta_train']['steps']:,} ",
        f"{values['prompt']['soft_tokens']} soft tokens",
        f"{values['prompt']['text_tokens']} tokens",
    ):
        assert figure in DESCRIPTIONS[name]
    assert ("first-order" in DESCRIPTIONS[name]) == (values["meta_train"]["gradient"] == "first_order")


@pytest.mark.parametrize("backbone", ["bundled", "google/t5-v1_1-base"])
def test_the_papers_preset_is_the_defaults(backbone):
    assert preset("paper", backbone) == {part: model().model_dump() for part, model in MODELS.items()}


@pytest.mark.parametrize("name", ["quick", "laptop"])
def test_the_bundled_rates_are_for_the_bundled_backbone_only(name):
    bundled, other, paper = preset(name), preset(name, "google/t5-v1_1-base"), preset("paper")
    rates = {("meta_train", "alpha"), ("meta_train", "beta"), ("tune", "learning_rate")}
    differ = {(part, key) for part in bundled for key in bundled[part] if bundled[part][key] != other[part][key]}
    assert differ == rates
    assert all(other[part][key] == paper[part][key] for part, key in rates)
    assert bundled == preset(name, "bundled")


# The command line -----------------------------------------------------------------------------------------------------


def test_meta_train_respects_the_edits_that_the_project_keeps(tmp_path, tiny_t5):
    with Project.create(tmp_path / "a.metapt") as project:
        source, clusters = (project.folder / "runs" / name for name in ("0001-import", "0002-cluster"))
        write_corpus(source, ["bad", "good"] * 50, ["bad", "good"], {"bad": "bad", "good": "good"})
        write_clusters(clusters, np.arange(100) // 20)
        project.assign("source", source)
        project.assign("clusters", clusters)
        project.set_cluster_edit(clusters, 0, ClusterEdit("soups"))
        project.set_cluster_edit(clusters, 2, ClusterEdit(included=False))
        project.set_cluster_edit(clusters, 4, ClusterEdit("part", merged_into=1))
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
