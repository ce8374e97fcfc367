"""Tune several soft prompts at once: one bank, one batch, each prompt with its own rows, schedule and early stopping.

Plain prompt tuning, few-shot tuning over seeds and initialisations, and PPT's pre-training are all this loop (sections
3.2 and 5, appendix A.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.backbones.memory import fitting
from engine.backbones.side_by_side import side_by_side
from engine.checkpoint import fingerprint, optimizer_tensors, resume, save_checkpoint
from engine.errors import TrainingError
from engine.events import Metric
from engine.prompting.scorer import PromptScorer
from engine.schedules import EarlyStopping, linear_warmup_decay
from engine.settings import Improvement
from engine.stage import Part, ProgressMeter, StopToken
from engine.training.examples import Examples
from engine.training.validation import score_rows

PLANNED = {
    "learning_rate", "weight_decay", "warmup_steps", "batch_size", "patience", "checkpoint_every", "improvement",
    "validate_start",
}  # fmt: skip
"""What a plan takes from settings as it is there."""


@dataclass(frozen=True)
class TuningPlan:
    """What the prompts of a bank have in common.

    Attributes
    ----------
    learning_rate, weight_decay, warmup_steps
        AdamW with a linear schedule.
    batch_size
        Texts of each prompt a step.
    steps
        Length of the schedule.
    validate_every
        Steps between validations.
    patience
        Validations without improvement after which a prompt is done.
    checkpoint_every
        Steps between checkpoints.
    improvement, validate_start
        What counts as a better validation (`EarlyStopping`), and whether where a run starts is validated, too.
    """

    learning_rate: float
    weight_decay: float
    warmup_steps: int
    batch_size: int
    steps: int
    validate_every: int
    patience: int
    checkpoint_every: int
    improvement: Improvement = "accuracy"
    validate_start: bool = False


@dataclass
class PromptRun:
    """One prompt of the bank on its way.

    Attributes
    ----------
    name
        Tells it apart in curves and results.
    prompt
        float32 [n, d]; where it starts, then where it stands.
    training, validation
        Rows of the examples; without validation rows it is tuned for the whole schedule.
    seed
        Of the order of its rows.
    best
        Best prompt so far, ``prompt`` itself before the first validation.
    good
        Last prompt whose loss was a number.
    validated, loss
        Step of the last validation, -1 if the start is still to be validated, and its loss.
    """

    name: str
    prompt: torch.Tensor
    training: np.ndarray
    validation: np.ndarray
    seed: int
    stopping: EarlyStopping = field(default_factory=lambda: EarlyStopping(1))
    best: torch.Tensor | None = None
    good: torch.Tensor | None = None
    validated: int = 0
    loss: float = 0.0
    _order: tuple[int, np.ndarray] | None = None

    @property
    def result(self) -> torch.Tensor:
        """The prompt to keep, [n, d]."""
        return (self.prompt if self.best is None else self.best).detach()

    def rows(self, step: int, batch_size: int) -> np.ndarray:
        """Rows of a step: the training rows in a new order every epoch, from (seed, epoch) alone."""
        per_epoch = -(-len(self.training) // batch_size)
        epoch, place = divmod(step, per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.training))
        return self.training[self._order[1][place * batch_size : (place + 1) * batch_size]]


def tune_bank(
    scorer: PromptScorer,
    examples: Examples,
    runs: Sequence[PromptRun],
    plan: TuningPlan,
    folder: Path,
    stage: str,
    *,
    stop: StopToken,
) -> Part[bool]:
    """Tune all ``runs`` side by side; each ends at its own early stop or at the end of the schedule.

    Goes on from ``folder/checkpoint.safetensors`` if there is one. Yields the metrics ``training loss``, ``validation
    accuracy`` and ``validation loss``, grouped by run.

    Returns
    -------
    bool
        Whether it ran to its end (False: stopping was requested; a checkpoint was written). ``runs`` hold the results.

    Raises
    ------
    CheckpointError, TrainingError, DeviceError
        As in `engine.training.prompt_maml.meta_train`.
    """
    identity = _fingerprint(scorer, examples, runs, plan)
    for run in runs:
        run.prompt = run.prompt.detach().clone().to(scorer.backbone.device).requires_grad_()
        run.stopping = EarlyStopping(plan.patience, improvement=plan.improvement)
        run.validated = -1 if plan.validate_start else 0
    optimizer = torch.optim.AdamW(
        [run.prompt for run in runs], lr=plan.learning_rate, weight_decay=plan.weight_decay
    )  # a prompt that is done has no gradient and is passed over
    width = int(examples.texts.lengths.max()) + scorer.settings.soft_tokens
    per_pass = min(scorer.backbone.rows_that_fit(width, twice_differentiated=False), len(runs) * plan.batch_size)
    step = 0
    saved = yield from resume(folder, identity, optimizer)
    if saved is not None:
        step, per_pass = saved.state["step"], min(per_pass, saved.state["rows_per_pass"])
        _restore(runs, saved.tensors, saved.state, plan.patience)

    meter = ProgressMeter(stage, plan.steps, "steps", done=step)
    while True:
        due = [run for run in runs if _due(run, step, plan)]
        if due:
            yield from _validate(scorer, examples, due, step, stage, stop)
            for run in due:
                if not np.isfinite(run.loss):
                    raise _no_number(runs, run, step, plan)
        active = [run for run in runs if not run.stopping.exhausted]
        # A validation that was stopped on the way is made up for when the run goes on.
        finished = (step == plan.steps or not active) and not any(_due(run, step, plan) for run in runs)
        if finished or stop.requested or (step and step % plan.checkpoint_every == 0):
            yield save_checkpoint(folder, _tensors(runs, optimizer), _document(runs, step, per_pass), identity)
        if finished or stop.requested:
            return finished
        work = partial(_backward, scorer, examples, active, step, plan.batch_size)
        losses, per_pass = yield from fitting(work, per_pass, "texts")
        for run, loss in zip(active, losses, strict=True):
            if not np.isfinite(loss):
                raise _no_number(runs, run, step + 1, plan)
        for run in active:
            run.good = run.prompt.detach().clone()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * linear_warmup_decay(step, plan.warmup_steps, plan.steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        for run, loss in zip(active, losses, strict=True):
            yield Metric("training loss", step, float(loss), run.name)
        yield meter.at(step, f"{len(active)} of {len(runs)} prompts are being tuned" if len(runs) > 1 else "")


def _no_number(runs: Sequence[PromptRun], lost: PromptRun, step: int, plan: TuningPlan) -> TrainingError:
    """Let every run without a validation stand on the last prompt that had a loss, and return the error to raise."""
    for run in runs:
        if run.best is None and run.good is not None:
            run.prompt = run.good
    return TrainingError(
        f"The loss of {lost.name} is no longer a number at step {step} (rate {plan.learning_rate:g})",
        remedy="Lower the learning rate and run it again; the best prompts so far are kept in the run's folder.",
    )


def _due(run: PromptRun, step: int, plan: TuningPlan) -> bool:
    at_validation = step % plan.validate_every == 0 or step == plan.steps
    return len(run.validation) > 0 and not run.stopping.exhausted and step > run.validated and at_validation


def _backward(
    scorer: PromptScorer, examples: Examples, active: Sequence[PromptRun], step: int, batch_size: int, per_pass: int
) -> np.ndarray:
    """Set the gradient of each active prompt to that of its mean loss; return the losses, float [active].

    A loss is not a number if its gradient is none.
    """
    rows = [run.rows(step, batch_size) for run in active]
    owner = np.repeat(np.arange(len(active)), [len(some) for some in rows])
    weight = np.repeat([1 / len(some) for some in rows], [len(some) for some in rows])
    flat = np.concatenate(rows)
    bank = torch.stack([run.prompt.detach() for run in active]).requires_grad_()

    def work(part: slice) -> tuple[torch.Tensor, np.ndarray]:
        each = examples.losses(scorer, bank, flat[part], owner[part])
        weighted = each * torch.from_numpy(weight[part]).to(each)
        (gradient,) = torch.autograd.grad(weighted.sum(), bank)
        return gradient, np.bincount(owner[part], weighted.detach().cpu().numpy(), len(active))

    parts = side_by_side(scorer.backbone.device, work, examples.texts.lengths_of(flat), at_a_time=per_pass)
    total = torch.stack([gradient for gradient, _ in parts]).sum(0)
    losses: np.ndarray = np.sum([lost for _, lost in parts], 0)
    losses[~torch.isfinite(total).flatten(1).all(1).cpu().numpy()] = np.nan
    for run, gradient in zip(active, total, strict=True):
        run.prompt.grad = gradient
    return losses


def _validate(
    scorer: PromptScorer, examples: Examples, due: Sequence[PromptRun], step: int, stage: str, stop: StopToken
) -> Part[None]:
    bank = torch.stack([run.prompt.detach() for run in due])
    rows = np.concatenate([run.validation for run in due])
    owner = np.repeat(np.arange(len(due)), [len(run.validation) for run in due])
    scored = yield from score_rows(scorer, bank, examples, rows, owner, stage, stop)
    if scored is None:
        return
    for number, run in enumerate(due):
        mine = owner == number
        accuracy, loss = float(scored.correct[mine].mean()), float(scored.losses[mine].mean())
        run.loss = loss
        if np.isfinite(loss) and run.stopping.update(step, accuracy, loss):
            run.best = run.prompt.detach().clone()
        run.validated = step
        yield Metric("validation accuracy", step, accuracy, run.name)
        yield Metric("validation loss", step, loss, run.name)


def _tensors(runs: Sequence[PromptRun], optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    named = optimizer_tensors(optimizer)
    for number, run in enumerate(runs):
        named[f"prompt.{number}"] = run.prompt
        if run.best is not None:
            named[f"best.{number}"] = run.best
    return named


def _document(runs: Sequence[PromptRun], step: int, per_pass: int) -> dict[str, Any]:
    states = [{"stopping": run.stopping.state(), "validated": run.validated} for run in runs]
    return {"step": step, "rows_per_pass": per_pass, "runs": states}


def _restore(
    runs: Sequence[PromptRun], tensors: dict[str, torch.Tensor], document: dict[str, Any], patience: int
) -> None:
    for number, (run, state) in enumerate(zip(runs, document["runs"], strict=True)):
        with torch.no_grad():
            run.prompt.copy_(tensors[f"prompt.{number}"])
        best = tensors.get(f"best.{number}")
        run.best = None if best is None else best.to(run.prompt.device)
        # More patience may be asked for when a run goes on.
        run.stopping = EarlyStopping.from_state(state["stopping"] | {"patience": patience})
        run.validated = state["validated"]


def _fingerprint(scorer: PromptScorer, examples: Examples, runs: Sequence[PromptRun], plan: TuningPlan) -> str:
    return fingerprint(
        [plan.learning_rate, plan.weight_decay, plan.warmup_steps, plan.batch_size, plan.steps, plan.validate_every],
        [plan.improvement, plan.validate_start],
        scorer.settings.model_dump(),
        scorer.verbalizer.as_mapping(),
        scorer.backbone.identity.weights_hash,
        examples.texts.tokens,
        examples.labels,
        [[run.name, run.seed] for run in runs],
        *(part for run in runs for part in (run.training, run.validation, run.prompt.detach().cpu().numpy())),
    )
