"""What columns are called, which one holds the text and which the label, and what a label value is called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from engine.corpus.rows import Broken, Row
from engine.corpus.sources import Source
from engine.errors import DataError
from engine.settings import ImportSettings

MAXIMUM_CLASSES = 100
LABEL_WORDS = frozenset((
    "label", "labels", "class", "classes", "star", "stars", "rating", "score", "sentiment", "category", "categories",
    "mood", "target", "polarity", "grade", "overall", "emotion", "opinion", "stance", "topic", "topics", "theme",
    "intent", "tag", "tags", "department", "queue", "annotation",
))  # fmt: skip
"""Words in the name of a column that holds labels."""
NEVER_TEXT = frozenset(["label", "labels", "class", "classes", "category", "intent", "sentiment"])
"""What a column of texts is not called."""


def column_names(cells: Iterable[str | None]) -> list[str]:
    """Return a name for each column that no other has: one without a name is called by its number.

    A name that comes again gets a number behind it: ``text``, ``text (2)``.
    """
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        plain = name = (cell or "").strip() or f"column {number}"
        again = 1
        while name in names:
            again += 1
            name = f"{plain} ({again})"
        names[name] = None
    return list(names)


def choose_columns(
    columns: Sequence[str], head: Sequence[Row | Broken], settings: ImportSettings, source: Source, like: str = ""
) -> tuple[int, int | None]:
    """Return the numbers of the text and label columns.

    Without a name the text is in the column ``like`` (that of an earlier file), else where the longest texts are.

    Raises
    ------
    DataError
        If a named column does not exist; close names are suggested.
    """
    label = _find(columns, settings.label_column, "label", source) if settings.label_column else None
    if settings.text_column:
        return _find(columns, settings.text_column, "text", source), label
    if like in columns and columns.index(like) != label:
        return columns.index(like), label
    return longest_texts(columns, head, besides=label), label


def longest_texts(columns: Sequence[str], head: Sequence[Row | Broken], *, besides: int | None = None) -> int:
    """Return the number of the column whose values are the longest strings on average.

    One that is called *label*, or by another such word, is passed over if there is another with strings.
    """
    totals = [0] * len(columns)
    for row in head:
        if isinstance(row, Row):
            for number, value in enumerate(row.values):
                totals[number] += len(value) if isinstance(value, str) else 0
    candidates = [number for number in range(len(columns)) if number != besides] or [0]
    others = [number for number in candidates if totals[number] and columns[number].lower() not in NEVER_TEXT]
    candidates = others or candidates
    return max(candidates, key=lambda number: totals[number])


def words_of(name: str) -> set[str]:
    """Return the words in the name of a column, in small letters: of ``starRating_2`` star and rating."""
    return set(re.findall(r"[^\W\d_]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()))


def label_value(value: Any) -> str:
    """Return a label as it is shown: ``5.0`` is ``5``, nothing is the empty string."""
    if isinstance(value, str):
        value = value.strip()
        return value[:-2] if value.endswith(".0") and value[:-2].lstrip("-").isdigit() else value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return the question for a name that is none of ``names``; empty if none is like it."""
    close = difflib.get_close_matches(name, names, 1)
    return f" Did you mean '{close[0]}'?" if close else ""


def _find(columns: Sequence[str], name: str, role: str, source: Source) -> int:
    if name in columns:
        return list(columns).index(name)
    shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
    remedy = f"The columns are {shown}.{did_you_mean(name, columns)}"
    raise DataError(f"There is no column '{name}' for the {role}", where=source.path, remedy=remedy)
