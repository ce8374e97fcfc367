"""What the pages of a Parquet file say of their own size: the footer, which Arrow's limits would go by, may lie.

A column chunk is a row of pages, each behind a header in Thrift's compact protocol (``PageHeader`` in the format's
``parquet.thrift``). Arrow unpacks a page to the size that its header tells and refuses it if that is wrong, so the
headers are what counts; pyarrow does not show them.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple, TypeAlias

import pyarrow.parquet as pq

from engine.corpus.sources import Source
from engine.errors import StorageError

_Fields: TypeAlias = "dict[int, int | _Fields]"
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12
_UNPACKED, _PACKED, _DICTIONARY, _DATA = 2, 3, 7, (5, 8)
"""Fields of a page's header: its sizes in bytes, and what a dictionary or data (of either version) add."""
_DEEPEST = 6


class Pages(NamedTuple):
    """Bytes of pages when they are unpacked: all together, and of the largest; whether one is a dictionary."""

    total: int
    largest: int
    dictionary: bool


def unpacked_pages(stream: BinaryIO, column: pq.ColumnChunkMetaData, source: Source) -> Pages:
    """Return what the pages of one column of a row group unpack to, as far as Arrow would read them.

    Raises
    ------
    StorageError
        If a header cannot be read.
    """
    place = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < place:
        place = column.dictionary_page_offset
    end = place + column.total_compressed_size
    total, largest, values, dictionary = 0, 0, 0, False
    try:
        while values < column.num_values and place < end:
            stream.seek(place)
            header = _struct(stream)
            unpacked, packed = header[_UNPACKED], header[_PACKED]
            data = next((header[field] for field in _DATA if field in header), None)
            more = data[1] if isinstance(data, dict) else 0
            if not (isinstance(unpacked, int) and isinstance(packed, int) and isinstance(more, int)):
                raise ValueError("a number is none")
            if min(unpacked, packed, more) < 0:
                raise ValueError("a number is negative")
            place = stream.tell() + packed
            dictionary |= _DICTIONARY in header
            total, largest, values = total + unpacked, max(largest, unpacked), values + more
    except (KeyError, ValueError, OverflowError) as error:
        raise StorageError(
            "The Parquet file is damaged or cut off", where=source.path, remedy="Make it again, or save it as CSV."
        ) from error
    return Pages(total, largest, dictionary)


def _struct(stream: BinaryIO, depth: int = 0) -> _Fields:
    """Read a struct: field -> integer or struct; fields of other kinds are passed over."""
    found: _Fields = {}
    field = 0
    while header := _byte(stream):
        step, kind = header >> 4, header & 15
        field = field + step if step else _integer(stream)
        value = _value(stream, kind, depth)
        if value is not None:
            found[field] = value
    return found


def _value(stream: BinaryIO, kind: int, depth: int) -> int | _Fields | None:
    if depth > _DEEPEST:
        raise ValueError("a header is too deep")
    if kind in _INTEGERS:
        return _integer(stream)
    if kind == _STRUCT:
        return _struct(stream, depth + 1)
    if kind in _LISTS:
        header = _byte(stream)
        size, of = header >> 4, header & 15
        for _ in range(_unsigned(stream) if size == 15 else size):
            _byte(stream) if of in _BOOLEANS else _value(stream, of, depth + 1)
    elif kind in (_BYTE, _DOUBLE, _BINARY):
        stream.seek({_BYTE: 1, _DOUBLE: 8}.get(kind) or _unsigned(stream), 1)
    elif kind not in _BOOLEANS:
        raise ValueError(f"{kind} is no kind of value")
    return None


def _byte(stream: BinaryIO) -> int:
    read = stream.read(1)
    if not read:
        raise ValueError("the file ends in a header")
    return read[0]


def _unsigned(stream: BinaryIO) -> int:
    result = 0
    for shift in range(0, 70, 7):
        byte = _byte(stream)
        result |= (byte & 127) << shift
        if byte < 128:
            return result
    raise ValueError("a number is too long")


def _integer(stream: BinaryIO) -> int:
    value = _unsigned(stream)
    return value >> 1 ^ -(value & 1)
