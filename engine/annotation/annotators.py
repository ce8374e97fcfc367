"""Who labels: one interface, and the offline default on Sentence-BERT (the other one is in ``roberta.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.linear_model import LogisticRegression

from engine.events import Progress
from engine.stage import Part, StopToken

STAGE = "annotate"


@dataclass(frozen=True)
class EmbeddedTexts:
    """Texts [n] and their Sentence-BERT vectors, float32 [n, d]."""

    texts: Sequence[str]
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: np.ndarray) -> EmbeddedTexts:
        """Return the texts at ``rows`` alone."""
        return EmbeddedTexts([self.texts[row] for row in rows], self.vectors[rows])


class Annotator(Protocol):
    """Learns labels from texts and scores other texts."""

    def fit(self, texts: EmbeddedTexts, labels: np.ndarray, classes: int, *, stop: StopToken) -> Part[bool]:
        """Learn from texts [n] and classes int64 [n]; return False if stopped on the way."""
        ...

    def logits(self, texts: EmbeddedTexts, *, stop: StopToken) -> Part[np.ndarray | None]:
        """Return float32 [n, C]; ``None`` if stopped on the way."""
        ...


class SentenceBertAnnotator:
    """Logistic regression on Sentence-BERT vectors: seconds instead of hours, and no network."""

    def fit(self, texts: EmbeddedTexts, labels: np.ndarray, classes: int, *, stop: StopToken) -> Part[bool]:
        """See `Annotator.fit`."""
        yield Progress(STAGE, 0, len(texts), "rows", message="Learning from the labelled texts")
        model = LogisticRegression(max_iter=1000).fit(texts.vectors, labels)
        # Two classes have one row of coefficients in scikit-learn: that of the other class is 0.
        weights, bias = model.coef_, model.intercept_
        if classes == 2:
            weights, bias = np.vstack([np.zeros_like(weights), weights]), np.array([0.0, bias[0]])
        self._weights, self._bias = weights.astype(np.float32), bias.astype(np.float32)
        yield Progress(STAGE, len(texts), len(texts), "rows", message="Learning from the labelled texts")
        return not stop.requested

    def logits(self, texts: EmbeddedTexts, *, stop: StopToken) -> Part[np.ndarray | None]:
        """See `Annotator.logits`."""
        yield Progress(STAGE, 0, len(texts), "rows", message="Labelling")
        if stop.requested:
            return None
        scores: np.ndarray = texts.vectors @ self._weights.T + self._bias
        return scores
