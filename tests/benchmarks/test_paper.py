"""The program of the paper's tables: its targets, its statistics, and one whole table in small."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.paper import bench as bench_module
from benchmarks.paper import data as data_module
from benchmarks.paper.bench import Bench
from benchmarks.paper.contrastive import pairs
from benchmarks.paper.data import (
    TEST_ROWS,
    TOPICS,
    described,
    find_datasets,
    find_topics,
    for_development,
    shortened,
)
from benchmarks.paper.experiments import EXPERIMENTS, baselines, ppt, pseudo, table1, trained_anew
from benchmarks.paper.report import differences, joined, paired, table, write_csv
from engine.corpus.drawing import few_shot_draws
from engine.corpus.store import Corpus
from engine.evaluation.results import ALONE
from engine.jobs import Job
from engine.jobs.session import Session
from engine.presets import PSEUDO_RATE
from engine.project import Project
from engine.running.perform import perform
from engine.running.pipeline import Steps
from engine.settings import BackboneSettings
from engine.stage import StopToken
from engine.storage import read_json, write_json

PHRASES = (
    "the waiter shouted at us and the food was rotten",
    "the soup was cold and the room was dirty",
    "it was an ordinary lunch in an ordinary place",
    "kind staff and a good cup of coffee",
    "a wonderful evening, the best dinner of our lives",
)


def write_rows(path: Path, rows: int, classes: int = 2, start: int = 0) -> Path:
    """Write made-up reviews, classes in turn, from the worst to the best."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [number % classes for number in range(rows)]
    texts = [
        f"{PHRASES[label * 4 // (classes - 1)]}, visit number {start + number}." for number, label in enumerate(labels)
    ]
    pq.write_table(pa.table({"text": texts, "label": pa.array(labels, pa.int64())}), path)
    return path


def texts_of(path: Path) -> set[str]:
    return set(pq.read_table(path).column("text").to_pylist())


def test_a_target_is_tested_on_its_test_file_else_dev_else_a_part_of_train(tmp_path: Path):
    folder = tmp_path / "targets"
    for name in ("whole_train", "whole_dev", "whole_test", "half_train", "half_dev", "alone_train"):
        write_rows(folder / f"{name}.parquet", 40, start=len(name) * 1000)
    whole, half, alone = sorted(find_datasets([folder], tmp_path / "w"), key=lambda d: ["w", "h", "a"].index(d.name[0]))
    assert (whole.test.name, half.test.name) == ("whole_test.parquet", "half_dev.parquet")
    assert len(texts_of(alone.test)) == 10
    assert not texts_of(alone.test) & texts_of(alone.pool)
    assert texts_of(alone.test) | texts_of(alone.pool) == texts_of(folder / "alone_train.parquet")


def test_known_targets_with_other_test_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "targets"
    write_rows(folder / "known_train.parquet", 40)
    test = write_rows(folder / "known_test.parquet", 20, start=100)
    monkeypatch.setattr(data_module, "TEST_ROWS", tmp_path / "rows.json")
    write_json(tmp_path / "rows.json", {"known": described(test)})
    assert [dataset.name for dataset in find_datasets([folder], tmp_path / "w")] == ["known"]
    write_rows(test, 20, start=101)
    with pytest.raises(SystemExit, match="could not be compared"):
        find_datasets([folder], tmp_path / "w")


def test_the_order_of_test_rows_does_not_matter_and_their_labels_do(tmp_path: Path):
    rows = pa.table({"text": ["a", "b"], "label": [0, 1]})
    for name, table_ in (
        ("one", rows),
        ("turned", rows.take([1, 0])),
        ("other", rows.set_column(1, "label", [[1, 0]])),
    ):
        pq.write_table(table_, tmp_path / name)
    one, turned, other = (described(tmp_path / name) for name in ("one", "turned", "other"))
    assert one == turned != other


def test_all_test_rows_are_fixed():
    assert set(read_json(TEST_ROWS)) == {
        "sst2", "sst5", "amazon2", "amazon5", "sentihood", "semeval16_rest", "semeval16_laptop", "agnews", "bbc",
    }  # fmt: skip


def test_settings_are_chosen_without_any_test_row(tmp_path: Path):
    folder = tmp_path / "targets"
    write_rows(folder / "a_train.parquet", 400)
    write_rows(folder / "a_test.parquet", 50, start=10_000)
    (found,) = find_datasets([folder], tmp_path / "w")
    (chosen,) = for_development([found], tmp_path / "w", rows=60)
    assert len(texts_of(chosen.test)) == 60
    assert not texts_of(chosen.test) & texts_of(chosen.pool)
    assert not (texts_of(chosen.test) | texts_of(chosen.pool)) & texts_of(found.test)
    assert {name for name, experiment in EXPERIMENTS.items() if experiment.development} == {
        "choose", "choose-batches", "choose-plain", "choose-pseudo", "choose-tasks", "stopping",
    }  # fmt: skip


