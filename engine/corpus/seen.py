"""Which texts have been seen: 64-bit hashes in sorted arrays, 12 bytes a text, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class SeenTexts:
    """Tells first occurrences from duplicates, and duplicates whose label is another one than that of the first.

    What is compared is Python's hash of a string: 64 bits of SipHash under a key that is new in every process, so that
    nobody can make up texts that collide, and fifty times as fast as a digest. The hashes are kept, with the number of
    the label, in runs of geometrically growing length.

    Attributes
    ----------
    late
        Hash of a text that came without a label first -> the first label that a duplicate of it has.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []  # sorted hashes, int64; labels, int32
        self._numbers: dict[str | None, int] = {None: 0}
        self.late: dict[int, str] = {}

    def add(self, texts: Sequence[str], labels: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
        """Return bool [n] twice: the text is new; it was there before, with another label.

        The label of a text that had none until then is no other one: `late` keeps it.
        """
        numbers = self._numbers
        for label in set(labels).difference(numbers):
            numbers[label] = len(numbers)
        given = np.fromiter(map(numbers.__getitem__, labels), np.int32, count=len(labels))
        hashes = np.fromiter(map(hash, texts), np.int64, count=len(texts))
        unique, first = np.unique(hashes, return_index=True)
        kept, known = given[first], np.zeros(len(unique), bool)
        for run, run_labels in self._runs:
            places = np.minimum(np.searchsorted(run, unique), len(run) - 1)
            if (here := run[places] == unique).any():
                kept[here] = run_labels[places[here]]
                known |= here
        new, conflicts = np.zeros(len(hashes), bool), np.zeros(len(hashes), bool)
        new[first[~known]] = True
        again = np.flatnonzero(~new)
        before = kept[np.searchsorted(unique, hashes[again])]
        conflicts[again] = (given[again] != before) & (given[again] != 0)
        for row in again[(before == 0) & conflicts[again]].tolist():
            label = str(labels[row])
            conflicts[row] = self.late.setdefault(int(hashes[row]), label) != label
        if not known.all():
            self._keep(unique[~known], kept[~known])
        return new, conflicts

    def _keep(self, hashes: np.ndarray, labels: np.ndarray) -> None:
        self._runs.append((hashes, labels))
        while len(self._runs) > 1 and 2 * len(self._runs[-1][0]) >= len(self._runs[-2][0]):
            last, before = self._runs.pop(), self._runs.pop()
            merged, merged_labels = (np.concatenate(both) for both in zip(before, last, strict=True))
            order = np.argsort(merged)
            self._runs.append((merged[order], merged_labels[order]))
