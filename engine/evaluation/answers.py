"""What a prompt says of the texts of files, as a table: CSV, Parquet or JSON lines."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from engine.corpus.columns import column_names
from engine.corpus.rows import LONE_SURROGATE
from engine.corpus.sources import find_sources
from engine.corpus.spreadsheet import plain_cell
from engine.errors import SettingsError
from engine.storage import replacing

OWN = (("source", pa.string()), ("row", pa.int64()), ("text", pa.string()), ("prediction", pa.string()))
_NUMBER = re.compile(r"[+-]?[\d.,]+(e[+-]?\d+)?", re.IGNORECASE)

Writer: TypeAlias = Callable[[Sequence[Sequence[Any]]], None]
"""Takes the next rows: a sequence of values for each column."""


def check_ending(output: Path) -> None:
    """Refuse a file that no answers can be written to.

    Raises
    ------
    SettingsError
        If its ending is none of .csv, .parquet and .jsonl.
    """
    if output.suffix not in _WRITERS:
        raise SettingsError(
            f"Predictions cannot be written as '{output.suffix}'",
            where=output,
            remedy="Let the name end with .csv, .parquet or .jsonl.",
        )


def check_place(output: Path, files: Sequence[str | Path]) -> None:
    """Refuse to write the answers over what is to be classified.

    Raises
    ------
    SettingsError
        If the output is one of the files, an archive of theirs, or in a folder or pattern that names it.
    DataError, StorageError
        If there are no such files.
    """
    for source in find_sources(files):
        if source.path.resolve() == output.resolve() or (output.exists() and source.path.samefile(output)):
            raise SettingsError(
                "The answers would be written over a file that is to be classified",
                where=output,
                remedy="Choose another name or folder for the answers.",
            )


@contextmanager
def writing_answers(
    output: Path, classes: Sequence[str], others: Sequence[str], *, spreadsheet: bool
) -> Iterator[Writer]:
    """Give what writes rows to ``output``, in the format of its ending; the file is there when the block ends well.

    Its columns: `OWN`, ``p(CLASS)`` for each class, and the files' ``others``; one that is called like another gets a
    number.

    Parameters
    ----------
    spreadsheet
        Whether CSV is for a spreadsheet program: with a byte order mark, and with an apostrophe before what begins like
        a formula (in ``others`` not before numbers).

    Raises
    ------
    SettingsError
        As `check_ending`.
    StorageError
        If it cannot be written.
    """
    check_ending(output)
    names = column_names([*(name for name, _ in OWN), *(f"p({name})" for name in classes), *others])
    kinds = [*(kind for _, kind in OWN), *[pa.float32()] * len(classes), *[pa.string()] * len(others)]
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    with replacing(output) as temporary, _WRITERS[output.suffix](temporary, schema, spreadsheet) as write:
        yield write


@contextmanager
def _csv(path: Path, schema: pa.Schema, spreadsheet: bool) -> Iterator[Writer]:
    if spreadsheet:
        schema = pa.schema([field.with_name(plain_cell(field.name)) for field in schema])
    with open(path, "wb") as stream:
        stream.write(codecs.BOM_UTF8 if spreadsheet else b"")
        with pacsv.CSVWriter(stream, schema) as table:
            yield lambda columns: table.write_batch(_batch(columns, schema, spreadsheet=spreadsheet))


@contextmanager
def _parquet(path: Path, schema: pa.Schema, _: bool) -> Iterator[Writer]:
    with pq.ParquetWriter(path, schema, compression="zstd") as table:
        yield lambda columns: table.write_batch(_batch(columns, schema))


@contextmanager
def _jsonl(path: Path, schema: pa.Schema, _: bool) -> Iterator[Writer]:
    def write(columns: Sequence[Sequence[Any]]) -> None:
        rows = (dict(zip(schema.names, row, strict=True)) for row in zip(*columns, strict=True))
        stream.writelines(LONE_SURROGATE.sub("\ufffd", json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)

    with open(path, "w", encoding="utf-8") as stream:
        yield write


_WRITERS = {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}


def _batch(columns: Sequence[Sequence[Any]], schema: pa.Schema, *, spreadsheet: bool = False) -> pa.RecordBatch:
    arrays = []
    for at, (values, field) in enumerate(zip(columns, schema, strict=True)):
        if pa.types.is_string(field.type):
            values = [_text(value) for value in values]
            if spreadsheet:
                values = [_cell(text, numbers=at >= len(OWN)) for text in values]
        arrays.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _text(value: Any) -> str | None:
    """Return what a cell shows of a value of a file; bytes that are not of its encoding become question marks."""
    if value is None or (isinstance(value, str) and value.isascii()):
        return value
    return LONE_SURROGATE.sub("\ufffd", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cell(text: str | None, *, numbers: bool) -> str | None:
    """Return what a spreadsheet program shows as the text that it is; ``numbers`` may be numbers there."""
    return text if text is None or (numbers and _NUMBER.fullmatch(text)) else plain_cell(text)
