"""Projects of other versions, clocks that jump, and files that change while a stage reads them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from faults.conftest import Here
from faults.stages import STAGES, FastSession, Inputs, begin, fail_here, results, run_here

from engine import migrations
from engine.clustering.edits import ClusterEdit
from engine.errors import ProjectError, StorageError
from engine.events import Checkpointed, Event, Failed, Finished, Progress
from engine.jobs import ImportJob, Job
from engine.project import Project
from engine.running.perform import perform
from engine.stage import ProgressMeter, StopToken
from engine.storage import UNFINISHED, read_json, write_json

OLD_MANIFEST = {"schema": 1, "created": 1.0, "roles": {}}


def old_project(folder: Path) -> dict[str, bytes]:
    """Make a project of schema 1, whose database knew no groups, and return its files."""
    folder.mkdir()
    write_json(folder / "project.json", OLD_MANIFEST)
    database = sqlite3.connect(folder / "project.db")
    database.executescript(migrations.LABELS)
    database.execute("INSERT INTO labels VALUES ('hash', 3, 'good')")
    database.execute("INSERT INTO notes VALUES ('0001-import', 'first try')")
    database.commit()
    database.close()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_migrated(folder: Path) -> None:
    """Open a project that was old: everything is there, and what came later works."""
    with Project.open(folder) as project:
        assert project.labels("hash") == {3: "good"}
        assert project.note("0001-import") == "first try"
        project.set_cluster_edits(folder / "runs" / "0002-cluster", {1: ClusterEdit("soups")})
        project.set_value("task", 1)
        assert project.cluster_edits(folder / "runs" / "0002-cluster") == {1: ClusterEdit("soups")}
    assert read_json(folder / "project.json")["schema"] == migrations.SCHEMA


def check_backup(folder: Path, before: dict[str, bytes]) -> None:
    """The copies are the project as it was."""
    assert (folder / "project.json.v1.bak").read_bytes() == before["project.json"]
    database = sqlite3.connect(folder / "project.db.v1.bak")
    assert database.execute("SELECT * FROM labels").fetchall() == [("hash", 3, "good")]
    assert database.execute("SELECT name FROM sqlite_master WHERE name = 'cluster_edits'").fetchall() == []
    database.close()


def test_an_older_project_is_brought_up_and_a_copy_stays(tmp_path: Path) -> None:
    before = old_project(tmp_path / "a.metapt")
    check_migrated(tmp_path / "a.metapt")
    check_backup(tmp_path / "a.metapt", before)
    check_migrated(tmp_path / "a.metapt")
    check_backup(tmp_path / "a.metapt", before)


@pytest.mark.parametrize("broken", ["write_json", "bring_up", "_copy"])
def test_a_migration_that_is_cut_off_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    folder = tmp_path / "a.metapt"
    before = old_project(folder)

    def cut(*_: object) -> None:
        raise StorageError("The disk is full", remedy="Free some space.")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, broken, cut)
        with pytest.raises(StorageError, match="disk is full"):
            Project.open(folder)
    assert read_json(folder / "project.json") == OLD_MANIFEST
    assert not list(folder.glob(f".*{UNFINISHED}"))
    check_migrated(folder)
    check_backup(folder, before)


def test_an_older_project_is_read_as_it_is(tmp_path: Path) -> None:
    before = old_project(tmp_path / "a.metapt")
    with Project.open(tmp_path / "a.metapt", read_only=True) as project:
        assert project.labels("hash") == {3: "good"}
        assert project.cluster_edits(tmp_path / "0002-cluster") == {}
        assert project.value("task") is None
    assert {path.name: path.read_bytes() for path in (tmp_path / "a.metapt").iterdir()} == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_project_is_refused_and_untouched(tmp_path: Path, read_only: bool) -> None:
    old_project(tmp_path / "a.metapt")
    write_json(tmp_path / "a.metapt" / "project.json", OLD_MANIFEST | {"schema": migrations.SCHEMA + 1})
    before = {path.name: path.read_bytes() for path in (tmp_path / "a.metapt").iterdir()}
    with pytest.raises(ProjectError, match=r"newer MetaPT .*Update MetaPT; nothing of the project was changed"):
        Project.open(tmp_path / "a.metapt", read_only=read_only)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a.metapt").iterdir()} == before


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    Project.create(tmp_path / "a.metapt").close()
    database = sqlite3.connect(tmp_path / "a.metapt" / "project.db")
    database.execute(f"PRAGMA user_version = {migrations.SCHEMA + 1}")
    database.close()
    with Project.open(tmp_path / "a.metapt") as project, pytest.raises(ProjectError, match="newer MetaPT"):
        project.labels("hash")


# Clocks ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back an hour, then forward a year, at every look."""
    real, looks = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (-3600, 365 * 86_400)[next(looks) % 2])


