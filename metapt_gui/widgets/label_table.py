"""A table of texts that is labelled with keys or from a menu, with search, filter and counts."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QByteArray, QItemSelectionModel, QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from metapt_gui.models.label_model import KEYS, LABEL, NUMBER, TEXT, USE, LabelModel
from metapt_gui.theme import GRID, Theme
from metapt_gui.widgets.class_chips import Chip, ClassChips
from metapt_gui.widgets.pieces import keep_narrow, single_shot
from metapt_gui.wording import count

MOST_AT_ONCE = 1_000
"""Texts that one key labels at most: what is labelled by hand is labelled by sight."""

_LONGEST = 20_000
_PANE_LINES = 4
_KEYS_TIP = (
    "1 to 9 give the class and go on to the next text; 0 or Delete clears your label. A right click offers all "
    "classes. Ctrl+F searches"
)


class LabelTable(QWidget):
    """Texts with their labels; it asks for labels and writes none.

    Attributes
    ----------
    model
        What is shown. Whoever answers `label_asked` changes the labels with ``model.change_labels``.

    Signals
    -------
    label_asked
        Rows of the corpus (list of int) and the class that they are to have, or ``None`` for no label.
    """

    label_asked = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self.model = LabelModel(self)
        self._theme: Theme | None = None
        self._placeholder = "No texts yet."
        self._reason = ""
        self._current: int | None = None
        self._make_controls()
        self._make_table()
        self._arrange()
        # A command may change a thousand rows: what sums them up is brought up to date once, after the last.
        self._refresh = single_shot(self, 0, self._sum_up)
        self.model.classes_changed.connect(self._fill_filter)
        self.model.counts_changed.connect(self._refresh.start)
        self.model.modelAboutToBeReset.connect(self._remember)
        self.model.modelReset.connect(self._return)
        self._fill_filter()
        self._refresh.start()

    def _make_controls(self) -> None:
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search in the texts")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search in the texts")
        self.search.setToolTip("Show only texts that contain this, in capitals or not. Ctrl+F")
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._go_to_table)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self, self._go_to_search)
        self.filter = QComboBox()
        self.filter.setAccessibleName("Show texts by label")
        self.filter.setToolTip("Show all texts, those with or without a label, or those of one class")
        keep_narrow(self.filter, 14)
        self.filter.activated.connect(self._filter)
        self.chips = ClassChips()
        self.chips.chosen.connect(self._show_class)
        self.note = QLabel()
        self.note.setProperty("role", "muted")

    def _make_table(self) -> None:
        self.view = _View()
        self.view.setModel(self.model)
        self.view.setAccessibleName("Texts and their labels")
        self.view.setToolTip(_KEYS_TIP)
        self.view.asked.connect(self._ask)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._offer)
        self.view.selectionModel().currentRowChanged.connect(self._show_text)
        header = self.view.horizontalHeader()
        # With the table's own selection the header would ask every row whether it is selected at each repaint: 10 s
        # with 1,000,000 rows selected.
        header.setSelectionModel(QItemSelectionModel(self.model, header))
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setSectionResizeMode(TEXT, QHeaderView.ResizeMode.Stretch)
        letter = self.fontMetrics().averageCharWidth()
        for column, letters in ((NUMBER, 12), (LABEL, 20), (USE, 14)):
            header.resizeSection(column, letters * letter)
        self.empty = QLabel()
        self.empty.setProperty("role", "muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self.hint = QLabel()
        self.hint.setProperty("role", "muted")
        self.pane = QPlainTextEdit()
        self.pane.setReadOnly(True)
        self.pane.setTabChangesFocus(True)
        self.pane.setAccessibleName("Whole text of the current row")
        self.pane.setToolTip("The whole text of the current row")
        self.pane.ensurePolished()
        self.pane.setFixedHeight(_PANE_LINES * self.pane.fontMetrics().lineSpacing() + 3 * GRID)

    def _arrange(self) -> None:
        controls = QHBoxLayout()
        controls.setSpacing(GRID)
        controls.addWidget(self.search, 1)
        controls.addWidget(self.filter)
        sums = QHBoxLayout()
        sums.setSpacing(GRID)
        sums.addWidget(self.chips, 1)
        sums.addWidget(self.chips.more)
        sums.addWidget(self.note)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID, GRID, GRID, GRID)
        layout.setSpacing(GRID)
        layout.addLayout(controls)
        layout.addLayout(sums)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.hint)
        layout.addWidget(self.pane)

    # What the page sets -----------------------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Paint with the colours of ``theme``."""
        self._theme = theme
        self.model.set_theme(theme)
        self._refresh.start()

    def set_placeholder(self, text: str) -> None:
        """Say what to do where there are no texts yet."""
        self._placeholder = text
        self._refresh.start()

    def set_read_only(self, reason: str) -> None:
        """Ask for no labels from now on, and say why; with an empty reason, ask again."""
        self._reason = reason
        self.view.setToolTip(reason or _KEYS_TIP)
        self._refresh.start()

    def state(self) -> QByteArray:
        """Return the widths of the columns."""
        return self.view.horizontalHeader().saveState()

    def restore_state(self, state: QByteArray) -> None:
        """Take the widths that `state` returned; anything else changes nothing."""
        self.view.horizontalHeader().restoreState(state)

    def current_row(self) -> int | None:
        """Return the row of the corpus that is current."""
        index = self.view.currentIndex()
        return self.model.corpus_row(index.row()) if index.isValid() else None

    def go_to(self, corpus_row: int) -> None:
        """Make a row of the corpus the current one, if the filter shows it."""
        place = self.model.index_row(corpus_row)
        if place is not None:
            self._make_current(place)

    def bring(self, corpus_row: int) -> None:
        """Make a row of the corpus the current one, though search and filter would hide it."""
        if self.model.index_row(corpus_row) is None:
            self.search.clear()
            self.filter.setCurrentIndex(0)
            self._filter()
        self.go_to(corpus_row)

    # Labels -----------------------------------------------------------------------------------------------------------

    def how(self) -> str:
        """Return what to press to label, such as ``press 1 to 3, or right-click``."""
        classes = len(self.model.classes)
        if classes > KEYS:
            return f"press 1 to {KEYS}, or right-click for all {classes:,} classes"
        keys = "1" if classes == 1 else "1 or 2" if classes == 2 else f"1 to {classes}"
        return f"press {keys}, or right-click"

    def _ask(self, key: int) -> None:
        """Ask for the class of ``key`` (0: none) on the selected rows, and go on to the row after them."""
        rows = self._selected()
        if not rows or self._reason or key > len(self.model.classes):
            return
        name = self.model.classes[key - 1] if key else None
        next_row = self.model.corpus_row(min(rows[-1] + 1, self.model.rowCount() - 1))
        if self._label(rows, name) and name is not None:
            self.go_to(next_row)

    def _selected(self) -> list[int]:
        """Return the selected rows of the table, else the current one; none, and a note, if they are too many."""
        parts = [(part.top(), part.bottom() + 1) for part in self.view.selectionModel().selection().toList()]
        if not parts and self.view.currentIndex().isValid():
            parts = [(self.view.currentIndex().row(), self.view.currentIndex().row() + 1)]
        if sum(end - begin for begin, end in parts) > MOST_AT_ONCE:
            self.note.setText(f"Select at most {MOST_AT_ONCE:,} texts to label them at once")
            return []
        return sorted(row for part in parts for row in range(*part))

    def _label(self, rows: Sequence[int], name: str | None) -> bool:
        """Ask for a class, or none, on rows of the table; return whether they have it then."""
        asked = [row for row in map(self.model.corpus_row, rows) if self.model.own_label(row) != name]
        if asked:
            self.label_asked.emit(asked, name)
        return all(self.model.own_label(row) == name for row in asked)

    def _offer(self, place: QPoint) -> None:
        """Open a menu with every class, also those that have no key, and no label."""
        if not self._selected():
            return
        menu = QMenu(self.view)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name in self.model.classes:
            self._add_choice(menu, name, name, self.model.class_key(name))
        menu.addSeparator()
        self._add_choice(menu, "No label", None, "0")
        menu.triggered.connect(self._choose)
        menu.popup(self.view.viewport().mapToGlobal(place))

    def _add_choice(self, menu: QMenu, text: str, name: str | None, key: str) -> None:
        shown = text.replace("&", "&&").replace("\t", " ")
        action = menu.addAction(f"{shown}\t{key}" if key else shown)
        action.setData(name)
        action.setEnabled(not self._reason)

    def _choose(self, action: QAction) -> None:
        self._label(self._selected(), action.data())

    # Search and filter ------------------------------------------------------------------------------------------------

    def _filter(self) -> None:
        self.model.set_filter(self.search.text(), self.filter.currentData() or "all")
        self._refresh.start()

    def _fill_filter(self) -> None:
        chosen = self.filter.currentData()
        self.filter.clear()
        for words, only in (("All texts", "all"), ("Without a label", "unlabelled"), ("With a label", "labelled")):
            self.filter.addItem(words, only)
        for name in self.model.classes:
            self.filter.addItem(f"{self.model.class_key(name)} {name}".strip(), name)
        self.filter.setCurrentIndex(max(0, self.filter.findData(chosen)))
        if chosen is not None and self.filter.currentData() != chosen:
            self._filter()

    def _show_class(self, name: str) -> None:
        place = self.filter.findData(name)
        if place >= 0:  # else it is no class any more
            self.filter.setCurrentIndex(place)
            self._filter()

    def _go_to_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _go_to_table(self) -> None:
        self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    # What follows from the model --------------------------------------------------------------------------------------

    def _remember(self) -> None:
        self._current = self.current_row()

    def _return(self) -> None:
        """After other rows are shown: stay on the current text if it is among them, else begin at the top."""
        place = self.model.index_row(self._current) if self._current is not None else None
        if self.model.rowCount():
            self._make_current(place or 0)
        else:
            self.pane.clear()
        self._refresh.start()

    def _make_current(self, place: int) -> None:
        index = self.model.index(place, TEXT)  # what Ctrl+C copies and a screen reader reads
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.view.selectionModel().setCurrentIndex(index, flags)
        self.view.scrollTo(index)

    def _show_text(self, current: QModelIndex, _previous: QModelIndex) -> None:
        text = self.model.text(self.model.corpus_row(current.row())) if current.isValid() else ""
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]} …\n\n(the first {_LONGEST:,} of {count(len(text), 'characters')})"
        self.pane.setPlainText(text)

    def _sum_up(self) -> None:
        """Bring chips, note and empty state up to date."""
        shown, texts = self.model.rowCount(), self.model.texts
        if self.model.searching:
            note = f"Searching {count(texts, 'texts')} …"
        elif shown == texts:
            note = count(texts, "texts")
        else:
            note = f"{shown:,} of {count(texts, 'texts')}"
        self.note.setText(f"{self._reason}   {note}" if self._reason else note)
        self._stack.setCurrentWidget(self.view if shown or self.model.searching else self.empty)
        self.empty.setText("Nothing matches the filter." if texts else self._placeholder)
        self.hint.setText(f"{self.how()[0].upper()}{self.how()[1:]}, to label.")
        self.hint.setVisible(bool(shown and self.model.classes and not self._reason))
        places = {name: place for place, name in enumerate(self.model.classes)}
        chips = [
            Chip(name, self.model.class_key(name), number, places.get(name, -1))
            for name, number in self.model.counts().items()
        ]
        self.chips.show_chips(chips, self._theme)


class _View(QTableView):
    """The table itself: turns keys into questions."""

    asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.ensurePolished()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().lineSpacing() + GRID)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ask for a label on a digit or Delete; a key that is held down asks once."""
        typed = event.text()
        others = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        digit = len(typed) == 1 and typed.isdecimal() and not event.modifiers() & others
        clears = event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
        if not digit and not clears:
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            self.asked.emit(int(typed) if digit else 0)

    def keyboardSearch(self, search: str) -> None:
        """Do nothing: Qt would look through every row, which takes seconds; Ctrl+F searches."""
