"""Questions whose answers come late, cross each other, or are of what is not shown any more."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from counting import CountJob
from gui.driving import Hands, chosen
from importing import write
from PySide6.QtWidgets import QFileDialog

from engine.errors import MetaPTError, StorageError
from engine.events import Metric, to_json
from engine.jobs import ImportJob
from engine.project import Project
from engine.prompting.prompt_file import Prompt, save_prompt
from engine.running.process import EngineProcess
from engine.settings import ImportSettings, PromptSettings
from engine.stage import StopToken
from metapt_gui.background import Background
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.pages.use import UsePage
from metapt_gui.widgets.dialogs import ErrorDialog


class Gate:
    """Lets questions through to the engine, or holds them back."""

    def __init__(self, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.open.set()
        ask = EngineProcess.ask

        def held(process: EngineProcess, question: str, **arguments: Any) -> Any:
            assert self.open.wait(60)
            return ask(process, question, **arguments)

        monkeypatch.setattr(EngineProcess, "ask", held)
        self._hands = hands

    def shut(self) -> None:
        """Hold questions back from now on."""
        self._hands.qtbot.wait(400)
        self.open.clear()


@pytest.fixture
def gate(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Where questions wait."""
    made = Gate(hands, monkeypatch)
    yield made
    made.open.set()


# Questions of several pages -------------------------------------------------------------------------------------------


def test_what_one_page_asks_does_not_take_the_place_of_what_another_asked(
    hands: Hands, gate: Gate, project_folder: Path
) -> None:
    hands.window.projects.open(project_folder)
    labels = hands.to(FewShotPage)
    hands.until(lambda: bool(labels.side.preview.text()))
    gate.shut()
    importing = hands.to(ImportPage)
    hands.click(importing.roles["target"])
    assert importing.model.rowCount() == 0
    hands.step(4)
    hands.qtbot.wait(500)  # its page has asked for the input of the backbone
    gate.open.set()
    hands.until(lambda: importing.model.rowCount() > 0, 20_000)


def test_every_file_that_was_to_be_saved_is_saved_and_told(
    hands: Hands, gate: Gate, prompt: Path, project_folder: Path, tmp_path: Path
) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    page.use(str(prompt))
    hands.until(lambda: bool(page.side.classes()))
    gate.shut()
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    page.export(first, False)
    assert "being written" in page.side.saved.text()
    page.export(second, False)
    hands.window.projects.close()
    gate.open.set()
    hands.until(lambda: first.exists() and second.exists(), 20_000)
    hands.until(lambda: "Saved" in page.side.saved.text())


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    """A prompt file."""
    path, words = tmp_path / "mine.safetensors", {"unhappy": "bad", "happy": "good"}
    save_prompt(Prompt(torch.zeros(3, 8), None, words, PromptSettings(soft_tokens=3)), path)
    return path


