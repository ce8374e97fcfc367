"""What jobs and the pipeline hand on to the stages: starts, seeds, settings, and the texts that each learns from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_corpora import clustering_of, corpus_of
from made_runs import figures

from engine.corpus.store import Corpus
from engine.evaluation.results import RunResults
from engine.events import Event, Finished
from engine.jobs import ImportJob, Job, MetaTrainJob, PretrainJob, TuneJob
from engine.jobs.prompt_jobs import PromptJob
from engine.jobs.session import Session
from engine.jobs.target_jobs import left_to_test
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import describe_prompt, save_prompt
from engine.running.pipeline import CorpusSettings, PipelineSettings, Steps, run_pipeline
from engine.settings import BackboneSettings, MetaTrainSettings, PromptSettings, TuneSettings
from engine.stage import StopToken
from engine.training.examples import make_meta_tasks


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_of(tmp_path / "corpus", [f"soup {row}" for row in range(60)], [str(row % 2) for row in range(60)])


@pytest.fixture
def handed(make_scorer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the stages of training are called with, instead of being run; and the scorer of every job."""
    scorer = make_scorer(2)
    given: dict[str, Any] = {"scorer": scorer}

    def noted(*positional: Any, **named: Any) -> Iterator[Event]:
        given.update(named, positional=positional)
        yield Finished("")

    for stage in ("prompt_maml.meta_train", "pretrained_prompt.pretrain_prompt", "few_shot.few_shot"):
        monkeypatch.setattr(f"engine.training.{stage}", noted)

    def same_scorer(*_: Any) -> Iterator[Event]:
        return scorer
        yield

    monkeypatch.setattr(PromptJob, "scorer", same_scorer)
    return given


@pytest.fixture
def start(handed: dict[str, Any], tmp_path: Path) -> tuple[str, torch.Tensor]:
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    save_prompt(describe_prompt(vectors, handed["scorer"], metrics={}, training={}), tmp_path / "start.safetensors")
    return str(tmp_path / "start.safetensors"), vectors


def test_meta_training_gets_tasks_by_its_settings_and_its_start(corpus, handed, start, tmp_path):
    assignment = (np.arange(60) // 20).astype(np.int16)
    clustering_of(tmp_path / "clusters", corpus, assignment)
    settings = MetaTrainSettings(shots=3, validation_share=0.4, validation_rows=6, seed=5)
    job = MetaTrainJob(
        corpus=str(corpus.folder), clusters=str(tmp_path / "clusters"), settings=settings, start=start[0]
    )
    list(job.run(Session(), tmp_path, StopToken()))
    named = [(f"group {number}", np.flatnonzero(assignment == number)) for number in range(3)]
    expected, _ = make_meta_tasks(named, shots=3, validation_share=0.4, validation_rows=6, seed=5)
    assert [len(task.validation) for task in expected] == [6, 6, 6]
    for found, task in zip(handed["positional"][2], expected, strict=True):
        assert found.validation.tolist() == task.validation.tolist()
        assert found.training.tolist() == task.training.tolist()
    assert torch.equal(handed["start"], start[1])


def test_ppt_gets_its_start(corpus, handed, start, tmp_path):
    list(PretrainJob(corpus=str(corpus.folder), start=start[0]).run(Session(), tmp_path, StopToken()))
    assert torch.equal(handed["start"], start[1])


def test_every_seed_of_a_tuning_begins_at_its_own_prompt(corpus, handed, start, tmp_path):
    tune = TuneSettings(seeds=3, first_seed=4, training_rows=10, validation_rows=10)
    starts = {"mine": start[0], "PT": "random"}
    list(TuneJob(corpus=str(corpus.folder), starts=starts, tune=tune).run(Session(), tmp_path, StopToken()))
    found, scorer = handed["positional"][3], handed["scorer"]
    assert list(found) == ["mine", "PT"]
    assert all(torch.equal(prompt, start[1]) for prompt in found["mine"])
    for seed, prompt in zip((4, 5, 6), found["PT"], strict=True):
        assert torch.equal(prompt, initial_prompt("random", scorer.backbone, scorer.verbalizer, 4, seed))


def test_rows_that_are_set_aside_leave_enough_to_train_and_to_validate(corpus):
    tune = TuneSettings(training_rows=20, validation_rows=25, test_rows=40)
    _, _, _, pool, test = TuneJob(corpus=str(corpus.folder), tune=tune).target()
    assert (len(pool), len(test)) == (45, 15)
    assert not set(pool) & set(test)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (0, "Only 0 texts are left to test on, not 100: of 80 with a label 80 are for training and validation."),
        (
            1,
            "Only 1 text is left to test on, not 100: of 81 with a label 80 are for training and validation.",
        ),
        (20, "Only 20 texts are left to test on, not 100: of 100 with a label 80 are for training and validation."),
    ],
)
def test_it_is_told_that_figures_on_a_handful_of_texts_say_nothing(test, said):
    told = left_to_test(test, 80, TuneSettings(test_rows=100))
    assert told.startswith(said)
    assert ("next to nothing" in told) == (test == 1)


