"""Files to classify are read as the task's texts were, and the window says from which column."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from gui.driving import Hands
from made_runs import as_if_run
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication, QTextCursor
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from engine.errors import DataError
from engine.events import Finished
from engine.jobs import ImportJob, TuneJob
from engine.project import Project
from engine.prompting.prompt_file import Prompt, save_prompt
from engine.settings import BackboneSettings, PromptSettings
from engine.storage import write_json
from engine.workflow import State
from metapt_gui.job_runner import Run
from metapt_gui.pages.use import UsePage
from metapt_gui.widgets.dialogs import ErrorDialog

WIDTH = 32
"""Of the small T5."""


@pytest.fixture
def using(hands: Hands, project_folder: Path, tmp_path: Path) -> UsePage:
    prompt = tmp_path / "mood.safetensors"
    words = {"unhappy": "bad", "happy": "good"}
    save_prompt(Prompt(torch.zeros(3, WIDTH), None, words, PromptSettings(soft_tokens=3)), prompt)
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    page.use(str(prompt))
    hands.until(page.primary.isEnabled)
    return page


def classified(path: Path) -> list[str]:
    with open(path, newline="", encoding="utf-8-sig") as stream:
        return [row["text"] for row in csv.DictReader(stream)]


def test_the_column_of_the_task_is_read_and_named(hands: Hands, using: UsePage, tmp_path: Path) -> None:
    texts, answers = tmp_path / "new.csv", tmp_path / "answers.csv"
    texts.write_text("message,notes\nhello there,a much longer note that somebody made\n", encoding="utf-8")
    hands.next_file(texts, answers)
    hands.run(using)
    assert classified(answers) == ["hello there"]
    assert answers.read_bytes().startswith(b"\xef\xbb\xbf"), "Excel takes it for the system's code page"
    assert answers.read_text(encoding="utf-8-sig").splitlines()[0].endswith(',"notes"')
    assert "1 text classified, from the column ‘message’, into" in using.counts.text()


def test_a_file_without_that_column_is_read_where_its_texts_are_longest(
    hands: Hands, using: UsePage, tmp_path: Path
) -> None:
    texts, answers = tmp_path / "new.jsonl", tmp_path / "answers.csv"
    texts.write_text('{"id": "1", "body": "a longer text that somebody wrote"}\n', encoding="utf-8")
    hands.next_file(texts, answers)
    hands.run(using)
    assert classified(answers) == ["a longer text that somebody wrote"]
    assert "from the column ‘body’" in using.counts.text()


def test_the_encoding_and_the_delimiter_of_the_task_hold_for_files_of_its_kind(
    hands: Hands, using: UsePage, tmp_path: Path
) -> None:
    kept = hands.window.document.value("import target")
    hands.window.document.set_value("import target", {**kept, "encoding": "cp1250", "delimiter": "|"})
    texts, answers = tmp_path / "new.csv", tmp_path / "answers.csv"
    texts.write_bytes("message|note, if any\nříká že ano, prý|no\n".encode("cp1250"))
    hands.next_file(texts, answers)
    hands.run(using)
    assert classified(answers) == ["říká že ano, prý"]


def test_a_file_that_cannot_be_read_is_told_of_before_anything_runs(
    hands: Hands, using: UsePage, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("", encoding="utf-8")
    hands.next_file(empty, tmp_path / "answers.csv")
    hands.click(using.primary)
    dialog = hands.dialog(ErrorDialog)
    assert "empty" in dialog.sentence.text()
    dialog.reject()
    assert not list((hands.window.document.folder or tmp_path).glob("runs/*-predict"))


def test_an_answer_that_comes_after_the_project_was_closed_is_nobodys(
    hands: Hands, using: UsePage, tmp_path: Path
) -> None:
    using.use(str(tmp_path / "mood.safetensors"))
    using.refresh("opened")  # asks what the prompt says of itself
    hands.window.document.close()
    later: list[object] = []
    hands.window.host.ask("devices", later.append)  # questions are answered in their order
    hands.until(lambda: bool(later))
    assert using.summary() == ""
    assert hands.window.document.project is None


def test_a_question_of_a_project_that_was_closed_is_not_answered(hands: Hands, using: UsePage) -> None:
    answers: list[object] = []
    hands.window.host.ask("devices", answers.append, key="of the project")
    hands.window.document.close()
    later: list[object] = []
    hands.window.host.ask("devices", later.append)
    hands.until(lambda: bool(later))
    assert answers == []


def test_the_answer_about_a_sentence_that_was_cleared_is_nobodys(
    hands: Hands, using: UsePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    forgotten: list[str | None] = []
    monkeypatch.setattr(hands.window.host, "ask", lambda question, *_, **__: asked.append(question))
    monkeypatch.setattr(hands.window.host, "forget", lambda key=None: forgotten.append(key))
    hands.qtbot.keyClicks(using.sentence, "soup")
    hands.until(lambda: "classify" in asked)
    using.sentence.clear()
    hands.until(lambda: forgotten == ["classify"])
    assert using.answer.text() == ""


def test_answers_are_not_written_over_a_file_to_classify(
    hands: Hands, using: UsePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    texts = tmp_path / "new.csv"
    texts.write_text("message\nhello there\n", encoding="utf-8")
    for answers in (texts, tmp_path / "home" / ".." / "new"):
        hands.next_file(texts, answers)
        hands.click(using.primary)
        dialog = hands.dialog(ErrorDialog)
        assert dialog.sentence.text() == "The answers would be written over a file that is to be classified."
        dialog.reject()
    assert texts.read_text(encoding="utf-8") == "message\nhello there\n"


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_a_file_of_the_longer_name_is_asked_about(
    hands: Hands, using: UsePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """The system's dialog has asked about the name as it was typed, without its ending."""
    kept, questions = tmp_path / "kept.safetensors", []
    kept.write_text("somebody's own")

    def ask(parent: QWidget, title: str, text: str) -> QMessageBox.StandardButton:
        questions.append(text)
        return QMessageBox.StandardButton[answer]

    monkeypatch.setattr(QMessageBox, "question", ask)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(tmp_path / "kept"), ""))
    using.side._save()
    assert questions == ["kept.safetensors exists already. Replace it?"]
    if answer == "Yes":
        hands.until(lambda: using.side.saved.text().startswith("Saved"))
    assert (kept.read_bytes() == b"somebody's own") == (answer == "No")