def test_topics_are_targets_of_their_own_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert find_topics(tmp_path, tmp_path / "w") == []
    rows = {"text": [f"text {number}" for number in range(60)], "topic": [str(number % 4) for number in range(60)]}
    (tmp_path / "text").mkdir()
    pq.write_table(pa.table(rows), tmp_path / "text" / TOPICS["agnews"].file)
    monkeypatch.setitem(TOPICS, "agnews", replace(TOPICS["agnews"], test_rows=20))
    with pytest.raises(SystemExit, match="agnews: the test rows are not those"):
        find_topics(tmp_path, tmp_path / "w")
    monkeypatch.setattr(data_module, "TEST_ROWS", tmp_path / "rows.json")
    write_json(tmp_path / "rows.json", {})
    (found,) = find_topics(tmp_path, tmp_path / "w")
    assert (len(texts_of(found.test)), len(texts_of(found.pool))) == (20, 40)
    assert texts_of(found.test) | texts_of(found.pool) == set(rows["text"])
    assert set(found.words) == set("0123")


def test_fewer_test_rows_are_the_same_ones_at_every_call(tmp_path: Path):
    folder = tmp_path / "targets"
    write_rows(folder / "one_train.parquet", 40)
    write_rows(folder / "one_test.parquet", 40, start=1000)
    (whole,) = find_datasets([folder], tmp_path / "w")
    first, again = (shortened([whole], tmp_path / f"w{number}", 15)[0] for number in (1, 2))
    assert first.pool == whole.pool
    assert texts_of(first.test) < texts_of(whole.test)
    assert texts_of(first.test) == texts_of(again.test)
    assert len(texts_of(first.test)) == 15
    (all_of_them,) = shortened([whole], tmp_path / "w3", 1000)
    assert texts_of(all_of_them.test) == texts_of(whole.test)


def test_differences_are_paired_over_the_seeds_that_both_have():
    one = {"0": {"accuracy": 0.7}, "1": {"accuracy": 0.8}, "2": {"accuracy": 0.9}, "9": {"accuracy": 0.0}}
    other = {"0": {"accuracy": 0.6}, "1": {"accuracy": 0.6}, "2": {"accuracy": 0.6}}
    found = paired(one, other)
    assert found is not None
    mean, width = found
    assert mean == pytest.approx(0.2)
    assert width == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)  # t(0.975, 2 degrees of freedom)
    assert paired(one, {"0": {"accuracy": 0.6}}) is None


