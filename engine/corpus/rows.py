"""What every reader yields, and how much of a file is taken into memory at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

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
class Table:
    """The rows of one source; ``rows`` can be read once."""

    columns: list[str]
    rows: Iterator[Row | Broken]


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
