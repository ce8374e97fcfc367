"""The labels of the texts of a corpus, own and imported, and how many there are of each class at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class TextLabels:
    """Labels of so many rows; a person's own goes before the one that came with the corpus.

    The counts follow each change by its difference: with 100,000 labels, counting anew at every key takes 30 ms.

    Parameters
    ----------
    rows
        Number of texts.
    """

    def __init__(self, rows: int = 0) -> None:
        self._imported = np.full(rows, -1, np.int64)
        self._names: list[str] = []
        self._own: dict[int, str] = {}
        self._labelled = np.zeros(rows, bool)
        self._counts: Counter[str] = Counter()

    def set_imported(self, imported: Mapping[int, str] | pa.ChunkedArray | None, renamed: Mapping[str, str]) -> None:
        """Take the labels that came with the corpus, as `LabelModel.set_imported` has them."""
        names, numbers = _numbered(imported, len(self._imported))
        present = [renamed.get(name, name) for name in names]
        self._names = list(dict.fromkeys(present))
        self._imported = np.array([*map(self._names.index, present), -1], np.int64)[numbers]
        self._count_anew()

    def set_own(self, labels: Mapping[int, str]) -> None:
        """Take the person's own labels, row -> class, in place of those before; those of other rows are passed over."""
        self._own = {row: name for row, name in labels.items() if self._has(row)}
        self._count_anew()

    def change_own(self, labels: Mapping[int, str | None]) -> list[int]:
        """Change the person's own labels, row -> class or ``None`` for none; return which rows there are."""
        changed = [row for row in labels if self._has(row)]
        for row in changed:
            if (before := self.label(row)) is not None:
                self._counts[before] -= 1
            name = labels[row]
            if name is None:
                self._own.pop(row, None)
            else:
                self._own[row] = name
            after = self.label(row)
            if after is not None:
                self._counts[after] += 1
            self._labelled[row] = after is not None
        return changed

    def own(self, row: int) -> str | None:
        """Return the class that the person gave to a row."""
        return self._own.get(row)

    def label(self, row: int) -> str | None:
        """Return the class of a row: the person's own, else the imported one."""
        number = self._imported[row]
        return self._own.get(row) or (self._names[number] if number >= 0 else None)

    def labelled(self) -> np.ndarray:
        """Return whether each row has a label, own or imported: bool [rows], not to be written to."""
        return self._labelled

    def of_class(self, name: str) -> np.ndarray:
        """Return whether each row is of a class: bool [rows]."""
        known = self._names.index(name) if name in self._names else None
        fits = self._imported == known if known is not None else np.zeros(len(self._imported), bool)
        fits[np.fromiter(self._own, np.int64, len(self._own))] = [own == name for own in self._own.values()]
        return fits

    def counts(self) -> dict[str, int]:
        """Return class -> number of labels, own or imported, without those that have none."""
        return {name: number for name, number in self._counts.items() if number}

    def _has(self, row: int) -> bool:
        return 0 <= row < len(self._imported)

    def _count_anew(self) -> None:
        numbers = np.bincount(self._imported + 1, minlength=len(self._names) + 1)[1:].tolist()
        self._counts = Counter(dict(zip(self._names, numbers, strict=True)))
        for row, name in self._own.items():
            self._counts[name] += 1
            if self._imported[row] >= 0:
                self._counts[self._names[self._imported[row]]] -= 1
        self._labelled = self._imported >= 0
        self._labelled[np.fromiter(self._own, np.int64, len(self._own))] = True


def _numbered(labels: Mapping[int, str] | pa.ChunkedArray | None, rows: int) -> tuple[list[str], np.ndarray]:
    """Return the names of the labels and the number of the name of every row, int64 [rows], -1 for none."""
    if labels is None:
        return [], np.full(rows, -1, np.int64)
    if isinstance(labels, Mapping):
        names = list(dict.fromkeys(labels.values()))
        number = {name: place for place, name in enumerate(names)}
        numbers = np.full(rows, -1, np.int64)
        numbers[np.fromiter(labels, np.int64, len(labels))] = [number[name] for name in labels.values()]
        return names, numbers
    encoded = labels.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), np.asarray(pc.fill_null(encoded.indices, -1)).astype(np.int64)
