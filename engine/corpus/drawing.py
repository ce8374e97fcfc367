"""Which labelled rows are taken: some instead of all, and those of each seed of a tuning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import DataError
from engine.settings import TuneSettings

TEST_ROWS, LEAST_TEST_ROWS = 200, 20
"""So many labelled rows, at most and at least, are set aside to test on where nobody says how many.

On fewer than twenty, one that is right or wrong moves the accuracy by more than five points.
"""


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


def rows_to_test(labelled: int, settings: TuneSettings, taught: int = 0) -> int:
    """Return how many of so many labelled rows are set aside to test on where nobody says how many.

    Those that have ``taught`` something are drawn from, and not tested on.
    """
    spare = labelled - max(taught, settings.training_rows + settings.validation_rows)
    return min(spare, TEST_ROWS) if spare >= LEAST_TEST_ROWS else 0


def set_aside(pool: np.ndarray, settings: TuneSettings, known: np.ndarray | None = None) -> np.ndarray:
    """Return the labelled rows that are tested on: as many as asked for, if enough are left to draw from.

    Parameters
    ----------
    pool
        Row numbers of all labelled rows, int64 [n]; the order decides which are taken.
    known
        Those of which something else has learned already; they are not tested on.

    Returns
    -------
    numpy.ndarray
        Row numbers in their order, int64.
    """
    order = np.random.default_rng(0).permutation(pool)
    spare = max(0, len(pool) - settings.training_rows - settings.validation_rows)
    unknown = order if known is None else order[~np.isin(order, known)]
    return np.sort(unknown[: min(settings.test_rows, spare)])


@dataclass(frozen=True)
class Draw:
    """The rows of one seed of few-shot tuning; ``validation`` is empty when there are too few labels."""

    training: np.ndarray
    validation: np.ndarray


def draw_few_shot(labels: np.ndarray, settings: TuneSettings, seed: int) -> Draw:
    """Draw training and validation rows for one seed (section 5).

    The draw is uniform, not stratified. With fewer labelled rows than asked for, each class is split in the proportion
    that was asked for (half and half by default); when a class has fewer than four rows all train and none validates.

    Parameters
    ----------
    labels
        Classes, int64 [rows]; -1 is no label.

    Raises
    ------
    DataError
        If fewer than two classes are labelled.
    """
    rows = np.flatnonzero(labels >= 0)
    classes, counts = np.unique(labels[rows], return_counts=True)
    if len(classes) < 2:
        raise DataError(
            f"Only {len(classes)} of the classes has labelled texts", remedy="Label some texts of at least two classes."
        )
    random = np.random.default_rng([seed, 0x5EED])
    wanted = settings.training_rows + settings.validation_rows
    if len(rows) >= wanted:
        order = random.permutation(rows)
        return Draw(order[: settings.training_rows], order[settings.training_rows : wanted])
    if counts.min() < 4 or settings.validation_rows == 0:
        return Draw(random.permutation(rows), np.empty(0, np.int64))
    training, validation = [], []
    for number in classes:
        members = random.permutation(rows[labels[rows] == number])
        share = -(-len(members) * settings.training_rows // wanted)
        first = min(max(1, share), len(members) - 1)
        training.append(members[:first])
        validation.append(members[first:])
    return Draw(random.permutation(np.concatenate(training)), np.concatenate(validation))


def few_shot_draws(labels: np.ndarray, pool: np.ndarray, settings: TuneSettings) -> list[tuple[int, Draw]]:
    """Return seed and draw of every seed of ``settings``, drawn from the rows ``pool`` alone."""
    allowed = np.full_like(labels, -1)
    allowed[pool] = labels[pool]
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    return [(seed, draw_few_shot(allowed, settings, seed)) for seed in seeds]
