"""The project folder: opening, locking, runs, labels that survive."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys

import pytest

import engine.jobs.record
from engine.errors import ProjectError, StorageError
from engine.jobs import ClusterJob, EvaluateJob, ImportJob, job_from
from engine.project import Project
from engine.settings import ImportSettings
from engine.storage import read_json, write_json


@pytest.mark.parametrize("name", ["a.csv", "x" * 300, "a.csv/b"])
def test_a_place_where_no_project_can_be_is_a_sentence(tmp_path, name):
    (tmp_path / "a.csv").write_text("text")
    with pytest.raises(StorageError):
        Project.open_or_create(tmp_path / name)
    assert (tmp_path / "a.csv").read_text() == "text"


def test_create_open_close(tmp_path):
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_label("hash", 3, "good")
        project.set_note("0001-import", "first try")
    with Project.open(tmp_path / "a.metapt") as project:
        assert project.labels("hash") == {3: "good"}
        assert project.note("0001-import") == "first try"
        assert project.labels("other corpus") == {}


def test_labels_are_changed_and_cleared(tmp_path):
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_label("hash", 3, "good")
        project.set_label("hash", 3, "bad")
        project.set_label("hash", 4, "good")
        project.set_label("hash", 4, None)
        assert project.labels("hash") == {3: "bad"}


def test_many_labels_are_written_at_once_or_not_at_all(tmp_path):
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_labels("hash", dict.fromkeys(range(2000), "good"))
        project.set_labels("hash", {0: None, 1: "bad", 5_000: None})
        labels = project.labels("hash")
        assert (len(labels), labels[1], 0 in labels) == (1_999, "bad", False)
        with pytest.raises(ProjectError, match="cannot be used"):
            project.set_labels("hash", {1: "good", 2: object()})
        assert project.labels("hash") == labels
    with contextlib.closing(sqlite3.connect(tmp_path / "a.metapt" / "project.db")) as database:
        history = database.execute("SELECT before, after FROM label_history WHERE row = 1 ORDER BY id").fetchall()
    assert history == [(None, "good"), ("good", "bad")]


def test_many_labels_are_one_transaction(tmp_path, monkeypatch):
    begun: list[str] = []
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_label("hash", 0, "good")
        project._database.set_trace_callback(lambda words: begun.append(words.split()[0]))
        project.set_labels("hash", dict.fromkeys(range(1000), "bad"))
    assert begun.count("COMMIT") == 1


def test_a_label_is_on_disk_before_set_label_returns(tmp_path):
    program = (
        "import os, signal, sys; from engine.project import Project\n"
        "project = Project.create(sys.argv[1])\n"
        "project.set_label('hash', 7, 'good')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.metapt")], check=False)
    with Project.open(tmp_path / "a.metapt") as project:
        assert project.labels("hash") == {7: "good"}


def test_a_second_opening_is_refused_or_read_only(tmp_path):
    with Project.create(tmp_path / "a.metapt") as first:
        first.set_label("hash", 1, "good")
        with pytest.raises(ProjectError, match="open in another window"):
            Project.open(tmp_path / "a.metapt")
        with Project.open(tmp_path / "a.metapt", read_only=True) as second:
            assert second.read_only
            assert second.labels("hash") == {1: "good"}
            with pytest.raises(ProjectError, match="reading only"):
                second.set_label("hash", 1, "bad")
    with Project.open(tmp_path / "a.metapt") as third:
        assert not third.read_only


def test_read_only_without_a_database_has_no_labels(tmp_path):
    Project.create(tmp_path / "a.metapt").close()
    with Project.open(tmp_path / "a.metapt", read_only=True) as project:
        assert project.labels("hash") == {}


@pytest.mark.parametrize("manifest", ["{", "[]", "{}", '{"schema": "1"}', '{"schema": 1}', '{"schema": 1, "roles": 3}'])
def test_a_damaged_manifest_is_told(tmp_path, manifest):
    (tmp_path / "project.json").write_text(manifest)
    with pytest.raises(StorageError, match="damaged"):
        Project.open(tmp_path)


def test_a_newer_project_is_refused(tmp_path):
    (tmp_path / "project.json").write_text('{"schema": 99, "roles": {}}')
    with pytest.raises(ProjectError, match="newer MetaPT"):
        Project.open(tmp_path)


def test_no_project_and_a_folder_in_use(tmp_path):
    with pytest.raises(ProjectError, match="no MetaPT project"):
        Project.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ProjectError, match="not empty"):
        Project.create(tmp_path)


def test_a_damaged_database_is_told(tmp_path):
    Project.create(tmp_path / "a.metapt").close()
    (tmp_path / "a.metapt" / "project.db").write_bytes(b"no database " * 100)
    with Project.open(tmp_path / "a.metapt") as project, pytest.raises(ProjectError, match="database"):
        project.labels("hash")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER t AFTER INSERT ON labels BEGIN DELETE FROM labels; END",
        "ALTER TABLE labels RENAME TO kept; CREATE VIEW labels AS SELECT corpus, row, 'bad' AS class FROM kept",
    ],
)
def test_a_database_with_a_program_in_it_is_refused(tmp_path, planted, read_only):
    with Project.create(tmp_path / "a.metapt") as project:
        project.set_label("hash", 1, "good")
    with contextlib.closing(sqlite3.connect(tmp_path / "a.metapt" / "project.db")) as database:
        database.executescript(planted)
    with (
        Project.open(tmp_path / "a.metapt", read_only=read_only) as project,
        pytest.raises(ProjectError, match="view or a trigger"),
    ):
        project.labels("hash")


def test_the_same_job_gets_the_same_run(tmp_path):
    with Project.create(tmp_path / "a.metapt") as project:
        job = ImportJob(files=["x.csv"])
        folder, done = project.run_folder(job)
        assert (folder.name, done) == ("0001-import", False)
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps(job.document()))
        assert project.run_folder(job) == (folder, False)
        (folder / "result.json").write_text('{"event": "Finished", "outcome": "completed"}')
        assert project.run_folder(job) == (folder, True)
        assert project.run_folder(ImportJob(files=["y.csv"]))[0].name == "0002-import"
        assert project.run_folder(job, fresh=True)[0].name == "0002-import"
        (folder / "result.json").write_text('{"event": "Finished", "outcome": "stopped"}')
        assert project.run_folder(job) == (folder, False)
        project.assign("source", folder)
        assert project.role("source") == folder.resolve()
        with pytest.raises(ProjectError, match="no 'clusters' yet"):
            project.role("clusters")


def test_a_run_is_read_again_only_when_it_was_written_again(tmp_path, monkeypatch):
    read = []

    def noted(path):
        read.append(path.parent.name)
        return read_json(path)

    monkeypatch.setattr(engine.jobs.record, "read_json", noted)
    with Project.create(tmp_path / "a.metapt") as project:
        for number in range(3):
            job = ImportJob(files=[f"{number}.csv"])
            folder, _ = project.run_folder(job)
            folder.mkdir()
            write_json(folder / "job.json", job.document())
        read.clear()
        assert not project.run_folder(ImportJob(files=["new.csv"]))[1]
        assert read == ["0003-import"], "the others were read before"
        write_json(project.folder / "runs" / "0001-import" / "job.json", ImportJob(files=["new.csv"]).document())
        assert project.run_folder(ImportJob(files=["new.csv"]))[0].name == "0001-import"
        assert read == ["0003-import", "0001-import", "0001-import"], "the last one looks for how it ended"


def test_a_run_of_a_version_with_fewer_settings_is_found_again(tmp_path):
    job = ImportJob(files=["x.csv"])
    with Project.create(tmp_path / "a.metapt") as project:
        folder, _ = project.run_folder(job)
        folder.mkdir()
        older = job.document()
        del older["settings"]["keep_unlabelled"]
        (folder / "job.json").write_text(json.dumps(older))
        assert project.run_folder(job) == (folder, False)
        other = job.model_copy(update={"settings": ImportSettings(keep_unlabelled=True)})
        assert project.run_folder(other)[0] != folder
        for damaged in ([], {"stage": "import", "files": 3}, {**older, "inputs": {"/x.csv": [1, 2]}}):
            (folder / "job.json").write_text(json.dumps(damaged))
            assert project.run_folder(job)[0] != folder


def test_a_run_that_went_on_makes_another_job_of_what_stands_on_it(tmp_path):
    prompt = tmp_path / "prompt.safetensors"
    prompt.write_bytes(b"after 50 steps")
    job = EvaluateJob(prompt=str(prompt), corpus="c")
    with Project.create(tmp_path / "a.metapt") as project:
        folder, _ = project.run_folder(job)
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps(job.document()))
        (folder / "result.json").write_text('{"event": "Finished", "outcome": "completed"}')
        assert project.run_folder(job) == (folder, True)
        prompt.write_bytes(b"after 100 steps")
        assert project.run_folder(job)[0].name == "0002-evaluate"


def test_a_manifest_cannot_point_outside(tmp_path):
    (tmp_path / "project.json").write_text('{"schema": 1, "roles": {"source": "../elsewhere"}}')
    with Project.open(tmp_path) as project, pytest.raises(ProjectError, match="outside"):
        project.role("source")


def test_jobs_come_back_from_their_documents():
    job = ClusterJob(corpus="a", cache="b", settings={"clusters": 7})
    assert job_from(json.loads(json.dumps(job.document()))) == job


def test_a_result_that_is_taken_away_while_it_is_looked_for_is_none(tmp_path, monkeypatch):
    """A run that is resumed takes its result away, and the window may be asking just then."""
    job = ImportJob(files=["x.csv"])
    with Project.create(tmp_path / "a.metapt") as project:
        folder, _ = project.run_folder(job)
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps(job.document()))
        result = folder / "result.json"
        result.write_text('{"event": "Finished", "outcome": "completed"}')
        read = engine.jobs.record.read_json

        def read_late(path):
            if path == result:
                result.unlink()
            return read(path)

        monkeypatch.setattr("engine.jobs.record.read_json", read_late)
        assert project.run_folder(job) == (folder, False)


def test_labels_of_several_corpora_are_written_all_or_none(tmp_path):
    """As when a class is renamed, of which texts of two files have labels."""
    with Project.open_or_create(tmp_path / "a.metapt") as project:
        project.set_labels("one", dict.fromkeys(range(2000), "happy"))
        project.set_labels("other", {1: "happy", 2: "sad"})
        with pytest.raises(ProjectError):
            project.label_corpora({"one": {0: "glad", 1: None}, "other": {1: object()}})
        assert project.labels("one") == dict.fromkeys(range(2000), "happy")
        project.label_corpora(
            {"one": {row: "glad" if row else None for row in range(1500)}, "other": {1: "glad", 3: None}}
        )
        assert project.labels("one") == {row: "glad" if row < 1500 else "happy" for row in range(1, 2000)}
        assert project.labels("other") == {1: "glad", 2: "sad"}
        assert project.ever_labelled("one")


def test_what_was_labelled_last_comes_first(tmp_path, monkeypatch):
    clock = iter(range(9))
    monkeypatch.setattr("engine.project_database.time.time", lambda: float(next(clock)))
    with Project.create(tmp_path / "p.metapt") as project:
        project.set_label("one", 1, "bad")
        project.set_label("two", 1, "good")
        assert list(project.labelled()) == ["two", "one"]
        project.set_label("one", 2, "good")
        assert list(project.labelled().items()) == [("one", {1: "bad", 2: "good"}), ("two", {1: "good"})]
