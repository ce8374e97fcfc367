"""Prompt-MAML: learn where a soft prompt should start (section 4.3, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.backbones.memory import fitting
from engine.checkpoint import fingerprint, optimizer_tensors, resume, save_checkpoint
from engine.errors import SettingsError, TrainingError
from engine.events import Finished, Metric, Notice
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import describe_prompt, save_prompt
from engine.prompting.scorer import PromptScorer
from engine.schedules import EarlyStopping
from engine.settings import MetaTrainSettings
from engine.stage import Part, ProgressMeter, Stage, StopToken
from engine.training.examples import Examples, MetaTask, support_and_query
from engine.training.meta_gradient import MetaGradient, adapt, meta_gradient
from engine.training.validation import score_rows

STAGE = "meta-train"
STILL, PATIENT = 1e-3, 5
"""Share of its length by which an adapted prompt moves at least, and steps without after which a person is told."""


@dataclass
class _State:
    """Everything that changes while the prompt is learned."""

    prompt: torch.Tensor
    log_rates: torch.Tensor
    best: torch.Tensor
    good: torch.Tensor  # the last one whose loss was a number
    optimizer: torch.optim.AdamW
    stopping: EarlyStopping
    step: int = 0
    validated: int = 0
    tasks_per_pass: int = 1
    adapted: list[tuple[float, float]] = field(default_factory=list)  # validation loss before adaptation and after it

    def tensors(self) -> dict[str, torch.Tensor]:
        named = {"prompt": self.prompt, "log_rates": self.log_rates, "best": self.best}
        return named | optimizer_tensors(self.optimizer)

    def document(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "validated": self.validated,
            "tasks_per_pass": self.tasks_per_pass,
            "stopping": self.stopping.state(),
            "adapted": self.adapted,
        }


def meta_train(
    scorer: PromptScorer,
    examples: Examples,
    tasks: Sequence[MetaTask],
    settings: MetaTrainSettings,
    folder: Path,
    *,
    stop: StopToken,
    start: torch.Tensor | None = None,
) -> Stage:
    """Learn a soft prompt from which tuning starts well.

    Goes on from ``folder/checkpoint.safetensors`` if there is one. Writes ``folder/prompt.safetensors``, the best
    prompt by validation accuracy of the meta tasks. Yields, a step, the metrics ``support loss``, ``query loss``,
    ``movement`` (the mean over the tasks of ``|P_i - P| / |P|``) and, a validation, ``validation accuracy`` (also by
    task), ``validation loss`` and ``validation loss before adaptation``.

    Parameters
    ----------
    scorer, examples
        The frozen T5, and all rows that the tasks refer to.
    tasks
        Meta tasks.
    settings
        See `MetaTrainSettings`; the defaults are the paper's.
    start
        A prompt [n, d] to start from instead of ``settings.initialisation``.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or belongs to another run.
    TrainingError
        If a loss is not a number; the prompt that was good so far is written.
    DeviceError
        If the memory does not suffice for a single task.
    """
    if settings.tasks_per_step is not None and settings.tasks_per_step > len(tasks):
        raise SettingsError(
            f"tasks_per_step is {settings.tasks_per_step}, but there are {len(tasks)} tasks", remedy="Lower it."
        )
    run = _fingerprint(scorer, examples, tasks, settings, start)
    state = _begin(scorer, tasks, examples, settings, start)
    saved = yield from resume(folder, run, state.optimizer)
    if saved is not None:
        _restore(state, saved.tensors, saved.state)
    for warning in scorer.verbalizer.warnings():
        yield Notice(warning, "warning")
    if settings.gradient == "reptile" and settings.learn_inner_rates:
        yield Notice("Reptile has no gradient for the inner rates: they stay as they are.", "warning")

    meter = ProgressMeter(STAGE, settings.steps, "steps", done=state.step)
    still = 0
    outcome = "completed"
    save = partial(_save_prompt, scorer, tasks, settings, folder)
    while True:
        if _validation_due(state, settings):
            result = yield from _validate(scorer, examples, tasks, state, settings, stop)
            if result is not None:
                accuracies, loss, loss_before = result
                if not np.isfinite(loss):
                    save(state)
                    raise _no_number(state.step, settings)
                state.validated = state.step
                state.adapted.append((loss_before, loss))
                accuracy = float(np.mean(accuracies))
                if state.stopping.update(state.step, accuracy, loss):
                    state.best = state.prompt.detach().clone()
                yield Metric("validation accuracy", state.step, accuracy)
                yield Metric("validation loss", state.step, loss)
                yield Metric("validation loss before adaptation", state.step, loss_before)
                for task, value in zip(tasks, accuracies, strict=True):
                    yield Metric("task accuracy", state.step, float(value), task.name)
        # A validation that was stopped on the way is made up for when the run goes on.
        finished = (state.step == settings.steps or state.stopping.exhausted) and not _validation_due(state, settings)
        if finished or stop.requested or (state.step and state.step % settings.checkpoint_every == 0):
            yield save_checkpoint(folder, state.tensors(), state.document(), run)
        if finished:
            break
        if stop.requested:
            outcome = "stopped"
            break
        gradient = yield from _gradient(scorer, examples, tasks, state, settings)
        if not gradient.finite:
            save(state)
            raise _no_number(state.step + 1, settings)
        state.good = state.prompt.detach().clone()
        state.prompt.grad, state.log_rates.grad = gradient.prompt, gradient.rates
        state.optimizer.step()
        state.step += 1
        yield Metric("support loss", state.step, float(gradient.support_losses.mean()))
        yield Metric("query loss", state.step, float(gradient.query_losses.mean()))
        movement = float(gradient.movements.mean())
        yield Metric("movement", state.step, movement)
        still = still + 1 if movement < STILL else 0
        if still == PATIENT:
            yield Notice(
                f"Adaptation moves the prompt by {100 * movement:.1g} % of its length only: alpha {settings.alpha:g} "
                "is too small for this backbone and prompt, so this is close to plain pre-training. For the bundled "
                "backbone the presets quick and laptop have larger rates.",
                "warning",
            )
        yield meter.at(state.step)

    state.good = state.prompt
    metrics = save(state)
    if state.adapted:
        before, after = np.mean(state.adapted, 0)
        gain = "" if after < before else " So it is not adaptation that makes this start good."
        yield Notice(f"Adapting to a task took the loss on texts held out from {before:.3f} to {after:.3f}.{gain}")
    yield Finished(str(folder), "stopped" if outcome == "stopped" else "completed", metrics)


def _save_prompt(
    scorer: PromptScorer, tasks: Sequence[MetaTask], settings: MetaTrainSettings, folder: Path, state: _State
) -> dict[str, Any]:
    """Write the best prompt by validation, before the first one the last good one, and return its metrics."""
    metrics = {"steps": state.step, **state.stopping.figures(state.step), "tasks": len(tasks)}
    described = describe_prompt(
        state.good if state.stopping.best_step < 0 else state.best,
        scorer,
        metrics=metrics,
        training={"method": "Prompt-MAML", **settings.model_dump()},
    )
    save_prompt(described, folder / "prompt.safetensors")
    return metrics


def _begin(
    scorer: PromptScorer,
    tasks: Sequence[MetaTask],
    examples: Examples,
    settings: MetaTrainSettings,
    start: torch.Tensor | None,
) -> _State:
    soft_tokens = scorer.settings.soft_tokens
    if start is None:
        start = initial_prompt(settings.initialisation, scorer.backbone, scorer.verbalizer, soft_tokens, settings.seed)
    prompt = start.detach().clone().to(scorer.backbone.device).requires_grad_()
    log_rates = torch.full((soft_tokens, 1), math.log(settings.alpha), device=prompt.device)
    log_rates.requires_grad_(settings.learn_inner_rates)
    # Weight decay would pull the logarithm of a rate towards 0, that is the rate towards 1.
    groups: list[dict[str, Any]] = [{"params": [prompt], "weight_decay": settings.weight_decay}]
    if settings.learn_inner_rates:
        groups.append({"params": [log_rates], "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=settings.beta)
    width = int(examples.texts.lengths.max()) + soft_tokens
    rows = scorer.backbone.rows_that_fit(width, twice_differentiated=settings.gradient == "exact")
    per_pass = settings.tasks_per_pass or max(1, rows // settings.shots)
    per_step = settings.tasks_per_step or len(tasks)
    best, good = prompt.detach().clone(), prompt.detach().clone()
    stopping = EarlyStopping(settings.patience)
    return _State(prompt, log_rates, best, good, optimizer, stopping, tasks_per_pass=min(per_pass, per_step))


def _validation_due(state: _State, settings: MetaTrainSettings) -> bool:
    due = state.step % settings.validate_every == 0 or state.step == settings.steps
    return state.step > state.validated and due


def _restore(state: _State, tensors: dict[str, torch.Tensor], document: dict[str, Any]) -> None:
    with torch.no_grad():
        state.prompt.copy_(tensors["prompt"])
        state.log_rates.copy_(tensors["log_rates"])
        state.best.copy_(tensors["best"])
        state.good.copy_(tensors["prompt"])
    state.step, state.validated = document["step"], document["validated"]
    state.adapted = [(before, after) for before, after in document.get("adapted", [])]  # an older one has none
    state.tasks_per_pass = min(state.tasks_per_pass, document["tasks_per_pass"])
    # More steps or more patience may be asked for when a run goes on.
    state.stopping = EarlyStopping.from_state(document["stopping"] | {"patience": state.stopping.patience})


def _gradient(
    scorer: PromptScorer, examples: Examples, tasks: Sequence[MetaTask], state: _State, settings: MetaTrainSettings
) -> Part[MetaGradient]:
    """Draw this step's tasks and rows and return the meta-gradient, in smaller passes when memory runs out."""
    chosen = range(len(tasks))
    if settings.tasks_per_step is not None:
        order = np.random.default_rng([settings.seed, state.step]).permutation(len(tasks))
        chosen = sorted(order[: settings.tasks_per_step])  # type: ignore[assignment]
    drawn = [support_and_query(tasks[i], settings.shots, settings.seed, state.step, i) for i in chosen]
    support, query = np.stack([rows for rows, _ in drawn]), np.stack([rows for _, rows in drawn])

    def work(tasks_per_pass: int) -> MetaGradient:
        sets = (support, query)
        return meta_gradient(
            scorer, examples, state.prompt, state.log_rates, *sets, settings, tasks_per_pass=tasks_per_pass
        )

    gradient, state.tasks_per_pass = yield from fitting(work, state.tasks_per_pass, "tasks")
    return gradient


