"""Pre-train a T5: span corruption first, then with prefix language modelling and whatever else the recipe mixes in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

from engine.backbones.devices import multiply_rate, resolve_device, resolve_precision
from engine.backbones.memory import fitting
from engine.checkpoint import fingerprint, optimizer_tensors, put_back, resume, save_checkpoint
from engine.errors import CheckpointError, DataError, SettingsError, TrainingError
from engine.events import Finished, Metric, Notice
from engine.pretraining.beginning import new_backbone, save_backbone
from engine.pretraining.objectives import (
    PAD,
    Batch,
    ChosenWords,
    LabelledTexts,
    Objective,
    PrefixLanguageModel,
    SentenceVectors,
    SpanCorruption,
    Verdicts,
)
from engine.pretraining.relative_adamw import RelativeAdamW
from engine.pretraining.text import STAGE, PreparedText, Teacher
from engine.pretraining.vocabulary import SENTINELS
from engine.settings import PretrainBackboneSettings, PretrainingPhase
from engine.stage import Part, ProgressMeter, Stage, StopToken
from engine.storage import write_json

OBJECTIVES = ("spans", "prefix", "chosen_words", "vectors", "answers", "verdicts")
STOPS = {".", "!", "?", ";"}
CLIP = 1.0
VALIDATION_BATCHES = 16


def pretrain_backbone(
    text: PreparedText,
    start: T5ForConditionalGeneration | None,
    folder: Path,
    settings: PretrainBackboneSettings,
    *,
    teacher: Teacher,
    stop: StopToken,
) -> Stage:
    """Train a T5 on ``text`` and write it as ``folder/model``, bfloat16, with ``folder/training.json``.

    A run that was stopped goes on where it was, bit for bit on a CPU: every batch is a function of seed and step. One
    that is over goes on when the recipe has got further phases.

    Parameters
    ----------
    text
        See `engine.pretraining.text.prepare_text`.
    start
        Model to go on from, or ``None``.
    settings
        See `PretrainBackboneSettings`.
    teacher
        Where word vectors come from.

    Raises
    ------
    SettingsError
        If a phase trains what there is nothing for.
    CheckpointError, TrainingError
        As in `engine.training.prompt_maml.meta_train`.
    """
    trainer = _Trainer(text, start, settings, teacher)
    steps = sum(phase.steps for phase in settings.phases)
    free = {"phases", "tasks", "validate_every", "checkpoint_every"}
    run = fingerprint(settings.model_dump(mode="json", exclude=free, exclude_defaults=True), text.fingerprint)
    saved = yield from resume(folder, run, trainer.optimizer)
    if saved is not None:
        _check_phases(saved.state["phases"], settings, saved.state["step"], folder)
        trainer.restore(saved.tensors, saved.state)
    yield Notice(
        f"{trainer.parameters / 1e6:.1f} million weights, {len(text.texts.values) / 1e6:.1f} million tokens of text, "
        f"{trainer.device} in {str(trainer.precision).removeprefix('torch.')}"
    )
    meter = ProgressMeter(STAGE, steps, "steps", done=trainer.step)
    with ThreadPoolExecutor(1) as background:
        ahead = background.submit(trainer.batches, trainer.step) if trainer.step < steps else None
        while ahead is not None:
            batches = ahead.result()
            ahead = background.submit(trainer.batches, trainer.step + 1) if trainer.step + 1 < steps else None
            losses = yield from trainer.train(batches)
            for name, loss in losses.items():
                yield Metric(f"loss of {name.replace('_', ' ')}", trainer.step, loss)
            ended = trainer.step == steps
            if ended or trainer.step % settings.validate_every == 0:
                yield from trainer.validate()
            if ended or stop.requested or trainer.step % settings.checkpoint_every == 0:
                yield save_checkpoint(folder, trainer.tensors(), trainer.state(), run)
            if stop.requested and not ended:
                yield Finished(str(folder), "stopped", trainer.summary())
                return
            yield meter.at(trainer.step, f"Pre-training, {trainer.log.rate():,.0f} tokens a second")
    save_backbone(trainer.model, text.tokenizer, folder / "model")
    write_json(folder / "training.json", trainer.summary())
    yield Finished(str(folder), "completed", trainer.summary())


@dataclass
class _Log:
    """Tokens, seconds and multiplications so far."""

    tokens: int = 0
    seconds: float = 0.0
    multiplications: float = 0.0

    def rate(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


class _Trainer:
    """Model, optimiser and where they are; `train` takes a step."""

    def __init__(
        self,
        text: PreparedText,
        start: T5ForConditionalGeneration | None,
        settings: PretrainBackboneSettings,
        teacher: Teacher,
    ) -> None:
        self.settings = settings
        self.device = resolve_device(settings.device)
        self.precision = resolve_precision(settings.precision, self.device)
        self._peak = multiply_rate(self.device, self.precision)
        torch.manual_seed(settings.seed)
        self.model = start if start is not None else new_backbone(text.tokenizer, settings, teacher)
        self.model.requires_grad_(True).train().to(self.device)
        self._objectives = _objectives(text, settings)
        width = text.vectors.shape[1] if text.vectors is not None else 1
        self._head = torch.nn.Linear(self.model.config.d_model, width).to(self.device)
        self._weights = [*self.model.parameters(), *self._head.parameters()]
        self.optimizer = RelativeAdamW(self._weights, lr=settings.phases[0].learning_rate)
        self._validation = _objectives(text, settings, validation=True)
        self.step, self.log = 0, _Log()
        self._fits = 1 << 30
        self._curve: list[dict[str, float]] = []

    @property
    def parameters(self) -> int:
        """Weights of the model, shared ones counted once."""
        return sum(weight.numel() for weight in self.model.parameters())

    def batches(self, step: int) -> dict[str, Batch]:
        """Return the batch of every objective of ``step``."""
        phase, _ = self._phase(step)
        shares = _shares(phase)
        return {
            name: self._objectives[name].batch(
                np.random.default_rng([self.settings.seed, step, OBJECTIVES.index(name)]),
                round(phase.tokens_per_step * share),
            )
            for name, share in shares.items()
        }

    def train(self, batches: dict[str, Batch]) -> Part[dict[str, float]]:
        """Take one step and return the loss of every objective; what does not fit into memory is taken in parts."""
        began = time.perf_counter()
        phase, place = self._phase(self.step)
        most = max(len(batch.inputs) for batch in batches.values())
        losses, fits = yield from fitting(partial(self._backward, batches, phase), min(most, self._fits), "texts")
        self._fits = fits if fits < most else self._fits
        self.log.tokens += sum(batch.tokens for batch in batches.values())
        self.log.multiplications += 3 * sum(self._forward_cost(batch) for batch in batches.values())
        norm = torch.nn.utils.clip_grad_norm_(self._weights, CLIP)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"The gradient is no longer a number at step {self.step + 1} (rate {phase.learning_rate})",
                remedy="Lower the learning rate.",
            )
        for group in self.optimizer.param_groups:
            group["lr"] = phase.learning_rate * warmup_cosine(place, phase.warmup_steps, phase.steps, phase.final_rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        found = {name: loss.item() for name, loss in losses.items()}
        self.log.seconds += time.perf_counter() - began
        return found

    def _backward(self, batches: dict[str, Batch], phase: PretrainingPhase, rows: int) -> dict[str, torch.Tensor]:
        """Leave the gradient of the weighted losses in the weights; take so many rows of every batch at a time."""
        self.optimizer.zero_grad(set_to_none=True)  # of an attempt that did not fit
        losses: dict[str, torch.Tensor] = {}
        for start in range(0, max(len(batch.inputs) for batch in batches.values()), rows):
            parts = {name: batch.rows(start, start + rows) for name, batch in batches.items()}
            with self._autocast():  # one context and one pass back: weights are cast once for all objectives
                found = {
                    name: self._loss(part) * (part.asked / batches[name].asked)
                    for name, part in parts.items()
                    if part.asked
                }
            torch.stack([loss * getattr(phase, f"{name}_weight", 1.0) for name, loss in found.items()]).sum().backward()
            losses |= {name: losses.get(name, 0) + loss.detach() for name, loss in found.items()}
        return losses

    def validate(self) -> Iterator[Metric | Notice]:
        """Yield the loss of every objective on held-out text, and how well the device is used."""
        self.model.eval()
        point: dict[str, float] = {"step": self.step, "tokens": self.log.tokens}
        for number, (name, objective) in enumerate(self._validation.items()):
            losses = []
            for index in range(VALIDATION_BATCHES):
                with torch.no_grad(), self._autocast():
                    losses.append(self._loss(objective.batch(np.random.default_rng([7, number, index]), 2048)).item())
            point[name] = float(np.mean(losses))
            yield Metric("validation loss", self.step, point[name], name.replace("_", " "))
        self.model.train()
        self._curve.append(point)
        told = ", ".join(f"{name.replace('_', ' ')} {loss:.3f}" for name, loss in point.items() if name in OBJECTIVES)
        yield Notice(
            f"Step {self.step:,}: held-out loss {told}; {self.log.rate():,.0f} tokens a second, "
            f"{self.log.multiplications / self.log.seconds / self._peak:.0%} of the device's measured rate"
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that a checkpoint holds."""
        named = dict(self.model.named_parameters())
        head = {f"head.{name}": weight for name, weight in self._head.named_parameters()}
        return optimizer_tensors(self.optimizer) | {f"model.{name}": weight for name, weight in named.items()} | head

    def state(self) -> dict[str, Any]:
        """Return the rest of it."""
        phases = [phase.model_dump() for phase in self.settings.phases]
        return {"step": self.step, "log": vars(self.log), "curve": self._curve, "phases": phases}

    def restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """Put back what `tensors` and `state` returned."""
        put_back(dict(self.model.named_parameters()), tensors, "model.")
        put_back(dict(self._head.named_parameters()), tensors, "head.")
        self.step, self._curve, self.log = state["step"], state["curve"], _Log(**state["log"])

    def summary(self) -> dict[str, Any]:
        """Return what `training.json` says."""
        return {
            "parameters": self.parameters,
            "steps": self.step,
            "tokens": self.log.tokens,
            "seconds": round(self.log.seconds, 1),
            "tokens_per_second": round(self.log.rate()),
            "share_of_multiply_rate": round(self.log.multiplications / max(self.log.seconds, 1e-9) / self._peak, 3),
            "device": str(self.device),
            "precision": str(self.precision).removeprefix("torch."),
            "validation": self._curve,
        }

    def _phase(self, step: int) -> tuple[PretrainingPhase, int]:
        for phase in self.settings.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(step)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision is torch.bfloat16)

    def _loss(self, batch: Batch) -> torch.Tensor:
        inputs = torch.from_numpy(batch.inputs).to(self.device)
        mask = (inputs != PAD).long()
        if batch.vectors is not None:
            states = self.model.encoder(input_ids=inputs, attention_mask=mask).last_hidden_state.float()
            mean = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            wanted = torch.from_numpy(batch.vectors).to(self.device)
            return torch.nn.functional.mse_loss(self._head(mean).float(), wanted)
        labels = torch.from_numpy(batch.labels).to(self.device)
        answer: torch.Tensor = self.model(input_ids=inputs, attention_mask=mask, labels=labels, use_cache=False).loss
        return answer.float()

    def _forward_cost(self, batch: Batch) -> float:
        """Floating-point operations of the matrix products of one pass forward."""
        config = self.model.config
        rows, length = batch.inputs.shape
        inner = config.num_heads * config.d_kv
        attention = 4 * config.d_model * inner
        feed_forward = (3 if config.is_gated_act else 2) * config.d_model * config.d_ff
        cost = config.num_layers * rows * length * (attention + feed_forward + 2 * length * inner)
        if batch.labels is None:
            return 2.0 * (cost + rows * self._head.weight.numel())
        answer = batch.labels.shape[1]
        decoder = rows * answer * (attention + attention / 2 + feed_forward + 2 * (answer + length) * inner)
        decoder += rows * length * attention / 2
        return 2.0 * (cost + config.num_decoder_layers * decoder + rows * answer * config.d_model * config.vocab_size)


