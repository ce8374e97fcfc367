"""Which pseudo-labelled rows are kept: confident ones, of the labelled domain, the same number of each class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.corpus.store import Corpus, parquet_errors
from engine.errors import DataError, SettingsError, StorageError
from engine.settings import AnnotateSettings

LABELLED, UNCONFIDENT, OUTSIDE, SURPLUS = "already labelled", "not confident", "out of domain", "surplus of its class"


def check_classes(classes: Sequence[str], settings: AnnotateSettings) -> None:
    """Refuse a confidence for a class that does not exist.

    Raises
    ------
    SettingsError
        If there is one.
    """
    unknown = sorted(set(settings.class_confidence) - set(classes))
    if unknown:
        raise SettingsError(
            f"There is no class {', '.join(unknown)} to set a confidence for",
            remedy=f"The classes are {', '.join(classes)}.",
        )


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
        `engine.annotation.domain.domain_scores`, float [n].
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
    limits = _limits(counts, settings.balance, settings.maximum_rows)
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


def domain_bar(domain: np.ndarray, settings: AnnotateSettings) -> float:
    """Return the domain score below which the settings' share of the texts is out of the domain."""
    return float(np.quantile(domain, settings.out_of_domain_share)) if settings.out_of_domain_share else -1.0


def notices(chosen: Selection, classes: Sequence[str], kept: np.ndarray, settings: AnnotateSettings) -> Iterator[str]:
    """Yield what a person should know of a selection: what balancing cost, which classes came out empty."""
    surplus = chosen.dropped[SURPLUS]
    if settings.balance and sum(surplus.values()) > len(chosen.rows):
        rarest = min(surplus, key=lambda name: surplus[name])
        yield (
            f"Balancing dropped {sum(surplus.values()):,} confident texts, because few are confidently '{rarest}'; a "
            "lower confidence for that class keeps more of all."
        )
    absent = [name for name, count in zip(classes, kept, strict=True) if not count]
    if absent:
        yield f"No text was kept for {', '.join(absent)}; lower their confidence."


def check_kept(chosen: Selection, unlabelled: Corpus) -> None:
    """Say why nothing is kept, if nothing is.

    Raises
    ------
    DataError
        With the number of rows dropped for each reason.
    """
    if not len(chosen.rows):
        reasons = {reason: sum(counts.values()) for reason, counts in chosen.dropped.items()}
        raise DataError(
            f"None of {unlabelled.rows:,} texts is kept: "
            + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count),
            where=unlabelled.folder,
            remedy="Lower the confidence or the out-of-domain share.",
        )


class LiveCounts:
    """How many rows of each class would be kept, quick enough to follow a threshold that is being dragged.

    Parameters
    ----------
    predicted, confidence
        As in `select`.
    eligible
        bool [n]: rows that are in the domain and not labelled already.
    classes
        Number of classes.
    """

    def __init__(self, predicted: np.ndarray, confidence: np.ndarray, eligible: np.ndarray, classes: int) -> None:
        self._sorted = [np.sort(confidence[eligible & (predicted == number)]) for number in range(classes)]

    def kept(self, thresholds: np.ndarray, *, balance: bool, maximum_rows: int | None) -> np.ndarray:
        """Return how many rows of each class `select` would keep with these ``thresholds`` (float [C]); int64 [C]."""
        counts = np.array(
            [len(values) - np.searchsorted(values, bar) for values, bar in zip(self._sorted, thresholds, strict=True)]
        )
        return _limits(counts, balance, maximum_rows)

    def histogram(self, bins: int) -> list[np.ndarray]:
        """Return the eligible rows of each class by confidence in equal bins from 0 to 1; int64 [bins] a class."""
        return [np.histogram(values, bins, (0, 1))[0] for values in self._sorted]


def live_counts(scores: Path, annotation: Mapping[str, Any], classes: Sequence[str]) -> LiveCounts:
    """Read the scores that an annotation left (``scores.parquet`` and ``annotation.json``).

    Raises
    ------
    StorageError
        If the file is missing or damaged.
    """
    found = read_scores(scores, classes)
    eligible = (found.domain >= annotation["domain_threshold"]) & ~found.already_labelled
    return LiveCounts(found.predicted, found.confidence, eligible, len(classes))


class Scores(NamedTuple):
    """What an annotator said of every row: class int64 [n], confidence and domain float [n], labelled bool [n]."""

    predicted: np.ndarray
    confidence: np.ndarray
    domain: np.ndarray
    already_labelled: np.ndarray


def read_scores(path: Path, classes: Sequence[str]) -> Scores:
    """Read ``scores.parquet``.

    Raises
    ------
    StorageError
        If it is missing, damaged, or of other classes.
    """
    with parquet_errors(path):
        table = pq.read_table(path)
    predicted = pc.index_in(table.column("label"), pa.array(classes, pa.string())).to_numpy()
    if table.column("label").null_count or np.isnan(predicted.astype(float)).any():
        raise StorageError("The scores are of other classes", where=path, remedy="Pseudo-label again.")
    columns = (table.column(name).to_numpy() for name in ("confidence", "domain", "already_labelled"))
    return Scores(predicted.astype(np.int64), *columns)


def _limits(counts: np.ndarray, balance: bool, maximum_rows: int | None) -> np.ndarray:
    """Return how many of ``counts`` rows of each class are kept."""
    limits = counts.copy()
    if balance and counts.any():
        limits = np.minimum(limits, counts[counts > 0].min())
    if maximum_rows is not None and limits.sum() > maximum_rows:
        limits = np.minimum(limits, _fair_share(limits, maximum_rows))
    return limits


def _fair_share(counts: np.ndarray, total: int) -> int:
    """Return the largest limit a class with which no more than ``total`` rows are kept."""
    low, high = 0, total
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= total else (low, middle - 1)
    return low
