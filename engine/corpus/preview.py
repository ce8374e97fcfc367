"""The beginning of a file, for a person to say which column is what."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.corpus.columns import label_value, longest_texts
from engine.corpus.readers import Broken, Row, open_table
from engine.corpus.sources import detect, find_sources
from engine.settings import ImportSettings

LONGEST_VALUE = 300
MOST_LABELS = 30
LABEL_NAME = re.compile(
    r"^(label|labels|class|classes|stars?|rating|score|sentiment|category|mood|target|polarity|grade)$", re.IGNORECASE
)


def preview_file(path: str, settings: ImportSettings, *, rows: int = 200, counted: int = 5000) -> dict[str, Any]:
    """Return how a file (of a folder or archive, the first) is read, its first rows, and which columns seem to be what.

    Parameters
    ----------
    rows
        At most so many rows are returned.
    counted
        The values of columns that look like labels are counted over this many rows.

    Returns
    -------
    dict
        ``sources`` (how many files there are), ``source``, ``format``, ``encoding``, ``delimiter``, ``columns``,
        ``rows`` (strings), ``lines``, ``broken``, ``text_column``, ``label_column`` (empty if none seems to be),
        ``label_values`` (column -> value -> count) and ``whole`` (the file ended within ``counted`` rows).

    Raises
    ------
    DataError, StorageError
        If it cannot be read.
    """
    sources = find_sources([path])
    source = sources[0]
    detected = detect(source, settings)
    with open_table(source, detected, settings) as table:
        read = list(itertools.islice(table.rows, counted))
        columns = list(table.columns)
        whole = len(read) < counted
    head = read[:rows]
    text = columns.index(settings.text_column) if settings.text_column in columns else longest_texts(columns, head)
    values = _label_values(columns, read)
    label = settings.label_column if settings.label_column in columns else _label_guess(columns, text, values, read)
    good = [row for row in head if isinstance(row, Row)]
    broken = [row for row in head if isinstance(row, Broken)]
    return {
        "sources": len(sources),
        "source": source.name,
        "format": detected.format,
        "encoding": detected.encoding,
        "delimiter": detected.delimiter,
        "columns": columns,
        "rows": [[_shown(value) for value in row.values] for row in good],
        "lines": [row.line for row in good],
        "broken": [{"line": row.line, "reason": row.reason, "excerpt": _shown(row.excerpt)} for row in broken],
        "text_column": columns[text] if columns else "",
        "label_column": label,
        "label_values": values,
        "whole": whole,
    }


def _shown(value: Any) -> str:
    """A value as text that every encoding can carry."""
    text = "" if value is None else value if isinstance(value, str) else str(value)
    return text.rstrip("\r\n")[:LONGEST_VALUE].encode("utf-8", "replace").decode("utf-8")


def _label_values(columns: Sequence[str], read: Sequence[Row | Broken]) -> dict[str, dict[str, int]]:
    """Count the values of the columns that have few different ones."""
    found = {}
    for number, name in enumerate(columns):
        counts: Counter[str] = Counter()
        for row in read:
            if isinstance(row, Row) and number < len(row.values):
                value = label_value(row.values[number])
                if value:
                    counts[_shown(value)] += 1
                if len(counts) > MOST_LABELS:
                    break
        if 0 < len(counts) <= MOST_LABELS:
            found[name] = dict(counts)
    return found


def _label_guess(
    columns: Sequence[str], text: int, values: dict[str, dict[str, int]], read: Sequence[Row | Broken]
) -> str:
    """Return the column named like a label, else the first whose few short values come again and again."""
    candidates = [name for number, name in enumerate(columns) if number != text and name in values]
    for name in candidates:
        if LABEL_NAME.match(name.strip()):
            return name
    for name in candidates:
        counts = values[name]
        repeated = sum(counts.values()) >= 3 * len(counts) and len(read) >= 6
        if 2 <= len(counts) <= 20 and repeated and max(map(len, counts)) <= 30:
            return name
    return ""