def _check_phases(before: list[dict[str, Any]], settings: PretrainBackboneSettings, step: int, folder: Path) -> None:
    """Raise a `CheckpointError` if a phase that has been begun is another one now."""
    begun = 0
    for phase, old in zip_longest(settings.phases, before):
        if begun < step and (phase is None or phase.model_dump() != old):
            raise CheckpointError(
                "The checkpoint was trained in other phases",
                where=folder,
                remedy="Change only phases that have not begun, or choose another folder.",
            )
        begun += old["steps"] if old else 0


def warmup_cosine(step: int, warmup: int, total: int, final: float) -> float:
    """Return the factor of the rate at ``step`` (from 0): up over ``warmup`` steps, then a cosine down to ``final``."""
    if step < warmup:
        return (step + 1) / warmup
    place = (step - warmup) / max(1, total - warmup)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * place))


def _shares(phase: PretrainingPhase) -> dict[str, float]:
    shares = {name: float(getattr(phase, name)) for name in OBJECTIVES}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items() if share}


def _objectives(
    text: PreparedText, settings: PretrainBackboneSettings, *, validation: bool = False
) -> dict[str, Objective]:
    """Return what some phase trains, over the training text or, where it has what is asked, over the held-out one."""
    wanted = {name for phase in settings.phases for name in _shares(phase)}
    if validation:
        wanted = (wanted | {"spans"}) - {"answers"}
    found: dict[str, Objective] = {}
    for name in OBJECTIVES:
        if name in wanted:
            try:
                found[name] = _objective(name, text, settings, validation)
            except DataError:
                if not validation:
                    raise
    return found


