"""Some labelled rows instead of all, where all would take hours."""

from __future__ import annotations

import numpy as np


def rows_of_every_class(labels: np.ndarray, count: int, random: np.random.Generator, *, least: int) -> np.ndarray:
    """Draw rows that have a label.

    Parameters
    ----------
    labels
        Class of each row, int64 [n]; -1 for none.
    count
        How many are wanted.
    least
        So many rows of each class, or all that it has, are among them, even if that makes more than ``count``.

    Returns
    -------
    numpy.ndarray
        Row numbers in their order, int64; those of all rows with a label if they are not more than ``count``.
    """
    rows = np.flatnonzero(labels >= 0)
    if len(rows) <= count:
        return rows
    order = random.permutation(rows)
    first = np.concatenate([order[labels[order] == number][:least] for number in np.unique(labels[order])])
    rest = order[~np.isin(order, first)]
    return np.sort(np.concatenate([first, rest[: max(0, count - len(first))]]))
