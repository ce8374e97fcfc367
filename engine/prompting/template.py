"""The template: what stands around a text, as token ids (section 3.1, "Prompt adding")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from engine.backbones.load import MASK
from engine.errors import SettingsError
from engine.settings import PromptSettings

BUCKET = 8
"""Batches are padded to a multiple of this many tokens, so that few shapes occur."""


@dataclass(frozen=True)
class Batch:
    """Texts ready for the backbone: ``ids`` and ``mask``, int64 [B, L], padded on the right."""

    ids: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of many texts in one buffer.

    Attributes
    ----------
    tokens
        All ids one after another, int32 [total].
    offsets
        Where each text begins, int64 [texts + 1].
    pad
        Id of the padding token.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    pad: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, template included, int64 [texts]."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of the texts at ``rows``, int64 [rows]; looks at no other."""
        lengths: np.ndarray = self.offsets[1:][rows] - self.offsets[:-1][rows]
        return lengths

    @classmethod
    def joined(cls, parts: Sequence[EncodedTexts]) -> EncodedTexts:
        """Return the texts of all ``parts`` (at least one), one part after another."""
        lengths = np.concatenate([part.lengths for part in parts])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(np.concatenate([part.tokens for part in parts]), offsets, parts[0].pad)

    def take(self, rows: np.ndarray) -> EncodedTexts:
        """Return the texts at ``rows`` alone."""
        lengths = self.lengths_of(rows)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return EncodedTexts(self.tokens[places], offsets, self.pad)

    def batch(self, rows: np.ndarray, device: torch.device) -> Batch:
        """Return the texts at ``rows`` as one batch on ``device``."""
        lengths = self.lengths_of(rows)
        width = -(-int(lengths.max()) // BUCKET) * BUCKET
        columns = np.arange(width)
        mask = columns[None, :] < lengths[:, None]
        ids = np.full(mask.shape, self.pad, np.int64)
        starts = self.offsets[:-1][rows]
        ids[mask] = self.tokens[(starts[:, None] + columns[None, :])[mask]]
        return Batch(
            torch.from_numpy(ids).to(device),
            torch.from_numpy(mask.astype(np.int64)).to(device),
        )


class Template:
    """``[soft prompt; left text right </s>]`` with the mask as ``<extra_id_0>``.

    The text is cut so that the whole template fits into ``settings.text_tokens``; the template itself is never cut.

    Raises
    ------
    SettingsError
        If the template leaves no room for any text.
    """

    def __init__(self, settings: PromptSettings, tokenizer: PreTrainedTokenizerBase) -> None:
        self.settings = settings
        self._tokenizer = tokenizer
        self._special = re.compile("|".join(map(re.escape, tokenizer.all_special_tokens)))
        left, right = settings.template.replace("{mask}", MASK).split("{text}")
        self._left = self._ids([left])[0]
        self._right = [*self._ids([right])[0], tokenizer.eos_token_id]
        self.text_room = settings.text_tokens - len(self._left) - len(self._right)
        if self.text_room < 1:
            raise SettingsError(
                f"The template alone is {len(self._left) + len(self._right)} tokens long",
                where="template",
                remedy=f"Shorten it, or raise text_tokens above {settings.text_tokens}.",
            )

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the ids of all ``texts`` inside the template."""
        # A text that happens to spell a special token must not become one: its characters are set apart.
        plain = [self._special.sub(lambda found: " ".join((found[0][0], found[0][1:])), text) for text in texts]
        rows = [[*self._left, *ids[: self.text_room], *self._right] for ids in self._ids(plain)]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        tokens = np.fromiter((token for row in rows for token in row), np.int32, count=int(offsets[-1]))
        return EncodedTexts(tokens, offsets, int(self._tokenizer.pad_token_id))

    def preview(self, text: str) -> str:
        """Return what the backbone reads for ``text`` after cutting, the soft prompt as ``[100 soft tokens]``."""
        shown = self._tokenizer.decode(self.encode([text]).tokens.tolist())
        return f"[{self.settings.soft_tokens} soft tokens] {shown}"

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        # Very long texts are cut before tokenizing; no token is longer than 64 characters.
        limit = 64 * self.settings.text_tokens
        if not texts:
            return []
        encoded = self._tokenizer([text[:limit] for text in texts], add_special_tokens=False, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids
