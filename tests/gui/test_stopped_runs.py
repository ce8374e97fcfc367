"""What is kept of a run that was stopped, and what the window says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.driving import Hands
from PySide6.QtWidgets import QApplication

from engine.events import Finished
from engine.jobs import ClusterJob, ImportJob, Job, TuneJob
from engine.project import Project
from engine.settings import TuneSettings
from engine.storage import read_json, write_json
from metapt_gui.engine_host import EngineHost
from metapt_gui.job_runner import Run
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.page import Page
from metapt_gui.widgets.dialogs import ErrorDialog, Question

NOTHING = "Stopped; nothing of it is kept."


def run_of(page: Page, role: str, job: Job, folder: Path) -> Run:
    return Run(99, page.step.key, role, job, folder)


def stopped(hands: Hands, run: Run) -> None:
    hands.window.runner.ended.emit(run, Finished(str(run.folder), "stopped", {}))


def test_a_step_that_takes_too_long_is_broken_off_and_its_run_stays(
    hands: Hands, project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.open(project_folder) as project:
        project.set_value("meta_train", {**project.value("meta_train"), "checkpoint_every": 100_000})
    hands.window.projects.open(project_folder)
    page = hands.step(3)
    hands.press(page)
    run = hands.window.runner.current
    assert run is not None
    hands.until((run.folder / "job.json").exists)
    monkeypatch.setattr("metapt_gui.closing.PATIENCE_MS", 300)
    monkeypatch.setattr(EngineHost, "stop", lambda _host: None)  # as if it were in a long step
    hands.window.close()
    hands.answer(hands.dialog(Question), "Stop and keep")
    hands.until(lambda: not hands.window.isVisible(), 15_000)
    assert (run.folder / "job.json").exists()
    assert hands.window.host.pid == 0


def test_a_window_that_waits_for_a_tuning_closes_after_the_page_has_seen_its_end(
    hands: Hands, project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.window.projects.open(project_folder)
    page, runner = hands.step(4), hands.window.runner
    job = TuneJob(corpus=hands.window.document.path("target"), tune=TuneSettings(test_rows=4))
    folder = project_folder / "runs" / "0099-tune"
    seen: list[bool] = []
    monkeypatch.setattr(EngineHost, "stop", lambda _host: None)
    runner.current = run_of(page, "tune", job, folder)
    runner.ended.connect(lambda *_: seen.append(hands.window.document.project is not None))
    hands.window.close()
    hands.answer(hands.dialog(Question), "Stop and keep")
    runner.host.streamed.emit(99, Finished(str(folder), "completed", {}))
    hands.until(lambda: not hands.window.isVisible(), 5000)
    hands.qtbot.wait(50)
    assert seen == [True]
    assert runner.current is None, "no probe follows in a project that is closed"
    assert not [box for box in QApplication.topLevelWidgets() if isinstance(box, ErrorDialog) and box.isVisible()]


def test_groups_that_were_there_come_back_when_a_new_clustering_has_none_yet(
    hands: Hands, clustering: ClusterPage, tmp_path: Path
) -> None:
    job = ClusterJob(corpus=hands.window.document.path("source"), cache=str(tmp_path))
    run = run_of(clustering, "clusters", job, tmp_path / "0009-cluster")
    hands.window.runner.started.emit(run)
    assert clustering.groups.table.rowCount() == 0
    stopped(hands, run)
    hands.until(lambda: clustering.groups.table.rowCount() == 4)
    remembered = "Stopped. The texts that were read are remembered: Cluster goes on from there."
    assert clustering.progress_text.text() == f"{remembered} What was there before stays."


def test_a_stopped_clustering_that_has_groups_says_so(hands: Hands, clustering: ClusterPage) -> None:
    folder = Path(hands.window.document.path("clusters"))
    stopped(hands, run_of(clustering, "clusters", ClusterJob(corpus="", cache=""), folder))
    assert clustering.progress_text.text() == "Stopped; the groups found so far are kept."


def test_a_stopped_import_says_that_it_is_a_part(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(ImportPage)
    folder = Path(hands.window.document.path("source"))
    write_json(folder / "result.json", read_json(folder / "result.json") | {"outcome": "stopped"})
    stopped(hands, run_of(page, "source", ImportJob(files=[]), folder))
    assert page.progress_text.text() == "Stopped; only the texts that were read until then are kept."
    hands.until(lambda: "only its first part, 160 texts" in page.banner.text.text())
    assert page.banner.isVisible()
    assert page.stop.text() == "Stop, keep a part"
    hands.window.projects.close()
    hands.window.projects.open(project_folder)
    hands.until(page.banner.isVisible)
    assert "only its first part, 160 texts" in page.banner.text.text(), "and so it is when the project is opened again"


@pytest.mark.parametrize(
    ("number", "role", "stoppable", "said"),
    [(1, "annotated", False, NOTHING), (5, "predictions", True, "Stopped; no file was written.")],
)
def test_where_nothing_would_be_kept_a_run_can_only_be_cancelled(
    hands: Hands, project_folder: Path, tmp_path: Path, number: int, role: str, stoppable: bool, said: str
) -> None:
    hands.window.projects.open(project_folder)
    page = hands.step(number)
    hands.window.runner.current = run_of(page, role, ImportJob(files=[]), tmp_path)
    hands.window.show_states()
    offered = (page.cancel.isVisible(), page.stop.isVisible())
    hands.window.runner.current = None
    hands.window.show_states()
    assert offered == (True, stoppable)
    stopped(hands, run_of(page, role, ImportJob(files=[]), tmp_path))
    assert page.progress_text.text() == said
