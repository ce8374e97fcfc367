"""Which texts have been seen: 64-bit hashes in sorted arrays, 8 bytes a text, however many there are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


class _Hashes:
    """A growing set of 64-bit hashes as sorted arrays of geometrically growing length."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """Add ``hashes`` int64 [n]; return bool [n], True where one occurs for the first time."""
        unique, first = np.unique(hashes, return_index=True)
        known = np.zeros(len(unique), bool)
        for run in self._runs:
            places = np.searchsorted(run, unique)
            known |= run[np.minimum(places, len(run) - 1)] == unique
        new = np.zeros(len(hashes), bool)
        new[first[~known]] = True
        if not known.all():
            self._runs.append(unique[~known])
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) >= len(self._runs[-2]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort()
            self._runs.append(merged)
        return new


class SeenTexts:
    """Tells first occurrences from duplicates, and duplicates whose label is another one.

    What is compared is Python's hash of a string: 64 bits of SipHash under a key that is new in every process, so that
    nobody can make up texts that collide, and fifty times as fast as a digest.
    """

    def __init__(self) -> None:
        self._texts, self._labelled = _Hashes(), _Hashes()

    def add(self, texts: Sequence[str], labels: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
        """Return bool [n] twice: the text is new; the text is known, but not with this label."""
        new = self._texts.add(_hashes(texts))
        new_with_label = self._labelled.add(_hashes(list(zip(texts, labels, strict=True))))
        return new, ~new & new_with_label


def _hashes(values: Sequence[Hashable]) -> np.ndarray:
    return np.fromiter(map(hash, values), np.int64, count=len(values))
