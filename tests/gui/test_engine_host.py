"""The engine as the window sees it: numbers on events, pause, stop, cancel, death, questions, closing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from counting import CountJob
from pytestqt.qtbot import QtBot

from engine.errors import EngineDiedError, EngineProcessError, MetaPTError
from engine.events import Event, Failed, Finished, Metric
from engine.running.failures import error_from
from engine.running.process import NICENESS
from metapt_gui.engine_host import Cancelled, EngineHost


class Watched:
    """A host, and everything that it has streamed."""

    def __init__(self, host: EngineHost) -> None:
        self.host = host
        self.seen: list[tuple[int, Event]] = []
        self.threads: set[int] = set()
        host.streamed.connect(self.take)

    def take(self, number: int, event: Event) -> None:
        self.seen.append((number, event))
        self.threads.add(threading.get_ident())

    def values(self, number: int) -> list[float]:
        return [event.value for of, event in self.seen if of == number and isinstance(event, Metric)]

    def last(self, number: int) -> Event | None:
        ends = [event for of, event in self.seen if of == number and isinstance(event, (Finished, Failed, Cancelled))]
        return ends[-1] if ends else None


@pytest.fixture
def watched(qtbot: QtBot) -> Iterator[Watched]:
    host = EngineHost(threads=1)
    yield Watched(host)
    host.close()


def test_events_carry_their_job_and_arrive_in_order_in_the_thread_of_the_window(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    first = watched.host.start(CountJob(to=3000), tmp_path / "a")
    with pytest.raises(EngineProcessError, match="Another job"):
        watched.host.start(CountJob(), tmp_path / "b")
    qtbot.waitUntil(lambda: watched.last(first) is not None, timeout=60_000)
    assert watched.values(first) == list(range(3000))
    assert isinstance(watched.last(first), Finished)
    assert watched.threads == {threading.get_ident()}
    second = watched.host.start(CountJob(to=2), tmp_path / "b")
    assert second != first
    qtbot.waitUntil(lambda: watched.last(second) is not None, timeout=60_000)
    assert watched.values(second) == [0, 1]


def test_pause_holds_resume_goes_on_stop_keeps(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    number = watched.host.start(CountJob(to=10_000, seconds=0.02), tmp_path)
    qtbot.waitUntil(lambda: len(watched.values(number)) > 3, timeout=60_000)
    watched.host.pause()
    assert watched.host.paused
    qtbot.wait(300)
    held = len(watched.values(number))
    qtbot.wait(600)
    assert len(watched.values(number)) == held
    watched.host.resume()
    qtbot.waitUntil(lambda: len(watched.values(number)) > held + 20, timeout=60_000)
    watched.host.stop()
    qtbot.waitUntil(lambda: watched.last(number) is not None, timeout=60_000)
    end = watched.last(number)
    assert isinstance(end, Finished)
    assert end.outcome == "stopped"


def test_cancel_is_at_once_though_the_engine_is_in_a_long_step(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    number = watched.host.start(CountJob(to=5, seconds=2), tmp_path / "slow")
    qtbot.waitUntil(lambda: (tmp_path / "slow" / "job.json").exists(), timeout=60_000)
    began = time.monotonic()
    watched.host.cancel()
    assert time.monotonic() - began < 0.3
    assert isinstance(watched.last(number), Cancelled)
    after = watched.host.start(CountJob(to=3), tmp_path / "next")
    qtbot.waitUntil(lambda: watched.last(after) is not None, timeout=60_000)
    assert watched.values(after) == [0, 1, 2]
    of_the_cancelled = [event for of, event in watched.seen if of == number]
    assert of_the_cancelled == [Cancelled()]


def test_a_killed_engine_is_told_of_and_the_next_job_has_a_new_one(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    number = watched.host.start(CountJob(to=10_000, seconds=0.02), tmp_path / "a")
    qtbot.waitUntil(lambda: len(watched.values(number)) > 3, timeout=60_000)
    before = watched.host.pid
    os.kill(before, signal.SIGKILL)
    qtbot.waitUntil(lambda: watched.last(number) is not None, timeout=60_000)
    end = watched.last(number)
    assert isinstance(end, Failed)
    assert isinstance(error_from(end), EngineDiedError)
    assert "SIGKILL" in end.what
    after = watched.host.start(CountJob(to=2), tmp_path / "b")
    qtbot.waitUntil(lambda: watched.last(after) is not None, timeout=60_000)
    assert watched.values(after) == [0, 1]
    assert watched.host.pid != before


def test_questions_are_answered_while_a_job_runs_and_only_the_newest_of_a_key(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    files = []
    for number in range(5):
        files.append(tmp_path / f"{number}.csv")
        files[-1].write_text(f"text,label\nhello {number},{number}\n", encoding="utf-8")
    job = watched.host.start(CountJob(to=10_000, seconds=0.05), tmp_path / "run")
    qtbot.waitUntil(lambda: len(watched.values(job)) > 1, timeout=60_000)
    answers: list[Any] = []
    for file in files:
        watched.host.ask("preview_file", answers.append, key="preview", path=str(file), settings={})
    qtbot.waitUntil(lambda: bool(answers), timeout=60_000)
    qtbot.wait(300)
    assert [answer["rows"][0][0] for answer in answers] == ["hello 4"]
    problems: list[MetaPTError] = []
    watched.host.ask("preview_file", answers.append, problems.append, path=str(tmp_path / "none.csv"), settings={})
    qtbot.waitUntil(lambda: bool(problems), timeout=60_000)
    assert problems[0].what == "There is no such file"
    assert watched.last(job) is None


@pytest.mark.skipif(sys.platform == "win32", reason="priorities are numbers of another kind there")
def test_the_engine_gives_way_to_the_window(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    number = watched.host.start(CountJob(to=3), tmp_path)
    qtbot.waitUntil(lambda: watched.last(number) is not None, timeout=60_000)
    mine = psutil.Process().nice()
    assert psutil.Process(watched.host.pid).nice() == max(mine, NICENESS)
    assert psutil.Process().nice() == mine


def test_closing_with_a_running_job_ends_thread_and_process(qtbot: QtBot, tmp_path: Path) -> None:
    host = EngineHost(threads=1)
    watched = Watched(host)
    number = host.start(CountJob(to=10_000, seconds=0.05), tmp_path)
    qtbot.waitUntil(lambda: len(watched.values(number)) > 1, timeout=60_000)
    began = time.monotonic()
    host.close()
    assert time.monotonic() - began < 10
    assert host.pid == 0
    assert not [child for child in multiprocessing.active_children() if child.name == "MetaPT engine"]


def test_the_window_knows_no_torch_and_the_engine_no_qt() -> None:
    heavy = ("torch", "transformers", "sklearn", "sentence_transformers", "gensim", "scipy")
    code = f"import sys, metapt_gui.main_window; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    light = (
        "import sys, metapt_gui.app, engine.running.process; print([n for n in sys.modules if n.startswith('PySide6')])"
    )
    done = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