def test_what_a_backbone_said_of_a_word_is_not_shown_of_another_backbone(
    hands: Hands, project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    asked: list[tuple[str, Callable[[Any], None]]] = []
    words = page.side.words
    words.set_backbone({"backbone": "one"})
    hands.qtbot.wait(500)
    monkeypatch.setattr(
        words._host, "ask", lambda _question, then, *_, **known: asked.append((known["backbone"]["backbone"], then))
    )
    words.set_backbone({"backbone": "two"})
    hands.until(lambda: bool(asked))
    late, known = asked[:], len(words._lines)
    words.set_backbone({"backbone": "three"})
    for _, then in late:
        then(["▁of", "▁two"])
    asked.clear()
    hands.until(lambda: len(asked) >= known, 5000)
    assert {backbone for backbone, _ in asked} == {"three"}


def test_an_answer_of_the_prompt_before_does_not_stay_beside_another(
    hands: Hands, gate: Gate, project_folder: Path, tmp_path: Path
) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    page._file = tmp_path / "one.safetensors"
    page._on_chances({"happy": 0.9, "unhappy": 0.1})
    assert page.answer.text().startswith("happy")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no prompt")
    hands.window.document.set_value("loaded prompt", str(broken))
    hands.until(lambda: bool(page.side.about.text()) and "reading" not in page.side.about.text())
    assert page.answer.text() == ""


def test_an_answer_that_is_late_is_said_to_be(
    hands: Hands, project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    page._file = tmp_path / "one.safetensors"
    page._on_chances({"happy": 0.9, "unhappy": 0.1})
    waiting: list[Callable[[Any], None]] = []

    def ask(question: str, then: Callable[[Any], None], *_: Any, **__: Any) -> None:
        if question == "classify":
            waiting.append(then)

    monkeypatch.setattr(page.host, "ask", ask)
    page.sentence.setEnabled(True)
    page.sentence.setPlainText("something else altogether")
    hands.until(lambda: "follows" in page.answer.text(), 10_000)
    waiting[-1]({"happy": 0.2, "unhappy": 0.8})
    hands.qtbot.wait(2000)
    assert page.answer.text().startswith("unhappy")


# Clicks while something is looked for ---------------------------------------------------------------------------------


def test_an_import_whose_files_are_still_looked_for_is_not_replaced_by_another(
    hands: Hands, importing: ImportPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "reviews.csv", rows=[(f"text {number}", str(number % 2)) for number in range(20)])
    chosen(hands, importing, file)
    found = threading.Event()

    def slowly(files: list[str], settings: ImportSettings) -> ImportJob:
        assert found.wait(60)
        return ImportJob(files=files, settings=settings)

    monkeypatch.setattr("metapt_gui.pages.import_corpus.import_job", slowly)
    importing.show_primary()
    hands.click(importing.primary)
    importing.show_primary()
    assert not importing.primary.isEnabled()
    assert "looked for" in importing.primary.toolTip()
    found.set()
    hands.until(lambda: hands.window.document.has("source"))
    hands.idle()


def test_a_job_that_begins_while_a_dialog_is_open_keeps_its_project(
    hands: Hands, project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.window.projects.open(project_folder)

    def begun(*_: Any, **__: Any) -> tuple[str, str]:
        hands.window.runner.start("train", "meta-train", CountJob(to=1000, seconds=0.05))
        return str(tmp_path / "another"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", staticmethod(begun))
    hands.window.projects.new()
    assert hands.window.document.folder == project_folder
    assert not (tmp_path / "another.metapt").exists()
    hands.window.runner.cancel()


def test_files_are_classified_with_the_prompt_that_was_shown_when_they_were_chosen(
    hands: Hands, gate: Gate, project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    file = write(tmp_path / "new.csv", rows=[(f"text {number}", "") for number in range(5)])
    hands.next_file(file, save=tmp_path / "answers.csv")
    jobs: list[Any] = []
    monkeypatch.setattr(page, "run", lambda _role, job, **_: jobs.append(job))
    page._file = tmp_path / "then.safetensors"
    gate.shut()
    page.classify_into([file])
    page._file = tmp_path / "now.safetensors"
    gate.open.set()
    hands.until(lambda: bool(jobs))
    assert jobs[0].prompt == str(tmp_path / "then.safetensors")


# Work beside the event loop -------------------------------------------------------------------------------------------


def test_what_nobody_waits_for_any_more_is_asked_to_stop(qtbot: Any) -> None:
    background, answers = Background(), list[str]()

    def until(stop: StopToken) -> str:
        ends = time.monotonic() + 30
        while not stop.requested and time.monotonic() < ends:
            time.sleep(0.01)
        return "stopped" if stop.requested else "waited for"

    for number in range(3):
        stop = StopToken()
        background.run("one", partial(until, stop), answers.append, stop=stop)
        if number == 1:
            background.forget()
    began = time.monotonic()
    background.close()
    assert time.monotonic() - began < 5
    assert answers == []


def test_what_cannot_be_done_with_a_result_is_told_as_what_it_is(qtbot: Any) -> None:
    background, told = Background(), list[MetaPTError]()
    background.failed.connect(told.append)

    def refuse(_result: object) -> None:
        raise StorageError("The disk is full")

    background.run("one", int, refuse)
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    background.close()
    assert told[0].what == "The disk is full"


# What is said of runs -------------------------------------------------------------------------------------------------


def test_a_run_that_had_gone_on_is_not_said_to_start_anew(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    page = hands.step(3)
    run = hands.window.runner.start("train", "meta-train", CountJob(to=1000, seconds=0.05))
    hands.until((run.folder / "job.json").exists)
    (run.folder / "checkpoint.safetensors").write_bytes(b"of the time before")
    hands.until(lambda: bool(hands.window.host.pid))
    os.kill(hands.window.host.pid, signal.SIGKILL)
    hands.until(page.banner.isVisible)
    assert "starts anew" not in page.banner.text.text()
    assert "goes on from where it was saved" in page.banner.text.text()
    assert [button.text() for button in page.banner.buttons][:1] == ["Resume"]


def test_a_run_is_over_though_its_folder_cannot_be_looked_into(
    hands: Hands, project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("metapt_gui.job_runner.settle", lost)
    hands.window.projects.open(project_folder)
    page = hands.step(3)
    hands.window.runner.start("train", "meta-train", CountJob(to=3))
    dialog = hands.dialog(ErrorDialog)
    assert str(project_folder) in dialog.report
    dialog.accept()
    assert page.primary.isVisible(), "the page knows that nothing runs"


def test_a_trial_that_was_paused_tells_no_duration(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.until(page.side.estimate.isEnabled)
    hands.click(page.side.estimate)
    hands.window.pause_job()
    hands.qtbot.wait(500)
    hands.window.pause_job()
    hands.idle()
    assert "was paused" in page.side.duration.text()


def test_curves_of_a_tuning_are_shown_while_another_step_runs(hands: Hands, project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        folder = project.folder / "runs" / "0098-tune"
        folder.mkdir()
        lines = [Metric("validation accuracy", step, 0.5 + step / 100, "PT, seed 0") for step in (1, 2, 3)]
        (folder / "events.jsonl").write_text("".join(to_json(line) + "\n" for line in lines), encoding="utf-8")
        project.assign("tune", folder)
    hands.window.projects.open(project_folder)
    page = hands.to(FewShotPage)
    hands.window.runner.start("train", "meta-train", CountJob(to=10_000, seconds=0.05))
    page._read_curves()
    hands.until(lambda: page.curves.accuracy.table()[1][-1:] == [("PT, seed 0", 3, 0.53)], 20_000)


# Copies ---------------------------------------------------------------------------------------------------------------


def test_a_copy_is_told_of_though_another_project_is_open_by_then(
    hands: Hands, project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(shutil.copytree(project_folder, tmp_path / "other.metapt"))
    hands.window.projects.open(project_folder)
    copied = threading.Event()

    def refused(_folder: Path, target: Path) -> Path:
        assert copied.wait(60)
        return target

    monkeypatch.setattr("metapt_gui.projects.copy_project", refused)
    hands.next_file(tmp_path / "backup.metapt")
    hands.window.projects.save_copy()
    hands.window.projects.open(other)
    copied.set()
    hands.until(lambda: "is in" in hands.window.status.currentMessage(), 20_000)
