"""JSON, value by value: a list of millions, held at once, is many times as large as its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from engine.corpus.sources import Source
from engine.errors import DataError

_SPACE = re.compile(r"[ \t\n\r]*")


class Record(NamedTuple):
    """A JSON value: its line or number from 1, and how many characters it was written in."""

    line: int
    value: Any
    length: int


def json_records(text: str, source: Source) -> Iterator[Record]:
    """Yield the items of the list that the document is, or of the only list in the object that it is.

    Raises
    ------
    DataError
        If it holds no such list, or, when that is reached, what is no JSON.
    """
    document = _Document(text, source)
    start = document.next_mark(0)
    lists = [start] if document.mark(start) == "[" else []
    if document.mark(start) == "{":
        lists = [place for place in document.members(start) if document.mark(place) == "["]
    elif not lists:
        document.value(start)
    if len(lists) != 1:
        raise DataError("The JSON file holds no list of records", where=source.path, remedy="Save a list of objects.")
    yield from document.items(lists[0])
    if lists[0] == start:
        document.check_end()


class _Document:
    """Walks through a JSON text.

    Attributes
    ----------
    end
        Where the list or object that was walked through last ends.
    """

    def __init__(self, text: str, source: Source) -> None:
        self._text, self._source = text, source
        self._decode = json.JSONDecoder().raw_decode
        self.end = 0

    def mark(self, place: int) -> str:
        """Return the character at a place, nothing at the end."""
        return self._text[place : place + 1]

    def next_mark(self, place: int) -> int:
        """Return the next place that is not white space."""
        found = _SPACE.match(self._text, place)
        return found.end() if found else place

    def items(self, start: int) -> Iterator[Record]:
        """Yield the items of the list that begins at ``start``."""
        place, number = self.next_mark(start + 1), 0
        while self.mark(place) != "]":
            value, end = self.value(place)
            number += 1
            yield Record(number, value, end - place)
            place = self._after(end, "]")
        self.end = place + 1

    def members(self, start: int) -> Iterator[int]:
        """Yield where each value of the object that begins at ``start`` begins; check what follows the object."""
        place = self.next_mark(start + 1)
        while self.mark(place) != "}":
            if self.mark(place) != '"':
                raise self._broken("a name is missing")
            colon = self.next_mark(self.value(place)[1])
            if self.mark(colon) != ":":
                raise self._broken("a colon is missing")
            place = self.next_mark(colon + 1)
            yield place
            if self.mark(place) == "[":
                for _ in self.items(place):
                    pass
                end = self.end
            else:
                end = self.value(place)[1]
            place = self._after(end, "}")
        self.end = place + 1
        self.check_end()

    def value(self, place: int) -> tuple[Any, int]:
        """Return the value at a place and where it ends."""
        try:
            return self._decode(self._text, place)
        except (ValueError, RecursionError) as error:
            raise self._broken(getattr(error, "msg", "nested too deeply")) from error

    def check_end(self) -> None:
        """Refuse a document that goes on after its end."""
        if self.mark(self.next_mark(self.end)):
            raise self._broken("there is more after its end")

    def _after(self, end: int, closing: str) -> int:
        """Return the place of the next item, or of the closing mark."""
        place = self.next_mark(end)
        if self.mark(place) == ",":
            place = self.next_mark(place + 1)
            if self.mark(place) != closing:
                return place
        elif self.mark(place) == closing:
            return place
        raise self._broken("a comma or an end is missing")

    def _broken(self, reason: str) -> DataError:
        return DataError(f"The file is no valid JSON ({reason})", where=self._source.path, remedy="Save it again.")
