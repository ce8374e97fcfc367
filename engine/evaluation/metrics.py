"""How good predictions are: accuracy, macro-F1, figures of each class, calibration, and their mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from engine.evaluation.bins import bin_of
from engine.evaluation.results import ClassFigures, Evaluation, Figures


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


def summarise(evaluations: Sequence[Evaluation]) -> Figures:
    """Return mean and sample standard deviation (n - 1; ``None`` for a single seed) over seeds."""

    def over_seeds(name: str) -> tuple[float, float | None]:
        values = np.array([getattr(evaluation, name) for evaluation in evaluations])
        return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None

    accuracy, macro_f1 = over_seeds("accuracy"), over_seeds("macro_f1")
    calibration = over_seeds("expected_calibration_error")
    return Figures(
        seeds=len(evaluations),
        accuracy_mean=accuracy[0],
        accuracy_std=accuracy[1],
        macro_f1_mean=macro_f1[0],
        macro_f1_std=macro_f1[1],
        expected_calibration_error_mean=calibration[0],
        expected_calibration_error_std=calibration[1],
        majority_accuracy=over_seeds("majority_accuracy")[0],
        largest_predicted_share_max=max(evaluation.largest_predicted_share for evaluation in evaluations),
    )
