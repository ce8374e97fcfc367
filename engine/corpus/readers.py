"""One reader a format: each yields the rows of a source, and sets broken ones aside with their line.

`open_table` gives a `Table`: the names of the columns, and an iterator of `Row` or `Broken`.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

import pyarrow.parquet as pq

from engine.corpus.columnar import read_parquet, read_xlsx, seekable
from engine.corpus.delimited import MAXIMUM_LINE, lines, read_csv, too_long
from engine.corpus.json_records import Record, json_records
from engine.corpus.rows import MAXIMUM_COLUMNS, Broken, Row, Table, whole
from engine.corpus.sources import Detected, Source, open_bytes
from engine.corpus.store import parquet_errors
from engine.errors import DataError
from engine.settings import ImportSettings

HEAD_ROWS = 200
HEAD_CHARACTERS = 32 * 2**20
"""So many records, or this much of them, say which columns there are."""


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
            text = _text(stream, detected.encoding)
            yield read_csv(source, text, detected.delimiter, settings.header, skipped=detected.skipped)
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
            yield read_xlsx(stream, source, settings)
        elif settings.one_row_per == "file":
            yield Table(["text"], iter([Row(1, [_text(stream, detected.encoding).read(MAXIMUM_LINE)])]))
        else:
            found = enumerate(lines(_text(stream, detected.encoding)), 1)
            yield Table(["text"], (Row(n, [line]) if line is not None else too_long(n) for n, line in found))


def _text(stream: BinaryIO, encoding: str) -> TextIO:
    # Bytes that are not of the encoding survive as lone surrogates; the row that holds them is set aside later.
    errors = "surrogateescape" if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii") else "replace"
    return io.TextIOWrapper(stream, encoding, errors=errors, newline="")


# JSON -----------------------------------------------------------------------------------------------------------------


def _json_lines(text: TextIO) -> Iterator[Record | Broken]:
    for number, line in enumerate(lines(text), 1):
        if line is None:
            yield too_long(number)
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
