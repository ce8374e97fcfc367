"""Who labels: one interface, and the offline default on Sentence-BERT (the other one is in ``roberta.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.linear_model import LogisticRegression

from engine.corpus.drawing import rows_of_every_class
from engine.events import Notice, Progress
from engine.stage import Part, StopToken

STAGE = "annotate"
LEARNED = 50_000
"""So many labelled texts are learned from; more would take minutes to hours that nothing can interrupt."""
LEAST_OF_A_CLASS = 50


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

    def forget(self) -> None:
        """Delete what was kept to go on from: all is done."""
        ...


class SentenceBertAnnotator:
    """Logistic regression on Sentence-BERT vectors: seconds instead of hours, and no network.

    It learns from at most 50,000 texts; of more that many are drawn at random, always the same and some of every class.
    """

    def fit(self, texts: EmbeddedTexts, labels: np.ndarray, classes: int, *, stop: StopToken) -> Part[bool]:
        """See `Annotator.fit`."""
        vectors = texts.vectors
        if len(texts) > LEARNED:
            drawn = rows_of_every_class(labels, LEARNED, np.random.default_rng(0), least=LEAST_OF_A_CLASS)
            vectors, labels = vectors[drawn], labels[drawn]
            yield Notice(
                f"The annotator learns from {len(drawn):,} of the {len(texts):,} labelled texts, drawn at random: "
                "all of them would take too long."
            )
        yield Progress(STAGE, 0, len(vectors), "rows", message="Learning from the labelled texts")
        if stop.requested:
            return False
        model = LogisticRegression(max_iter=1000).fit(vectors, labels)
        # Two classes have one row of coefficients in scikit-learn: that of the other class is 0.
        weights, bias = model.coef_, model.intercept_
        if classes == 2:
            weights, bias = np.vstack([np.zeros_like(weights), weights]), np.array([0.0, bias[0]])
        self._weights, self._bias = weights.astype(np.float32), bias.astype(np.float32)
        yield Progress(STAGE, len(vectors), len(vectors), "rows", message="Learning from the labelled texts")
        return not stop.requested

    def logits(self, texts: EmbeddedTexts, *, stop: StopToken) -> Part[np.ndarray | None]:
        """See `Annotator.logits`."""
        yield Progress(STAGE, 0, len(texts), "rows", message="Labelling")
        if stop.requested:
            return None
        scores: np.ndarray = texts.vectors @ self._weights.T + self._bias
        return scores

    def forget(self) -> None:
        """See `Annotator.forget`; it learns in seconds and keeps nothing."""
