"""The window under faults: killed while a person labels, a project that cannot be written to, a device that is lost."""

from __future__ import annotations

import csv
import errno
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from faults.conftest import CI_KILLS, SOAK_KILLS
from faults.labelling import label
from faults.stages import FastSession, run_here
from filelock import FileLock
from forking import CONTEXT
from gui.conftest import engines, hands, nothing_left_running, own_folders, themes, window  # noqa: F401
from gui.driving import Hands
from preloaded import chosen_backbone
from PySide6.QtCore import Qt

from engine.corpus.store import Corpus
from engine.errors import DeviceLostError, TrainingError
from engine.events import Failed
from engine.jobs import ImportJob
from engine.project import Project
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.widgets.dialogs import ErrorDialog, Question

SECONDS = 1.5
"""A window is killed at a random moment of so long a labelling."""
GONE_SECONDS = 20.0


@pytest.fixture(scope="module")
def labelled_project(tmp_path_factory: pytest.TempPathFactory, tiny_t5: Path, session: FastSession) -> Path:
    """A project with 2,000 texts to label."""
    folder = tmp_path_factory.mktemp("labelled")
    with open(folder / "texts.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text"])
        writer.writerows([f"message number {number} that somebody wrote"] for number in range(2000))
    with Project.create(folder / "a.metapt") as project:
        job = ImportJob(files=[str(folder / "texts.csv")], settings={"text_column": "text"})
        run, _ = project.run_folder(job)
        run_here(job, run, session)
        project.assign("target", run)
        project.set_value("task", {"classes": ["bad", "good"], "words": {"bad": "bad", "good": "good"}})
        project.set_value("backbone", chosen_backbone(str(tiny_t5)).model_dump())
    return folder / "a.metapt"


@pytest.fixture
def own_project(labelled_project: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(labelled_project, tmp_path / "own.metapt"))


def kill_while_labelling(project: Path, home: Path, seconds: float) -> int:
    """Kill a window so long after its first key; return how many labels were on its screen, all of which are kept."""
    home.mkdir()
    told, tells = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=label, args=(project, home, tells))
    process.start()
    tells.close()
    try:
        assert told.poll(180), "the window did not come up"
        engine = told.recv()
        time.sleep(seconds)
        assert process.is_alive(), "it ended by itself"
    finally:
        process.kill()
        process.join()
    drawn: dict[int, str] = {}
    try:
        while True:
            drawn |= told.recv()
    except EOFError:
        told.close()
    with Project.open(project) as opened:  # the lock of the dead is nobody's
        kept = opened.labels(Corpus.open(opened.role("target")).content_hash)
    assert drawn.items() <= kept.items(), "a label was on the screen and is not in the project"
    assert len(kept) <= len(drawn) + 1, "more was written than the key that was pressed last"
    _wait_for_end(engine)
    return len(drawn)


def _wait_for_end(pid: int) -> None:
    """An engine whose window is gone must end by itself."""
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.05)
    pytest.fail("the engine outlives its window")


@pytest.mark.usefixtures("fork_server")
def test_labels_that_were_on_the_screen_of_a_killed_window_are_kept(labelled_project: Path, tmp_path: Path) -> None:
    moments = random.Random("window")
    drawn = 0
    for number in range(CI_KILLS):
        project = Path(shutil.copytree(labelled_project, tmp_path / f"{number}.metapt"))
        drawn += kill_while_labelling(project, tmp_path / f"home-{number}", moments.uniform(0.1, SECONDS))
    assert drawn


@pytest.mark.soak
@pytest.mark.usefixtures("fork_server")
def test_soak_labels_that_were_on_the_screen_of_a_killed_window_are_kept(
    labelled_project: Path, tmp_path: Path, record: dict[str, dict[str, float]]
) -> None:
    began = time.monotonic()
    figures = record.setdefault("kills: window while labelling", {"failures": 1})
    moments = random.Random("window soak")
    drawn = 0
    for number in range(SOAK_KILLS):
        project = Path(shutil.copytree(labelled_project, tmp_path / f"{number}.metapt"))
        drawn += kill_while_labelling(project, tmp_path / f"home-{number}", moments.uniform(0, SECONDS))
    figures |= {"kills": SOAK_KILLS, "labels": drawn, "failures": 0, "seconds": round(time.monotonic() - began, 1)}


@pytest.fixture
def labelling(hands: Hands, own_project: Path) -> FewShotPage:  # noqa: F811
    """The page that labels, with the first text current."""
    hands.window.projects.open(own_project)
    page = hands.to(FewShotPage)
    hands.until(lambda: page.table.model.rowCount() == 2000)
    page.table.go_to(0)
    return page


