"""A loss that is no number any more: said with step and rate, and the last good prompt is there to use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.conftest import Here
from faults.stages import STAGES, FastSession, Inputs, begin, fail_here, results, run_here

from engine.errors import TrainingError
from engine.events import Event, Failed
from engine.jobs import Job
from engine.project import Project
from engine.prompting.prompt_file import load_prompt
from engine.prompting.scorer import PromptScorer
from engine.running.pipeline import Steps

AT = {"meta-train": 16, "pretrain-prompt": 12, "tune": 7, "tune-full-model": 6}
"""Pass through the backbone from which on there are no numbers: late enough for a checkpoint, too early for the end."""
SAID = {
    "meta-train": r"no longer a number at meta step (\d+) \(alpha 1, beta 0.3\)",
    "pretrain-prompt": r"The loss of PPT is no longer a number at step (\d+) \(rate 0.003\)",
    "tune": r"The loss of \w+ seed \d is no longer a number at step (\d+) \(rate 0.003\)",
    "tune-full-model": r"The loss of seed \d is no longer a number at step (\d+) \(rate 0.001\)",
}


@pytest.mark.parametrize("stage", AT)
@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["nan", "inf"])
def test_a_loss_that_is_no_number_stops_at_the_last_good_prompt(
    stage: str,
    value: float,
    inputs: Inputs,
    here: Callable[[str], Here],
    session: FastSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses_of, calls = PromptScorer.losses_of, iter(range(10**9))

    def spoilt(self: PromptScorer, scores: Any, labels: Any) -> torch.Tensor:
        losses = losses_of(self, scores, labels)
        return losses if next(calls) < AT[stage] else losses * value

    project = tmp_path / "a.metapt"
    job = STAGES[stage](inputs, project)
    run = begin(project, job)
    with monkeypatch.context() as patch:
        patch.setattr(PromptScorer, "losses_of", spoilt)
        failure = fail_here(job, run, session)
    assert failure.error == "TrainingError"
    said = re.search(SAID[stage], failure.what)
    assert said is not None, failure.what
    assert int(said[1]) >= 1
    assert re.search("Lower (the learning rate|alpha or beta)", str(failure.remedy))
    if stage != "tune-full-model":
        prompt = load_prompt(run / "prompt.safetensors")
        assert torch.isfinite(prompt.vectors).all()
        assert prompt.words
        assert prompt.metrics["validation_accuracy"] is not None, "it is the best one, not the last one"

    slower = job.model_copy(update=slower_settings(stage, job))
    with Project.open(project) as opened:
        assert opened.run_folder(job) == (run, False), "the same job goes on"
        assert opened.run_folder(slower)[0] != run, "one with another rate begins anew"
    if stage != "tune-full-model":
        refused = fail_here(slower, run, session)
        assert refused.error == "CheckpointError"
        assert "other settings" in refused.what
    run_here(job, run, session)
    assert results(project) == here(stage).results


def slower_settings(stage: str, job: Any) -> dict[str, Any]:
    """Return the change of a job that lowers its rate."""
    if stage == "tune":
        return {"tune": job.tune.model_copy(update={"learning_rate": 1e-4})}
    rate = "alpha" if stage == "meta-train" else "learning_rate"
    return {"settings": job.settings.model_copy(update={rate: 1e-5})}


@pytest.mark.parametrize(("stage", "step"), [("meta-train", 4), ("pretrain-prompt", 5), ("tune", 2)])
def test_a_prompt_that_cannot_be_validated_is_not_the_best(
    stage: str, step: int, inputs: Inputs, session: FastSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that are no numbers put every text into class 0, which may well be right for most."""
    losses_of = PromptScorer.losses_of

    def spoilt(self: PromptScorer, scores: Any, labels: Any) -> torch.Tensor:
        losses = losses_of(self, scores, labels)
        return losses if torch.is_grad_enabled() else losses * float("nan")

    monkeypatch.setattr(PromptScorer, "losses_of", spoilt)
    failure = fail_here(STAGES[stage](inputs, tmp_path), tmp_path / "run", session)
    assert f"step {step} (" in failure.what
    prompt = load_prompt(tmp_path / "run" / "prompt.safetensors")
    assert torch.isfinite(prompt.vectors).all()
    assert prompt.metrics["validation_accuracy"] is None


@pytest.mark.parametrize("left", [True, False])
def test_a_pipeline_goes_on_from_the_last_good_prompt(left: bool, inputs: Inputs, tmp_path: Path) -> None:
    def runner(job: Job, folder: Path) -> Iterator[Event]:
        folder.mkdir(exist_ok=True)
        if left:
            (folder / "prompt.safetensors").write_bytes(b"a prompt")
        yield Failed("TrainingError", "The loss is no longer a number")

    job = STAGES["meta-train"](inputs, tmp_path / "a.metapt")
    with Project.create(tmp_path / "a.metapt") as project:
        with pytest.raises(TrainingError):
            Steps(project, runner, lambda role, event: None).run("meta-train", job)
        assert project.has_role("meta-train") == left