def _validate(
    scorer: PromptScorer,
    examples: Examples,
    tasks: Sequence[MetaTask],
    state: _State,
    settings: MetaTrainSettings,
    stop: StopToken,
) -> Part[tuple[np.ndarray, float, float] | None]:
    """Adapt to the same m training rows of each task and score its held-out rows.

    Returns accuracy of each task [K], mean loss after and mean loss before adaptation; ``None`` if stopped on the way.
    """
    support = np.stack(
        [support_and_query(task, settings.shots, settings.seed, 2**31, i)[0] for i, task in enumerate(tasks)]
    )

    def adapted(tasks_per_pass: int) -> torch.Tensor:
        rows = support[len(bank) : len(bank) + tasks_per_pass]
        shared = (state.prompt.detach(), state.log_rates.detach())
        found, _ = adapt(scorer, examples, *shared, [rows] * settings.inner_steps, differentiable=False)
        return found.detach()

    bank = state.prompt.detach()[:0].reshape(0, *state.prompt.shape)
    while len(bank) < len(tasks):
        more, state.tasks_per_pass = yield from fitting(adapted, state.tasks_per_pass, "tasks")
        bank = torch.cat([bank, more])
        yield ProgressMeter(STAGE, None, "steps").at(state.step, "Adapting for validation")
    rows = np.concatenate([task.validation for task in tasks])
    owner = np.repeat(np.arange(len(tasks)), [len(task.validation) for task in tasks])
    after = yield from score_rows(scorer, bank, examples, rows, owner, STAGE, stop)
    if after is None:
        return None
    before = yield from score_rows(
        scorer, state.prompt.detach()[None], examples, rows, np.zeros_like(owner), STAGE, stop
    )
    if before is None:
        return None
    accuracies = np.array([after.correct[owner == i].mean() for i in range(len(tasks))])
    losses = [float(np.mean([side.losses[owner == i].mean() for i in range(len(tasks))])) for side in (after, before)]
    return accuracies, losses[0], losses[1]


def _no_number(step: int, settings: MetaTrainSettings) -> TrainingError:
    return TrainingError(
        f"The loss is no longer a number at meta step {step} (alpha {settings.alpha:g}, beta {settings.beta:g})",
        remedy="Lower alpha or beta and run it again; the best prompt so far is kept in the run's folder.",
    )


def _fingerprint(
    scorer: PromptScorer,
    examples: Examples,
    tasks: Sequence[MetaTask],
    settings: MetaTrainSettings,
    start: torch.Tensor | None,
) -> str:
    return fingerprint(
        settings.model_dump(exclude={"steps", "patience", "checkpoint_every", "tasks_per_pass"}),
        scorer.settings.model_dump(),
        scorer.verbalizer.as_mapping(),
        scorer.backbone.identity.weights_hash,
        examples.texts.tokens,
        examples.labels,
        *(rows for task in tasks for rows in (task.training, task.validation)),
        "" if start is None else start.detach().cpu().numpy(),
    )
