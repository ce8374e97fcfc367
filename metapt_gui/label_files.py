"""Labels from a CSV file: the columns ``text`` or ``row`` (from 1, of the label table), and ``label``.

With both, a row counts only if it holds the text: other files count their rows otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from engine.errors import DataError, storage_errors
from metapt_gui.document import Texts


def read_labels(path: Path, texts: Texts, classes: Sequence[str]) -> dict[int, str]:
    """Return row (from 0) -> class; meant for a background thread.

    Raises
    ------
    DataError
        If a column is missing, a label is no class, or nothing fits.
    """
    with storage_errors(path), open(path, newline="", encoding="utf-8-sig", errors="replace") as stream:
        try:
            lines = list(csv.DictReader(stream))
        except csv.Error as error:
            raise DataError(
                f"The file cannot be read as CSV ({error})", where=path, remedy="Check its quotes, or save it again."
            ) from error
    columns = set(lines[0]) if lines else set()
    if "label" not in columns or not columns & {"row", "text"}:
        raise DataError(
            "The file needs the columns label and text (or row)",
            where=path,
            remedy="Name the columns in the first line: text,label or row,label.",
        )
    known = texts.texts.to_pylist()
    places = {text: row for row, text in enumerate(known)} if "text" in columns else {}
    found: dict[int, str] = {}
    for number, line in enumerate(lines, 2):
        name = (line["label"] or "").strip()
        if not name:
            continue
        if name not in classes:
            raise DataError(
                f"'{name}' is no class", where=f"{path}, line {number}", remedy=f"The classes are {', '.join(classes)}."
            )
        given = (line.get("row") or "").strip()
        row = int(given) - 1 if given.isdecimal() and len(given) < 20 else -1
        inside = 0 <= row < len(known)
        text = (line.get("text") or "").strip()
        if "text" in columns and not (inside and known[row] == text):
            row = places.get(text, -1)
            inside = row >= 0
        if inside:
            found[row] = name
    if not found:
        raise DataError("None of the lines fits a text of the task", where=path, remedy="Check the column text or row.")
    return found
