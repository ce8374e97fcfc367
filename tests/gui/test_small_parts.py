"""Theme, words about numbers, memory of the user, crash reports, dialogs, work beside the loop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine import errors
from engine.errors import MetaPTError, StorageError
from engine.events import Progress
from metapt_gui import wording
from metapt_gui.background import Background
from metapt_gui.crash import CrashReports
from metapt_gui.theme import DARK, LIGHT, Theme, ThemeKeeper
from metapt_gui.user_settings import UserSettings
from metapt_gui.widgets.dialogs import ErrorDialog, Question

KINDS = sorted(
    {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MetaPTError)},
    key=lambda kind: kind.__name__,
)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = []
    for value in (QColor(colour).redF(), QColor(colour).greenF(), QColor(colour).blueF()):
        parts.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_can_be_read(theme: Theme) -> None:
    pairs = [
        (text, surface)
        for text in ("text", "muted", "good", "warning", "bad", "accent")
        for surface in ("window", "surface", "raised")
    ]
    pairs += [("accent_text", "accent"), ("text", "selection"), ("text", "warning_surface"), ("text", "bad_surface")]
    weak = {pair: contrast(getattr(theme, pair[0]), getattr(theme, pair[1])) for pair in pairs}
    assert {pair: value for pair, value in weak.items() if value < 4.5} == {}


def test_the_theme_is_chosen_and_told_of(qtbot: QtBot, themes: ThemeKeeper) -> None:
    with qtbot.waitSignal(themes.changed) as told:
        themes.choose("dark")
    assert told.args == [DARK]
    assert QApplication.palette().window().color() == QColor(DARK.window)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (wording.count(1204, "texts"), "1,204 texts"),
        (wording.count(1, "texts"), "1 text"),
        (wording.count(1, "passes"), "1 pass"),
        (wording.duration(8), "0:08"),
        (wording.duration(6060), "1:41 h"),
        (wording.size(307_000), "307 KB"),
        (wording.size(3.1e9), "3.1 GB"),
        (wording.rate(12_400, "rows"), "12,400 rows/s"),
        (wording.rate(0.4, "steps"), "2.5 s a step"),
        (wording.percent(0.712, 0.013), "71.2 ± 1.3 %"),
        (wording.progress(Progress("x", 5, 20, "rows", 3.0, 5.0)), "5 of 20 rows   3.0 rows/s   0:05 left"),
    ],
)
def test_numbers_are_written_for_people(made: str, said: str) -> None:
    assert made == said


def test_the_user_is_remembered_and_a_damaged_file_is_no_failure(tmp_path: Path, qtbot: QtBot) -> None:
    projects = []
    for name in ("one", "two"):
        (tmp_path / f"{name}.metapt").mkdir()
        (tmp_path / f"{name}.metapt" / "project.json").write_text("{}", encoding="utf-8")
        projects.append(tmp_path / f"{name}.metapt")
    settings = UserSettings(tmp_path / "settings")
    for project in (*projects, projects[0]):
        settings.remember(project)
    settings.set("offline", False)
    settings.save()
    again = UserSettings(tmp_path / "settings")
    assert again.recent() == projects
    assert again.get("offline", True) is False
    (projects[1] / "project.json").unlink()
    assert again.recent() == projects[:1]
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "window.ini").write_bytes(b"\xff\x00[[[")
    assert UserSettings(broken).get("theme", "system") == "system"
    assert UserSettings(broken).recent() == []


def test_the_pictures_of_a_theme_do_not_outlive_the_program(tmp_path: Path) -> None:
    lines = (  # a frozen program ends like this: its exit functions run, and no destructor
        "import atexit, os",
        "from PySide6.QtWidgets import QApplication",
        "from metapt_gui.theme import ThemeKeeper",
        "application = QApplication([])",
        "keeper = ThemeKeeper('light')",
        "keeper.apply()",
        "atexit._run_exitfuncs()",
        "os._exit(0)",
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], env=environment, cwd=root, check=True, timeout=120)
    assert list(scratch.iterdir()) == []


def test_a_crash_is_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("sys.__excepthook__", lambda *_: None)
    monkeypatch.setattr("threading.excepthook", None)
    monkeypatch.setattr("threading.__excepthook__", lambda *_: None)
    reports = CrashReports(tmp_path)
    reports.install()

    def fail() -> None:
        raise ZeroDivisionError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    found = reports.unseen()
    assert len(found) == 1
    assert "in a thread" in found[0].read_text(encoding="utf-8")
    reports.mark_seen(found[0])
    assert reports.unseen() == []
    reports.close()
    assert not list(tmp_path.glob("fault-*"))


def test_a_report_that_another_window_takes_away_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = CrashReports(tmp_path)
    monkeypatch.setattr(Path, "glob", lambda folder, kind: [folder / kind.replace("*", "1-2")])
    assert reports.unseen() == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_dialog(qtbot: QtBot, kind: type[MetaPTError]) -> None:
    dialog = ErrorDialog(None, kind("The soup is cold", where="table 3", remedy="Heat it."), "Traceback: deep down")
    qtbot.addWidget(dialog)
    dialog.open()
    assert dialog.sentence.text() == "The soup is cold."
    labels = [label.text() for label in dialog.findChildren(type(dialog.sentence))]
    assert "Where: table 3" in labels
    assert "Heat it." in labels
    qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    assert "table 3" in QApplication.clipboard().text()
    if not issubclass(kind, errors.EngineProcessError):  # which brings details of its own
        assert not dialog.details.isVisible()
        qtbot.mouseClick(dialog.more, Qt.MouseButton.LeftButton)
        assert dialog.details.isVisible()
        assert "deep down" in QApplication.clipboard().text()
    with qtbot.waitSignal(dialog.finished):
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)


def test_a_question_calls_what_its_answer_means(qtbot: QtBot) -> None:
    chosen: list[str] = []
    answers = [("Keep", lambda: chosen.append("keep")), ("Drop", lambda: chosen.append("drop")), ("Stay", None)]
    for name, expected in (("Drop", ["drop"]), ("Stay", ["drop"]), ("Keep", ["drop", "keep"])):
        question = Question(None, "What now?", "", answers)
        question.open()
        button = next(button for button in question.buttons() if button.text() == name)
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert chosen == expected
    question = Question(None, "What now?", "", answers)
    question.open()
    qtbot.keyClick(question, Qt.Key.Key_Escape)
    assert chosen == ["drop", "keep"]


def test_only_the_newest_work_of_a_key_is_answered_and_errors_are_told(qtbot: QtBot) -> None:
    background, answers = Background(), []
    gate = threading.Event()
    background.run("read", lambda: gate.wait(10) and "old", answers.append)
    background.run("read", lambda: "new", answers.append)
    gate.set()
    qtbot.waitUntil(lambda: answers == ["new"], timeout=5000)

    def full() -> None:
        raise StorageError("The disk is full")

    problems: list[MetaPTError] = []
    background.run("write", full, answers.append, problems.append)
    qtbot.waitUntil(lambda: bool(problems), timeout=5000)
    assert problems[0].what == "The disk is full"
    with qtbot.waitSignal(background.failed, timeout=5000) as told:
        background.run("bug", lambda: 1 / 0, answers.append, problems.append)
    assert isinstance(told.args[0], ZeroDivisionError)
    background.run("late", lambda: "late", answers.append)
    background.close()
    qtbot.wait(50)
    assert answers == ["new"]