def test_the_report_brackets_what_may_be_chance(tmp_path: Path):
    sure = {str(seed): {"accuracy": 0.8 + 0.01 * seed, "macro_f1": 0.5} for seed in range(3)}
    same = {str(seed): {"accuracy": 0.8 - 0.01 * seed, "macro_f1": 0.5} for seed in range(3)}
    low = {str(seed): {"accuracy": 0.5 + 0.01 * seed, "macro_f1": 0.5} for seed in range(3)}
    figures = {"40 + 40": {"MetaPT(Y)": sure, "PPT(Y)": same, "PT": low}}
    document = {"table1": {"sst2": {"figures": figures}}}
    assert "| MetaPT(Y) | 81.0 ± 1.0 |" in table(document, "table1")
    told = differences(document, "table1")
    assert "| sst2, 40 + 40 | MetaPT(Y) - PPT(Y) | (+2.0 ± 5.0) |" in told
    assert "| sst2, 40 + 40 | MetaPT(Y) - PT | +30.0 ± 0.0 |" in told
    write_csv(document, tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 1 + 9


def test_contrastive_pairs_are_of_one_class_or_of_two_and_never_a_row_with_itself():
    labels = np.array([0, 0, 0, 1, 1, 2])
    found = pairs(labels, 4, np.random.default_rng(0))
    assert all(one != other and (labels[one] == labels[other]) == (like == 1.0) for one, other, like in found)
    assert sum(like == 0.0 for *_, like in found) == 4 * 6
    assert sum(like == 1.0 for *_, like in found) == 4 * 5  # the only text of its class has no partner


def test_table_1_in_small_and_again_without_a_job(tmp_path: Path, tiny_t5: Path, monkeypatch: pytest.MonkeyPatch):
    """Every method has every seed; a second run finds all of it done; PPT reads as many texts as MetaPT."""
    data = tmp_path / "data"
    write_rows(data / "pretraining" / "yelp5_train.parquet", 200, classes=5)
    for number, name in enumerate(bench_module.OPEN_TEXT, 1):
        write_rows(data / "text" / f"{name}.parquet", 40, classes=5, start=number * 10_000)
    write_rows(data / "downstream" / "toy_train.parquet", 160)
    write_rows(data / "downstream" / "toy_test.parquet", 40, start=1000)
    small = {
        "meta_train": {"gradient": "first_order", "steps": 2, "validate_every": 1, "validation_rows": 4, "shots": 2},
        "pretrain": {"learning_rate": 0.7},
        "prompt": {"soft_tokens": 4, "text_tokens": 24, "loss": "label_words"},
        "tune": {"epochs": 1},
    }
    monkeypatch.setattr(bench_module, "GROUPS", 3)
    monkeypatch.setattr(bench_module, "preset", lambda name, backbone: small)
    done: list[Job] = []

    def run(job: Job, folder: Path):
        done.append(job)
        return perform(job, folder, session, StopToken())

    session = Session()
    with Project.open_or_create(tmp_path / "p.metapt") as project:
        steps = Steps(project, run, lambda role, event: None)
        backbone = BackboneSettings(backbone=str(tiny_t5), precision="float32")
        bench = Bench(data, tmp_path / "splits", steps, backbone, seeds=2, rows=100)
        (toy,) = find_datasets([data / "downstream"], tmp_path / "splits")
        parts = {experiment.__name__: experiment(bench, toy) for experiment in (table1, ppt, baselines, pseudo)}
        document = {name: {"toy": {"figures": part}} for name, part in parts.items()}
        found = joined(document)["table 1"]["toy"]["figures"]["40 + 40"]
        assert {method: sorted(runs) for method, runs in found.items()} == {
            method: ["0", "1"]
            for method in (
                "MetaPT(Y)", "PPT(Y)", "MetaPT", "PPT", "PT", "PT, vocabulary", "FT",
                "Sentence-BERT probe", "Sentence-BERT probe + source",
            )
        }  # fmt: skip
        meta, plain = (next(job for job in done if job.stage == stage) for stage in ("meta-train", "pretrain-prompt"))
        rates = {job.settings.learning_rate for job in done if job.stage == "pretrain-prompt"}
        assert rates == {0.7, PSEUDO_RATE}, "the preset's, and that for pseudo-labels"
        tasks = bench_module.GROUPS
        assert plain.settings.batch_size * plain.settings.steps == 2 * meta.settings.shots * tasks * meta.settings.steps
        count = len(done)
        again = {experiment.__name__: experiment(bench, toy) for experiment in (table1, ppt, baselines, pseudo)}
        assert again == parts
        assert len(done) == count
        anew = trained_anew(bench, toy)["40 + 40"]
        assert {method: sorted(runs) for method, runs in anew.items()} == {
            m: ["0", "1"] for m in ("MetaPT(Y)", "PPT(Y)")
        }
        trained = [job for job in done[count:] if job.stage in ("meta-train", "pretrain-prompt")]
        assert [(job.stage, job.settings.seed) for job in trained] == [("meta-train", 1), ("pretrain-prompt", 1)]
        tunings = [job for job in done[count:] if job.stage == "tune"]
        assert [(job.tune.first_seed, job.tune.seeds) for job in tunings] == [(0, 1), (1, 1)]
        count = len(done)
        grouped = EXPERIMENTS["grouped-anew"].run(bench, toy)["40 + 40"]
        assert {name: sorted(runs) for name, runs in grouped.items()} == {"LDA": ["0", "1"], "random": ["0", "1"]}
        trained = [job.settings.seed for job in done[count:] if job.stage == "meta-train"]
        assert sorted(trained) == [0, 0, 1, 1]
        assert bench.pretrained(bench.yelp(), batch=4)
        assert (done[-1].settings.batch_size, done[-1].settings.steps) == (4, 6)  # two steps of twelve texts are six
        kept, learned = (
            {"learning_rate": 1e-12, "seeds": 1},
            {"MetaPT(Y)": bench.meta(yelp := bench.yelp(), bench.clusters(yelp))},
        )
        (as_it_is,) = bench.tuned(toy, learned, **kept)["MetaPT(Y)"].values()
        before = EXPERIMENTS["untouched"].run(bench, toy)["no labels"]
        assert {name: list(runs) for name, runs in before.items()} == {
            ALONE: ["0"], "MetaPT(Y)": ["0", "1"], "PPT(Y)": ["0", "1"]
        }  # fmt: skip
        assert as_it_is == before["MetaPT(Y)"]["0"] | {"best_step": as_it_is["best_step"]}
        count = len(done)
        own = EXPERIMENTS["own"].run(bench, toy)
        assert {name: len(runs) for name, runs in own["40 + 40"].items()} == dict.fromkeys(
            ("MetaPT(own)", "MetaPT(own), random groups", "PPT(own)", "PT", "PT, vocabulary", "Sentence-BERT probe",
             "FT"), 2
        )  # fmt: skip
        assert list(own["no labels"]) == [ALONE]
        for job, tuned in zip(
            (job for job in done[count:] if job.stage == "annotate"),
            (job for job in done[count:] if job.stage == "tune"),
            strict=False,
        ):
            labelled, rest = Corpus.open(job.labelled), Corpus.open(job.unlabelled)
            corpus, texts, labels, pool, _ = tuned.target()
            ((_, draw),) = few_shot_draws(labels, pool, tuned.tune)
            assert set(labelled.texts) == {texts[row] for row in (*draw.training, *draw.validation)}
            assert set(labelled.texts) | set(rest.texts) == set(corpus.texts)
            assert not set(labelled.texts) & set(rest.texts)
            assert not rest.classes
        longer = EXPERIMENTS["prompts"].run(bench, toy)["40 + 40"]
        assert {method: len(runs) for method, runs in longer.items()} == {
            "MetaPT(Y)": 2, "100 soft tokens": 2, "loss over the vocabulary": 2,
        }  # fmt: skip
