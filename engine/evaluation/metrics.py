"""How good predictions are: accuracy, macro-F1, figures of each class, calibration, and their mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from engine.evaluation.bins import bin_of


@dataclass(frozen=True)
class ClassFigures:
    """Precision, recall and F1 of one class (0 where undefined), and how many rows have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """Figures of one set of predictions.

    Attributes
    ----------
    accuracy, macro_f1
        Shares; macro-F1 is the plain mean over the classes that occur, among labels or predictions.
    expected_calibration_error
        Mean of |accuracy - confidence| over 15 bins of confidence, weighted by rows (Guo et al. 2017).
    majority_accuracy
        What always answering the most frequent class would reach.
    largest_predicted_share
        Share of rows that get the most predicted class; near 1 the prompt tells nothing apart.
    per_class
        Class -> figures.
    confusion
        Rows by true (first) and predicted class.
    """

    accuracy: float
    macro_f1: float
    expected_calibration_error: float
    majority_accuracy: float
    largest_predicted_share: float
    per_class: dict[str, ClassFigures]
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)


def evaluate(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Evaluation:
    """Return the figures of predictions.

    Parameters
    ----------
    probabilities
        float [n, C]; the prediction is the argmax.
    labels
        int64 [n], 0..C-1.
    classes
        C names.

    Raises
    ------
    ValueError
        If there is no row or the shapes do not fit.
    """
    if probabilities.shape != (len(labels), len(classes)) or not len(labels):
        raise ValueError(f"{probabilities.shape} probabilities for {len(labels)} labels of {len(classes)} classes")
    numbers = np.arange(len(classes))
    predicted = probabilities.argmax(1)
    figures = precision_recall_fscore_support(labels, predicted, labels=numbers, zero_division=0)
    correct = predicted == labels
    met = np.union1d(labels, predicted)  # of a class that nobody has and nobody was taken for there is nothing to say
    return Evaluation(
        accuracy=float(correct.mean()),
        macro_f1=float(figures[2][met].mean()),
        expected_calibration_error=expected_calibration_error(probabilities.max(1), correct),
        majority_accuracy=float(np.bincount(labels, minlength=len(classes)).max() / len(labels)),
        largest_predicted_share=float(np.bincount(predicted).max() / len(labels)),
        per_class={
            name: ClassFigures(float(row[0]), float(row[1]), float(row[2]), int(row[3]))
            for name, row in zip(classes, np.stack(figures, 1), strict=True)
        },
        confusion=confusion_matrix(labels, predicted, labels=numbers).tolist(),
    )


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the mean of |accuracy - confidence| over 15 equal bins (a, b], weighted by rows (Guo et al. 2017)."""
    bins = bin_of(confidence)
    gaps = [abs(correct[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


def summarise(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return mean and sample standard deviation (n - 1; ``None`` for a single seed) over seeds."""
    summary: dict[str, Any] = {"seeds": len(evaluations)}
    for name in ("accuracy", "macro_f1", "expected_calibration_error"):
        values = np.array([getattr(evaluation, name) for evaluation in evaluations])
        summary[f"{name}_mean"] = float(values.mean())
        summary[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else None
    summary["majority_accuracy"] = float(np.mean([evaluation.majority_accuracy for evaluation in evaluations]))
    summary["largest_predicted_share_max"] = max(evaluation.largest_predicted_share for evaluation in evaluations)
    return summary
