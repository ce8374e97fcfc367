"""Parquet files whose footer or page headers say something else than is there: Thrift's compact protocol, both ways.

A struct is a list of ``[field, kind, value]``, so that what was read is written again byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hostile import mutations
from hypothesis import strategies as st

Struct: TypeAlias = "list[list[Any]]"
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12
_MAGIC = b"PAR1"
GROUPS, CHUNKS, METADATA, DATA_PAGE, DICTIONARY_PAGE = 4, 1, 3, 9, 11
PACKED_SIZE, CHUNK_PACKED_SIZE = 3, 7


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in _BOOLEANS:
        return None, at
    if kind in _INTEGERS:
        value, at = _unsigned(data, at)
        return value >> 1 ^ -(value & 1), at
    if kind == _STRUCT:
        return read_struct(data, at)
    if kind in _LISTS:
        size, of = data[at] >> 4, data[at] & 15
        at += 1
        if size == 15:
            size, at = _unsigned(data, at)
        values = []
        for _ in range(size):
            value, at = _value(data, at, _BYTE if of in _BOOLEANS else of)
            values.append(value)
        return (of, values), at
    size = {_BYTE: 1, _DOUBLE: 8}.get(kind, 0)
    if kind == _BINARY:
        size, at = _unsigned(data, at)
    return data[at : at + size], at + size


def read_struct(data: bytes, at: int) -> tuple[Struct, int]:
    """Return the struct that begins at ``at``, and where it ends."""
    fields: Struct = []
    field = 0
    while header := data[at]:
        at += 1
        if header >> 4:
            field += header >> 4
        else:
            field, at = _value(data, at, _INTEGERS[0])
        value, at = _value(data, at, header & 15)
        fields.append([field, header & 15, value])
    return fields, at + 1


def _number(value: int) -> bytes:
    """Write an unsigned number."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _write(kind: int, value: Any) -> bytes:
    if kind in _BOOLEANS:
        return b""
    if kind in _INTEGERS:
        return _number((value << 1 ^ value >> 63) & 2**64 - 1)
    if kind == _STRUCT:
        return write_struct(value)
    if kind in _LISTS:
        of, values = value
        head = bytes([len(values) << 4 | of]) if len(values) < 15 else bytes([0xF0 | of]) + _number(len(values))
        return head + b"".join(_write(_BYTE if of in _BOOLEANS else of, item) for item in values)
    return (_number(len(value)) if kind == _BINARY else b"") + value


def write_struct(fields: Struct) -> bytes:
    """Write a struct."""
    out, last = b"", 0
    for field, kind, value in fields:
        step = field - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + _write(_INTEGERS[0], field)
        out += _write(kind, value)
        last = field
    return out + b"\0"


def field(struct: Struct, number: int) -> Any:
    """Return the value of a field, ``None`` if it is not there."""
    return next((value for found, _, value in struct if found == number), None)


def set_field(struct: Struct, number: int, value: Any) -> None:
    """Change a field that is there."""
    for entry in struct:
        if entry[0] == number:
            entry[2] = value


Pages: TypeAlias = "list[tuple[Struct, bytes]]"


def lying(whole: bytes, change: Callable[[Struct, Pages], None]) -> bytes:
    """Return a Parquet file after ``change`` had its first column's footer and pages; places in it are put right."""
    size = int.from_bytes(whole[-8:-4], "little")
    footer, _ = read_struct(whole, len(whole) - 8 - size)
    chunk = field(field(footer, GROUPS)[1][0], CHUNKS)[1][0]
    facts = field(chunk, METADATA)
    at = field(facts, DICTIONARY_PAGE) or field(facts, DATA_PAGE)
    end = at + field(facts, CHUNK_PACKED_SIZE)
    pages: Pages = []
    while at < end:
        header, begin = read_struct(whole, at)
        at = begin + field(header, PACKED_SIZE)
        pages.append((header, whole[begin:at]))
    # The column is written a second time, behind everything else.
    out = bytearray(whole[: len(whole) - 8 - size])
    begin = len(out)
    change(facts, pages)
    for header, content in pages:
        set_field(facts, DICTIONARY_PAGE if field(header, 1) == 2 else DATA_PAGE, len(out))
        out += write_struct(header) + content
    set_field(facts, CHUNK_PACKED_SIZE, len(out) - begin)
    written = write_struct(footer)
    return bytes(out) + written + len(written).to_bytes(4, "little") + _MAGIC


_NUMBERS = st.sampled_from([0, 1, -1, 127, 2**16, 2**28, 2**31 - 1, -(2**31), 2**62]) | st.integers(0, 50)


def lies(wholes: list[bytes]) -> st.SearchStrategy[bytes]:
    """Parquet files with one or two numbers changed, in the footer or in the header of a page."""

    def integers(struct: Struct) -> list[list[Any]]:
        found = []
        for entry in struct:
            if entry[1] in _INTEGERS:
                found.append(entry)
            elif entry[1] == _STRUCT:
                found += integers(entry[2])
        return found

    def build(whole: bytes, edits: list[tuple[int, int]]) -> bytes:
        def change(facts: Struct, pages: Pages) -> None:
            numbers = integers(facts) + [entry for header, _ in pages for entry in integers(header)]
            for place, value in edits:
                numbers[place % len(numbers)][2] = value

        return lying(whole, change)

    edits = st.lists(st.tuples(st.integers(0, 60), _NUMBERS), min_size=1, max_size=2)
    return st.builds(build, st.sampled_from(wholes), edits) | mutations.mutated_bytes(wholes)
