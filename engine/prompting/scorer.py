"""The frozen T5 as a scorer of label words (sections 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.backbones.first_layer import looked_up
from engine.backbones.load import MASK, Backbone
from engine.backbones.memory import fitting
from engine.backbones.side_by_side import side_by_side
from engine.prompting.bank import prepend
from engine.prompting.template import Batch, EncodedTexts, Template
from engine.prompting.verbalizer import Verbalizer
from engine.settings import PromptSettings
from engine.stage import Part, ProgressMeter, StopToken

BATCH, GPU_BATCH = 64, 512
"""Texts (times prompts) scored in one pass on a processor, and on a GPU, which a pass must not leave idle."""


class PromptScorer:
    """Scores the label words for texts, each under a soft prompt of a bank.

    Parameters
    ----------
    backbone
        The frozen T5.
    verbalizer
        Classes and label words.
    settings
        Template, place of the answer, kind of loss.

    Attributes
    ----------
    at_a_time
        Texts (times prompts) that are scored in one pass: what has fitted so far.
    """

    def __init__(self, backbone: Backbone, verbalizer: Verbalizer, settings: PromptSettings) -> None:
        self.backbone, self.verbalizer, self.settings = backbone, verbalizer, settings
        self.at_a_time = BATCH if backbone.device.type == "cpu" else GPU_BATCH
        self.template = Template(settings, backbone.tokenizer)
        model = backbone.model
        prefix: list[Any] = [model.config.decoder_start_token_id]
        if settings.answer == "after_mask":
            prefix.append(backbone.tokenizer.convert_tokens_to_ids(MASK))
        self._prefix = torch.tensor(prefix, device=backbone.device)
        self._embed = model.get_input_embeddings()
        self._head = model.get_output_embeddings().weight
        self._scale = model.config.d_model**-0.5 if model.config.scale_decoder_outputs else 1.0
        longest = max(len(ids) for ids in verbalizer.tokens)
        padded = [[*ids, *[ids[-1]] * (longest - len(ids))] for ids in verbalizer.tokens]
        self._words = torch.tensor(padded, device=backbone.device)  # [C, T]
        self._word_mask = torch.tensor(
            [[1.0] * len(ids) + [0.0] * (longest - len(ids)) for ids in verbalizer.tokens], device=backbone.device
        )

    def losses(self, bank: torch.Tensor, batch: Batch, owner: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each example, float32 [B].

        Cross-entropy of the label word over the vocabulary (the paper), or among the label words, as
        ``settings.loss`` says; for a word of several tokens the mean over its tokens (teacher forcing).

        Parameters
        ----------
        bank
            Soft prompts, float32 [R, n, d].
        batch, owner, labels
            B texts, the prompt of each (int64 [B]) and the class of each (int64 [B]).
        """
        scores = self.scores(bank, batch, owner, normalised=self.settings.loss == "vocabulary")
        return self.losses_of(scores, labels)

    def losses_of(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss [B] of scores [B, C] that were made with ``normalised`` as the kind of loss asks for."""
        if self.settings.loss == "label_words":
            return torch.nn.functional.cross_entropy(scores, labels, reduction="none")
        return -scores.gather(1, labels[:, None]).squeeze(1)

    def scores(
        self, bank: torch.Tensor, batch: Batch, owner: torch.Tensor, *, normalised: bool = False
    ) -> torch.Tensor:
        """Return the score of each class, float32 [B, C].

        ``normalised``: the (mean) log probability of the label word over the whole vocabulary. Otherwise it may be off
        by an amount that is the same for all classes of an example; softmax and argmax do not see it, and projecting
        onto the vocabulary is spared. Without gradients a processor scores parts of the batch side by side.
        """
        if torch.is_grad_enabled():
            return self._scores(bank, batch, owner, normalised)

        def work(part: slice) -> torch.Tensor:
            with torch.no_grad():
                return self._scores(bank, Batch(batch.ids[part], batch.mask[part]), owner[part], normalised)

        width = bank.shape[1] + batch.ids.shape[1]
        return torch.cat(side_by_side(self.backbone.device, work, [width] * len(owner)))

    def _scores(self, bank: torch.Tensor, batch: Batch, owner: torch.Tensor, normalised: bool) -> torch.Tensor:
        with self._autocast():
            embedded, mask = prepend(bank, owner, self._embed(batch.ids), batch.mask)
            model = self.backbone.model
            with nullcontext() if model.training else looked_up(model, bank, owner, batch.ids):
                encoded = model.encoder(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
            if not self.verbalizer.single_tokens:
                return self._several_token_scores(encoded, mask, bank.dtype)
            answer = self._decode(encoded, mask, self._prefix_ids(len(batch.ids)))[:, -1]
        if normalised:
            return self._log_probabilities(answer.to(bank.dtype))[:, self._words[:, 0]]
        words = self._head[self._words[:, 0]].to(bank.dtype)
        return torch.nn.functional.linear(answer.to(bank.dtype) * self._scale, words)

    def no_prompt(self) -> torch.Tensor:
        """Return a bank of one prompt of no tokens, [1, 0, d]: the backbone alone."""
        return torch.empty(1, 0, self.backbone.width, device=self.backbone.device)

    def probabilities(
        self,
        bank: torch.Tensor,
        texts: EncodedTexts,
        *,
        stop: StopToken | None = None,
        stage: str = "predict",
        message: str = "",
    ) -> Part[np.ndarray | None]:
        """Score every text under every prompt of the bank; texts of like length share a batch.

        Returns
        -------
        ndarray or None
            Probabilities among the label words, float32 [R, texts, C]; ``None`` if stopped on the way.
        """
        prompts = len(bank)
        result = np.empty((prompts, len(texts), len(self.verbalizer.classes)), np.float32)
        order = np.argsort(texts.lengths, kind="stable")
        meter = ProgressMeter(stage, len(texts), "rows")
        done, first = 0, max(1, self.at_a_time // prompts)
        at_a_time = first
        while done < len(order):
            if stop is not None and stop.requested:
                return None
            waiting = order[done:]
            rows, at_a_time = yield from fitting(partial(self._score, bank, texts, waiting, result), at_a_time, "texts")
            done += rows
            if at_a_time < first:
                self.at_a_time = min(self.at_a_time, at_a_time * prompts)
            yield meter.at(done, message)
        return result

    def _score(
        self, bank: torch.Tensor, texts: EncodedTexts, waiting: np.ndarray, result: np.ndarray, count: int
    ) -> int:
        """Score the first ``count`` of the waiting rows under every prompt into ``result``; return how many it were."""
        rows, prompts = waiting[:count], len(bank)
        batch = texts.batch(rows, self.backbone.device)
        repeated = Batch(batch.ids.repeat(prompts, 1), batch.mask.repeat(prompts, 1))
        owner = torch.arange(prompts, device=self.backbone.device).repeat_interleave(len(rows))
        with torch.no_grad():
            chances = self.scores(bank, repeated, owner).softmax(-1).float().cpu().numpy()
        result[:, rows] = chances.reshape(prompts, len(rows), -1)
        return len(rows)

    def _prefix_ids(self, rows: int) -> torch.Tensor:
        return self._prefix.expand(rows, -1)

    def _decode(self, encoded: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        decoder = self.backbone.model.decoder
        embedded = self._embed(ids).to(encoded.dtype)  # a table in bfloat16 would make the whole stream bfloat16
        answer: torch.Tensor = decoder(
            inputs_embeds=embedded, encoder_hidden_states=encoded, encoder_attention_mask=mask, use_cache=False
        ).last_hidden_state
        return answer

    def _log_probabilities(self, states: torch.Tensor) -> torch.Tensor:
        """Log probabilities over the vocabulary in the dtype of ``states``."""
        return torch.nn.functional.linear(states * self._scale, self._head.to(states.dtype)).log_softmax(-1)

    def _several_token_scores(self, encoded: torch.Tensor, mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Mean log probability of each word's tokens under teacher forcing, [B, C]."""
        rows, (classes, longest) = len(encoded), self._words.shape
        ids = torch.cat([self._prefix_ids(classes), self._words[:, :-1]], 1)
        states = self._decode(
            encoded.repeat_interleave(classes, 0), mask.repeat_interleave(classes, 0), ids.repeat(rows, 1)
        )[:, -longest:]
        words = self._words.repeat(rows, 1)
        each = self._log_probabilities(states.to(dtype)).gather(2, words[..., None]).squeeze(2)
        weight = self._word_mask.repeat(rows, 1)
        return ((each * weight).sum(1) / weight.sum(1)).view(rows, classes)

    def _autocast(self) -> torch.autocast:
        backbone = self.backbone
        return torch.autocast(backbone.device.type, torch.bfloat16, enabled=backbone.precision is torch.bfloat16)


@contextmanager
def twice_differentiable(backbone: Backbone) -> Iterator[None]:
    """Use attention kernels that can be differentiated twice; the fused ones cannot.

    They compute in float32 what comes in bfloat16. A GPU may round that to TF32, which holds bfloat16 as it is.
    """
    before = torch.get_float32_matmul_precision()
    if backbone.device.type == "cuda" and backbone.precision is torch.bfloat16:
        torch.set_float32_matmul_precision("high")
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
