"""A person's own labels as the labelled source: what is written, what is tested on afterwards, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import quick, refused
from made_corpora import corpus_of
from made_runs import as_if_run

from engine.corpus.drawing import rows_to_test, set_aside
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.jobs import ImportJob, ProbeJob, TuneJob
from engine.jobs.own_labels import FILES, FOLDER, is_own, write_own_labels
from engine.jobs.target_task import TargetTask
from engine.project import Project
from engine.running.runs import own_labels_taught
from engine.settings import ImportSettings, TuneSettings
from engine.workflow import on_same_labels

NONE_TESTED = TuneSettings(test_rows=0)


def columns(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = pq.read_table(path).to_pydict()
    return found


def test_what_is_labelled_teaches_and_the_rest_is_without_a_label(tmp_path):
    corpus = corpus_of(tmp_path / "task", list("abcdef"), ["late", None, None, "lost", None, None], ("lost", "late"))
    task = TargetTask(words={"lost": "gone", "late": "slow"})
    written = write_own_labels(corpus, task, {1: "lost", 3: "late"}, NONE_TESTED, tmp_path / "own")
    assert columns(written["source"][0]) == {"text": ["a", "b", "d"], "label": ["late", "lost", "late"]}
    assert columns(written["open-text"][0]) == {"text": ["c", "e", "f"]}
    settings = written["source"][1]
    assert list(settings.label_map) == ["lost", "late"], "the classes keep their order"
    assert settings.words == {"lost": "gone", "late": "slow"}
    assert (settings.drop_duplicates, settings.minimum_characters) == (False, 1)
    assert written["open-text"][1].label_column == ""


def test_classes_of_the_persons_own_and_new_names_count(tmp_path):
    corpus = corpus_of(tmp_path / "task", list("abcd"), ["late", "lost", None, None])
    task = TargetTask(classes=("slow", "gone", "rude"), renamed={"late": "slow", "lost": "gone"})
    written = write_own_labels(corpus, task, {2: "rude", 3: "of another task"}, NONE_TESTED, tmp_path / "own")
    assert columns(written["source"][0]) == {"text": ["a", "b", "c"], "label": ["slow", "gone", "rude"]}
    assert columns(written["open-text"][0])["text"] == ["d"]
    assert set(written["source"][1].words) == {"slow", "gone", "rude"}


def test_what_cannot_teach_is_refused(tmp_path):
    one = corpus_of(tmp_path / "one", list("abc"), ["late", "late", None])
    with pytest.raises(DataError, match="of one class only, late"):
        write_own_labels(one, TargetTask(), {}, NONE_TESTED, tmp_path / "own")
    none = corpus_of(tmp_path / "none", list("abc"), [None] * 3)
    with pytest.raises(DataError, match="of no class"):
        write_own_labels(none, TargetTask(), {}, NONE_TESTED, tmp_path / "own")
    every = corpus_of(tmp_path / "every", list("ab"), ["late", "lost"])
    with pytest.raises(DataError, match="All texts of your task have a label"):
        write_own_labels(every, TargetTask(), {}, NONE_TESTED, tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_as_many_are_set_aside_as_can_be_spared_and_none_that_is_known():
    pool, tune = np.arange(100, 130), TuneSettings(training_rows=10, validation_rows=10, test_rows=8)
    first = set_aside(pool, tune)
    assert len(first) == 8
    assert set(first) <= set(pool)
    assert list(first) == sorted(first)
    assert len(set_aside(pool[:24], tune)) == 4, "twenty are left to draw from"
    assert len(set_aside(pool[:20], tune)) == 0
    assert not set(set_aside(pool, tune, pool[:25])) - set(pool[25:])
    assert len(set_aside(pool, tune, pool[:25])) == 5
    assert list(set_aside(pool, tune, np.empty(0, np.int64))) == list(first)
    assert [rows_to_test(labelled, tune) for labelled in (10, 39, 40, 500)] == [0, 0, 20, 200]
    assert [rows_to_test(labelled, tune, taught=50) for labelled in (50, 69, 70)] == [0, 0, 20]


def test_what_has_taught_is_drawn_and_not_tested_on(tmp_path):
    texts = [f"text {number}" for number in range(60)]
    labels = [("bad", "good")[number % 2] if number < 40 else None for number in range(60)]
    corpus = corpus_of(tmp_path / "task", texts, labels)
    tune = TuneSettings(training_rows=10, validation_rows=10, test_rows=15)
    written = write_own_labels(corpus, TargetTask(), {}, tune, tmp_path / "own")
    teachers, others = (columns(written[role][0])["text"] for role in FILES)
    _, _, _, pool, test = TuneJob(corpus=str(corpus.folder), tune=tune).target()
    kept = {texts[row] for row in test}
    assert len(kept) == 15
    assert not kept & set(teachers)
    assert not kept & set(others), "nor does anything learn from them"
    assert set(teachers) == {texts[row] for row in pool}
    few = write_own_labels(corpus, TargetTask(), {}, tune, tmp_path / "few", least=16)
    assert len(columns(few["source"][0])["text"]) == 40, "of so few nothing is set aside"

    source = corpus_of(tmp_path / "source", teachers, [labels[texts.index(text)] for text in teachers])
    more = {row: ("bad", "good")[row % 2] for row in range(40, 60)}  # labelled after they had taught
    job = TuneJob(corpus=str(corpus.folder), tune=tune, labels=more, taught=str(source.folder))
    _, _, found, pool, test = job.target()
    assert len(test) == 15
    assert not {texts[row] for row in test} & set(teachers)
    assert set(test) | set(pool) == set(np.flatnonzero(found >= 0))
    tested = [int(row) for row in TuneJob(corpus=str(corpus.folder), tune=tune, labels=more).target()[-1]]
    assert {texts[row] for row in tested} & set(teachers), "they would be, if nobody said so"


def test_a_project_knows_whether_its_source_is_its_own(tmp_path):
    with Project.create(tmp_path / "p.metapt") as project:
        assert own_labels_taught(project) == ""
        own = str(project.folder / FOLDER / FILES["source"])
        folder = as_if_run(project, "source", ImportJob(files=[own], settings=ImportSettings()))
        assert own_labels_taught(project) == str(folder)
        as_if_run(project, "source", ImportJob(files=[own, "/other.csv"], settings=ImportSettings()))
        assert own_labels_taught(project) == ""
    assert not is_own(own, "open-text")
    assert not is_own("/somewhere/labelled.parquet", "source")


def test_a_probe_that_was_tested_on_others_is_another_one():
    tuned = TuneJob(corpus="/p/runs/0001-import")
    assert on_same_labels(tuned, ProbeJob(corpus="/p/runs/0001-import"))
    assert not on_same_labels(tuned, ProbeJob(corpus="/p/runs/0001-import", taught="/p/runs/0002-import"))


def test_the_command_imports_both(tmp_path, fork_server):
    rows = [f"the parcel {number} is {('late', 'lost')[number % 2]}" for number in range(30)]
    lines = [f"{text},{text.split()[-1] if number < 12 else ''}" for number, text in enumerate(rows)]
    (tmp_path / "task.csv").write_text("\n".join(["text,what", *lines]), encoding="utf-8")
    options = ("--as", "target", "--label-column", "what", "--keep-unlabelled")
    assert quick("import", "task.csv", *options, cwd=tmp_path).returncode == 0
    answer = quick("own-labels", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "metapt annotate --confidence 0.5 --out-of-domain-share 0" in answer.stdout
    with Project.open(tmp_path / "project.metapt", read_only=True) as project:
        source, others = (Corpus.open(project.role(role)) for role in FILES)
        assert (source.rows, source.classes, others.rows, others.classes) == (12, ("late", "lost"), 18, ())
        assert own_labels_taught(project) == str(source.folder)
    told = json.loads(quick("status", "--json", cwd=tmp_path).stdout)
    assert told["next"] != "metapt import FILE"
    (tmp_path / "bare.csv").write_text("text\n" + "\n".join(rows), encoding="utf-8")
    assert quick("import", "bare.csv", "--as", "target", "-p", "bare.metapt", cwd=tmp_path).returncode == 0
    refused(quick("own-labels", "-p", "bare.metapt", cwd=tmp_path), 3, "no class", "Label some texts")
