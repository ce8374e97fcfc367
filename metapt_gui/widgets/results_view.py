"""What tuning came to: methods side by side, confusion, figures of each class, and the texts that went wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QScrollArea,
    QSplitter,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)

from engine.evaluation.results import ALONE, PROBE_FILES, Evaluation, Figures, better_probe
from metapt_gui import wording
from metapt_gui.theme import GRID, Theme
from metapt_gui.widgets.confusion_matrix import ConfusionMatrix
from metapt_gui.widgets.pieces import Card, fill, label, table_of

WIDEST_CLASS = 90
ROW = 28
"""Least height of a row."""
LEAST = (560, 460)
"""Width and height that the tables and the matrix can be read in side by side; in a lower window they are scrolled."""
STACKED = (300, 880)
"""The same where they stand below each other, because there is less width."""
ERRORS_TIP = (
    "Wrongly classified texts. A double click, or Enter, goes to the text among the labels, where a wrong label can be "
    "corrected."
)
IN_THE_TEST_FILE = "This is one of the test texts: correct it in its file, and import that again."
FROM_A_FILE = "From a file"
"""What a tuning is called whose start a person has chosen."""
GONE = "This text is not among those that were imported since."
ALONE_TIP = "What the backbone answers to the template without any prompt and label: what is above it was learned."
UNSPREAD_TIP = (
    "Every seed learns from the same labelled texts, so there is no spread to see. With more labels each seed draws "
    "others."
)


class Wrong(NamedTuple):
    """A text that a run took for another class."""

    row: int
    label: str
    prediction: str
    confidence: float
    text: str


class Results(NamedTuple):
    """Everything that is shown.

    ``summary`` maps a method to its figures over seeds, ``evaluations`` a run to its own, ``wrong`` a run to its
    errors; ``measured_on`` is ``test`` or ``validation``; ``uses`` maps a row to what the best prompt's seed used it
    for. ``unspread`` are methods that learn from the same rows with every seed, and from nothing else that a seed
    decides on. Rows of the task are below ``own_rows``, those of test texts of their own follow. ``other_texts``: the
    task's texts were imported anew since, and its rows are others now.
    """

    classes: Sequence[str]
    best: str
    measured_on: str
    summary: Mapping[str, Figures]
    evaluations: Mapping[str, Evaluation]
    wrong: Mapping[str, Sequence[Wrong]]
    uses: dict[int, str]
    unspread: Collection[str] = ()
    own_rows: int = 0
    other_texts: bool = False


class BrokenNames(QStyledItemDelegate):
    """Makes room for names that are broken; Qt forgets what the style sheet puts beside a text."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Return the size of the lines that fit between the margins of the column."""
        table = self.parent()
        assert isinstance(table, QTableWidget)
        metrics, wrap = table.fontMetrics(), Qt.TextFlag.TextWordWrap
        room = QRect(0, 0, table.columnWidth(index.column()) - 2 * GRID, 1 << 16)
        lines = metrics.boundingRect(room, wrap, str(index.data()))
        return QSize(lines.width() + 2 * GRID, max(ROW, lines.height() + 4))


