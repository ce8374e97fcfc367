"""Full-model tuning, to compare with: all weights of the backbone, one seed after another (appendix A.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch

from engine.backbones.memory import fitting
from engine.checkpoint import NAME as CHECKPOINT
from engine.checkpoint import Every, fingerprint, optimizer_tensors, put_back, resume, save_checkpoint
from engine.corpus.drawing import Draw
from engine.errors import DataError, TrainingError
from engine.evaluation.metrics import evaluate, summarise
from engine.evaluation.results import Evaluation, RunResults
from engine.events import Finished, Metric
from engine.prompting.scorer import PromptScorer
from engine.schedules import EarlyStopping, linear_warmup_decay
from engine.settings import FullModelSettings
from engine.stage import Part, ProgressMeter, Stage, StopToken
from engine.training.examples import Examples
from engine.training.validation import score_rows

STAGE = "tune-full-model"


def tune_full_model(
    scorer: PromptScorer,
    examples: Examples,
    draws: Sequence[tuple[int, Draw]],
    settings: FullModelSettings,
    folder: Path,
    *,
    stop: StopToken,
    test: np.ndarray,
) -> Stage:
    """Tune the whole model on each draw from the same weights; writes ``folder/results.json``.

    The template is the same as for prompts, without a soft prompt. The backbone has its own weights again, and is
    frozen, when the stage is over, however it ends. Each seed leaves a checkpoint, so that a stopped run goes on.

    Parameters
    ----------
    scorer
        On a backbone loaded in float32.
    draws
        Seed and rows of each run.
    test
        Rows for the final evaluation.

    Raises
    ------
    DataError
        If there are no rows to test on.
    CheckpointError, TrainingError
        As in `engine.training.prompt_maml.meta_train`.
    """
    if not len(test):
        raise DataError(
            "There are no texts to test on, and tuning all weights is for comparing only",
            remedy="Set rows aside (test_rows), or give a test corpus.",
        )
    evaluations: dict[int, Evaluation] = {}
    for seed, draw in draws:
        with _original_weights_afterwards(scorer):
            finished = yield from _tune_one(scorer, examples, seed, draw, settings, folder / f"seed-{seed}", stop)
            if not finished:
                yield Finished(str(folder), "stopped")
                return
            chances = yield from scorer.probabilities(
                scorer.no_prompt(), examples.texts.take(test), stop=stop, stage=STAGE, message=f"Testing seed {seed}"
            )
            if chances is None:
                yield Finished(str(folder), "stopped")
                return
            evaluations[seed] = evaluate(chances[0], examples.labels[test], scorer.verbalizer.classes)
    summary = {"full model": summarise(list(evaluations.values()))}
    RunResults(summary=summary, evaluations={str(seed): found for seed, found in evaluations.items()}).save(folder)
    for seed, _ in draws:
        (folder / f"seed-{seed}" / CHECKPOINT).unlink(missing_ok=True)
    yield Finished(str(folder), "completed", {"summary": summary})


def _tune_one(
    scorer: PromptScorer,
    examples: Examples,
    seed: int,
    draw: Draw,
    settings: FullModelSettings,
    folder: Path,
    stop: StopToken,
) -> Part[bool]:
    """Tune one seed; the model ends with its best weights. Returns False if stopping was requested."""
    model = scorer.backbone.model
    weights = dict(model.named_parameters())
    optimizer = torch.optim.AdamW(weights.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    stopping = EarlyStopping(settings.patience)
    best = {name: weight.detach().clone() for name, weight in weights.items()}
    identity = fingerprint(
        settings.model_dump(),
        seed,
        draw.training,
        draw.validation,
        scorer.settings.model_dump(),
        scorer.verbalizer.as_mapping(),
        scorer.backbone.identity.weights_hash,
        examples.texts.tokens,
        examples.labels,
    )
    per_epoch = -(-len(draw.training) // settings.batch_size)
    total = per_epoch * settings.epochs
    step, validated, at_a_time = 0, 0, settings.batch_size
    torch.manual_seed(seed)
    saved = yield from resume(folder, identity, optimizer)
    if saved is not None:
        step, validated = saved.state["step"], saved.state["validated"]
        stopping = EarlyStopping.from_state(saved.state["stopping"])
        put_back(weights, saved.tensors, "weight.")
        put_back(best, saved.tensors, "best.")
    meter, keep = ProgressMeter(STAGE, total, "steps", done=step), Every()
    while True:
        if step % per_epoch == 0 and validated < step and len(draw.validation):
            model.eval()
            owner = np.zeros(len(draw.validation), np.int64)
            bank = scorer.no_prompt()
            scored = yield from score_rows(scorer, bank, examples, draw.validation, owner, STAGE, stop)
            if scored is not None:
                validated = step
                accuracy, loss = float(scored.correct.mean()), float(scored.losses.mean())
                if not np.isfinite(loss):
                    raise _no_number(seed, step, settings)
                if stopping.update(step, accuracy, loss):
                    put_back(best, weights)
                yield Metric("validation accuracy", step, accuracy, f"full model seed {seed}")
                yield Metric("validation loss", step, loss, f"full model seed {seed}")
        ended = stopping.exhausted or step == total
        if stop.requested or ended or keep.due():
            tensors = optimizer_tensors(optimizer) | {f"weight.{name}": weight for name, weight in weights.items()}
            tensors |= {f"best.{name}": weight for name, weight in best.items()}
            state = {"step": step, "validated": validated, "stopping": stopping.state()}
            yield save_checkpoint(folder, tensors, state, identity)
        if ended:
            break
        if stop.requested:
            return False
        model.train()
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(draw.training)
        rows = order[place * settings.batch_size : (place + 1) * settings.batch_size]
        loss_now, at_a_time = yield from fitting(partial(_backward, scorer, examples, rows), at_a_time, "texts")
        if not np.isfinite(loss_now):
            raise _no_number(seed, step + 1, settings)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * linear_warmup_decay(step, settings.warmup_steps, total)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        yield Metric("training loss", step, loss_now, f"full model seed {seed}")
        yield meter.at(step, f"Tuning all weights, seed {seed}")
    model.eval()
    if stopping.best_step >= 0:
        put_back(weights, best)
    return True


def _backward(scorer: PromptScorer, examples: Examples, rows: np.ndarray, at_a_time: int) -> float:
    """Set the gradient of all weights to that of the mean loss of ``rows``, in parts; return the loss."""
    scorer.backbone.model.zero_grad(set_to_none=True)  # also of a try that did not fit
    total = 0.0
    for start in range(0, len(rows), at_a_time):
        part = rows[start : start + at_a_time]
        batch, labels = examples.batch(part, scorer.backbone.device)
        owner = torch.zeros(len(part), dtype=torch.long, device=scorer.backbone.device)
        loss = scorer.losses(scorer.no_prompt(), batch, owner, labels).sum() / len(rows)
        loss.backward()
        total += float(loss.detach())
    return total


def _no_number(seed: int, step: int, settings: FullModelSettings) -> TrainingError:
    return TrainingError(
        f"The loss of seed {seed} is no longer a number at step {step} (rate {settings.learning_rate:g})",
        remedy="Lower the learning rate and run it again.",
    )


@contextmanager
def _original_weights_afterwards(scorer: PromptScorer) -> Iterator[None]:
    model = scorer.backbone.model
    before = {name: weight.detach().to("cpu", copy=True) for name, weight in model.named_parameters()}
    model.requires_grad_(True)
    try:
        yield
    finally:
        put_back(dict(model.named_parameters()), before)
        model.requires_grad_(False)
        model.eval()
