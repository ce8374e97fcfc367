"""A wish to stop is heard: in time after a pause, between two jobs, while texts are encoded or classified."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
import torch
from counting import CountJob

from engine.command_line.steps import engine_alone
from engine.corpus.drawing import few_shot_draws
from engine.corpus.store import Corpus
from engine.events import Finished, Notice, Progress
from engine.jobs import inputs
from engine.jobs.session import Session
from engine.project import Project
from engine.prompting.classifier import PromptClassifier
from engine.prompting.prompt_file import Prompt
from engine.running.perform import perform
from engine.running.pipeline import Steps
from engine.running.process import CREDIT, EngineProcess
from engine.settings import ImportSettings, TuneSettings
from engine.stage import Stopped, StopToken, result_of


def test_after_a_pause_stopping_takes_no_longer_than_before(tmp_path):
    """The credit that piled up when the reader went on must not be heard first, one message an event."""
    with EngineProcess(threads=1) as engine:
        stream = engine.run(CountJob(to=100_000, seconds=0.1), tmp_path)
        next(stream)
        time.sleep(0.1 * (CREDIT + 5))  # paused: the process is as far ahead as it may be
        for _ in range(CREDIT):
            next(stream)
        engine.request_stop()
        rest = list(stream)
    assert rest[-1].outcome == "stopped"
    assert len(rest) <= 4


@pytest.mark.parametrize("moment", ["starting", "asked"])
def test_an_interrupt_before_the_engine_knows_of_a_job_stops_it(tmp_path, monkeypatch, capsys, moment):
    class Engine(EngineProcess):
        def __init__(self) -> None:
            if moment == "starting":
                signal.raise_signal(signal.SIGINT)
            super().__init__(threads=1)

        def run(self, job, folder):
            signal.raise_signal(signal.SIGINT)
            yield from super().run(job, folder)

    monkeypatch.setattr("engine.command_line.steps.EngineProcess", Engine)
    with pytest.raises(Stopped), engine_alone(json=False) as run:
        run(CountJob(to=100_000, seconds=0.001), tmp_path / "run")
    assert (tmp_path / "run").exists() == (moment == "asked")
    assert "Stopping" in capsys.readouterr().err


def test_a_second_interrupt_cancels(tmp_path, capsys):
    def twice() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), engine_alone(json=False):
        twice()
    assert "Cancelled" in capsys.readouterr().err


def test_no_other_job_begins_after_stopping(tmp_path):
    session, stop, ran = Session(), StopToken(), []

    def run(job, folder):
        ran.append(job.to)
        yield from perform(job, folder, session, StopToken())  # it ends before it hears of the wish
        stop.request()

    with Project.create(tmp_path / "p.metapt") as project:
        steps = Steps(project, run, lambda role, event: None, stop)
        steps.run("first", CountJob(to=2))
        with pytest.raises(Stopped):
            steps.run("second", CountJob(to=3))
        assert ran == [2]
        assert project.has_role("first")


class Impatient(StopToken):
    """Is requested from the n-th look on."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_encoding_is_done_in_slices_and_stops_between_them(make_scorer, monkeypatch):
    monkeypatch.setattr(inputs, "SLICE", 3)
    scorer = make_scorer(2)
    texts = [f"soup {'and bread ' * (number % 4)}{number}" for number in range(10)]
    labels = np.array([0, 1, 0, -1, 1, 0, 1, 0, -1, 1])
    rows = np.flatnonzero(labels >= 0)
    part = inputs.encoded(scorer, texts, labels, rows, "tune", StopToken())
    assert [event.done for event in iter_events(part)] == [3, 6]
    examples = result_of(inputs.encoded(scorer, texts, labels, rows, "tune", StopToken()))
    whole = scorer.template.encode(texts)
    assert len(examples) == len(texts)
    for row in range(len(texts)):
        mine = examples.texts.take(np.array([row])).tokens
        wanted = whole.take(np.array([row])).tokens if labels[row] >= 0 else []
        np.testing.assert_array_equal(mine, wanted)
    with pytest.raises(Stopped):
        result_of(inputs.encoded(scorer, texts, labels, rows, "tune", Impatient(2)))


