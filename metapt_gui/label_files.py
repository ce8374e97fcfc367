"""Labels from a CSV file: the columns ``row`` (from 1) or ``text``, and ``label``."""

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
            "The file needs the columns label and row (or text)",
            where=path,
            remedy="Name the columns in the first line: row,label or text,label.",
        )
    places = {} if "row" in columns else {text: row for row, text in enumerate(texts.texts.to_pylist())}
    found: dict[int, str] = {}
    for number, line in enumerate(lines, 2):
        name = (line["label"] or "").strip()
        if not name:
            continue
        if name not in classes:
            raise DataError(
                f"'{name}' is no class", where=f"{path}, line {number}", remedy=f"The classes are {', '.join(classes)}."
            )
        if "row" in columns:
            text = (line["row"] or "").strip()
            row = int(text) - 1 if text.isdecimal() and len(text) < 20 else -1
        else:
            row = places.get((line["text"] or "").strip(), -1)
        if 0 <= row < len(texts.texts):
            found[row] = name
    if not found:
        raise DataError("None of the lines fits a text of the task", where=path, remedy="Check the column row or text.")
    return found
