"""A GPU that runs out of memory or is lost, simulated: less at a time with the same result, or a run to go on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults.conftest import Here
from faults.stages import STAGES, Encoder, FastSession, Inputs, begin, fail_here, results, run_here

from engine.backbones import devices, memory
from engine.corpus.drawing import few_shot_draws
from engine.embedding.cache import embed
from engine.errors import BackboneError, DeviceError
from engine.events import Checkpointed, Notice
from engine.prompting.scorer import PromptScorer
from engine.running.failures import failed
from engine.settings import MetaTrainSettings, TuneSettings
from engine.stage import Part, StopToken
from engine.training import full_model, prompt_maml
from engine.training.bank_tuning import PromptRun, TuningPlan, tune_bank
from engine.training.examples import MetaTask
from engine.training.few_shot import few_shot
from engine.training.validation import score_rows

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB"


def drained(part: Part[Any]) -> tuple[Any, list[str]]:
    """Return the result of a part and its warnings."""
    warnings = []
    while True:
        try:
            event = next(part)
        except StopIteration as over:
            return over.value, warnings
        if isinstance(event, Notice):
            warnings.append(event.text)


@pytest.fixture
def small_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make memory for only so many texts in a pass through the backbone."""
    scores = PromptScorer.scores

    def limit(rows: int) -> None:
        def limited(self: PromptScorer, bank: Any, batch: Any, owner: Any, **options: Any) -> torch.Tensor:
            if len(batch.ids) > rows:
                raise torch.OutOfMemoryError(OUT_OF_MEMORY)
            return scores(self, bank, batch, owner, **options)

        monkeypatch.setattr(PromptScorer, "scores", limited)

    return limit


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative distance of two gradients."""
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("kind", ["exact", "first_order", "reptile"])
def test_a_meta_step_takes_fewer_tasks_and_comes_to_the_same_gradient(
    kind: str, float64_backbone, make_scorer, make_examples, small_gpu: Callable[[int], None]
) -> None:
    scorer = make_scorer()
    examples = make_examples(scorer)
    tasks = [MetaTask(str(i), np.arange(i, 60, 4), np.arange(i, 60, 20)) for i in range(4)]
    settings = MetaTrainSettings(shots=2, gradient=kind, alpha=0.5, initialisation="vocabulary")
    state = prompt_maml._begin(scorer, tasks, examples, settings, None)
    with torch.no_grad():
        state.prompt.data = state.prompt.double()
        state.log_rates.data = state.log_rates.double()
    expected, warnings = drained(prompt_maml._gradient(scorer, examples, tasks, state, settings))
    assert not warnings
    small_gpu(3)
    found, warnings = drained(prompt_maml._gradient(scorer, examples, tasks, state, settings))
    assert difference(found.prompt, expected.prompt) < 1e-6
    assert warnings == [
        f"The memory was exhausted; {number} tasks are taken at a time from now on." for number in (2, 1)
    ]
    assert state.tasks_per_pass == 1
    _, warnings = drained(prompt_maml._gradient(scorer, examples, tasks, state, settings))
    assert not warnings, "it is known by now what fits"
    accuracies, warnings = drained(prompt_maml._validate(scorer, examples, tasks, state, settings, StopToken()))
    assert len(accuracies[0]) == 4
    assert any("texts are taken at a time" in warning for warning in warnings)


def test_tuning_and_scoring_take_fewer_texts_and_come_to_the_same(
    float64_backbone, make_scorer, make_examples, small_gpu: Callable[[int], None], tmp_path: Path
) -> None:
    scorer = make_scorer()
    examples = make_examples(scorer)
    plan = TuningPlan(0.01, 0.01, 0, 4, 3, 3, 5, 100)

    def tuned(folder: str) -> tuple[list[PromptRun], list[str]]:
        random = np.random.default_rng(0)
        runs = [
            PromptRun(str(seed), torch.from_numpy(random.normal(size=(4, 32))), np.arange(20), np.arange(20, 40), seed)
            for seed in range(2)
        ]
        _, warnings = drained(tune_bank(scorer, examples, runs, plan, tmp_path / folder, "tune", stop=StopToken()))
        return runs, warnings

    expected, warnings = tuned("enough")
    assert not warnings
    bank = torch.stack([run.result for run in expected])
    chances, _ = drained(scorer.probabilities(bank, examples.texts))
    small_gpu(3)
    found, warnings = tuned("small")
    assert warnings[0] == "The memory was exhausted; 4 texts are taken at a time from now on."
    for run, other in zip(found, expected, strict=True):
        assert difference(run.prompt.detach(), other.prompt.detach()) < 1e-6
    again, warnings = drained(scorer.probabilities(bank, examples.texts))
    assert np.allclose(again, chances, atol=1e-6)
    assert not warnings, "what fits is known from the validations"
    again, warnings = drained(make_scorer().probabilities(bank, examples.texts))
    assert np.allclose(again, chances, atol=1e-6)
    assert warnings[-1] == "The memory was exhausted; 1 texts are taken at a time from now on."
    scored, warnings = drained(
        score_rows(make_scorer(), bank, examples, np.arange(20), np.zeros(20, np.int64), "tune", StopToken())
    )
    assert len(scored.losses) == 20
    assert warnings


def test_all_weights_are_tuned_with_fewer_texts_and_the_same_gradient(
    float64_backbone, make_scorer, make_examples, small_gpu: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PromptScorer, "no_prompt", lambda scorer: torch.empty(1, 0, 32, dtype=torch.float64))
    scorer = make_scorer()
    examples = make_examples(scorer)
    model = scorer.backbone.model.requires_grad_(True)
    rows = np.arange(7)

    def gradients() -> torch.Tensor:
        return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])

    loss = full_model._backward(scorer, examples, rows, 7)
    expected = gradients()
    small_gpu(3)

    def work(at_a_time: int) -> float:
        return full_model._backward(scorer, examples, rows, at_a_time)

    (again, at_a_time), warnings = drained(memory.fitting(work, 7, "texts"))
    assert at_a_time == 2
    assert len(warnings) == 2
    assert difference(gradients(), expected) < 1e-6
    assert abs(again - loss) < 1e-6


def test_vectors_are_made_of_fewer_texts_at_a_time(tmp_path: Path) -> None:
    class SmallEncoder(Encoder):
        def encode(self, texts: Any) -> np.ndarray:
            if len(texts) > 1:
                raise torch.OutOfMemoryError(OUT_OF_MEMORY)
            return super().encode(texts)

    texts = [f"text number {number}" for number in range(9)]
    vectors, warnings = drained(embed(texts, SmallEncoder(), tmp_path, stop=StopToken()))
    assert np.allclose(vectors, Encoder().encode(texts))
    assert [warning.split(";")[1] for warning in warnings] == [
        " 2 texts are taken at a time from now on.",
        " 1 texts are taken at a time from now on.",
    ]


def test_what_does_not_fit_at_all_is_a_sentence(make_scorer, make_examples, small_gpu, tmp_path: Path) -> None:
    scorer = make_scorer()
    examples = make_examples(scorer)
    small_gpu(0)
    settings = TuneSettings(training_rows=8, validation_rows=8, seeds=1, epochs=1)
    starts = {"PT": [torch.zeros(4, 32)]}
    draws = few_shot_draws(examples.labels, np.arange(60), settings)
    with pytest.raises(DeviceError, match="does not suffice even for one of the texts") as caught:
        list(few_shot(scorer, examples, draws, starts, settings, tmp_path, stop=StopToken()))
    assert "smaller backbone" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError(OUT_OF_MEMORY), "The memory of the device is exhausted"),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
            "The memory of the device is exhausted",
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"), "The memory of the device is exhausted"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "The memory of the device is exhausted",
        ),
        (MemoryError(), "The memory of the computer is exhausted"),
        (RuntimeError("CUDA error: device-side assert triggered"), "The device was lost"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "The device was lost"),
    ],
)
def test_what_no_stage_foresees_is_a_sentence_all_the_same(error: Exception, sentence: str) -> None:
    event = failed(error, Path("run"))
    assert event.what.startswith(sentence)
    assert event.remedy
    assert not event.details


@pytest.mark.parametrize("stage", ["meta-train", "tune", "tune-full-model"])
def test_a_lost_device_ends_a_run_that_goes_on_from_its_last_checkpoint(
    stage: str,
    inputs: Inputs,
    here: Callable[[str], Here],
    session: FastSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter(range(10**9))
    scores, lost_at = PromptScorer.scores, {"meta-train": 16, "tune": 7, "tune-full-model": 11}[stage]

    def lost(self: PromptScorer, *arguments: Any, **options: Any) -> torch.Tensor:
        if next(calls) == lost_at:
            raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ...")
        return scores(self, *arguments, **options)

    project = tmp_path / "a.metapt"
    job = STAGES[stage](inputs, project)
    run = begin(project, job)
    with monkeypatch.context() as patch:
        patch.setattr(PromptScorer, "scores", lost)
        failure = fail_here(job, run, session)
    assert failure.error == "DeviceLostError"
    assert "unspecified launch failure" in failure.what
    assert "from its last checkpoint, at step " in str(failure.remedy)
    step = int(str(failure.remedy).split("at step ")[1].split(".")[0])
    events = run_here(job, run, session)
    first = next(event for event in events if isinstance(event, Checkpointed))
    assert first.step == step, "where it goes on is told at once"
    assert results(project) == here(stage).results


def test_a_backbone_that_does_not_fit_is_refused_before_it_is_loaded(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.backbones.load.available_memory", lambda: 1000)
    job = STAGES["evaluate"](inputs, tmp_path / "a.metapt")
    failure = fail_here(job, tmp_path / "run", FastSession())
    assert failure.error == BackboneError.__name__
    assert failure.what == "The backbone needs 0.0 GB of memory, 0.0 GB are free"
    assert "smaller" in str(failure.remedy)


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    unlimited = devices.available_memory()
    (tmp_path / "memory.max").write_text("max\n")
    assert devices.available_memory() > unlimited / 2
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    assert devices.available_memory() == 3_000_000
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 1000000\nactive_file 200000\n")
    assert devices.available_memory() == 4_200_000, "files that were read give way"


def test_what_cublas_says_of_its_memory_is_no_lost_device() -> None:
    error = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert memory.is_out_of_memory(error)
    assert not memory.is_device_lost(error)
    assert memory.is_device_lost(RuntimeError("CUDA error: an illegal memory access was encountered"))
