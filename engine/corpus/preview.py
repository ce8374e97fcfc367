"""The beginning of a file, for a person to say which column is what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.corpus.columns import label_value, longest_texts
from engine.corpus.readers import open_table
from engine.corpus.rows import LONE_SURROGATE, UNREADABLE, Broken, Row
from engine.corpus.sources import closing, detect, find_sources
from engine.settings import ImportSettings

LONGEST_VALUE = 300
LONGEST_LABEL = 30
MOST_VALUES = 30
MOST_LABELS = 20
MOST_CELLS = 250_000
MOST_CHARACTERS = 8 * 2**20
"""Reading ends after so many cells or characters, so that wide tables and long texts are as quick as others."""
LABEL_WORDS = frozenset(
    [
        "label",
        "labels",
        "class",
        "classes",
        "star",
        "stars",
        "rating",
        "score",
        "sentiment",
        "category",
        "mood",
        "target",
        "polarity",
        "grade",
        "overall",
    ]
)
ID_WORDS = frozenset(["id", "ids", "uuid", "guid", "key", "index", "row"])


def preview_file(path: str, settings: ImportSettings, *, rows: int = 200, counted: int = 5000) -> dict[str, Any]:
    """Return how a file (of a folder or archive, the first) is read, its first rows, and which columns seem to be what.

    Parameters
    ----------
    path
        A file, folder or glob.
    settings
        How to read; columns that it names and that exist are not guessed.
    rows
        At most so many rows are returned; fewer if they are very wide or long.
    counted
        The values of columns are counted over at most this many rows; the same holds for them.

    Returns
    -------
    dict
        ``sources`` (how many files there are), ``source`` (the name of the first), ``format``, ``encoding``,
        ``delimiter``, ``columns``, ``rows`` (strings of at most 300 characters), ``lines`` (the line of each row),
        ``broken`` (``line``, ``reason``, ``excerpt`` of the rows that the import would set aside; one with bytes that
        are not of the encoding is among ``rows`` as well, so that the fault can be seen), ``text_column``,
        ``label_column`` (empty if none seems to be), ``label_values`` (column -> value -> count, of the columns with at
        most 30 different values) and ``whole`` (nothing follows the rows that were counted).

    Raises
    ------
    DataError, StorageError
        If it cannot be read.
    """
    sources = find_sources([path])
    source = sources[0]
    with closing(sources):
        detected = detect(source, settings)
        with open_table(source, detected, settings) as table:
            columns = [_readable(name) for name in table.columns]
            width = max(len(columns), 1)
            read, whole = _read(table.rows, min(counted, max(MOST_CELLS // width, 1)))
    head = read[:rows]
    good = [row for row in head if isinstance(row, Row)]
    chosen = columns.index(settings.label_column) if settings.label_column in columns else None
    if settings.text_column in columns:
        text = columns.index(settings.text_column)
    else:
        text = longest_texts(columns, head, besides=chosen)
    values = _values(columns, read)
    label = settings.label_column
    if chosen is None or chosen == text:
        label = _label_guess(columns, text, values)
    return {
        "sources": len(sources),
        "source": source.name,
        "format": detected.format,
        "encoding": detected.encoding,
        "delimiter": detected.delimiter,
        "columns": columns,
        "rows": [[_shown(value) for value in row.values] for row in good],
        "lines": [row.line for row in good],
        "broken": [shown for row in head if (shown := _fault(row, text))],
        "text_column": columns[text],
        "label_column": label,
        "label_values": values,
        "whole": whole,
    }


def _read(rows: Iterable[Row | Broken], limit: int) -> tuple[list[Row | Broken], bool]:
    """Return at most ``limit`` rows, and whether there are no more."""
    read: list[Row | Broken] = []
    characters = 0
    for row in rows:
        if len(read) >= limit or characters > MOST_CHARACTERS:
            return read, False
        read.append(row)
        if isinstance(row, Row):
            characters += sum(len(value) for value in row.values if isinstance(value, (str, bytes)))
    return read, True


def _readable(text: str) -> str:
    """Bytes that are not of the encoding become question marks in diamonds; every encoding can carry the rest."""
    return LONE_SURROGATE.sub("\ufffd", text)


def _shown(value: Any) -> str:
    """Return a value as a short text; a number as the label values have it."""
    if isinstance(value, (bytes, list)):
        value = value[:LONGEST_VALUE]
    text = value if isinstance(value, str) else label_value(value)
    return _readable(text[:LONGEST_VALUE]).rstrip("\r\n")


def _fault(row: Row | Broken, text: int) -> dict[str, Any] | None:
    """Return why the import would set a row aside; nothing if it would not."""
    if isinstance(row, Broken):
        return {"line": row.line, "reason": row.reason, "excerpt": _shown(row.excerpt)}
    value = row.values[text]
    if isinstance(value, str) and LONE_SURROGATE.search(value):
        return {"line": row.line, "reason": UNREADABLE, "excerpt": _shown(value)}
    return None


def _values(columns: Sequence[str], read: Sequence[Row | Broken]) -> dict[str, dict[str, int]]:
    """Count the values of the columns that have few different ones; of columns of one name the first is meant."""
    found: dict[str, dict[str, int]] = {}
    for number, name in enumerate(columns):
        if name in found:
            continue
        counts: Counter[str] = Counter()
        for row in read:
            if isinstance(row, Row):
                value = row.values[number]
                if len(counts) > MOST_VALUES or isinstance(value, (bytes, list, dict)):
                    break
                if shown := label_value(value):
                    counts[shown] += 1
        else:
            if 0 < len(counts) <= MOST_VALUES:
                found[name] = {_shown(value): count for value, count in counts.items()}
    return found


def _label_guess(columns: Sequence[str], text: int, values: Mapping[str, Mapping[str, int]]) -> str:
    """Return the column that is named like a label, else the first whose few short values come again and again."""
    words = {
        name: set(re.findall(r"[^\W\d_]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()))
        for name in columns
        if name in values and name != columns[text]
    }
    candidates = [name for name in words if not words[name] & ID_WORDS]
    # "stars" goes before "stars given by others"
    for name in sorted(candidates, key=lambda name: len(words[name])):
        if words[name] & LABEL_WORDS:
            return name
    for name in candidates:
        counts = values[name]
        repeated = sum(counts.values()) >= 3 * len(counts)
        if 2 <= len(counts) <= MOST_LABELS and repeated and max(map(len, counts)) <= LONGEST_LABEL:
            return name
    return ""
