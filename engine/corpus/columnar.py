"""The readers of Parquet and XLSX, formats that are read from their end."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.corpus.columns import column_names, did_you_mean
from engine.corpus.header import LOOKED_AT, title_rows
from engine.corpus.parquet_pages import Pages, unpacked_pages
from engine.corpus.rows import MAXIMUM_COLUMNS, Columns, Row, Table, whole
from engine.corpus.sources import BOMB, Source, largest
from engine.corpus.store import parquet_errors
from engine.errors import DataError
from engine.settings import ImportSettings

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


def read_xlsx(stream: BinaryIO, source: Source, settings: ImportSettings) -> Table:
    """Read the rows of a sheet of a workbook, the first one if the settings name none.

    Raises
    ------
    DataError
        If it cannot be read, has no such sheet, has too many columns, or expands without end.
    """
    from openpyxl import load_workbook

    content = seekable(stream, source)
    try:
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
        for item in members:
            if item.file_size > max(XLSX_BOMB, MAXIMUM_XLSX_EXPANSION * item.compress_size):
                raise DataError("The workbook expands without end", where=source.path, remedy="Save it as CSV.")
        sheets = {
            str(sheet.title): sheet for sheet in load_workbook(content, read_only=True, data_only=True).worksheets
        }
        name = _chosen_sheet(list(sheets), settings.sheet, source)
        sheet = sheets[name]
        width = sheet.max_column or 0
        sheet.reset_dimensions()  # what the sheet says of its size may be wrong, and rows are padded to it
        rows = sheet.iter_rows(max_row=MAXIMUM_XLSX_ROWS, values_only=True)
        ahead = list(itertools.islice(rows, LOOKED_AT))
    except DataError:
        raise
    except Exception as error:  # openpyxl raises whatever the first wrong part of the archive makes it raise
        raise DataError("The workbook cannot be read", where=source.path, remedy="Save it again, or as CSV.") from error
    if len(sheets) > 1 and not settings.sheet and not any(value is not None for row in ahead for value in row):
        others = ", ".join(list(sheets)[1:])
        raise DataError(
            f"The first sheet, '{name}', is empty", where=source.path, remedy=f"Choose another one: {others}."
        )
    found = title_rows([["" if value is None else str(value) for value in row] for row in ahead])
    skipped = found if settings.skip_rows is None else settings.skip_rows
    rows = itertools.islice(itertools.chain(ahead, rows), skipped, None)
    header = list(next(rows, ()))
    if len(header) < width <= MAXIMUM_COLUMNS:
        header += [None] * (width - len(header))
    names = column_names(str(cell) if cell is not None else "" for cell in header)
    if not names or len(names) > MAXIMUM_COLUMNS:
        raise DataError(
            f"The sheet '{name}' has {len(names):,} columns",
            where=source.path,
            remedy=f"Check the sheet, or choose another one: {', '.join(sheets)}.",
        )

    def read() -> Iterator[Row]:
        number = skipped + 1
        try:
            for values in rows:
                number += 1
                if any(value is not None for value in values[: len(names)]):
                    yield Row(number, [*values, *[None] * (len(names) - len(values))][: len(names)])
        except Exception as error:
            raise DataError(
                f"The workbook is damaged after row {number}", where=source.path, remedy="Save it again, or as CSV."
            ) from error

    return Table(names, read(), skipped=skipped, sheet=name, sheets=tuple(sheets))


def _chosen_sheet(names: list[str], wanted: str, source: Source) -> str:
    if not names:
        raise DataError("The workbook has no sheet of cells", where=source.path, remedy="Save it again, or as CSV.")
    if not wanted:
        return names[0]
    if wanted in names:
        return wanted
    if wanted.isdecimal() and 0 < int(wanted) <= len(names):
        return names[int(wanted) - 1]
    remedy = f"The sheets are {', '.join(names)}.{did_you_mean(wanted, names)}"
    raise DataError(f"There is no sheet '{wanted}'", where=source.path, remedy=remedy)
