"""The target task as the window keeps it: what jobs and the command line make of its classes and labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from importing import read, write
from typer.testing import CliRunner

import engine.cli
from engine.corpus.drawing import Draw
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.events import Finished
from engine.jobs import FullModelJob, Job, TuneJob, job_from
from engine.jobs.inputs import shared_texts
from engine.jobs.session import Session
from engine.jobs.target_task import TargetTask, renamed_once_more, task_from, usable_labels
from engine.project import Project
from engine.stage import StopToken
from engine.storage import read_json, write_json

ROWS = [(f"parcel {number}", ("late", "early", "")[number % 3]) for number in range(30)]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Thirty texts: late, early, and without a label."""
    return read(
        write(tmp_path / "a.csv", rows=ROWS),
        tmp_path / "corpus",
        text_column="review",
        label_column="stars",
        keep_unlabelled=True,
    )


# Renaming -------------------------------------------------------------------------------------------------------------


def renamed(imported: set[str], *steps: tuple[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for before, after in steps:
        found = renamed_once_more(found, imported, before, after)
    return found


def test_names_are_followed_through_many_renamings():
    both = {"a", "b"}
    assert renamed(both, ("a", "x"), ("x", "y")) == {"a": "y"}
    assert renamed(both, ("a", "x"), ("x", "a")) == {}
    assert renamed(both, ("a", "x"), ("b", "a"), ("x", "b")) == {"a": "b", "b": "a"}
    assert renamed(both, ("class 3", "z"), ("z", "y")) == {}, "nothing was imported for it"
    assert renamed(both, ("a", "x"), ("class 3", "a"), ("a", "c")) == {"a": "x"}, "another class of that name"


def test_imported_labels_go_with_the_new_name_of_their_class(corpus):
    job = TuneJob(corpus=str(corpus.folder), classes=["slow", "early"], renamed={"late": "slow"}, labels={2: "slow"})
    assert job.target()[2].tolist()[:6] == [0, 1, 0, 0, 1, -1]
    plain = TuneJob(corpus=str(corpus.folder), renamed={"late": "slow"})
    assert set(plain.class_names(corpus)) == {"slow", "early"}
    assert sorted(set(plain.target()[2].tolist())) == [-1, 0, 1]


def test_a_test_corpus_has_the_old_names_too(corpus):
    place = str(corpus.folder)
    job = TuneJob(corpus=place, test=place, classes=["slow", "early"], renamed={"late": "slow"})
    assert job.target()[2].tolist()[30:33] == [0, 1, -1]


def test_a_run_of_before_there_were_new_names_is_found_again(corpus, tmp_path):
    job = TuneJob(corpus=str(corpus.folder))
    with Project.create(tmp_path / "a.metapt") as project:
        folder, _ = project.run_folder(job)
        folder.mkdir(parents=True)
        document = job.document()
        del document["renamed"]
        write_json(folder / "job.json", document)
        assert project.run_folder(job)[0] == folder
        other = job.model_copy(update={"renamed": {"late": "slow"}})
        assert project.run_folder(other)[0] != folder
        assert job_from(read_json(folder / "job.json")) == job


# Labels that do not fit -----------------------------------------------------------------------------------------------


def test_a_label_that_does_not_fit_is_named_as_the_person_counts_with_what_to_do(corpus):
    for labels in ({4: "lost"}, {1_233: "late"}):
        with pytest.raises(DataError, match=r"Row (5|1,234) cannot be labelled '(lost|late)'") as caught:
            TuneJob(corpus=str(corpus.folder), labels=labels).target()
        assert "late" in caught.value.remedy
        assert "30 rows" in caught.value.remedy


@pytest.mark.parametrize(("labelled_rows", "epochs"), [(6, 20), (30, 200)])
def test_with_too_few_labels_all_weights_are_tuned_for_as_many_epochs_as_prompts(
    corpus, tmp_path, monkeypatch, labelled_rows, epochs
):
    taken = []

    def tune_full_model(scorer, examples, draws, settings, folder, **_):
        taken.append(settings.epochs)
        yield Finished(str(folder))

    monkeypatch.setattr("engine.training.full_model.tune_full_model", tune_full_model)
    monkeypatch.setattr(FullModelJob, "scorer", lambda *_: iter(()))
    monkeypatch.setattr("engine.jobs.inputs.drawn_examples", lambda *_: iter(()))
    labels = {row: ("slow", "fast")[row % 2] for row in range(labelled_rows)}
    job = FullModelJob(corpus=str(corpus.folder), classes=["slow", "fast"], labels=labels)
    assert isinstance(list(job.run(Session(), tmp_path, StopToken()))[-1], Finished)
    assert taken == [epochs]


def test_labels_of_classes_and_rows_that_are_gone_are_left_out():
    labels = {0: "late", 1: "lost", 40: "late", -1: "late"}
    assert usable_labels(labels, ["late", "early"], 30) == {0: "late"}


@pytest.mark.parametrize("value", [None, 1, [], {"classes": 3, "words": [], "renamed": {"a": 1}}, {"classes": [1]}])
def test_what_is_no_task_counts_as_nothing(value):
    assert task_from(value) == TargetTask()


# The command line -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run ``metapt tune`` on a project and return the job that it would start."""
    started: list[Job] = []
    folder = tmp_path / "a.metapt"

    @contextmanager
    def no_engine(project: Path, json: bool) -> Iterator[SimpleNamespace]:
        with Project.open(project) as opened:
            yield SimpleNamespace(project=opened, run=lambda role, job: started.append(job))

    monkeypatch.setattr(engine.cli, "engine_steps", no_engine)

    def tune(*options: str) -> TuneJob:
        answer = CliRunner().invoke(engine.cli.app, ["tune", "--json", "-p", str(folder), *options])
        assert answer.exit_code == 0, answer.exception
        job = started.pop()
        assert isinstance(job, TuneJob)
        return job

    return tune


@pytest.fixture
def labelled(tmp_path: Path):
    """Make a project with a target, as the window leaves it: rows, labels and the task."""

    def make(rows: list[tuple[str, str]], labels: dict[int, str], task: object, **options: str | bool) -> None:
        with Project.create(tmp_path / "a.metapt") as project:
            run = project.folder / "runs" / "0001-import"
            found = read(write(tmp_path / "b.csv", rows=rows), run, text_column="review", **options)
            project.assign("target", run)
            project.set_labels(found.content_hash, labels)
            project.set_value("task", task)

    return make


def test_a_target_that_was_labelled_in_the_window_is_tuned_in_a_terminal(labelled, tuned):
    task = {"classes": ["bad", "good"], "words": {"bad": "awful", "good": "great"}}
    labelled([(f"parcel {n}", "") for n in range(9)], {0: "good", 1: "bad", 2: "gone", 70: "bad"}, task)
    job = tuned()
    assert (job.classes, job.words) == (["bad", "good"], {"bad": "awful", "good": "great"})
    assert job.target()[2].tolist() == [1, 0, *[-1] * 7]
    assert tuned("--word", "bad=poor").words == {"bad": "poor", "good": "great"}, "what is typed goes first"


def test_a_renamed_class_keeps_its_imported_labels_in_a_terminal(labelled, tuned):
    task = {"classes": ["early", "slow"], "words": {"slow": "bad"}, "renamed": {"late": "slow"}}
    labelled(ROWS, {2: "slow"}, task, label_column="stars", keep_unlabelled=True)
    job = tuned()
    assert job.words == {"early": "early", "slow": "bad"}
    assert job.target()[2].tolist()[:6] == [1, 0, 1, 1, 0, -1]


def test_classes_that_nobody_named_are_those_of_the_labels(labelled, tuned):
    labelled([(f"parcel {n}", "") for n in range(9)], {0: "class 2", 1: "class 1"}, None)
    job = tuned()
    assert job.classes == ["class 1", "class 2"]
    assert job.target()[2].tolist()[:3] == [1, 0, -1]


def test_without_a_task_of_the_window_the_job_is_the_one_it_was(labelled, tuned):
    labelled(ROWS, {2: "late", 3: "gone"}, None, label_column="stars", keep_unlabelled=True)
    job = tuned("--word", "late=bad", "--word", "early=good")
    assert (job.classes, job.words, job.renamed) == ([], {"late": "bad", "early": "good"}, {})
    assert job.labels == {2: "late"}


def test_tested_texts_that_were_drawn_too_are_counted():
    texts = ["soup", "bread", "cheese", "soup", "soup", "wine"]
    draws = [(0, Draw(np.array([0]), np.array([1]))), (1, Draw(np.array([2]), np.array([1])))]
    assert shared_texts(texts, draws, np.array([3, 4, 5])) == 2
    assert shared_texts(texts, draws[1:], np.array([3, 4, 5])) == 0
