"""One reader a format: each yields the rows of a source, and sets broken ones aside with their line.

`open_table` gives a `Table`: the names of the columns, and an iterator of `Row` or `Broken`.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, TextIO

import pyarrow.parquet as pq

from engine.corpus.sources import Detected, Source, open_bytes
from engine.corpus.store import parquet_errors
from engine.errors import DataError
from engine.settings import ImportSettings

MAXIMUM_LINE = 8 * 2**20
"""A longer line is set aside, so that a file without line ends does not fill the memory."""
MAXIMUM_RECORD_LINES = 500
MAXIMUM_RECORD = 2**20
"""A quoted field that runs over more lines or characters than these was never closed."""
MAXIMUM_COLUMNS = 10_000
MAXIMUM_JSON = 500 * 2**20
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""What a byte that is not of the encoding becomes; see `_text`."""
UNREADABLE = "bytes that are not of the encoding"
"""Why a row with such a byte is set aside."""

csv.field_size_limit(MAXIMUM_LINE)


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
            yield _from_objects(_json_objects(stream, detected.encoding, source), source)
        elif detected.format == "parquet":
            with parquet_errors(source.path), pq.ParquetFile(_seekable(stream, source), pre_buffer=False) as file:
                yield Table(file.schema_arrow.names, _parquet_rows(file, source))
        elif detected.format == "xlsx":
            yield _read_xlsx(source, stream)
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


def _json_lines(text: TextIO) -> Iterator[tuple[int, Any] | Broken]:
    for number, line in enumerate(_lines(text), 1):
        if line is None:
            yield _too_long(number)
        elif line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield Broken(number, "not valid JSON", line[:200])


def _json_objects(stream: BinaryIO, encoding: str, source: Source) -> Iterator[tuple[int, Any] | Broken]:
    raw = stream.read(MAXIMUM_JSON + 1)
    if len(raw) > MAXIMUM_JSON:
        raise DataError(
            f"The JSON file is larger than {MAXIMUM_JSON // 2**20} MB", where=source.path, remedy="Save it as JSONL."
        )
    try:
        document = json.loads(raw.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "replace"))
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise DataError(f"The file is no valid JSON ({reason})", where=source.path, remedy="Save it again.") from error
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        document = lists[0] if len(lists) == 1 else None
    if not isinstance(document, list):
        raise DataError("The JSON file holds no list of records", where=source.path, remedy="Save a list of objects.")
    return iter(list(enumerate(document, 1)))


def _from_objects(records: Iterator[tuple[int, Any] | Broken], source: Source) -> Table:
    """Columns are the keys of the first 200 records, in order of appearance."""
    ahead: list[tuple[int, Any] | Broken] = []
    columns: dict[str, None] = {}
    for record in records:
        ahead.append(record)
        if not isinstance(record, Broken):
            item = record[1]
            columns |= dict.fromkeys(map(str, item) if isinstance(item, dict) else ["text"])
        if len(ahead) == 200:
            break
    if not columns or len(columns) > MAXIMUM_COLUMNS:
        raise DataError(f"The file has {len(columns):,} columns", where=source.path, remedy="Check the file's format.")
    names = list(columns)

    def rows() -> Iterator[Row | Broken]:
        for part in (ahead, records):
            for record in part:
                if isinstance(record, Broken):
                    yield record
                elif isinstance(record[1], dict):
                    yield Row(record[0], [record[1].get(name) for name in names])
                elif names == ["text"] and isinstance(record[1], str):
                    yield Row(record[0], [record[1]])
                else:
                    yield Broken(record[0], "not an object with columns", json.dumps(record[1])[:200])

    return Table(names, rows())


# Parquet and XLSX -----------------------------------------------------------------------------------------------------


def _seekable(stream: BinaryIO, source: Source) -> BinaryIO:
    if not source.member and source.path.suffix.lower() not in (".gz", ".zst"):
        return stream
    return io.BytesIO(stream.read())


def _parquet_rows(file: pq.ParquetFile, source: Source) -> Iterator[Row | Broken]:
    number = 0
    with parquet_errors(source.path):
        for batch in file.iter_batches(8192):
            columns = [column.to_pylist() for column in batch.columns]
            for values in zip(*columns, strict=True):
                number += 1
                yield Row(number, list(values))


def _read_xlsx(source: Source, stream: BinaryIO) -> Table:
    import zipfile

    from openpyxl import load_workbook

    content = io.BytesIO(stream.read())
    try:
        with zipfile.ZipFile(content) as archive:
            expanded = sum(item.file_size for item in archive.infolist())
        if expanded > max(2**30, 200 * content.getbuffer().nbytes):
            raise DataError("The workbook expands without end", where=source.path, remedy="Save it as CSV.")
        sheet = load_workbook(content, read_only=True, data_only=True).worksheets[0]
        rows = sheet.iter_rows(values_only=True)
        header = list(next(rows, ()))
    except DataError:
        raise
    except Exception as error:  # openpyxl raises whatever the first wrong part of the archive makes it raise
        raise DataError("The workbook cannot be read", where=source.path, remedy="Save it again, or as CSV.") from error
    names = [str(name).strip() if name is not None else f"column {number}" for number, name in enumerate(header, 1)]
    if not names or len(names) > MAXIMUM_COLUMNS:
        raise DataError(f"The first sheet has {len(names):,} columns", where=source.path, remedy="Check the sheet.")

    def read() -> Iterator[Row | Broken]:
        number = 1
        try:
            for values in rows:
                number += 1
                padded = [*values, *[None] * (len(names) - len(values))][: len(names)]
                if any(value is not None for value in padded):
                    yield Row(number, padded)
        except Exception as error:
            raise DataError(
                f"The workbook is damaged after row {number}", where=source.path, remedy="Save it again, or as CSV."
            ) from error

    return Table(names, read())