def test_of_a_task_only_what_is_drawn_or_tested_is_encoded(make_scorer):
    scorer = make_scorer(2)
    texts = [f"soup {number}" for number in range(1000)]
    labels = np.arange(1000) % 2
    draws = few_shot_draws(labels, np.arange(900), TuneSettings(seeds=2, training_rows=6, validation_rows=4))
    test = np.arange(950, 960)
    part = inputs.drawn_examples(scorer, texts, labels, draws, test, "tune", StopToken())
    examples = result_of(part)
    drawn = {int(row) for _, draw in draws for row in (*draw.training, *draw.validation)}
    assert set(np.flatnonzero(examples.texts.lengths).tolist()) == drawn | set(range(950, 960))
    np.testing.assert_array_equal(examples.labels, labels)


def iter_events(part):
    """Return the events of a part."""
    found = []
    while True:
        try:
            found.append(next(part))
        except StopIteration:
            return found


def test_what_was_classified_is_written_if_that_is_wanted(make_scorer, tmp_path, monkeypatch):
    from engine.evaluation import prediction

    monkeypatch.setattr(prediction, "CHUNK", 20)
    source, output, stop = tmp_path / "new.csv", tmp_path / "out.csv", StopToken()
    source.write_text("text\n" + "".join(f"soup number {number}\n" for number in range(50)))
    scorer = make_scorer(2)
    classifier = PromptClassifier([a_prompt(scorer)], scorer.backbone)
    parts = {"spreadsheet": False, "partial": True, "stop": stop}
    stage = prediction.predict_files(classifier, [str(source)], output, ImportSettings(), tmp_path / "run", **parts)
    events = []
    for event in stage:
        events.append(event)
        if isinstance(event, Progress) and event.stage == "predict" and event.done >= 40:
            stop.request()
    assert events[-1].outcome == "stopped"
    assert (events[-1].summary["rows"], sum(events[-1].summary["counts"].values())) == (40, 40)
    assert len(output.read_text(encoding="utf-8").splitlines()) == 1 + 40
    assert "The file has the answers to the first 40 of 50 rows." in [e.text for e in events if isinstance(e, Notice)]

    output.unlink()
    stage = prediction.predict_files(classifier, [str(source)], output, ImportSettings(), tmp_path / "again", **parts)
    with pytest.raises(Stopped):
        list(stage)
    assert not output.exists(), "a file without a row says nothing"


def test_stopping_while_classifying_is_no_error_and_writes_nothing(make_scorer, tmp_path, monkeypatch):
    from engine.evaluation import prediction

    class Classify(CountJob):
        def run(self, session, folder, stop):
            reading = ImportSettings(text_column="text")
            yield from prediction.predict_files(
                classifier, [str(source)], output, reading, folder, spreadsheet=True, stop=stop
            )

    source, output = tmp_path / "new.csv", tmp_path / "out.csv"
    source.write_text("text\n" + "".join(f"soup number {number}\n" for number in range(50)))
    scorer = make_scorer(2)
    classifier = PromptClassifier([a_prompt(scorer)], scorer.backbone)
    looks = []
    monkeypatch.setattr(prediction, "import_corpus", watched(prediction.import_corpus, looks))

    class AfterTheImport(StopToken):
        @property
        def requested(self) -> bool:
            return bool(looks)

    events = list(perform(Classify(), tmp_path / "run", Session(), AfterTheImport()))
    assert isinstance(events[-1], Finished)
    assert events[-1].outcome == "stopped"
    assert not output.exists()
    assert Corpus.open(tmp_path / "run").rows == 50


def watched(stage, over: list):
    """Return ``stage``, which notes in ``over`` that it has ended."""

    def run(*arguments, **named):
        yield from stage(*arguments, **named)
        over.append(True)

    return run


def a_prompt(scorer) -> Prompt:
    """Return a prompt for the scorer's task."""
    vectors = torch.zeros(4, scorer.backbone.width)
    return Prompt(vectors, scorer.backbone.identity, scorer.verbalizer.as_mapping(), scorer.settings)