# The pipeline ---------------------------------------------------------------------------------------------------------


class MadeUp(Steps):
    """Runs nothing: notes the job of each role, and leaves what the next step looks at."""

    def __init__(self, folder: Path) -> None:
        self.project, self.jobs, self._folder = SimpleNamespace(cache=folder / "cache"), {}, folder  # type: ignore[assignment]
        self.told: list[Event] = []
        self.show = lambda role, event: self.told.append(event)

    def run(self, role: str, job: Job, *, fresh: bool = False) -> Path:
        folder = self._folder / role
        if isinstance(job, ImportJob):
            corpus_of(folder, [f"{role} {row}" for row in range(4)], ["0", "1", "0", "1"])
        else:
            RunResults(summary={role: figures()}).save(folder)
        self.jobs[role] = job
        return folder


@pytest.mark.parametrize("pseudo", [True, False], ids=["MetaPT", "MetaPT(Y)"])
def test_every_step_of_a_pipeline_learns_from_what_the_paper_says(tmp_path, pseudo):
    (tmp_path / "a.csv").write_text("text\nsoup\n")
    files = CorpusSettings(files=[str(tmp_path / "a.csv")])
    settings = PipelineSettings(
        source=files,
        open_text=files if pseudo else None,
        target=files,
        test=files,
        prompt=PromptSettings(soft_tokens=7),
        backbone=BackboneSettings(precision="bfloat16"),
        compare=["PPT", "PT", "linear probe", "full model"],
    )
    steps = MadeUp(tmp_path)
    assert list(run_pipeline(settings, steps)) == ["tune", "full-model", "linear-probe"]
    assert ["PPT reads at most" in event.text for event in steps.told] == [True]
    jobs, place = steps.jobs, {role: str(tmp_path / role) for role in steps.jobs}
    learned_from = place["annotated"] if pseudo else place["source"]
    assert ("annotated" in jobs) is pseudo
    if pseudo:
        assert (jobs["annotated"].labelled, jobs["annotated"].unlabelled) == (place["source"], place["open-text"])
    assert {jobs[role].corpus for role in ("clusters", "meta-train", "pretrain-prompt")} == {learned_from}
    assert jobs["meta-train"].clusters == place["clusters"]
    assert list(jobs["tune"].starts.items()) == [
        ("MetaPT", f"{place['meta-train']}/prompt.safetensors"),
        ("PPT", f"{place['pretrain-prompt']}/prompt.safetensors"),
        ("PT", "random"),
    ]
    for role in ("tune", "full-model", "linear-probe"):
        assert (jobs[role].corpus, jobs[role].test) == (place["target"], place["test"])
    assert jobs["linear-probe"].source == place["source"], "its labels are true ones"
    for role in ("meta-train", "pretrain-prompt", "tune", "full-model"):
        assert jobs[role].prompt.soft_tokens == 7
        assert jobs[role].backbone.precision == ("float32" if role == "full-model" else "bfloat16")
