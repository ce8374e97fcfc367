"""Clicks in quick succession: wishes hold though the job has not begun, and large events hold nothing up."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from counting import CountJob, ManyPointsJob
from gui.test_engine_host import Watched
from pytestqt.qtbot import QtBot

from engine.errors import EngineProcessError
from engine.events import Failed, Finished
from engine.running.process import CREDIT, EngineProcess
from metapt_gui.engine_host import AHEAD, Cancelled, EngineHost


@pytest.fixture
def watched(qtbot: QtBot, engines: None) -> Iterator[Watched]:
    """A host whose engine process is forked, and everything that it has streamed."""
    host = EngineHost(threads=1)
    yield Watched(host)
    host.close()


@pytest.fixture
def held_back(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An engine that comes up when this event is set."""
    process = watched.host._process
    comes, start = threading.Event(), process.get

    def get() -> EngineProcess:
        assert comes.wait(60)
        return start()

    monkeypatch.setattr(process, "get", get)
    return comes


def answered(qtbot: QtBot, host: EngineHost) -> list[Any]:
    """Ask the engine something, and return its answer as soon as it is there."""
    answers: list[Any] = []
    host.ask("devices", answers.append, answers.append)
    qtbot.waitUntil(lambda: bool(answers), timeout=20_000)
    return answers[0]


def test_a_wish_to_stop_is_kept_while_the_engine_starts(
    qtbot: QtBot, watched: Watched, held_back: threading.Event, tmp_path: Path
) -> None:
    number = watched.host.start(CountJob(to=10_000, seconds=0.01), tmp_path)
    watched.host.stop()
    held_back.set()
    qtbot.waitUntil(lambda: watched.last(number) is not None, timeout=30_000)
    end = watched.last(number)
    assert isinstance(end, Finished)
    assert end.outcome == "stopped"


def test_a_job_that_was_cancelled_while_the_engine_starts_never_begins(
    qtbot: QtBot, watched: Watched, held_back: threading.Event, tmp_path: Path
) -> None:
    number = watched.host.start(CountJob(to=10_000, seconds=0.01), tmp_path / "a")
    watched.host.cancel()
    after = watched.host.start(CountJob(to=3), tmp_path / "b")
    held_back.set()
    qtbot.waitUntil(lambda: watched.last(after) is not None, timeout=30_000)
    assert watched.values(after) == [0, 1, 2]
    assert isinstance(watched.last(number), Cancelled)
    assert not (tmp_path / "a").exists()


