"""One reader a format: each yields the rows of a source, and sets broken ones aside with their line.

`open_table` gives a `Table`: the names of the columns, and an iterator of `Row` or `Broken`.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

import pyarrow.parquet as pq

from engine.corpus.columnar import read_parquet, read_xlsx, seekable
from engine.corpus.json_records import Record, json_records
from engine.corpus.rows import MAXIMUM_COLUMNS, Broken, Row, Table, whole
from engine.corpus.sources import Detected, Source, open_bytes
from engine.corpus.store import parquet_errors
from engine.errors import DataError
from engine.settings import ImportSettings

MAXIMUM_LINE = 8 * 2**20
"""A longer line is set aside, so that a file without line ends does not fill the memory."""
MAXIMUM_RECORD_LINES = 500
MAXIMUM_RECORD = 2**20
"""A quoted field that runs over more lines or characters than these was never closed."""
HEAD_ROWS = 200
HEAD_CHARACTERS = 32 * 2**20
"""So many records, or this much of them, say which columns there are."""

csv.field_size_limit(MAXIMUM_LINE)


@contextmanager
def open_table(source: Source, detected: Detected, settings: ImportSettings) -> Iterator[Table]:
    """Open a source with the reader of its format.

    Raises
    ------
    DataError, StorageError
        If it cannot be read at all; single broken rows are yielded as `Broken`.
    """
    with open_bytes(source) as stream:
        if detected.format == "csv":
            yield _read_csv(source, _text(stream, detected.encoding), detected.delimiter)
        elif detected.format == "jsonl":
            yield _from_objects(_json_lines(_text(stream, detected.encoding)), source)
        elif detected.format == "json":
            errors = "surrogateescape" if detected.encoding == "utf-8-sig" else "replace"
            yield _from_objects(json_records(whole(stream, source).decode(detected.encoding, errors), source), source)
        elif detected.format == "parquet":
            whole_file = seekable(stream, source)
            with parquet_errors(source.path), pq.ParquetFile(whole_file, pre_buffer=False) as file:
                yield read_parquet(whole_file, file, source)
        elif detected.format == "xlsx":
            yield read_xlsx(stream, source)
        elif settings.one_row_per == "file":
            yield Table(["text"], iter([Row(1, [_text(stream, detected.encoding).read(MAXIMUM_LINE)])]))
        else:
            lines = enumerate(_lines(_text(stream, detected.encoding)), 1)
            yield Table(["text"], (Row(n, [line]) if line is not None else _too_long(n) for n, line in lines))


def _text(stream: BinaryIO, encoding: str) -> TextIO:
    # Bytes that are not of the encoding survive as lone surrogates; the row that holds them is set aside later.
    errors = "surrogateescape" if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii") else "replace"
    return io.TextIOWrapper(stream, encoding, errors=errors, newline="")


def _lines(text: TextIO) -> Iterator[str | None]:
    """Lines with their ends; ``None`` for one that is too long."""
    while line := text.readline(MAXIMUM_LINE):
        if len(line) < MAXIMUM_LINE or line.endswith(("\n", "\r")):
            yield line
            continue
        while line and not line.endswith(("\n", "\r")):
            line = text.readline(MAXIMUM_LINE)
        yield None


def _too_long(line: int) -> Broken:
    return Broken(line, f"longer than {MAXIMUM_LINE // 2**20} million characters", "")


# CSV ------------------------------------------------------------------------------------------------------------------


class _Runaway(Exception):
    """A quoted field was opened and, by all signs, never closed."""


class _RecordLines:
    """Feeds lines to ``csv.reader`` and remembers those of the present record, so that they can be read again."""

    def __init__(self, lines: Iterable[str | None]) -> None:
        self._lines = iter(lines)
        self._again: list[str | None] = []
        self.record: list[str] = []
        self._characters = 0
        self.number = 0
        self.too_long = False

    def __iter__(self) -> _RecordLines:
        return self

    def __next__(self) -> str:
        if len(self.record) >= MAXIMUM_RECORD_LINES or (self.record and self._characters > MAXIMUM_RECORD):
            raise _Runaway
        line = self._again.pop() if self._again else next(self._lines, "")
        if line == "":
            if self.record:
                raise _Runaway  # the end of the file came inside a quoted field
            raise StopIteration
        self.number += 1
        self.too_long = line is None
        if line is None:
            raise _Runaway
        self.record.append(line)
        self._characters += len(line)
        return line

    def done(self) -> None:
        """The record is complete."""
        self.record, self._characters = [], 0

    def set_first_aside(self) -> tuple[int, str]:
        """Give back all lines of the record but the first; return the first one's number and text."""
        first = self.number - len(self.record) + 1
        if self.too_long:
            first = self.number
            self.done()
            return first, ""
        text, *rest = self.record
        self._again += reversed(rest)
        self.number = first
        self.done()
        return first, text


