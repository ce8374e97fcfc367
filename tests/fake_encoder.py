"""An encoder that needs no model: a text's vector is the sum of fixed random vectors of its words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np


class FakeEncoder:
    """Counts what it encodes; ``explode_after`` so many texts it raises, as a killed process would end."""

    def __init__(self, identity: str = "fake", dimensions: int = 64, explode_after: int | None = None) -> None:
        self.name, self.identity, self.dimensions, self.batch_size = "a fake", identity, dimensions, 4
        self.encoded: list[str] = []
        self._explode_after = explode_after

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        if self._explode_after is not None and len(self.encoded) > self._explode_after:
            raise KeyboardInterrupt
        vectors = np.array([sum(self._word(word) for word in text.split()) for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _word(self, word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(word.encode())).normal(size=self.dimensions)
