"""The readers of Parquet and XLSX, formats that are read from their end."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.corpus.columns import column_names
from engine.corpus.parquet_pages import Pages, unpacked_pages
from engine.corpus.rows import MAXIMUM_COLUMNS, Columns, Row, Table, whole
from engine.corpus.sources import BOMB, Source, largest
from engine.corpus.store import parquet_errors
from engine.errors import DataError

XLSX_BOMB = 2**26
MAXIMUM_XLSX_EXPANSION = 100
"""A part of a workbook that grows more than this many times, to more than `XLSX_BOMB` bytes, is taken for a bomb."""
MAXIMUM_XLSX_ROWS = 2**20
"""What a sheet can have; the row that a cell claims to be in may be any."""
PARQUET_ROWS = 8192
PARQUET_CELLS = 500_000
PARQUET_BYTES = 2**26
"""So much of a Parquet file becomes Python objects at a time."""


def seekable(stream: BinaryIO, source: Source) -> BinaryIO:
    """Return a stream that can be read from its end: itself, or its bytes in memory if it is packed."""
    if not source.member and source.path.suffix.lower() not in (".gz", ".zst"):
        return stream
    return io.BytesIO(whole(stream, source))


# Parquet --------------------------------------------------------------------------------------------------------------


def read_parquet(stream: BinaryIO, file: pq.ParquetFile, source: Source) -> Table:
    """Read the rows of a Parquet file.

    Raises
    ------
    DataError
        If it has no or too many columns, or expands without end.
    """
    try:
        names = file.schema_arrow.names
    except UnicodeDecodeError as error:
        raise DataError("The names of the columns are damaged", where=source.path, remedy="Save it again.") from error
    if not 0 < len(names) <= MAXIMUM_COLUMNS:
        raise DataError(f"The file has {len(names):,} columns", where=source.path, remedy="Check the file.")
    return Table(column_names(names), _parquet_rows(stream, file, source))


def _parquet_rows(stream: BinaryIO, file: pq.ParquetFile, source: Source) -> Iterator[Columns]:
    number, unpacked = 0, 0
    with parquet_errors(source.path):
        for group in range(file.metadata.num_row_groups):
            columns = _columns(file, group)
            pages = [unpacked_pages(stream, column, source) for column in columns]
            unpacked += sum(column.total for column in pages)
            if unpacked > largest(source.path) or any(column.largest > BOMB for column in pages):
                raise DataError("The Parquet file expands without end", where=source.path, remedy="Save it as CSV.")
            for batch in file.iter_batches(_rows_at_a_time(stream, file, group, pages), row_groups=[group]):
                yield Columns(np.arange(number + 1, number + len(batch) + 1), batch)
                number += len(batch)


def _columns(file: pq.ParquetFile, group: int) -> list[pq.ColumnChunkMetaData]:
    found = file.metadata.row_group(group)
    return [found.column(number) for number in range(found.num_columns)]


def _rows_at_a_time(stream: BinaryIO, file: pq.ParquetFile, group: int, pages: list[Pages]) -> int:
    """Return how many rows of a group fit into `PARQUET_BYTES`, though they may all be its longest text.

    A text that is in the file once may be the value of every row; a dictionary that is read as one tells how long.
    """
    columns = _columns(file, group)
    packed = [
        (size, column.path_in_schema)
        for size, column in zip(pages, columns, strict=True)
        if column.physical_type == "BYTE_ARRAY" and size.dictionary
    ]
    longest = sum(size.total for size in pages) // max(1, file.metadata.row_group(group).num_rows)
    if any(size.total > PARQUET_BYTES // PARQUET_ROWS for size, _ in packed):
        with pq.ParquetFile(stream, pre_buffer=False, read_dictionary=[path for _, path in packed]) as again:
            for batch in again.iter_batches(1, row_groups=[group]):
                for column in batch.columns:
                    if pa.types.is_dictionary(column.type):
                        longest = max(longest, pc.max(pc.binary_length(column.dictionary)).as_py() or 1)
                break
    return max(1, min(PARQUET_ROWS, PARQUET_CELLS // max(1, len(columns)), PARQUET_BYTES // max(1, longest)))


# XLSX -----------------------------------------------------------------------------------------------------------------


def read_xlsx(stream: BinaryIO, source: Source) -> Table:
    """Read the rows of the first sheet of a workbook.

    Raises
    ------
    DataError
        If it cannot be read, has too many columns, or expands without end.
    """
    from openpyxl import load_workbook

    content = seekable(stream, source)
    try:
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
        for item in members:
            if item.file_size > max(XLSX_BOMB, MAXIMUM_XLSX_EXPANSION * item.compress_size):
                raise DataError("The workbook expands without end", where=source.path, remedy="Save it as CSV.")
        sheet = load_workbook(content, read_only=True, data_only=True).worksheets[0]
        width = sheet.max_column or 0
        sheet.reset_dimensions()  # what the sheet says of its size may be wrong, and rows are padded to it
        rows = sheet.iter_rows(max_row=MAXIMUM_XLSX_ROWS, values_only=True)
        header = list(next(rows, ()))
    except DataError:
        raise
    except Exception as error:  # openpyxl raises whatever the first wrong part of the archive makes it raise
        raise DataError("The workbook cannot be read", where=source.path, remedy="Save it again, or as CSV.") from error
    if len(header) < width <= MAXIMUM_COLUMNS:
        header += [None] * (width - len(header))
    names = column_names(str(name) if name is not None else "" for name in header)
    if not names or len(names) > MAXIMUM_COLUMNS:
        raise DataError(f"The first sheet has {len(names):,} columns", where=source.path, remedy="Check the sheet.")

    def read() -> Iterator[Row]:
        number = 1
        try:
            for values in rows:
                number += 1
                if any(value is not None for value in values[: len(names)]):
                    yield Row(number, [*values, *[None] * (len(names) - len(values))][: len(names)])
        except Exception as error:
            raise DataError(
                f"The workbook is damaged after row {number}", where=source.path, remedy="Save it again, or as CSV."
            ) from error

    return Table(names, read())