def _objective(name: str, text: PreparedText, settings: PretrainBackboneSettings, validation: bool) -> Objective:
    stream = (text.validation if validation else text.texts).values
    tokenizer, around = text.tokenizer, settings.length // 2
    sentinels = np.array(tokenizer.convert_tokens_to_ids([f"<extra_id_{number}>" for number in range(SENTINELS)]))
    if name == "spans":
        return SpanCorruption(stream, sentinels, settings.length)
    if name == "prefix":
        return PrefixLanguageModel(stream, around)
    if name == "chosen_words":
        words = _single_tokens(tokenizer, settings.chosen_words, "chosen words")
        return ChosenWords(stream, sentinels, words, around)
    if name == "verdicts":
        words = _single_tokens(tokenizer, settings.verdict_words, "words of judgement")
        stops = [number for piece, number in tokenizer.get_vocab().items() if piece.strip("\u2581") in STOPS]
        return Verdicts(stream, sentinels, words, around, stops)
    if name == "vectors":
        if text.vectors is None or text.passages is None:
            raise SettingsError("A phase matches vectors, but there are no passages", remedy="Raise 'passages'.")
        held = max(1, len(text.passages) // 100)
        part = range(held) if validation else range(held, len(text.passages))
        return SentenceVectors(text.passages, text.vectors, part)
    if text.tasks is None:
        raise SettingsError("A phase answers tasks, but there are none", remedy="Name some in 'tasks'.")
    return LabelledTexts(**vars(text.tasks), length=around)


def _single_tokens(tokenizer: PreTrainedTokenizerBase, words: list[str], name: str) -> list[int]:
    found = [ids[0] for word in words if len(ids := tokenizer(word, add_special_tokens=False).input_ids) == 1]
    if not found:
        raise SettingsError(f"None of the {name} is one token", remedy="Name words that the texts have.")
    return found