class ResultsView(QWidget):
    """Shows `Results`.

    Signals
    -------
    text_asked
        The `Wrong` text of the task that is to be shown among the labels.
    """

    text_asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._results: Results | None = None
        self._listed: list[Wrong] = []
        self.note = label("Nothing has been tuned yet.", wrap=True)
        # A long name gives way, the figures do not.
        self.methods = _table(("method", "accuracy", "macro-F1"), "Methods side by side", 0, (1, 2))
        self.per_class = _table(("class", "precision", "recall", "F1"), "Figures of each class", 0, (1, 2, 3))
        self.errors = _table(("row", "labelled", "taken for", "sure", "text"), "Wrongly classified texts", 4, (0, 3))
        self.errors.setToolTip(ERRORS_TIP)
        across, tip = Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
        self.errors.model().setHeaderData(3, across, "The probability of the class that the text was taken for.", tip)
        self.errors.verticalHeader().setDefaultSectionSize(2 * self.errors.fontMetrics().lineSpacing() + GRID)
        self.errors.activated.connect(self._on_error)
        # Long names are broken; there are few.
        self.methods.setItemDelegateForColumn(0, BrokenNames(self.methods))
        self.methods.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.matrix = ConfusionMatrix("Confusion matrix")
        self.matrix.cell_clicked.connect(self._on_cell)
        self.run = QComboBox()
        self.run.setAccessibleName("Tuned prompt")
        self.run.setToolTip("Which of the tuned prompts the matrix, the figures and the errors are of.")
        self.run.currentTextChanged.connect(self._on_run)
        methods = Card("Methods")
        methods.box.addWidget(self.methods)
        classes = Card("Each class")
        row = QHBoxLayout()
        row.addWidget(label("Prompt"))
        row.addWidget(self.run, 1)
        classes.box.addLayout(row)
        classes.box.addWidget(self.per_class)
        wrong = Card("Wrongly classified")
        self._cell = label("", "muted", wrap=True)
        wrong.box.addWidget(self._cell)
        wrong.box.addWidget(self.errors)
        upper = QSplitter(Qt.Orientation.Horizontal)
        upper.addWidget(methods)
        upper.addWidget(classes)
        lower = QSplitter(Qt.Orientation.Horizontal)
        lower.addWidget(self.matrix)
        lower.addWidget(wrong)
        upper.setSizes([358, 352])
        lower.setSizes([244, 466])
        both = QSplitter(Qt.Orientation.Vertical)
        both.addWidget(upper)
        both.addWidget(lower)
        both.setSizes([284, 276])
        for splitter in (upper, lower, both):
            splitter.setChildrenCollapsible(False)
        self._pairs, self._both = (upper, lower), both
        scroll = QScrollArea()
        scroll.setWidget(both)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        box = QVBoxLayout(self)
        self._beside = box.contentsMargins().left() + box.contentsMargins().right()
        box.addWidget(self.note)
        box.addWidget(scroll)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put side by side what there is width for."""
        super().resizeEvent(event)
        wide = self.width() - self._beside >= LEAST[0]
        for splitter in self._pairs:
            splitter.setOrientation(Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical)
        self._both.setMinimumSize(*(LEAST if wide else STACKED))

    def set_theme(self, theme: Theme) -> None:
        """Paint the matrix."""
        self.matrix.set_theme(theme)

    def show_results(self, results: Results | None) -> None:
        """Show other results, or none."""
        self._results = results
        self.run.blockSignals(True)
        self.run.clear()
        if results is None:
            self.note.setText("Nothing has been tuned yet.")
            _fill(self.methods, [])
        else:
            majority = max((item["majority_accuracy"] for item in results.summary.values()), default=None)
            self.note.setText(_note(results, majority))
            names = list(results.summary)
            _fill(self.methods, [(name, *_means(results.summary[name], name in results.unspread)) for name in names])
            tips = dict.fromkeys(results.unspread, UNSPREAD_TIP) | {ALONE: ALONE_TIP}
            for row, tip in ((names.index(name), tip) for name, tip in tips.items() if name in names):
                for column in (1, 2):
                    cell = self.methods.model().index(row, column)
                    self.methods.model().setData(cell, tip, Qt.ItemDataRole.ToolTipRole)
            self.run.addItems(list(results.evaluations))
            self.run.setCurrentText(results.best)
        self.run.blockSignals(False)
        self._on_run(self.run.currentText())

    def _on_run(self, name: str) -> None:
        results = self._results
        if results is None or name not in results.evaluations:
            self.matrix.set_matrix([], np.empty((0, 0), np.int64))
            _fill(self.per_class, [])
            _fill(self.errors, [])
            return
        figures = results.evaluations[name]
        self.matrix.set_matrix(list(figures.per_class), np.array(figures.confusion))
        _fill(
            self.per_class,
            [
                (f"{name} ({item.support:,})", *map(wording.percent, (item.precision, item.recall, item.f1)))
                for name, item in figures.per_class.items()
            ],
        )
        self._show_errors(results.wrong.get(name, ()), "")

    def _on_cell(self, true: int, predicted: int) -> None:
        results, name = self._results, self.run.currentText()
        if results is None or name not in results.evaluations:
            return
        classes = list(results.evaluations[name].per_class)
        chosen = [
            item
            for item in results.wrong.get(name, ())
            if item.label == classes[true] and item.prediction == classes[predicted]
        ]
        self._show_errors(chosen, f"labelled {classes[true]}, taken for {classes[predicted]}")

    def _show_errors(self, wrong: Sequence[Wrong], which: str) -> None:
        ordered = self._listed = sorted(wrong, key=lambda item: -item.confidence)
        text = wording.count(len(ordered), "texts") + (f" {which}" if which else ", the most confident first")
        self._cell.setText(text if self._results is not None else "")
        _fill(
            self.errors,
            [
                (self._number(item.row), item.label, item.prediction, f"{item.confidence:.2f}", item.text)
                for item in ordered
            ],
        )
        for column in (1, 2):  # a long name gives way to the text
            head = self.errors.horizontalHeader().sectionSizeHint(column)
            self.errors.setColumnWidth(column, max(head, min(WIDEST_CLASS, self.errors.columnWidth(column))))

    def _number(self, row: int) -> str:
        own = self._results.own_rows if self._results is not None else 0
        return f"{row + 1:,}" if row < own else f"test {row - own + 1:,}"

    def _on_error(self, index: QModelIndex) -> None:
        wrong = self._listed[index.row()]
        if self._results is not None and wrong.row < self._results.own_rows:
            self.text_asked.emit(wrong)
        else:
            self._cell.setText(IN_THE_TEST_FILE)

    def say_gone(self) -> None:
        """Say that the text which was asked for is not among those of the task any more."""
        self._cell.setText(GONE)


def _means(figures: Figures, unspread: bool) -> tuple[str, str]:
    """Return accuracy and macro-F1 as they are shown, without a spread where there is none to see."""
    accuracy, macro_f1 = (None, None) if unspread else (figures["accuracy_std"], figures["macro_f1_std"])
    return wording.percent(figures["accuracy_mean"], accuracy), wording.percent(figures["macro_f1_mean"], macro_f1)


def _exported(results: Results) -> str:
    """Say which prompt is exported if another method was better, of untested ones a probe."""
    figures = {name: item["accuracy_mean"] for name, item in results.summary.items()}
    method = results.best.rsplit(" seed ", 1)[0]
    if method not in figures:
        return ""
    tested = results.measured_on == "test"
    better = max(figures, key=lambda name: figures[name]) if tested else better_probe(results.best, results.summary)
    if not better or figures[better] <= figures[method]:
        return ""
    against = f"({wording.percent(figures[better])} against {wording.percent(figures[method])})"
    if tested:
        best = f"the {better}" if better == ALONE else better
        text = (
            f" The prompt to export is {results.best}, the best of {method} on the validation texts; on the test texts "
        )
        text += f"{best} was better {against}."
    else:
        text = f" Even so the {better} was better than {method} {against}, whose best prompt is the one to export."
    return text + (" The step Use and export can use it instead." if better in PROBE_FILES else "")


def _note(results: Results, majority: float | None) -> str:
    if not results.summary:
        text = "The tuning was stopped before anything was measured. Press Resume to go on."
    elif results.measured_on == "test":
        seeds = max((item["seeds"] for item in results.summary.values()), default=0)
        text = f"Mean ± standard deviation over {wording.count(seeds, 'seeds')}, on texts that none was trained on."
        if FROM_A_FILE in results.summary:
            text += " What the prompt of the file was trained on is not known: if on some of these, it looks too good."
    else:
        text = (
            "There are too few labels to set some aside for a test: these are figures on the validation texts, which "
            "tuning has looked at. Label more texts to measure."
        )
        if any(name in PROBE_FILES for name in results.summary):
            text += " For these figures a probe learns from the training texts alone."
    if majority is not None:
        text += f" Always answering the most frequent class: {wording.percent(majority)}."
    return text + _exported(results)


def _table(names: Sequence[str], name: str, wide: int, figures: Sequence[int]) -> QTableWidget:
    """Return an empty table whose column ``wide`` has the room that the others leave."""
    table = table_of(names, name, figures=figures)
    table.setShowGrid(False)
    table.setAlternatingRowColors(True)
    header = table.horizontalHeader()
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
    header.setMinimumSectionSize(48)
    header.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
    return table


def _fill(table: QTableWidget, rows: Sequence[Sequence[str]]) -> None:
    fill(table, rows)
    for column in range(table.columnCount()):  # once: a header that does so by itself measures all rows at each change
        if table.horizontalHeader().sectionResizeMode(column) != QHeaderView.ResizeMode.Stretch:
            table.resizeColumnToContents(column)
