"""Which pseudo-labelled rows are kept: confident ones, of the labelled domain, the same number of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.settings import AnnotateSettings

NEIGHBOURS = 10
CHUNK = 1024

LABELLED, UNCONFIDENT, OUTSIDE, SURPLUS = "already labelled", "not confident", "out of domain", "surplus of its class"


def domain_scores(vectors: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Return how much each text is like the labelled ones: mean cosine to its 10 nearest of them.

    Parameters
    ----------
    vectors, labelled
        float32 [n, d] and [m, d], rows of length one.

    Returns
    -------
    ndarray
        float32 [n], -1 to 1.
    """
    nearest = min(NEIGHBOURS, len(labelled))
    scores = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), CHUNK):
        likeness = vectors[start : start + CHUNK] @ labelled.T
        scores[start : start + CHUNK] = np.partition(likeness, -nearest, 1)[:, -nearest:].mean(1)
    return scores


def class_thresholds(classes: Sequence[str], settings: AnnotateSettings) -> np.ndarray:
    """Return the confidence that each class needs, float64 [C]."""
    return np.array([settings.class_confidence.get(name, settings.confidence) for name in classes])


@dataclass(frozen=True)
class Selection:
    """Rows that are kept, in their order, and why each of the others is not (reason -> class -> rows)."""

    rows: np.ndarray
    dropped: Mapping[str, Mapping[str, int]]


def select(
    predicted: np.ndarray,
    confidence: np.ndarray,
    domain: np.ndarray,
    already_labelled: np.ndarray,
    classes: Sequence[str],
    settings: AnnotateSettings,
    *,
    domain_threshold: float,
) -> Selection:
    """Choose rows.

    Parameters
    ----------
    predicted, confidence
        Class int64 [n] and calibrated probability float [n] of each row.
    domain
        `domain_scores`, float [n].
    already_labelled
        bool [n]: the text stands in the labelled corpus.
    domain_threshold
        Rows that score less are out of the domain.
    """
    reason = np.full(len(predicted), "", object)
    reason[confidence < class_thresholds(classes, settings)[predicted]] = UNCONFIDENT
    reason[domain < domain_threshold] = OUTSIDE
    reason[already_labelled] = LABELLED
    kept = np.flatnonzero(reason == "")
    counts = np.bincount(predicted[kept], minlength=len(classes))
    limits = counts.copy()
    if settings.balance and len(kept):
        limits[:] = counts[counts > 0].min()
    if settings.maximum_rows is not None and limits.sum() > settings.maximum_rows:
        limits = np.minimum(limits, _fair_share(limits, settings.maximum_rows))
    random = np.random.default_rng(settings.seed)
    chosen = []
    for number in range(len(classes)):
        rows = kept[predicted[kept] == number]
        # The most confident first; ties in random order.
        order = rows[np.lexsort((random.random(len(rows)), -confidence[rows]))]
        chosen.append(order[: limits[number]])
        reason[order[limits[number] :]] = SURPLUS
    dropped = {
        why: {name: int(((reason == why) & (predicted == number)).sum()) for number, name in enumerate(classes)}
        for why in (LABELLED, OUTSIDE, UNCONFIDENT, SURPLUS)
    }
    return Selection(np.sort(np.concatenate(chosen)), dropped)


def _fair_share(counts: np.ndarray, total: int) -> int:
    """Return the largest limit a class with which no more than ``total`` rows are kept."""
    low, high = 0, total
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= total else (low, middle - 1)
    return low