@pytest.mark.usefixtures("jumping")
def test_clocks_that_jump_change_no_result(
    inputs: Inputs, here: Callable[[str], Here], session: FastSession, tmp_path: Path
) -> None:
    project = tmp_path / "a.metapt"
    job = STAGES["meta-train"](inputs, project)
    events = run_here(job, begin(project, job), session)
    assert results(project) == here("meta-train").results
    for event in events:
        if isinstance(event, Progress):
            assert event.rate is None or event.rate > 0
            assert event.seconds_left is None or 0 <= event.seconds_left < 3600


@pytest.mark.usefixtures("jumping")
def test_clocks_that_jump_mix_up_no_history(tmp_path: Path) -> None:
    meter = ProgressMeter("import", 10, "rows")
    assert all((meter.at(done).rate or 1) > 0 for done in range(10))
    with Project.create(tmp_path / "a.metapt") as project:
        names = []
        for file in "abc":
            folder, _ = project.run_folder(ImportJob(files=[f"{file}.csv"]))
            folder.mkdir()
            write_json(folder / "job.json", ImportJob(files=[f"{file}.csv"]).document())
            names.append(folder.name)
        assert names == ["0001-import", "0002-import", "0003-import"]
        assert [folder.name for folder in project.runs("import")] == names[::-1]
        for name in ("good", "bad", None, "good"):
            project.set_label("hash", 1, name)
    database = sqlite3.connect(tmp_path / "a.metapt" / "project.db")
    steps = database.execute("SELECT before, after FROM label_history ORDER BY id").fetchall()
    database.close()
    assert steps == [(None, "good"), ("good", "bad"), ("bad", None), (None, "good")]


# Files that change ----------------------------------------------------------------------------------------------------


def write_rows(path: Path, rows: int) -> None:
    path.write_text("text\n" + "".join(f"this is text number {row} of the file\n" for row in range(rows)))


def interrupted(job: Job, folder: Path, session: FastSession, change: Callable[[], object]) -> Iterator[Event]:
    """Run a job, and change something after its first progress."""
    changed = False
    for event in perform(job, folder, session, StopToken()):
        yield event
        if isinstance(event, Progress) and not changed:
            changed = True
            change()


def test_a_source_that_is_removed_during_an_import_is_a_sentence(session: FastSession, tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    write_rows(first, 9000)
    write_rows(second, 10)
    job = ImportJob(files=[str(first), str(second)], settings={"text_column": "text"})
    last = list(interrupted(job, tmp_path / "run", session, second.unlink))[-1]
    assert isinstance(last, Failed)
    assert (last.error, last.where) == ("StorageError", str(second))
    assert "no such file" in last.what
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["events.jsonl", "job.json", "result.json"]


def test_a_source_that_is_cut_off_during_an_import_leaves_whole_rows(session: FastSession, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_rows(path, 60_000)
    whole = set(path.read_text().splitlines())

    def cut() -> None:
        with open(path, "r+b") as stream:
            stream.truncate(1_500_000)

    job = ImportJob(files=[str(path)], settings={"text_column": "text"})
    last = list(interrupted(job, tmp_path / "run", session, cut))[-1]
    assert isinstance(last, Finished), last
    texts = pq.read_table(tmp_path / "run" / "corpus.parquet").column("text").to_pylist()
    assert 8192 <= len(texts) < 60_000
    assert set(texts[:-1]) <= whole


def test_a_corpus_that_changes_under_training_does_not_reach_it(
    inputs: Inputs, here: Callable[[str], Here], session: FastSession, tmp_path: Path
) -> None:
    """A run has read its texts; one that is resumed on other texts says that it cannot be."""
    project = tmp_path / "a.metapt"
    job = STAGES["meta-train"](inputs, project)
    run = begin(project, job)
    corpus = Path(inputs.run("source")) / "corpus.parquet"
    before = corpus.read_bytes()
    table = pq.read_table(corpus)
    others = table.set_column(0, "text", [[f"other text {row}" for row in range(len(table))]])
    checkpoint = b""
    try:
        for event in perform(job, run, session, StopToken()):
            if isinstance(event, Checkpointed) and not checkpoint:
                checkpoint = Path(event.path).read_bytes()
                pq.write_table(others, corpus)
        assert isinstance(event, Finished)
        assert results(project) == here("meta-train").results

        (run / "checkpoint.safetensors").write_bytes(checkpoint)
        failure = fail_here(job, run, session)
        assert failure.error == "CheckpointError"
        assert "other settings, data or backbone" in failure.what

        corpus.unlink()
        failure = fail_here(job, run, session)
        assert (failure.error, failure.where) == ("StorageError", str(corpus))
    finally:
        corpus.write_bytes(before)
    run_here(job, run, session)
    assert results(project) == here("meta-train").results
