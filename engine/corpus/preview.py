"""The beginning of a file, for a person to say which column is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.corpus.columns import LABEL_WORDS, label_value, longest_texts, words_of
from engine.corpus.readers import open_table
from engine.corpus.rows import LONE_SURROGATE, UNREADABLE, Broken, Row
from engine.corpus.sources import Detected, Source, closing, detect, find_sources, nothing_in
from engine.corpus.values import ColumnValues, Reading
from engine.errors import MetaPTError
from engine.settings import ImportSettings

LONGEST_VALUE = 300
LONGEST_LABEL = 30
MOST_LABELS = 20
MOST_CELLS = 250_000
MOST_CHARACTERS = 8 * 2**20
"""After so many cells or characters no more rows are kept: wide tables and long texts are as quick as others."""
COUNTING_SECONDS = 2.0
"""So long the values of columns are counted in what follows: a file may be sorted by them."""
ID_WORDS = frozenset(["id", "ids", "uuid", "guid", "key", "index", "row"])


def preview_file(
    path: str, settings: ImportSettings, *, rows: int = 200, counted: int = 5000, seconds: float = COUNTING_SECONDS
) -> dict[str, Any]:
    """Return how a file is read, its first rows, and which columns seem to be what.

    Of a folder or archive, the first file that is not empty is shown.

    Parameters
    ----------
    path
        A file, folder or glob.
    settings
        How to read; columns that it names and that exist are not guessed.
    rows
        At most so many rows are returned; fewer if they are very wide or long.
    counted
        The values of columns are counted over at least this many rows; the same holds for them.
    seconds
        So long they are counted in the rows that follow, which is to the end of all but very large files.

    Returns
    -------
    dict
        ``sources`` (how many files there are), ``source`` (the name of the one shown), ``format``, ``encoding``,
        ``guessed`` (nothing said what the encoding is), ``delimiter``, ``named`` (the first line names the columns),
        ``skipped`` (rows above it that are left out), ``sheet`` and ``sheets`` (of a workbook), ``columns``, ``rows``
        (strings of at most 300 characters), ``lines`` (the line of each row), ``broken`` (``line``, ``reason``,
        ``excerpt`` of the rows that the import would set aside; one with bytes that are not of the encoding is among
        ``rows`` as well, so that the fault can be seen), ``text_column``, ``label_column`` (empty if none seems to be),
        ``label_named`` (its name says so, or it was asked for), ``label_values`` (column -> value -> count, of the
        columns with at most 1,000 different values), ``counted`` (the rows that they were counted over) and ``whole``
        (nothing follows these rows).

    Raises
    ------
    DataError, StorageError
        If it cannot be read.
    """
    sources = find_sources([path])
    read: list[Row | Broken] | None = None
    with closing(sources):
        source, detected = _first(sources, settings)
        try:
            with open_table(source, detected, settings) as table:
                columns = [_readable(name) for name in table.columns]
                counts = ColumnValues(columns)
                reading = Reading(table.parts, counts)
                read = reading.rows(min(counted, max(MOST_CELLS // max(len(columns), 1), 1)), MOST_CHARACTERS)
                if not reading.whole:
                    reading.count(seconds)
        except MetaPTError:
            if read is None:
                raise
            # What is wrong further down is for the import to tell.
    head = read[:rows]
    good = [row for row in head if isinstance(row, Row)]
    chosen = columns.index(settings.label_column) if settings.label_column in columns else None
    if settings.text_column in columns:
        text = columns.index(settings.text_column)
    else:
        text = longest_texts(columns, head, besides=chosen)
    values = {name: {_shown(value): count for value, count in found.items()} for name, found in counts.found().items()}
    label, named = settings.label_column, True
    if chosen is None or chosen == text:
        label, named = _label_guess(columns, text, values)
    return {
        "sources": len(sources),
        "source": source.name,
        "format": detected.format,
        "encoding": detected.encoding,
        "guessed": detected.guessed(settings),
        "delimiter": detected.delimiter,
        "named": table.named,
        "skipped": table.skipped,
        "sheet": table.sheet,
        "sheets": list(table.sheets),
        "columns": columns,
        "rows": [[_shown(value) for value in row.values] for row in good],
        "lines": [row.line for row in good],
        "broken": [shown for row in head if (shown := _fault(row, text))],
        "text_column": columns[text],
        "label_column": label,
        "label_named": named,
        "label_values": values,
        "counted": reading.counted,
        "whole": reading.whole,
    }


def _first(sources: Sequence[Source], settings: ImportSettings) -> tuple[Source, Detected]:
    """Return the first source that is not empty, and how it is read."""
    for source in sources:
        if (detected := detect(source, settings)) is not None:
            return source, detected
    raise nothing_in(sources)


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


def _label_guess(columns: Sequence[str], text: int, values: Mapping[str, Mapping[str, int]]) -> tuple[str, bool]:
    """Return the column that is named like a label, else the first whose few short values come again and again.

    And whether it is the former.
    """
    words = {name: words_of(name) for name in columns if name in values and name != columns[text]}
    candidates = [name for name in words if not words[name] & ID_WORDS]
    # "stars" goes before "stars given by others"
    for name in sorted(candidates, key=lambda name: len(words[name])):
        if words[name] & LABEL_WORDS:
            return name, True
    for name in candidates:
        counts = values[name]
        repeated = sum(counts.values()) >= 3 * len(counts)
        if 2 <= len(counts) <= MOST_LABELS and repeated and max(map(len, counts)) <= LONGEST_LABEL:
            return name, False
    return "", False
