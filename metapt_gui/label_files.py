"""Labels from a file: the columns ``text`` or ``row`` (from 1, of the label table), and ``label``.

With both, a row counts only if it holds the text: other files count their rows otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QWidget

from engine.corpus.cleaning import clean
from engine.corpus.columns import label_value
from engine.corpus.readers import open_table
from engine.corpus.rows import LONE_SURROGATE, UNREADABLE, Broken, Row
from engine.corpus.sources import closing, detect, find_sources, nothing_in
from engine.errors import DataError
from engine.settings import ImportSettings
from metapt_gui import wording
from metapt_gui.models.texts import Texts
from metapt_gui.widgets.dialogs import TableDialog

READING = ImportSettings(header="yes")
COLUMNS = ("row", "text", "label")
SHOWN = 200
ROWS_SHOWN = 500


@dataclass(frozen=True)
class FileLabels:
    """What a file of labels holds.

    Attributes
    ----------
    labels
        Row of the label table (from 0) -> class.
    left_out
        Line of the file, why its label was left out, and how the line begins.
    """

    labels: dict[int, str]
    left_out: list[tuple[int, str, str]]


def read_labels(path: Path, texts: Texts, classes: Sequence[str]) -> FileLabels:
    """Read a file as an import does, and take the labels that fit; meant for a background thread.

    Raises
    ------
    DataError
        If a column is missing, or nothing fits.
    StorageError
        If the file cannot be read.
    """
    rows = _Rows(texts.texts.to_pylist())
    names = {name.casefold(): name for name in classes} | {name: name for name in classes}
    found = FileLabels({}, [])
    for line, given in _lines(path):
        if isinstance(given, Broken):
            found.left_out.append((line, given.reason, _begin(given.excerpt)))
            continue
        label = given["label"]
        name = names.get(label) or names.get(label.casefold())
        row = rows.find(given.get("row", ""), given.get("text"))
        if name is not None and row is not None:
            found.labels[row] = name
        elif label:
            reason = "no such text" if "text" in given else "no such row"
            reason = reason if name is not None else f"'{_begin(label)}' is no class"
            found.left_out.append((line, reason, _begin(given.get("text") or given.get("row", ""))))
    if not found.labels:
        line, reason, begin = found.left_out[0] if found.left_out else (1, "no line has one", "")
        raise DataError(
            f"None of the labels fits a text of the task: {reason}",
            where=f"{path}, line {line}" + (f" ({begin})" if begin else ""),
            remedy=f"Check the columns text (or row) and label. The classes are {', '.join(classes)}.",
        )
    return found


def show_left_out(parent: QWidget, found: FileLabels) -> None:
    """Show in a dialog which rows of a file of labels were left out, if any were."""
    if not found.left_out:
        return
    rows = [(f"{line:,}", reason, begin) for line, reason, begin in found.left_out[:ROWS_SHOWN]]
    taken, left = wording.count(len(found.labels), "labels"), wording.count(len(found.left_out), "rows")
    more = f" Here are the first {ROWS_SHOWN:,}." if len(found.left_out) > ROWS_SHOWN else ""
    note = f"Taken: {taken}. Left out: {left}.{more}"
    TableDialog(parent, "Labels that did not fit", ("line", "why", "how it begins"), rows, note).open()


class _Rows:
    """The rows of the label table, to be found by their number, their text, or both."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._places = {text: row for row, text in enumerate(texts)}

    def find(self, number: str, text: str | None) -> int | None:
        """Return the row (from 0) of that number (from 1), if it holds the text; else the one that does."""
        row = int(number) - 1 if number.isdecimal() and len(number) < 20 else -1
        inside = 0 <= row < len(self._texts)
        if text is None:
            return row if inside else None
        if text not in self._places:  # as it stood in the file that was imported
            text = clean(text, strip_html=True)
        return row if inside and self._texts[row] == text else self._places.get(text)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str] | Broken]]:
    """Yield the number of each line, and what stands in those of the columns `COLUMNS` that there are."""
    sources = find_sources([path])
    with closing(sources):
        for source in sources:
            detected = detect(source, READING)
            if detected is None:
                raise nothing_in(sources)
            with open_table(source, detected, READING) as table:
                places = {name.casefold(): place for place, name in reversed(list(enumerate(table.columns)))}
                if "label" not in places or not places.keys() & {"row", "text"}:
                    raise DataError(
                        "The file needs the columns label and text (or row)",
                        where=path,
                        remedy="Name the columns in the first line: text,label or row,label.",
                    )
                for item in table.rows:
                    yield item.line, item if isinstance(item, Broken) else _cells(item, places)


def _cells(row: Row, places: Mapping[str, int]) -> dict[str, str] | Broken:
    cells = {name: label_value(row.values[places[name]]) for name in COLUMNS if name in places}
    begin = cells.get("text", "")
    return Broken(row.line, UNREADABLE, begin) if any(map(LONE_SURROGATE.search, cells.values())) else cells


def _begin(text: str) -> str:
    return LONE_SURROGATE.sub("\ufffd", text[:SHOWN])
