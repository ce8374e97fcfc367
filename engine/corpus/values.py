"""Which values the columns of files have, and how often: a file may be sorted by one of them."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.corpus.columns import label_value
from engine.corpus.readers import open_table
from engine.corpus.rows import Broken, Columns, Read, Row, python_values
from engine.corpus.sources import Source, closing, detect, find_sources
from engine.errors import MetaPTError
from engine.settings import ImportSettings
from engine.stage import StopToken

MOST_VALUES, MOST_CHARACTERS = 1_000, 100_000
"""A column with more different values, or with longer ones in all, holds no labels."""
FEW = 30
"""More values than these have to come twice each, on average: numbers of rows do not."""


class ColumnValues:
    """Counts the values of the columns that have few different ones; of columns of one name the first is meant.

    Parameters
    ----------
    columns
        Names of all columns.
    only
        The column whose values are counted, if not those of all.
    """

    def __init__(self, columns: Sequence[str], *, only: str | None = None) -> None:
        self._columns = columns
        self._characters: Counter[int] = Counter()
        names = dict.fromkeys(columns) if only is None else {only} & set(columns)
        self._counts = {columns.index(name): Counter[str]() for name in names}

    def add(self, part: Read) -> None:
        """Count the values of one row, or of many."""
        if isinstance(part, Row):
            for number in list(self._counts):
                self._add(number, [(part.values[number], 1)])
        elif isinstance(part, Columns):
            for number in list(self._counts):
                self._add_array(number, part.batch.column(number))

    def found(self) -> dict[str, dict[str, int]]:
        """Return column -> value -> count, of the columns that have a value and not too many."""
        return {
            self._columns[number]: dict(counts)
            for number, counts in self._counts.items()
            if counts and (len(counts) <= FEW or counts.total() >= 2 * len(counts))
        }

    def _add_array(self, number: int, column: pa.Array) -> None:
        try:
            counted = pc.value_counts(column)
        except pa.ArrowNotImplementedError:  # lists and the like are no labels
            del self._counts[number]
            return
        values = counted.field("values")
        if len(values) > 2 * MOST_VALUES:  # 5 and 5.0 are one value
            del self._counts[number]
        else:
            self._add(number, zip(python_values(values), counted.field("counts").to_pylist(), strict=True))

    def _add(self, number: int, counted: Any) -> None:
        counts = self._counts[number]
        for value, count in counted:
            if isinstance(value, (bytes, list, dict)):
                del self._counts[number]
                return
            if shown := label_value(value):
                if shown not in counts:
                    self._characters[number] += len(shown)
                counts[shown] += count
        if len(counts) > MOST_VALUES or self._characters[number] > MOST_CHARACTERS:
            del self._counts[number]


class Reading:
    """A table that is read once: its first rows for a person to see, and the values of all rows.

    Attributes
    ----------
    counted
        Rows whose values have been counted.
    whole
        Whether these are all.
    """

    def __init__(self, parts: Iterator[Read], values: ColumnValues) -> None:
        self._parts, self._values = parts, values
        self.counted, self.whole = 0, False

    def rows(self, most: int, characters: int) -> list[Row | Broken]:
        """Return the first rows: at most so many, and no more after so many characters."""
        read: list[Row | Broken] = []
        for part in self._parts:
            self._count(part)
            for row in part.head(most - len(read)).rows() if isinstance(part, Columns) else (part,):
                read.append(row)
                if isinstance(row, Row):
                    characters -= sum(len(value) for value in row.values if isinstance(value, (str, bytes)))
                if characters < 0:
                    return read
            if len(read) >= most:
                return read
        self.whole = True
        return read

    def count(self, seconds: float, stop: StopToken | None = None) -> None:
        """Count the values of the rows that follow, for so long, or until it is asked to stop."""
        deadline = time.monotonic() + seconds
        for part in self._parts:
            if time.monotonic() > deadline or (stop is not None and stop.requested):
                return
            self._count(part)
        self.whole = True

    def _count(self, part: Read) -> None:
        self.counted += len(part) if isinstance(part, Columns) else 1
        self._values.add(part)


def values_of(
    files: Sequence[str], settings: ImportSettings, *, seconds: float, stop: StopToken | None = None
) -> dict[str, int]:
    """Return value -> count of the label column over all files, as far as they are read in so many seconds.

    It ends early when it is asked to ``stop``.

    A file that cannot be read to its end, or has no such column, is passed over from there on; a column of too many
    different values has none here.

    Raises
    ------
    DataError, StorageError
        If there is no file.
    """
    deadline = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    sources = find_sources(files)
    with closing(sources):
        for source in sources:
            if stop is not None and stop.requested:
                break
            with contextlib.suppress(MetaPTError):
                counts.update(_counted(source, settings, deadline - time.monotonic(), stop))
    return dict(counts)


def _counted(source: Source, settings: ImportSettings, seconds: float, stop: StopToken | None) -> dict[str, int]:
    detected = detect(source, settings)
    if detected is None or seconds < 0:
        return {}
    values = ColumnValues([])
    with contextlib.suppress(MetaPTError), open_table(source, detected, settings) as table:
        values = ColumnValues(table.columns, only=settings.label_column)
        Reading(table.parts, values).count(seconds, stop)
    return values.found().get(settings.label_column, {})