def _read_csv(source: Source, text: TextIO, delimiter: str) -> Table:
    lines = _RecordLines(_lines(text))
    try:
        header = next(csv.reader(lines, delimiter=delimiter), [])
    except (_Runaway, csv.Error) as error:
        raise DataError(
            "The first row, with the names of the columns, cannot be read",
            where=source.path,
            remedy="Check its quotes.",
        ) from error
    lines.done()
    columns = [name.strip() or f"column {number}" for number, name in enumerate(header, 1)]
    if not 0 < len(columns) <= MAXIMUM_COLUMNS:
        raise DataError(
            f"The file has {len(columns):,} columns", where=source.path, remedy="Check the delimiter (--delimiter)."
        )
    return Table(columns, _csv_rows(lines, delimiter, len(columns)))


def _csv_rows(lines: _RecordLines, delimiter: str, width: int) -> Iterator[Row | Broken]:
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except (_Runaway, csv.Error):
            too_long = lines.too_long
            line, first = lines.set_first_aside()
            yield _too_long(line) if too_long else Broken(line, "a quote is never closed", first[:200])
            reader = csv.reader(lines, delimiter=delimiter)
            continue
        count = len(lines.record)
        if len(values) == width:
            yield Row(lines.number - count + 1, values)
            lines.done()
        elif not values:
            lines.done()
        else:
            # When several lines were joined to a wrong number of columns, only the first is at fault.
            line, first = lines.set_first_aside()
            reason = "a quote is never closed" if count > 1 else f"{len(values)} columns instead of {width}"
            yield Broken(line, reason, first[:200])
            if count > 1:
                reader = csv.reader(lines, delimiter=delimiter)


# JSON -----------------------------------------------------------------------------------------------------------------


def _json_lines(text: TextIO) -> Iterator[Record | Broken]:
    for number, line in enumerate(_lines(text), 1):
        if line is None:
            yield _too_long(number)
        elif line.strip():
            try:
                yield Record(number, json.loads(line), len(line))
            except (ValueError, RecursionError):
                yield Broken(number, "not valid JSON", line[:200])


def _from_objects(records: Iterator[Record | Broken], source: Source) -> Table:
    """Columns are the keys of the first records, in order of appearance."""
    ahead: list[Record | Broken] = []
    columns: dict[str, None] = {}
    length = 0
    for record in records:
        ahead.append(record)
        if isinstance(record, Record):
            length += record.length
            columns |= dict.fromkeys(map(str, record.value) if isinstance(record.value, dict) else ["text"])
        if len(ahead) == HEAD_ROWS or length > HEAD_CHARACTERS:
            break
    if not columns or len(columns) > MAXIMUM_COLUMNS:
        raise DataError(f"The file has {len(columns):,} columns", where=source.path, remedy="Check the file's format.")
    names = list(columns)

    def rows() -> Iterator[Row | Broken]:
        for record in itertools.chain(ahead, records):
            if isinstance(record, Broken):
                yield record
            elif isinstance(record.value, dict):
                values = [record.value.get(name) for name in names]
                yield Row(record.line, values) if _printable(values) else Broken(record.line, "nested too deeply", "")
            elif names == ["text"] and isinstance(record.value, str):
                yield Row(record.line, [record.value])
            else:
                yield Broken(record.line, "not an object with columns", reprlib.repr(record.value)[:200])

    return Table(names, rows())


def _printable(values: list[Any]) -> bool:
    """Whether what is in the cells can be written as text: JSON may nest as deep as the interpreter just can follow."""
    try:
        return all(str(value) for value in values if isinstance(value, (dict, list)))
    except RecursionError:
        return False