def test_bars_do_not_stay_when_there_is_no_answer(using: UsePage) -> None:
    using._on_chances({"unhappy": 0.25, "happy": 0.75})
    assert using.chances.table()[1] == [("unhappy", 25.0), ("happy", 75.0)]
    using._on_no_answer(DataError("It does not fit"))
    assert using.chances.table()[1] == []
    assert using.answer.text() == "It does not fit."


def test_probabilities_have_an_axis_that_stays(hands: Hands, using: UsePage) -> None:
    ranges = []
    for chance in (0.5, 0.9):
        using._on_chances({"unhappy": 1 - chance, "happy": chance})
        ranges.append(using.chances.plot.getViewBox().viewRange()[0])
    assert ranges[0] == pytest.approx(ranges[1], abs=2)
    assert ranges[0][0] == 0
    assert ranges[0][1] >= 100


@pytest.mark.parametrize(("rows", "said"), [(40, "the answers so far are written"), (0, "no file was written")])
def test_a_stopped_classification_says_what_was_written(using: UsePage, tmp_path: Path, rows: int, said: str) -> None:
    write_json(tmp_path / "report.json", {"sources": [{"text_column": "message"}]})
    summary = {"rows": rows, "output": "out.csv", "counts": {"happy": rows}} if rows else {}
    before = using.counts.text()
    run = Run(1, "use", "predictions", ImportJob(files=[]), tmp_path)
    using.on_ended(run, Finished(str(tmp_path), "stopped", summary))
    assert using.progress_text.text() == f"Stopped; {said}."
    assert ("40 texts classified, from the column ‘message’" in using.counts.text()) == bool(rows)
    assert (using.counts.text() == before) == (not rows)


def test_of_a_very_long_sentence_the_beginning_is_taken_in(using: UsePage) -> None:
    using.sentence.setPlainText("soup ")
    pasted = QMimeData()
    pasted.setText("bread " * 1_000_000)
    using.sentence.moveCursor(QTextCursor.MoveOperation.End)
    using.sentence.insertFromMimeData(pasted)
    assert len(using.sentence.toPlainText()) == 20_000
    assert using.sentence.toPlainText().startswith("soup bread bread")


# The prompt that is used ----------------------------------------------------------------------------------------------


@pytest.fixture
def exporting(hands: Hands, project_folder: Path, tiny_t5: Path) -> UsePage:
    """The page with the prompt of a tuning, which was run on the small T5."""
    with Project.open(project_folder) as project:
        backbone = BackboneSettings(backbone=str(tiny_t5))
        job = TuneJob(corpus=str(project.role("target")), classes=["unhappy", "happy"], backbone=backbone)
        folder = as_if_run(project, "tune", job)
        words = {"unhappy": "bad", "happy": "good"}
        prompt = Prompt(torch.zeros(3, WIDTH), None, words, PromptSettings(soft_tokens=3))
        save_prompt(prompt, folder / "prompt.safetensors")
    hands.window.projects.open(project_folder)
    page = hands.to(UsePage)
    return page


def test_a_tuned_prompt_keeps_its_backbone(hands: Hands, exporting: UsePage, tiny_t5: Path) -> None:
    hands.window.document.set_value("backbone", {"backbone": "t5-base"})
    assert exporting._backbone().backbone == str(tiny_t5)
    assert repr(str(tiny_t5)) in exporting.side.python.toPlainText()


def test_what_is_copied_is_what_is_shown(hands: Hands, using: UsePage) -> None:
    hands.window.document.set_value("backbone", {"backbone": "t5-base"})
    assert "backbone='t5-base'" in using.side.python.toPlainText(), "the run that a loaded prompt is of is not known"
    hands.click(using.side.copy)
    assert QGuiApplication.clipboard().text() == using.side.python.toPlainText()


def test_a_prompt_that_is_out_of_date_says_so_where_it_is_taken_away(hands: Hands, exporting: UsePage) -> None:
    assert not exporting.banner.isVisible()
    document = hands.window.document
    document.set_value("task", {"classes": ["unhappy", "glad"]})
    hands.until(lambda: exporting.banner.text.text() == exporting.outdated_text())
    assert document.states()["use"] is State.OUTDATED
    document.set_value("loaded prompt", "another.safetensors")
    assert document.states()["use"] is State.READY
    document.set_value("loaded prompt", None)
    hands.click(exporting.banner.buttons[0])
    assert hands.window.page is hands.window.pages[4]
