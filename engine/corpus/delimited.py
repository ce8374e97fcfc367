"""Text line by line, and the reader of CSV: blocks of good records by Arrow, anything else record by record.

Both ways read the same records. A block goes the slow way when Arrow does not take it, or when its lines cannot be told
from what Arrow returns (blank lines, bare carriage returns, quotes that are never closed).
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import Literal, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from engine.corpus.columns import column_names
from engine.corpus.header import LOOKED_AT, names_columns
from engine.corpus.rows import MAXIMUM_COLUMNS, Broken, Columns, Read, Row, Table
from engine.corpus.sources import SEPARATOR_LINE, Source
from engine.errors import DataError

BLOCK = 2**20
"""So many characters are read at a time."""
MAXIMUM_LINE = 8 * 2**20
"""A longer line is set aside, so that a file without line ends does not fill the memory."""
MAXIMUM_RECORD_LINES = 500
MAXIMUM_RECORD = 2**20
"""A quoted field that runs over more lines or characters than these was never closed."""
_ANY_LINE_END = re.compile(r"\r\n|\n|\r")
_LINE_END = re.compile(r"\r\n|\n|\r(?=.)", re.DOTALL)  # what follows a last \r is not known yet

csv.field_size_limit(MAXIMUM_LINE)


def blocks(text: TextIO) -> Iterator[str | None]:
    """Yield whole lines with their ends, about `BLOCK` characters at a time; ``None`` is a line that is too long."""
    begun, too_long = "", False
    while read := text.read(max(BLOCK, len(begun))):
        read = begun + read
        if too_long:
            end = _LINE_END.search(read)
            if end is None:
                begun = read[-1:]
                continue
            read, too_long = read[end.end() :], False
            yield None
        border = read.rfind("\n") + 1 or read.rfind("\r", 0, len(read) - 1) + 1
        block, begun = read[:border], read[border:]
        if len(block) > MAXIMUM_LINE and len(first := split_lines(block)[0]) > MAXIMUM_LINE:
            yield None
            block = block[len(first) :]
        if block:
            yield block
        if len(begun) > MAXIMUM_LINE:
            begun, too_long = begun[-1:], True
    if begun or too_long:
        yield None if too_long else begun


def lines(text: TextIO) -> Iterator[str | None]:
    """Yield the lines with their ends; ``None`` is one that is too long."""
    for block in blocks(text):
        yield from [None] if block is None else split_lines(block)


def split_lines(block: str) -> list[str]:
    """Split at \\n, \\r\\n and \\r, and nowhere else; the ends are kept."""
    return list(io.StringIO(block, newline=""))


def too_long(line: int) -> Broken:
    """Return what is told of a line that is ``None``."""
    return Broken(line, f"longer than {MAXIMUM_LINE // 2**20} million characters", "")


def read_csv(
    source: Source, text: TextIO, delimiter: str, header: Literal["auto", "yes", "no"] = "auto", *, skipped: int = 0
) -> Table:
    """Read the first rows, and the others as they are asked for; columns without names are called by their number.

    The first ``skipped`` rows are left out, besides a line that says what the delimiter is.

    Raises
    ------
    DataError
        If the first row cannot be read or has too many columns.
    """
    ahead = _Ahead(blocks(text))
    try:
        first = next(csv.reader(ahead, delimiter=delimiter), [])
        for _ in range(skipped + bool(SEPARATOR_LINE.fullmatch(delimiter.join(first)))):
            ahead.done()
            first = next(csv.reader(ahead, delimiter=delimiter), [])
    except (_Runaway, csv.Error) as error:
        raise DataError(
            "The first row, with the names of the columns, cannot be read",
            where=source.path,
            remedy="Check its quotes.",
        ) from error
    line = ahead.number
    ahead.done()
    if not 0 < len(first) <= MAXIMUM_COLUMNS:
        raise DataError(
            f"The file has {len(first):,} columns", where=source.path, remedy="Check the delimiter (--delimiter)."
        )
    records = _records(ahead, delimiter, len(first))
    named = header == "yes"
    if header == "auto":
        begun, below = _first_rows(records)
        records = itertools.chain(begun, records)
        named = names_columns(first, below)
    if named:
        return Table(column_names(first), records, skipped=skipped)
    rows = itertools.chain([Row(line, first)], records)
    return Table(column_names("" for _ in first), rows, named=False, skipped=skipped)


def _first_rows(records: Iterator[Read]) -> tuple[list[Read], list[list[str]]]:
    """Return what had to be read for the first rows, and those."""
    begun: list[Read] = []
    rows: list[list[str]] = []
    for part in records:
        begun.append(part)
        singly = part.head(LOOKED_AT).rows() if isinstance(part, Columns) else [part]
        rows += [row.values for row in singly if isinstance(row, Row)]
        if len(begun) >= LOOKED_AT or len(rows) >= LOOKED_AT:
            break
    return begun, rows


def _records(ahead: _Ahead, delimiter: str, width: int) -> Iterator[Read]:
    parser = _BlockParser(delimiter, width)
    while True:
        text = ahead.whole_block()
        if text is not None:
            columns, rest, ended = parser.parse(text, ahead.number)
            if columns is not None:
                ahead.number += ended
                yield columns
                if ahead.keep(rest):
                    continue
            ahead.split(rest)
        elif not ahead.more():
            return
        yield from _one_by_one(ahead, delimiter, width)


def _one_by_one(ahead: _Ahead, delimiter: str, width: int) -> Iterator[Row | Broken]:
    """Read records as long as there are lines already."""
    reader = csv.reader(ahead, delimiter=delimiter)
    while ahead.left:
        number = ahead.number
        try:
            values = next(reader)
        except (_Runaway, csv.Error):
            first = ahead.set_first_aside()
            yield too_long(number) if first is None else Broken(number, "a quote is never closed", first[:200])
            reader = csv.reader(ahead, delimiter=delimiter)
            continue
        if values and len(values) != width:
            # When several lines were joined to a wrong number of columns, only the first is at fault.
            reason = "a quote is never closed" if ahead.taken > 1 else f"{len(values)} columns instead of {width}"
            yield Broken(number, reason, str(ahead.set_first_aside())[:200])
            continue
        ahead.done()
        if values:
            yield Row(number, values)


class _Runaway(Exception):
    """A quoted field was opened and, by all signs, never closed."""


def _end_of_block() -> Iterator[str]:
    raise _Runaway
    yield


class _BlockParser:
    """Reads many records at once."""

    def __init__(self, delimiter: str, width: int) -> None:
        self._names = [str(number) for number in range(width)]
        arrow_can = delimiter.isascii() and delimiter != "\0"
        self._format = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True) if arrow_can else None
        self._values = arrow_csv.ConvertOptions(column_types=dict.fromkeys(self._names, pa.string()))
        self._delimiter = delimiter

    def parse(self, text: str, number: int) -> tuple[Columns | None, str, int]:
        """Return the records of ``text``, whose first line is ``number``, the last one if it is not whole, and how
        many lines ended before it.

        ``None`` and all of the text if it has to be read record by record.
        """
        slowly = None, text, 0
        if self._format is None or text.startswith("\ufeff"):
            return slowly
        try:
            content = text.encode()
        except UnicodeEncodeError:
            return slowly
        ends = _line_ends(content)
        if ends is None:
            return slowly
        try:
            reading = arrow_csv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=max(len(content) + 1, 2)
            )
            table = arrow_csv.read_csv(pa.BufferReader(content), reading, self._format, self._values)
        except pa.ArrowException:
            return slowly
        if not len(table):
            return slowly
        batch = table.combine_chunks().to_batches()[0]
        begun = np.zeros(len(batch), np.int64)  # lines of a record after its first
        line_count = ends + (not text.endswith("\n"))
        if line_count != len(batch):
            for column in batch.columns:
                begun += pc.count_substring(column, "\n").to_numpy()
            lengths = sum(pc.utf8_length(column).to_numpy().astype(np.int64) for column in batch.columns)
            longest = 2 * np.max(lengths, where=begun > 0, initial=0) + 3 * len(self._names)  # with all its quotes
            runs_on = begun.max() >= MAXIMUM_RECORD_LINES or longest > MAXIMUM_RECORD
            if runs_on or line_count != len(batch) + begun.sum():
                return slowly
        lines = number + np.arange(len(batch)) + np.cumsum(begun) - begun
        last = _last_lines(text, int(begun[-1]) + 1)
        try:
            values = next(csv.reader(itertools.chain(split_lines(last), _end_of_block()), delimiter=self._delimiter))
        except (_Runaway, csv.Error):
            if len(batch) == 1:
                return slowly
            return Columns(lines[:-1], batch.slice(0, len(batch) - 1)), last, ends - last.count("\n")
        if values != [column[-1].as_py() for column in batch.columns]:
            return slowly
        return Columns(lines, batch), "", ends


def _line_ends(content: bytes) -> int | None:
    """Return the number of line ends; ``None`` if there is a carriage return without a line feed."""
    values = np.frombuffer(content, np.uint8)
    feeds = values == ord("\n")
    returns = values == ord("\r")
    if np.count_nonzero(returns) != np.count_nonzero(returns[:-1] & feeds[1:]):
        return None
    return int(np.count_nonzero(feeds))


def _last_lines(text: str, count: int) -> str:
    place = len(text)
    for _ in range(count):
        place = text.rfind("\n", 0, max(place - 1, 0)) + 1
    return text[place:]


class _Ahead:
    """What has been read and not been used: lines, or else the kept beginning of a record, and after it a text.

    Attributes
    ----------
    number
        Line of the file, from 1, that the present record begins in.
    """

    def __init__(self, found: Iterator[str | None]) -> None:
        self._blocks = found
        self._text, self._at = "", 0
        self._kept = ""
        self._lines: list[str | None] = []
        self._begin = self._next = self._characters = 0
        self.number = 1

    @property
    def left(self) -> bool:
        """Whether there is a line already."""
        return self._begin < len(self._lines)

    @property
    def taken(self) -> int:
        """Number of lines of the present record."""
        return self._next - self._begin

    def whole_block(self) -> str | None:
        """Return text to be read at once, what was kept before it; ``None`` if there is none, or lines come first."""
        if self.left:
            return None
        text = self._text[self._at :] or next(self._blocks, "")
        self._text, self._at = "", 0
        if text is None:
            self.split(self._kept)
            self._lines.append(None)
            self._kept = ""
            return None
        text, self._kept = self._kept + text, ""
        return text or None

    def keep(self, rest: str) -> bool:
        """Keep the beginning of a record for the next block; do not if it is too long to be one."""
        if len(rest) > MAXIMUM_RECORD or rest.count("\n") > MAXIMUM_RECORD_LINES:
            return False
        self._kept = rest
        return True

    def split(self, text: str) -> None:
        """Split a text into the lines that come next."""
        self._lines, self._begin, self._next = list(split_lines(text)), 0, 0

    def more(self) -> bool:
        """Whether there is another line for the present record; reads on where need be."""
        if self._next < len(self._lines):
            return True
        while self._at == len(self._text):
            block = next(self._blocks, "")
            if block is None:
                self._lines.append(None)
                return True
            if not block:
                return False
            self._text, self._at = block, 0
        end = _ANY_LINE_END.search(self._text, self._at)
        border = end.end() if end else len(self._text)
        self._lines.append(self._text[self._at : border])
        self._at = border
        return True

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> str:
        """Feed ``csv.reader`` with the next line of the present record."""
        if not self.more():
            if self.taken:
                raise _Runaway  # the end of the file came inside a quoted field
            raise StopIteration
        line = self._lines[self._next]
        if line is None or self.taken >= MAXIMUM_RECORD_LINES or (self.taken and self._characters > MAXIMUM_RECORD):
            raise _Runaway
        self._next += 1
        self._characters += len(line)
        return line

    def done(self) -> None:
        """The record is complete."""
        self.number += self.taken
        self._begin, self._characters = self._next, 0
        if self._begin > 10_000 and 2 * self._begin > len(self._lines):
            del self._lines[: self._begin]
            self._begin = self._next = 0

    def set_first_aside(self) -> str | None:
        """Begin a record after the first line of this one, and return that line, ``None`` if it was too long."""
        first = self._lines[self._begin]
        self._next = self._begin + 1
        self.done()
        return first