def test_a_paused_engine_holds_after_its_present_step(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    number = watched.host.start(CountJob(to=1000, seconds=0.05), tmp_path)
    qtbot.waitUntil(lambda: len(watched.values(number)) > 3, timeout=30_000)
    watched.host.pause()
    qtbot.wait(500)
    reached = (tmp_path / "reached").read_text()
    assert int(reached) <= len(watched.values(number)) + 1, "it has not gone on ahead of what is shown"
    qtbot.wait(500)
    assert (tmp_path / "reached").read_text() == reached
    watched.host.stop()
    qtbot.waitUntil(lambda: watched.last(number) is not None, timeout=30_000)


def test_questions_are_answered_while_a_job_with_large_events_is_paused(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    watched.host.start(ManyPointsJob(), tmp_path)
    qtbot.waitUntil(lambda: len(watched.seen) > 3, timeout=30_000)
    watched.host.pause()
    qtbot.wait(500)
    assert isinstance(answered(qtbot, watched.host), list)


def test_a_large_job_follows_one_with_large_events_that_was_cancelled(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    """The engine must not wait for a reader of the one, while its reader waits for a reader of the other."""
    words = [f"word {number}" for number in range(200_000)]
    for turn in range(3):
        number = watched.host.start(ManyPointsJob(words=words), tmp_path / str(turn))
        qtbot.waitUntil(lambda: any(of == number for of, _ in watched.seen), timeout=30_000)  # noqa: B023
        watched.host.pause()
        qtbot.wait(300)
        watched.host.cancel()
    assert isinstance(answered(qtbot, watched.host), list)


def test_a_cancelled_job_is_released_when_its_step_is_over(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    released: list[int] = []
    watched.host.released.connect(released.append)
    number = watched.host.start(CountJob(to=5, seconds=1.5), tmp_path)
    qtbot.waitUntil((tmp_path / "job.json").exists, timeout=30_000)
    watched.host.cancel()
    qtbot.wait(300)
    assert released == [], "it is in its step"
    qtbot.waitUntil(lambda: released == [number], timeout=10_000)
    left = sorted(path.name for path in tmp_path.iterdir())
    qtbot.wait(300)
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_a_step_that_never_ends_costs_its_process_and_not_the_next_job(
    qtbot: QtBot, watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metapt_gui.engine_host.LETTING_GO_SECONDS", 0.5)
    watched.host.start(CountJob(to=5, seconds=3600), tmp_path / "a")
    qtbot.waitUntil((tmp_path / "a" / "job.json").exists, timeout=30_000)
    before = watched.host.pid
    watched.host.cancel()
    after = watched.host.start(CountJob(to=3), tmp_path / "b")
    qtbot.waitUntil(lambda: watched.last(after) is not None, timeout=30_000)
    assert watched.values(after) == [0, 1, 2]
    assert watched.host.pid != before


def test_closing_does_not_wait_for_a_message_that_nobody_reads(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    watched.host.start(CountJob(to=5, seconds=3600), tmp_path)
    qtbot.waitUntil((tmp_path / "job.json").exists, timeout=30_000)
    process = watched.host._process.current()
    assert process is not None
    thread = threading.Thread(target=_send_much, args=(process,))
    thread.start()
    time.sleep(0.5)  # it holds the lock, and waits for the engine, which is in its step
    began = time.monotonic()
    watched.host.close(2.0)
    assert time.monotonic() - began < 5
    thread.join(10)
    assert not thread.is_alive()


def _send_much(process: EngineProcess) -> None:
    """Send more than fits into a pipe."""
    with suppress(EngineProcessError):
        process._send(("credit", -1, "x" * 10_000_000))


def test_a_question_that_came_too_late_is_not_answered_into_a_full_pipe(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    file = tmp_path / "wide.csv"
    file.write_text("text,label\n" + "".join(f"{'word ' * 20_000}{number},a\n" for number in range(100)), "utf-8")
    watched.host.start(CountJob(to=2, seconds=1.0), tmp_path / "run")
    qtbot.waitUntil((tmp_path / "run" / "job.json").exists, timeout=30_000)
    process = watched.host._process.current()
    assert process is not None
    with pytest.raises(EngineProcessError, match="did not answer"):
        process.ask("preview_file", timeout=0.2, path=str(file), settings={})
    qtbot.waitUntil(lambda: watched.last(1) is not None, timeout=20_000)  # the job goes on, whoever asked what


def test_a_question_is_answered_though_the_engine_dies_of_a_job_meanwhile(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    number = watched.host.start(CountJob(to=5, seconds=3600), tmp_path)
    qtbot.waitUntil((tmp_path / "job.json").exists, timeout=30_000)
    answers: list[Any] = []
    watched.host.ask("devices", answers.append, answers.append)
    qtbot.wait(300)
    os.kill(watched.host.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(answers), timeout=30_000)
    assert isinstance(answers[0], list)
    qtbot.waitUntil(lambda: watched.last(number) is not None, timeout=10_000)
    assert isinstance(watched.last(number), Failed)


def test_a_window_that_is_held_up_holds_the_job_up(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    number = watched.host.start(CountJob(to=400), tmp_path)
    qtbot.waitUntil(lambda: len(watched.values(number)) > 3, timeout=30_000)
    seen, reached = len(watched.values(number)), ""
    deadline = time.monotonic() + 20
    while reached != (reached := (tmp_path / "reached").read_text()) and time.monotonic() < deadline:
        time.sleep(1.0)  # as long as nothing is read here
    assert int(reached) < seen + AHEAD + 3 * CREDIT < 400
    qtbot.waitUntil(lambda: watched.last(number) is not None, timeout=30_000)
    assert watched.values(number) == list(range(400))
