"""Texts and their labels as a table; only the rows that are visible become Python objects."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QFont

from metapt_gui.models.text_labels import TextLabels
from metapt_gui.theme import Theme, tabular
from metapt_gui.wording import one_line, tooltip

NUMBER, TEXT, LABEL, USE = range(4)
COLUMNS = {
    "Row": "Number of the text in the corpus, from 1",
    "Text": "The text, on one line",
    "Label": "Its class. Your own labels are bold; paler ones came with the corpus",
    "Used for": "What a text with your label is used for: training, validation or test",
}
KEYS = 9
"""Number of classes that have a key of their own."""

_SLICE_SECONDS = 0.01
_FIRST_SLICE = 1_024
_LARGEST_SLICE = 1 << 17
_ROOT = QModelIndex()
_Index = QModelIndex | QPersistentModelIndex


class LabelModel(QAbstractTableModel):
    """Texts (1,000,000 or more) with labels, searched and filtered in place.

    Two numberings meet here: rows of the corpus, which everything is stored by, and rows of the table, which change
    with the filter; `corpus_row` and `index_row` go from one to the other.

    Signals
    -------
    classes_changed
        `set_classes` was called.
    counts_changed
        Labels changed, and `counts` with them.
    """

    classes_changed = Signal()
    counts_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme | None = None
        self._texts: pa.ChunkedArray | Sequence[str] = []
        self._labels = TextLabels()
        self._classes: tuple[str, ...] = ()
        self._uses: dict[int, str] = {}
        self._words: list[str] = []
        self._only = "all"
        self._order: np.ndarray | None = None
        self._matches: np.ndarray | None = None
        self._found = np.empty(0, bool)
        self._searched = 0
        self._slice = _FIRST_SLICE
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._search_slice)
        self._shown = np.empty(0, np.int64)
        self._place = np.empty(0, np.int64)

    # What is shown ----------------------------------------------------------------------------------------------------

    def set_texts(self, texts: pa.ChunkedArray | Sequence[str]) -> None:
        """Show another corpus, kept, not copied; labels, uses and order of the one before go, the filter stays."""
        self._texts = texts
        self._labels, self._uses, self._order = TextLabels(len(texts)), {}, None
        self._show_rows(np.empty(0, np.int64))
        self._search()
        self.counts_changed.emit()

    def set_imported(
        self, imported: Mapping[int, str] | pa.ChunkedArray | None, renamed: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Show labels that came with the corpus.

        Parameters
        ----------
        imported
            Row -> class, or the column of labels (null = none), as long as the texts.
        renamed
            Imported name -> name to show.
        """
        self._labels.set_imported(imported, renamed)
        self._labels_changed()

    def set_classes(self, classes: Sequence[str]) -> None:
        """Name the classes in the order of their keys; the first nine have one."""
        self._classes = tuple(classes)
        self._column_changed(LABEL)
        self.classes_changed.emit()
        self.counts_changed.emit()

    def set_labels(self, labels: Mapping[int, str]) -> None:
        """Show the person's own labels, row -> class; those of rows that the corpus does not have are passed over."""
        self._labels.set_own(labels)
        self._labels_changed()

    def change_labels(self, labels: Mapping[int, str | None]) -> None:
        """Change the person's own labels of some rows, row -> class or ``None`` for no label, and repaint these.

        They stay in the table even if the filter no longer fits, so that they can be seen and corrected; they go when
        the filter is set again.
        """
        places = [place for row in self._labels.change_own(labels) if (place := self.index_row(row)) is not None]
        if places:
            self.dataChanged.emit(self.index(min(places), 0), self.index(max(places), USE))
        self.counts_changed.emit()

    def _labels_changed(self) -> None:
        self._column_changed(LABEL)
        if self._only != "all" and not self.searching:
            self._show()
        self.counts_changed.emit()

    def set_uses(self, uses: dict[int, str]) -> None:
        """Say what rows are used for: row -> ``training``, ``validation`` or ``test``."""
        self._uses = uses
        self._column_changed(USE)

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of classes and of imported labels from ``theme``."""
        self._theme = theme
        self._column_changed(LABEL)

    # Texts and labels of rows of the corpus ---------------------------------------------------------------------------

    @property
    def texts(self) -> int:
        """Number of texts, shown or not."""
        return len(self._texts)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of their keys."""
        return self._classes

    def text(self, row: int) -> str:
        """Return the whole text of a row of the corpus."""
        value = self._texts[row]
        return value if isinstance(value, str) else value.as_py() or ""

    def own_label(self, row: int) -> str | None:
        """Return the class that the person gave to a row of the corpus."""
        return self._labels.own(row)

    def label(self, row: int) -> str | None:
        """Return the class of a row of the corpus: the person's own, else the one that came with the corpus."""
        return self._labels.label(row)

    def rows_with(self, *, label: bool) -> np.ndarray:
        """Return the rows of the corpus that have a label, own or imported, or that have none: int64, in order."""
        return np.flatnonzero(self._labels.labelled() == label)

    def counts(self) -> dict[str, int]:
        """Return class -> number of labels, own or imported; names that are no class (any more) come last."""
        return dict.fromkeys(self._classes, 0) | self._labels.counts()

    def class_key(self, name: str) -> str:
        """Return the key that gives class ``name``; empty if it has none."""
        number = self._classes.index(name) + 1 if name in self._classes else 0
        return str(number) if 1 <= number <= KEYS else ""

    # Filter and order -------------------------------------------------------------------------------------------------

    @property
    def searching(self) -> bool:
        """Whether a search is under way; the table shows the rows from before until it ends."""
        return self._timer.isActive()

    def set_filter(self, text: str, only: str = "all") -> None:
        """Show the rows whose text contains ``text`` and whose label fits, as soon as they are found.

        Parameters
        ----------
        text
            Looked for in either case; a space stands for any white space. Empty: every text fits.
        only
            ``all``, ``labelled``, ``unlabelled``, or the name of a class.
        """
        self._only = only
        words = text.split()
        if words != self._words:
            self._words = words
            self._search()
        elif not self.searching:
            self._show()

    def set_order(self, rows: Sequence[int] | None) -> None:
        """Show these rows of the corpus first, in this order; ``None`` for the order of the corpus."""
        self._order = np.array(list(dict.fromkeys(rows)), np.int64) if rows is not None else None
        if not self.searching:
            self._show()

    def corpus_row(self, index_row: int) -> int:
        """Return the row of the corpus that row ``index_row`` of the table shows."""
        return int(self._shown[index_row])

    def index_row(self, corpus_row: int) -> int | None:
        """Return the row of the table that shows ``corpus_row``; ``None`` if the filter hides it."""
        place = int(self._place[corpus_row]) if 0 <= corpus_row < len(self._place) else -1
        return place if place >= 0 else None

    def _search(self) -> None:
        """Look for the words in all texts: the first slice at once, the rest between the events of the window."""
        self._timer.stop()
        self._matches = None
        if not self._words:
            self._show()
            return
        self._found = np.zeros(len(self._texts), bool)
        self._searched = 0
        self._slice = _FIRST_SLICE
        self._timer.start()
        self._search_slice()

    def _search_slice(self) -> None:
        begin = time.perf_counter()
        pattern = r"[\s\p{Z}]+".join(re.escape(word) for word in self._words)
        texts = self._texts[self._searched : self._searched + self._slice]
        column = texts if isinstance(texts, pa.ChunkedArray) else pa.array(texts, pa.string())
        found = pc.fill_null(pc.match_substring_regex(column, pattern, ignore_case=True), False)
        self._found[self._searched : self._searched + len(column)] = np.asarray(found)
        self._searched += len(column)
        if self._searched >= len(self._texts):
            self._timer.stop()
            self._matches = self._found
            self._show()
        else:
            wanted = self._slice * _SLICE_SECONDS / max(time.perf_counter() - begin, 1e-6)
            self._slice = int(np.clip(wanted, self._slice // 2, min(self._slice * 2, _LARGEST_SLICE)))

    def _show(self) -> None:
        """Show the rows that the filter lets through, those of the order first."""
        fits = self._matches if self._only == "all" else self._label_fits()
        if fits is not self._matches and self._matches is not None:
            fits = fits & self._matches
        shown = np.arange(len(self._texts)) if fits is None else np.flatnonzero(fits)
        if self._order is not None:
            first = self._order if fits is None else self._order[fits[self._order]]
            shown = np.concatenate([first, shown[~np.isin(shown, first)]])
        self._show_rows(shown)

    def _show_rows(self, shown: np.ndarray) -> None:
        self.beginResetModel()
        self._shown = shown
        self._place = np.full(len(self._texts), -1, np.int64)
        self._place[shown] = np.arange(len(shown))
        self.endResetModel()

    def _label_fits(self) -> np.ndarray:
        if self._only in ("labelled", "unlabelled"):
            return self._labels.labelled() == (self._only == "labelled")
        return self._labels.of_class(self._only)

    # What Qt asks for -------------------------------------------------------------------------------------------------

    def rowCount(self, parent: _Index = _ROOT) -> int:
        """Return the number of rows that are shown."""
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: _Index = _ROOT) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the name of a column or what it means."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return list(COLUMNS)[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return list(COLUMNS.values())[section]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return Qt.AlignmentFlag.AlignVCenter | _alignment(section)
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = self.corpus_row(index.row()), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words_of(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignVCenter | _alignment(column)
        if role == Qt.ItemDataRole.FontRole and column == NUMBER:
            return tabular(QFont())
        if role == Qt.ItemDataRole.ToolTipRole and column == TEXT:
            return tooltip(self.text(row))
        return self._label_data(row, role) if column == LABEL else None

    def _words_of(self, row: int, column: int) -> str:
        if column == NUMBER:
            return f"{row + 1:,}"
        if column == TEXT:
            return one_line(self.text(row))
        if column == USE:
            return self._uses.get(row, "")
        name = self.label(row)
        return f"{self.class_key(name)} {name}".strip() if name is not None else ""

    def _label_data(self, row: int, role: int) -> Any:
        name = self.label(row)
        if name is None:
            return None
        own = self.own_label(row) is not None
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return "Your label" if own else "This label came with the corpus; yours goes before it"
        if role == Qt.ItemDataRole.FontRole and own:
            font = QFont()
            font.setBold(True)
            return font
        if self._theme is not None:
            if role == Qt.ItemDataRole.DecorationRole:
                return self._theme.category(self._classes.index(name) if name in self._classes else -1)
            if role == Qt.ItemDataRole.ForegroundRole and not own:
                return self._theme.colour("muted")
        return None

    def _column_changed(self, column: int) -> None:
        if len(self._shown):
            self.dataChanged.emit(self.index(0, column), self.index(len(self._shown) - 1, column))


def _alignment(column: int) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if column == NUMBER else Qt.AlignmentFlag.AlignLeft
