"""Which texts are worth labelling next: in doubt after the labels so far, and unlike each other."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

DOUBTFUL = 8
"""So many times as many as are asked for count as in doubt."""


def suggest_rows(vectors: np.ndarray, labelled: np.ndarray, labels: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Choose texts to label.

    As long as fewer than two classes have labels, the texts are split into ``count`` groups by K-means and each gives
    its most typical text (Hacohen, Dekel and Weinshall, 2022: with few labels typical texts teach most). After that
    only those take part between whose two likeliest classes a linear probe on the labels so far hesitates most.

    Parameters
    ----------
    vectors
        Sentence vectors of the texts to choose from, float32 [n, d].
    labelled
        Those of the labelled texts, float32 [m, d].
    labels
        Their classes, int64 [m].
    count
        How many are wanted.

    Returns
    -------
    numpy.ndarray
        Rows of ``vectors`` in their order, int64, at most ``min(count, n)``: like texts may leave a group empty.
    """
    if len(vectors) <= count:
        return np.arange(len(vectors))
    pool = np.arange(len(vectors))
    if len(np.unique(labels)) > 1:
        chances = LogisticRegression(max_iter=1000).fit(labelled, labels).predict_proba(vectors)
        best = np.sort(chances, 1)
        pool = np.sort(np.argsort(best[:, -1] - best[:, -2], kind="stable")[: DOUBTFUL * count])
    groups = KMeans(count, n_init=1, random_state=seed).fit(vectors[pool])
    distances = groups.transform(vectors[pool])
    distances[groups.labels_[:, None] != np.arange(count)] = np.inf
    filled = np.isfinite(distances).any(0)  # like texts may leave a group empty
    return np.unique(pool[distances[:, filled].argmin(0)])
