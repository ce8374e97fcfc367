"""How much a text is like the labelled ones."""

from __future__ import annotations

import numpy as np

from engine.annotation.annotators import STAGE
from engine.corpus.drawing import rows_of_every_class
from engine.stage import Part, ProgressMeter, StopToken

NEIGHBOURS = 10
CHUNK = 1024
COMPARED = 20_000
"""So many labelled texts are compared with; more would cost time and say the same."""
LEAST_OF_A_CLASS = 50


def domain_scores(
    vectors: np.ndarray, labelled: np.ndarray, labels: np.ndarray, *, stop: StopToken
) -> Part[np.ndarray | None]:
    """Return how much each text is like the labelled ones: mean cosine to its 10 nearest of them.

    Of more than 20,000 labelled texts that many are drawn at random, always the same and some of every class, and
    the 10 nearest are those of the drawn ones.

    Parameters
    ----------
    vectors, labelled
        float32 [n, d] and [m, d], rows of length one.
    labels
        Classes of the labelled texts, int64 [m].

    Returns
    -------
    ndarray or None
        float32 [n], -1 to 1; ``None`` if stopped on the way.
    """
    if len(labelled) > COMPARED:
        labelled = labelled[rows_of_every_class(labels, COMPARED, np.random.default_rng(0), least=LEAST_OF_A_CLASS)]
    nearest = min(NEIGHBOURS, len(labelled))
    scores = np.empty(len(vectors), np.float32)
    meter = ProgressMeter(STAGE, len(vectors), "rows")
    yield meter.at(0, "Comparing with the labelled texts")
    for start in range(0, len(vectors), CHUNK):
        if stop.requested:
            return None
        likeness = vectors[start : start + CHUNK] @ labelled.T
        likeness.partition(-nearest, 1)
        scores[start : start + CHUNK] = likeness[:, -nearest:].mean(1)
        yield meter.at(min(start + CHUNK, len(vectors)), "Comparing with the labelled texts")
    return scores
