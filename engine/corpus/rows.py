"""What every reader yields, and how much of a file is taken into memory at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from engine.corpus.sources import Source
from engine.errors import DataError

MAXIMUM_COLUMNS = 10_000
MAXIMUM_IN_MEMORY = 256 * 2**20
"""A JSON file, and a packed file of a format that has to be read from its end, may not be larger."""
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""What a byte that is not of the encoding becomes."""
UNREADABLE = "bytes that are not of the encoding"
"""Why a row with such a byte is set aside."""


class Row(NamedTuple):
    """A row as it was read: its line (or record) number from 1, and its values in the order of the columns."""

    line: int
    values: list[Any]


class Broken(NamedTuple):
    """A row that cannot be used: where, why, and how it begins."""

    line: int
    reason: str
    excerpt: str


@dataclass(frozen=True)
class Columns:
    """Many rows at once, none of them broken.

    Attributes
    ----------
    lines
        Line (or record) number of each row from 1, int64 [rows].
    batch
        Their values, a column for each of the table's.
    """

    lines: np.ndarray
    batch: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.lines)

    def head(self, rows: int) -> Columns:
        """Return the first rows."""
        return Columns(self.lines[:rows], self.batch.slice(0, rows))

    def rows(self) -> Iterator[Row]:
        """Yield one after the other."""
        columns = [python_values(column) for column in self.batch.columns]
        for line, values in zip(self.lines.tolist(), zip(*columns, strict=True), strict=True):
            yield Row(line, list(values))


Read: TypeAlias = Row | Broken | Columns


@dataclass(frozen=True)
class Table:
    """What one source holds; ``parts`` can be read once, as they are or as single ``rows``.

    ``named`` is whether it names its columns; else they are called by their numbers. ``skipped`` rows above them were
    left out. ``sheet`` is the one of a workbook's ``sheets`` that it was read from.
    """

    columns: list[str]
    parts: Iterator[Read]
    named: bool = True
    skipped: int = 0
    sheet: str = ""
    sheets: tuple[str, ...] = ()

    @property
    def rows(self) -> Iterator[Row | Broken]:
        """The rows one by one."""
        for part in self.parts:
            if isinstance(part, Columns):
                yield from part.rows()
            else:
                yield part


def python_values(column: pa.Array) -> list[Any]:
    """Return the values; bytes that are no UTF-8 become lone surrogates, what Python does not know becomes a text."""
    try:
        return list(column.to_pylist())
    except (ValueError, ArithmeticError, LookupError):
        pass  # bytes that are no UTF-8, or a date that Python does not know: Arrow may still know how to write it
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        raw = column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "surrogateescape") for value in raw]
    return list(column.cast(pa.string()).to_pylist())


def whole(stream: BinaryIO, source: Source) -> bytes:
    """Return all bytes of a stream.

    Raises
    ------
    DataError
        If they are more than `MAXIMUM_IN_MEMORY`.
    """
    content = stream.read(MAXIMUM_IN_MEMORY + 1)
    if len(content) > MAXIMUM_IN_MEMORY:
        raise DataError(
            f"The file is larger than {MAXIMUM_IN_MEMORY // 2**20} MB, too much for its format",
            where=source.path,
            remedy="Save it as JSONL or CSV, or unpack it.",
        )
    return content
