"""The engine process: events cross the pipe, pausing, stopping, cancelling, questions, and death."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from counting import CountJob
from made_corpora import clustering_of, corpus_of

from engine import jobs
from engine.errors import EngineProcessError
from engine.events import Checkpointed, Failed, Finished, Notice
from engine.jobs.session import Session
from engine.running.perform import perform
from engine.running.process import CREDIT, EngineProcess
from engine.settings import BackboneSettings
from engine.stage import StopToken
from engine.storage import read_json


@pytest.fixture(scope="module")
def engine():
    with EngineProcess(threads=1) as process:
        yield process


def test_events_cross_the_pipe_and_are_recorded(engine, tmp_path):
    events = list(engine.run(CountJob(to=20), tmp_path))
    assert [event.value for event in events[:-1]] == list(range(20))
    assert events[-1] == Finished(str(tmp_path), "completed", {"reached": 20})
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 21
    assert read_json(tmp_path / "result.json")["outcome"] == "completed"
    assert read_json(tmp_path / "job.json")["to"] == 20


def test_in_process_gives_the_same_events(engine, tmp_path):
    beside = list(engine.run(CountJob(to=5), tmp_path / "a"))
    here = list(perform(CountJob(to=5), tmp_path / "b", Session(), StopToken()))
    assert here[:-1] == beside[:-1]


def test_not_reading_pauses(engine, tmp_path):
    stream = engine.run(CountJob(to=1000), tmp_path)
    next(stream)
    time.sleep(0.5)
    reached = int((tmp_path / "reached").read_text())
    time.sleep(0.3)
    assert int((tmp_path / "reached").read_text()) == reached <= CREDIT + 2
    next(stream)
    stream.close()


def test_an_interrupt_while_the_process_begins_does_not_end_it(tmp_path):
    for pause in (0, 0.05, 0.2):
        with EngineProcess(threads=1) as process:
            time.sleep(pause)
            os.kill(process.pid, signal.SIGINT)
            assert list(process.run(CountJob(to=3), tmp_path / str(pause)))[-1].outcome == "completed"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "the host hears of it as before"


def test_stop_keeps_the_best(engine, tmp_path):
    stream = engine.run(CountJob(to=100_000, seconds=0.001), tmp_path)
    next(stream)
    engine.request_stop()
    assert list(stream)[-1].outcome == "stopped"
    assert list(engine.run(CountJob(to=3), tmp_path / "next"))[-1].outcome == "completed", "the wish to stop is over"


def test_cancelling_ends_the_job_and_nothing_of_it_arrives_later(engine, tmp_path):
    stream = engine.run(CountJob(to=100_000, seconds=0.001), tmp_path / "a")
    next(stream)
    stream.close()
    events = list(engine.run(CountJob(to=3), tmp_path / "b"))
    assert [event.value for event in events[:-1]] == [0, 1, 2]
    assert not (tmp_path / "a" / "result.json").exists()


def test_questions_are_answered_while_a_job_runs(engine, tmp_path, tiny_t5):
    backbone = BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="float32").model_dump()
    stream = engine.run(CountJob(to=100_000, seconds=0.001), tmp_path)
    next(stream)
    assert engine.ask("word_tokens", backbone=backbone, word="good") == ["▁good"]
    preview = engine.ask("preview", backbone=backbone, prompt={"soft_tokens": 7}, text="Cold soup")
    assert preview.startswith("[7 soft tokens] cold soup it was")
    with pytest.raises(EngineProcessError, match="no question"):
        engine.ask("import_os")
    stream.close()


def test_a_late_answer_is_not_taken_for_another_questions(engine, tmp_path, tiny_t5):
    backbone = BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="float32").model_dump()
    stream = engine.run(CountJob(to=100_000, seconds=0.2), tmp_path)
    next(stream)
    with pytest.raises(EngineProcessError, match="did not answer within 0 seconds"):
        engine.ask("word_tokens", timeout=0.001, backbone=backbone, word="bad")
    assert engine.ask("word_tokens", backbone=backbone, word="good") == ["▁good"]
    stream.close()


def test_a_users_error_is_a_sentence(engine, tmp_path):
    events = list(engine.run(CountJob(fail="user"), tmp_path))
    assert events == [Failed("MetaPTError", "The soup is cold", "table 3", "Heat it.")]
    assert read_json(tmp_path / "result.json")["event"] == "Failed"


def test_a_bug_is_a_sentence_with_details(engine, tmp_path):
    (event,) = engine.run(CountJob(fail="bug"), tmp_path)
    assert event.error == "EngineProcessError"
    assert "ZeroDivisionError" in event.what
    assert "Traceback" in event.details


def test_a_process_that_dies_at_its_start_is_told_though_its_pipe_stays_open(tmp_path, monkeypatch):
    """As on Windows, where the host holds the child's end until the child has begun."""
    with EngineProcess(threads=1) as process:
        os.kill(process.pid, signal.SIGKILL)
        for connection in (process._events, process._questions):
            monkeypatch.setattr(connection, "poll", lambda timeout=0: time.sleep(min(timeout or 0, 0.05)) or False)
            monkeypatch.setattr(connection, "send", lambda message: None)
        with pytest.raises(EngineProcessError, match="ended unexpectedly"):
            process.ask("devices", timeout=20)
        with pytest.raises(EngineProcessError, match="ended unexpectedly"):
            list(process.run(CountJob(to=3), tmp_path))


def test_death_is_told_and_a_new_process_goes_on(tmp_path):
    with EngineProcess(threads=1) as process:
        with pytest.raises(EngineProcessError, match="SIGKILL"):
            list(process.run(CountJob(fail="die"), tmp_path))
        assert not process.alive
        with pytest.raises(EngineProcessError, match="ended unexpectedly"):
            list(process.run(CountJob(), tmp_path))


def test_a_killed_run_resumes_from_its_checkpoint(tmp_path, tiny_t5, make_scorer, make_examples):
    """SIGKILL in the middle of meta-training through the whole stack, then the same job again."""
    texts = [f"{'good' if i % 2 else 'bad'} soup number {i}" for i in range(60)]
    corpus = corpus_of(tmp_path / "corpus", texts, [str(i % 2) for i in range(60)], words={})
    training = jobs.MetaTrainJob(
        corpus=str(corpus.folder),
        clusters=str(clustering_of(tmp_path / "clusters", corpus, np.arange(60) % 3)),
        backbone=BackboneSettings(backbone=str(tiny_t5), device="cpu", precision="float32"),
        prompt={"soft_tokens": 4, "text_tokens": 32},
        settings={"shots": 2, "steps": 6, "validate_every": 3, "checkpoint_every": 2, "alpha": 1.0, "beta": 0.3},
    )
    with EngineProcess(threads=1) as process:
        whole = list(process.run(training, tmp_path / "whole"))
        assert isinstance(whole[-1], Finished), whole[-1]
    with EngineProcess(threads=1) as process:
        stream = process.run(training, tmp_path / "cut")
        while next(stream) != Checkpointed(str(tmp_path / "cut" / "checkpoint.safetensors"), 4):
            pass
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EngineProcessError, match="SIGKILL"):
            list(stream)
    with EngineProcess(threads=1) as process:
        rest = list(process.run(training, tmp_path / "cut"))
    assert isinstance(rest[-1], Finished)
    assert not any(isinstance(event, Notice) and event.level == "warning" for event in rest)
    found, expected = ((tmp_path / name / "prompt.safetensors").read_bytes() for name in ("cut", "whole"))
    assert found == expected
