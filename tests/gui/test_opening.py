"""What the window opens when it is started with a path, and what it says of one that it cannot open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gui.driving import Hands

from engine.prompting.prompt_file import Prompt, save_prompt
from engine.settings import PromptSettings
from metapt_gui import selftest
from metapt_gui.app import main
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.use import UsePage
from metapt_gui.widgets.dialogs import ErrorDialog, Question


def test_a_project_is_opened_by_its_folder_or_its_manifest(hands: Hands, project_folder: Path) -> None:
    hands.window.open_path(project_folder / "project.json")
    assert hands.window.document.folder == project_folder
    hands.window.document.close()
    hands.window.open_path(project_folder)
    assert hands.window.document.folder == project_folder


def test_a_prompt_is_used_and_texts_are_imported_in_a_project_beside_them(hands: Hands, tmp_path: Path) -> None:
    path = tmp_path / "mood.safetensors"
    words = {"unhappy": "bad", "happy": "good"}
    save_prompt(Prompt(torch.zeros(3, 8), None, words, PromptSettings(soft_tokens=3)), path)
    hands.window.open_path(path)
    page = hands.window.page
    assert isinstance(page, UsePage)
    assert hands.window.document.folder == tmp_path / "mood.metapt"
    hands.until(lambda: "unhappy (bad)" in page.side.about.text())
    assert page.side.about.text().startswith("Loaded from a file")

    hands.window.document.close()
    texts = tmp_path / "texts.csv"
    texts.write_text("text\nThe box was crushed.\n", encoding="utf-8")
    hands.window.open_path(texts)
    page = hands.window.page
    assert isinstance(page, ImportPage)
    hands.answer(hands.dialog(Question), "Your task")
    assert hands.window.document.value("files target") == [str(texts)]


def test_what_is_not_there_is_said(hands: Hands, tmp_path: Path) -> None:
    hands.window.open_path(tmp_path / "nothing.metapt")
    dialog = hands.dialog(ErrorDialog)
    assert "no such file" in dialog.sentence.text()
    dialog.close()


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("MetaPT ")


def test_a_self_test_that_fails_says_what_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: object
) -> None:
    def steps(*_: object) -> dict[str, object]:
        raise TimeoutError("the start of Cluster took longer than 60 s")

    monkeypatch.setattr(selftest, "_steps", steps)
    target = tmp_path / "report.json"
    assert selftest.selftest(str(target)) == 1
    report = json.loads(target.read_text(encoding="utf-8"))
    assert not report["ok"]
    assert "Cluster" in report["failed"]
    assert report["seconds"]["window"] > 0


def test_what_the_system_asks_to_open_is_told() -> None:
    """As macOS does when a project is double-clicked; in a process of its own, for there is one application in each."""
    program = (
        "from PySide6.QtGui import QFileOpenEvent\n"
        "from metapt_gui.application import Application\n"
        "application = Application([])\n"
        "application.asked_to_open.connect(print)\n"
        "Application.sendEvent(application, QFileOpenEvent('/projects/mine.metapt'))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert told.stdout == "/projects/mine.metapt\n"
