"""Confidence that means something: temperature scaling on held-out rows (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from engine.evaluation.bins import bin_of


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the T > 0 that minimises the mean negative log likelihood of ``softmax(logits / T)``.

    Parameters
    ----------
    logits
        float [n, C] of held-out rows.
    labels
        int64 [n].
    """

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), 1)[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded").x))


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``softmax(logits / temperature)``, float32 [n, C]."""
    scaled: np.ndarray = softmax(logits / temperature, 1).astype(np.float32)
    return scaled


def reliability(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, float]]:
    """Return mean confidence, accuracy and rows of each bin of confidence that has rows."""
    bins = bin_of(confidence)
    return [
        {
            "confidence": float(confidence[bins == number].mean()),
            "accuracy": float(correct[bins == number].mean()),
            "rows": int((bins == number).sum()),
        }
        for number in np.unique(bins)
    ]
