"""Jobs in the window: paused, stopped, cancelled, killed, and the window closed while one runs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from gui.driving import Hands
from PySide6.QtCore import Qt

from engine.storage import read_json
from engine.workflow import State
from metapt_gui.pages.meta_train import MetaTrainPage
from metapt_gui.widgets.dialogs import Question


@pytest.fixture
def training(hands: Hands, project_folder: Path) -> MetaTrainPage:
    """Meta-training of 100,000 steps, under way."""
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.press(page)
    hands.until(lambda: steps(page) >= 8)
    return page


def steps(page: MetaTrainPage) -> int:
    """How far the curve has come."""
    _, rows = page.losses.table()
    return max((int(str(row[1])) for row in rows), default=0)


def test_pause_resume_stop_and_go_on(hands: Hands, training: MetaTrainPage) -> None:
    hands.click(training.pause)
    hands.qtbot.wait(400)
    held = steps(training)
    hands.qtbot.wait(800)
    assert steps(training) == held
    assert training.pause.text() == "Resume"
    assert "paused" in hands.window.status.engine.text()
    hands.click(training.pause)
    hands.until(lambda: steps(training) > held + 2)

    hands.click(training.stop)
    hands.idle()
    reached = steps(training)
    folder = Path(hands.window.document.path("meta-train"))
    assert (folder / "prompt.safetensors").exists()
    assert read_json(folder / "result.json")["outcome"] == "stopped"
    assert training.history.item(0, 2).text() == "stopped, in use"
    assert training.primary.text() == "Resume"
    hands.press(training)
    hands.until(lambda: steps(training) > reached)
    assert [path.name for path in (folder.parent).glob("*-meta-train")] == [folder.name]

    page = hands.step(2)
    assert not page.primary.isEnabled()
    assert "running" in page.primary.toolTip()
    assert hands.window.rail.buttons[3].accessibleName() == "Meta-train: running"


def test_cancel_is_at_once_and_nothing_of_it_is_drawn_later(hands: Hands, training: MetaTrainPage) -> None:
    hands.click(training.cancel)
    assert hands.window.runner.current is None
    drawn = steps(training)
    hands.qtbot.wait(1000)
    assert steps(training) == drawn
    assert training.progress_text.text() == "Cancelled."
    assert not hands.window.document.has("meta-train")
    hands.until(training.primary.isEnabled)


def test_closing_asks_and_stop_and_keep_leaves_a_checkpoint(
    hands: Hands, training: MetaTrainPage, project_folder: Path
) -> None:
    hands.window.close()
    question = hands.dialog(Question)
    assert hands.window.isVisible()
    hands.answer(question, "Stay")
    reached = steps(training)
    hands.until(lambda: steps(training) > reached)

    began = time.monotonic()
    hands.window.close()
    hands.answer(hands.dialog(Question), "Stop and keep")
    hands.until(lambda: not hands.window.isVisible(), 15_000)
    assert time.monotonic() - began < 12
    run = next((project_folder / "runs").glob("*-meta-train"))
    assert (run / "checkpoint.safetensors").exists()
    assert (run / "prompt.safetensors").exists()
    assert hands.window.host.pid == 0


def test_closing_with_cancel_ends_everything(hands: Hands, training: MetaTrainPage) -> None:
    hands.window.close()
    hands.answer(hands.dialog(Question), "Cancel the run")
    hands.until(lambda: not hands.window.isVisible(), 15_000)
    assert hands.window.host.pid == 0


def test_a_killed_engine_is_reported_and_the_run_resumed(hands: Hands, training: MetaTrainPage) -> None:
    hands.until(lambda: steps(training) > 12)
    os.kill(hands.window.host.pid, signal.SIGKILL)
    hands.until(training.banner.isVisible)
    text = training.banner.text.text()
    assert "ended unexpectedly" in text
    assert "saved at step" in text
    saved = int(text.split("saved at step ")[1].split(",")[0].replace(",", ""))
    reached = steps(training)
    assert saved % 5 == 0
    assert saved <= reached
    assert state_of_step(hands) is not State.RUNNING
    resume = next(button for button in training.banner.buttons if button.text() == "Resume")
    hands.click(resume)
    hands.until(lambda: hands.window.runner.current is not None)
    assert not training.banner.isVisible()
    hands.until(lambda: steps(training) > reached)


def state_of_step(hands: Hands) -> State:
    run = hands.window.runner.current
    return hands.window.document.states(run.owner if run else None)["train"]


def test_keys_start_and_go_to_steps(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    hands.key(Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    assert hands.window.page is hands.window.pages[3]
    hands.key(Qt.Key.Key_F5)
    hands.until(lambda: hands.window.runner.current is not None)
    assert hands.window.runner.current is not None
    assert hands.window.runner.current.role == "meta-train"


def test_a_trial_says_how_long_it_will_take_and_leaves_no_run(hands: Hands, project_folder: Path) -> None:
    hands.window.projects.open(project_folder)
    page = hands.to(MetaTrainPage)
    hands.until(page.side.estimate.isEnabled)
    hands.click(page.side.estimate)
    hands.until(lambda: hands.window.runner.current is not None)
    hands.idle()
    assert "a step" in page.side.duration.text()
    assert not list((project_folder / "runs").glob("*-meta-train"))
    assert page.history.rowCount() == 0
