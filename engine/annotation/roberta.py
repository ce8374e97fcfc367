"""The paper's annotator: a RoBERTa-class model, fine-tuned in a loop that can be stopped at any step (section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from engine.annotation.annotators import STAGE, EmbeddedTexts
from engine.backbones.devices import multiplies_bfloat16, resolve_device
from engine.backbones.hub import fetch_from_hub
from engine.backbones.library_errors import library_errors
from engine.backbones.memory import fitting
from engine.checkpoint import NAME as CHECKPOINT
from engine.checkpoint import Every, fingerprint, optimizer_tensors, put_back, resume, save_checkpoint
from engine.embedding.sentence_bert import CHARACTERS
from engine.errors import TrainingError
from engine.events import Metric
from engine.schedules import linear_warmup_decay
from engine.settings import AnnotateSettings
from engine.stage import Part, ProgressMeter, StopToken

WARMUP_SHARE = 0.1
SCORING_BATCH = 64


class RobertaAnnotator:
    """A sequence classifier of transformers, fine-tuned with AdamW and a linear schedule with 10 % warm-up.

    Parameters
    ----------
    settings
        ``model`` (a folder or a name on the hub), ``epochs``, ``learning_rate``, ``batch_size``, ``maximum_tokens``,
        ``device``, ``seed``.
    folder
        Of the run: a checkpoint of the fine-tuning is kept there until `forget`.
    """

    def __init__(self, settings: AnnotateSettings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._device = resolve_device(settings.device)
        self._fast = self._device.type == "cuda" and multiplies_bfloat16(self._device)  # older GPUs imitate it, slowly
        self._model: Any = None
        self._tokenizer: Any = None

    def fit(self, texts: EmbeddedTexts, labels: np.ndarray, classes: int, *, stop: StopToken) -> Part[bool]:
        """See `engine.annotation.annotators.Annotator.fit`.

        Raises
        ------
        BackboneError
            If the model cannot be found or loaded.
        TrainingError
            If the loss is not a number.
        CheckpointError
            If the checkpoint is damaged or belongs to another run.
        """
        settings = self._settings
        yield from self._load(classes)
        weights = dict(self._model.named_parameters())
        optimizer = torch.optim.AdamW(weights.values(), lr=settings.learning_rate)
        per_epoch = -(-len(texts) // settings.batch_size)
        total = per_epoch * settings.epochs
        identity = fingerprint(settings.model_dump(exclude={"device", "offline"}), list(texts.texts), labels)
        step, at_a_time, shuffled = 0, settings.batch_size, -1
        saved = yield from resume(self._folder, identity, optimizer)
        if saved is not None:
            step = saved.state["step"]
            put_back(weights, saved.tensors, "weight.")
        meter, keep = ProgressMeter(STAGE, total, "steps", done=step), Every()
        self._model.train()
        while True:
            if stop.requested or step == total or keep.due():
                tensors = optimizer_tensors(optimizer) | {f"weight.{name}": weight for name, weight in weights.items()}
                yield save_checkpoint(self._folder, tensors, {"step": step}, identity)
            if step == total:
                break
            if stop.requested:
                return False
            epoch, place = divmod(step, per_epoch)
            if epoch != shuffled:
                order, shuffled = np.random.default_rng([settings.seed, epoch]).permutation(len(texts)), epoch
            rows = order[place * settings.batch_size : (place + 1) * settings.batch_size]
            work = partial(self._backward, [texts.texts[row] for row in rows], torch.from_numpy(labels[rows]))
            loss, at_a_time = yield from fitting(work, at_a_time, "texts")
            if not np.isfinite(loss):
                raise TrainingError(
                    f"The annotator's loss is no longer a number at step {step + 1} (rate {settings.learning_rate})",
                    remedy="Lower the learning rate.",
                )
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * linear_warmup_decay(step, round(WARMUP_SHARE * total), total)
            optimizer.step()
            step += 1
            yield Metric("annotator loss", step, loss)
            yield meter.at(step, "Fine-tuning the annotator")
        self._model.eval()
        return True

    def forget(self) -> None:
        """See `engine.annotation.annotators.Annotator.forget`."""
        (self._folder / CHECKPOINT).unlink(missing_ok=True)

    def logits(self, texts: EmbeddedTexts, *, stop: StopToken) -> Part[np.ndarray | None]:
        """See `engine.annotation.annotators.Annotator.logits`; texts of like length share a batch."""
        order = np.argsort([len(text) for text in texts.texts], kind="stable")
        result: list[np.ndarray] = []
        meter = ProgressMeter(STAGE, len(texts), "rows")
        at_a_time = SCORING_BATCH
        for start in range(0, len(order), SCORING_BATCH):
            if stop.requested:
                return None
            chosen = [texts.texts[row] for row in order[start : start + SCORING_BATCH]]
            scores, at_a_time = yield from fitting(partial(self._scored, chosen), at_a_time, "texts")
            result.append(scores)
            yield meter.at(min(start + SCORING_BATCH, len(texts)), "Labelling")
        logits = np.concatenate(result)
        return logits[np.argsort(order)]

    def _backward(self, texts: Sequence[str], labels: torch.Tensor, at_a_time: int) -> float:
        """Leave the gradient of the mean loss in the weights and return the loss."""
        self._model.zero_grad(set_to_none=True)
        total = 0.0
        for start in range(0, len(texts), at_a_time):
            part = slice(start, start + at_a_time)
            loss = torch.nn.functional.cross_entropy(
                self._scores(texts[part]), labels[part].to(self._device), reduction="sum"
            ) / len(texts)
            loss.backward()
            total += float(loss.detach())
        return total

    @torch.no_grad()
    def _scored(self, texts: Sequence[str], at_a_time: int) -> np.ndarray:
        parts = range(0, len(texts), at_a_time)
        return torch.cat([self._scores(texts[start : start + at_a_time]) for start in parts]).cpu().numpy()

    def _load(self, classes: int) -> Part[None]:
        name = self._settings.model
        folder = Path(name).expanduser()
        if not folder.is_dir():
            folder = yield from fetch_from_hub(name, offline=self._settings.offline)
        torch.manual_seed(self._settings.seed)  # of the new classification head, and of dropout
        remedy = "Check that the folder holds a RoBERTa-class model with .safetensors weights."
        with library_errors("The annotator", where=name, remedy=remedy):
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._model = AutoModelForSequenceClassification.from_pretrained(
                folder,
                num_labels=classes,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
            ).to(self._device)

    def _scores(self, texts: Sequence[str]) -> torch.Tensor:
        limit = CHARACTERS * self._settings.maximum_tokens
        batch = self._tokenizer(
            [text[:limit] for text in texts],
            truncation=True,
            max_length=self._settings.maximum_tokens,
            padding=True,
            return_tensors="pt",
        ).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._fast):
            scores: torch.Tensor = self._model(**batch).logits
        return scores.float()