def test_a_label_that_cannot_be_written_is_told_and_is_not_on_the_screen(
    hands: Hands,  # noqa: F811
    labelling: FewShotPage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, table = hands.window.document.project, labelling.table
    hands.qtbot.keyClick(table.view, Qt.Key.Key_1)
    assert table.model.own_label(0) == "bad"
    table.go_to(1)
    assert project is not None
    assert project._database is not None
    project._database.close()
    project._database = None  # it is opened anew at the next label
    monkeypatch.setattr("engine.project_database._open_to_write", _full)
    hands.qtbot.keyClick(table.view, Qt.Key.Key_2)
    dialog = hands.dialog(ErrorDialog)
    assert "The disk is full" in dialog.report
    assert "Free some space" in dialog.report
    dialog.accept()
    assert table.model.own_label(1) is None
    monkeypatch.undo()
    table.go_to(1)
    hands.qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert table.model.own_label(1) == "good"
    assert not hands.window.document.undo.canRedo()
    hands.window.document.undo.undo()
    assert table.model.own_label(1) is None
    assert table.model.own_label(0) == "bad", "the label that failed left nothing to undo"


def _full(_path: Path) -> None:
    import sqlite3

    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


def test_a_project_in_a_read_only_folder_is_offered_for_reading(
    hands: Hands,  # noqa: F811
    own_project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    hands.window.projects.open(own_project)
    question = hands.dialog(Question)
    assert "the folder is read-only" in question.text()
    hands.answer(question, "Open for reading only")
    hands.until(lambda: "(reading only)" in hands.window.windowTitle())
    page = hands.to(FewShotPage)
    hands.until(lambda: page.table.model.rowCount() == 2000)
    hands.qtbot.keyClick(page.table.view, Qt.Key.Key_1)
    assert page.table.model.own_label(0) is None
    assert "reading only" in page.primary.toolTip()


def test_a_second_window_reads_what_the_first_one_labels(hands: Hands, own_project: Path) -> None:  # noqa: F811
    with Project.open(own_project) as first:
        corpus = Corpus.open(first.role("target")).content_hash
        first.set_label(corpus, 3, "good")
        hands.window.projects.open(own_project)
        question = hands.dialog(Question)
        assert "open in another window" in question.text()
        hands.answer(question, "Open for reading only")
        page = hands.to(FewShotPage)
        hands.until(lambda: page.table.model.rowCount() == 2000)
        assert page.table.model.own_label(3) == "good"
        hands.qtbot.keyClick(page.table.view, Qt.Key.Key_1)
        first.set_label(corpus, 4, "bad")
        assert first.labels(corpus) == {3: "good", 4: "bad"}
        hands.window.document.close()


def test_after_a_lost_device_the_next_run_gets_a_new_engine(hands: Hands) -> None:  # noqa: F811
    hands.window.host.warm()
    hands.until(lambda: hands.window.host.pid > 0)
    before = hands.window.host.pid
    worker = hands.window.host._worker
    lost = Failed(DeviceLostError.__name__, "The device was lost")
    process = worker._process.get()
    process.run = lambda job, folder, wish: (event for event in [lost])  # type: ignore[method-assign,assignment]
    ended: list[object] = []
    hands.window.host.streamed.connect(lambda _number, event: ended.append(event))
    hands.window.host.start(ImportJob(files=[]), Path("nowhere"))
    hands.until(lambda: ended == [lost])
    assert hands.window.host.pid == 0
    hands.window.host.warm()
    hands.until(lambda: hands.window.host.pid not in (0, before))


def test_a_loss_that_is_no_number_leaves_a_prompt_to_use(hands: Hands, own_project: Path) -> None:  # noqa: F811
    hands.window.projects.open(own_project)
    runner, document = hands.window.runner, hands.window.document
    worker = hands.window.host._worker
    process = worker._process.get()
    lost = Failed(TrainingError.__name__, "The loss is no longer a number at step 7 (rate 9)")

    def run(job: object, folder: Path, wish: object) -> Iterator[Failed]:
        folder.mkdir(parents=True)
        (folder / "prompt.safetensors").write_bytes(b"")
        yield lost

    process.run = run  # type: ignore[method-assign,assignment]
    runner.start("train", "meta-train", ImportJob(files=[]))
    hands.until(lambda: runner.current is None)
    assert document.has("meta-train")
    hands.dialog(ErrorDialog).accept()
