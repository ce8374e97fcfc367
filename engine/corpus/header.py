"""Where in a table the names of its columns are: below titles, if it has any, and perhaps nowhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

LONGEST_NAME = 100
FEW = 3
"""So many values, at least, tell what a column holds; one that has them again and again has so many of each."""
LOOKED_AT = 50
"""So many rows tell where the names are, and whether there are any."""
WIDE = 3
"""A table of fewer columns is not told from its titles."""
NEARLY_ALL = 0.9
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def title_rows(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows come before the names of the columns: blank ones, and titles of one cell over a table.

    Nearly all of the other rows have to be as wide as the first of them, and to have `WIDE` cells that are not blank.
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    blank = next((number for number, count in enumerate(filled) if count), 0)
    begins = next((number for number, count in enumerate(filled) if count > 1), blank)
    table, cells = [len(row) for row in rows[begins:]], filled[begins:]
    alike = Counter(table)[table[0]] if table else 0
    wide = sum(count >= WIDE for count in cells)
    surely = len(table) > FEW and cells[0] >= WIDE and min(alike, wide) >= NEARLY_ALL * len(table)
    return begins if surely else blank


def names_columns(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table names its columns, unlike the rows ``below`` it, of which some are enough."""
    cells = [cell.strip() for cell in first]
    if (names := [cell for cell in cells if cell]) == [str(number) for number in range(len(names))]:
        return True  # as pandas numbers columns
    if any(_NUMBER.fullmatch(cell) for cell in cells):
        return False
    columns = [(cell, [row[at].strip() for row in below if row[at].strip()]) for at, cell in enumerate(cells) if cell]
    columns = [(cell, values) for cell, values in columns if len(values) >= FEW]
    if any(_worded(cell) and not any(map(_worded, values)) for cell, values in columns):
        return True  # a word over numbers or times
    kinds = [(cell, set(values)) for cell, values in columns if FEW * len(set(values)) <= len(values)]
    if kinds:
        return not any(cell in kind for cell, kind in kinds)
    long = [(cell, values) for cell, values in columns if len(cell) > LONGEST_NAME]
    return any(_asks(cell, values) for cell, values in long) if long else max(map(len, cells)) <= LONGEST_NAME


def _worded(cell: str) -> bool:
    return any(character.isalpha() for character in cell)


def _asks(cell: str, values: Sequence[str]) -> bool:
    """Whether a long text is the question whose answers are ``values``, and none of them."""
    questions = sum(value.endswith("?") for value in values)
    return (cell.endswith("?") and 10 * questions < len(values)) or len(cell) > 1.5 * max(map(len, values))
