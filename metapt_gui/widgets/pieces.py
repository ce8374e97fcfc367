"""Small pieces that every page is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from metapt_gui.theme import GRID, tabular
from metapt_gui.wording import one_line, tooltip

RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_UNBROKEN = re.compile(r"\S{24}\S*?(?=[\w!-/:-@\[-`{-~])")
"""Letters without a space between them; a line may end after them, before a letter or a mark of ASCII."""


class ElidedLabel(QLabel):
    """A line that is cut with dots where there is no room for it, so that it keeps no window wide."""

    LEAST = 40

    def minimumSizeHint(self) -> QSize:
        """Ask for room for the beginning."""
        size = super().minimumSizeHint()
        return QSize(min(size.width(), self.LEAST), size.height())

    def shown(self) -> str:
        """Return as much of the text as is seen."""
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.contentsRect().width())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the text, or its beginning; then the tooltip has all of it."""
        shown = self.shown()
        self.setToolTip("" if shown == self.text() else tooltip(self.text()))
        painter = QPainter(self)
        where, enabled, role = self.contentsRect(), self.isEnabled(), self.foregroundRole()
        self.style().drawItemText(painter, where, self.alignment(), self.palette(), enabled, shown, role)
        painter.end()


class WrappedLabel(QLabel):
    """Lines that are broken between words, and within a word that is longer than any in a sentence.

    So that no class name and no address in a text is wider than the column it is shown in.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show ``text``."""
        self._text = text
        super().setText(_UNBROKEN.sub("\\g<0>\u200b", text))

    def text(self) -> str:
        """Return the text as it was set."""
        return self._text


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """Return a label; ``role`` is ``title``, ``heading``, ``figure``, ``muted``, ``good``, ``warning`` or ``bad``."""
    made = WrappedLabel(text) if wrap else QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)  # it may be a person's, who writes <b> as others write *
    made.setProperty("role", role)
    if role == "figure":
        made.setFont(tabular(made.font()))
    return made


def set_role(widget: QWidget, role: str | bool, name: str = "role") -> None:
    """Change the role of a widget, or another property, and let the style sheet see it."""
    if widget.property(name) != role:
        widget.setProperty(name, role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def button(text: str, tooltip: str, pressed: Callable[[], object] | None = None, role: str = "") -> QPushButton:
    """Return a button; its name for screen readers is its text without dots."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    made.setAccessibleName(text.replace("…", "").replace("&", "").strip())
    made.setProperty("role", role)
    if pressed is not None:
        made.clicked.connect(lambda _checked=False: pressed())
    return made


def enable(widget: QWidget, reason: str = "") -> None:
    """Enable a widget, or disable it for a ``reason`` that its tooltip gives."""
    if widget.property("usual-tooltip") is None:
        widget.setProperty("usual-tooltip", widget.toolTip())
    widget.setEnabled(not reason)
    widget.setToolTip(reason or widget.property("usual-tooltip"))


def keep_narrow(box: QComboBox, letters: int) -> None:
    """Let a choice ask for the width of so many letters, or less, however long what it offers is."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)
    box.setMinimumWidth(8 * GRID)


def inset(box: QAbstractSpinBox) -> None:
    """Let the figure in a box begin where the text of other controls does: no style sheet moves it."""
    box.lineEdit().setTextMargins(GRID // 2 + 1, 0, 0, 0)


def in_turn(before: QWidget | None, widgets: Iterable[QWidget]) -> None:
    """Let the Tab key go from ``before``, or what it reaches before that, to these widgets, one after the other."""
    begin = before
    while before is not None and before.focusPolicy() == Qt.FocusPolicy.NoFocus:
        before = before.previousInFocusChain()
        if before is begin:
            return
    for widget in widgets:
        if before is not None:
            QWidget.setTabOrder(before, widget)
        before = widget


def dense(table: QTableView) -> None:
    """Let the rows of a table be as high as a line of text with a little air, and its head stay as it is."""
    table.verticalHeader().setDefaultSectionSize(25)
    table.verticalHeader().setMinimumSectionSize(25)
    for header in (table.horizontalHeader(), table.verticalHeader()):
        header.setHighlightSections(False)


class Right(QStyledItemDelegate):
    """Writes figures so that their units stand below each other."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        """Let the text end at the right."""
        super().initStyleOption(option, index)
        option.displayAlignment = RIGHT


def table_of(
    names: Sequence[str], name: str, tip: str = "", *, editable: bool = False, figures: Sequence[int] = ()
) -> QTableWidget:
    """Return a table without rows that has columns of these names, is called ``name`` and lets the Tab key go on."""
    made = QTableWidget()
    set_up(made, names, name, tip, editable=editable, figures=figures)
    if editable:
        made.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectItems)
    return made


def set_up(
    table: QTableWidget,
    names: Sequence[str],
    name: str,
    tip: str = "",
    *,
    editable: bool = False,
    figures: Sequence[int] = (),
) -> None:
    """Let a table be as `table_of` makes them; its rows are selected as a whole, columns of ``figures`` end right."""
    table.setColumnCount(len(names))
    table.setAccessibleName(name)
    table.setToolTip(tip or name)
    for column, title in enumerate(names):
        head = QTableWidgetItem(f"{title[:1].upper()}{title[1:]}")
        table.setHorizontalHeaderItem(column, head)
        if column in figures:
            head.setTextAlignment(RIGHT)
            table.setItemDelegateForColumn(column, Right(table))
    table.verticalHeader().hide()
    dense(table)
    table.setTabKeyNavigation(False)
    table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
    if not editable:
        table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)


def fill(table: QTableWidget, rows: Sequence[Sequence[str]]) -> None:
    """Show ``rows``, each text on one line; one that may be cut off stands whole in its tooltip."""
    table.setRowCount(len(rows))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            item = QTableWidgetItem(one_line(text))
            if len(text) > 10:
                item.setToolTip(tooltip(text))
            table.setItem(number, column, item)


def single_shot(owner: QObject, milliseconds: int, then: Callable[[], object]) -> QTimer:
    """Return a timer that calls ``then`` once, so long after it was started last."""
    made = QTimer(owner, singleShot=True, interval=milliseconds)
    made.timeout.connect(then)
    return made


class Card(QFrame):
    """A surface with an optional heading; add widgets to ``box``."""

    def __init__(self, heading: str = "") -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(GRID + 4, GRID // 2 if heading else GRID, GRID + 4, GRID)
        self.box.setSpacing(GRID - 2)
        if heading:
            self.heading = label(heading, "heading")
            self.box.addWidget(self.heading)
            self.setAccessibleName(heading)


class Banner(QFrame):
    """A line across the page with at most two buttons; hidden until it is told something."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "banner")
        self.text = label(wrap=True)
        self.buttons = [button("", "", partial(self._act, number)) for number in range(2)]
        self._actions: list[Callable[[], object] | None] = [None, None]
        row = QHBoxLayout(self)
        row.setContentsMargins(GRID + 4, GRID // 2, GRID // 2, GRID // 2)
        row.addWidget(self.text, 1)
        for made in self.buttons:
            row.addWidget(made)
        self.hide()

    def show_text(self, text: str, *actions: tuple[str, str, Callable[[], object]], bad: bool = False) -> None:
        """Show ``text`` and buttons (text, tooltip, what they do)."""
        set_role(self, "banner-bad" if bad else "banner")
        self.text.setText(text)
        self.setAccessibleName(text)
        for number, made in enumerate(self.buttons):
            made.setVisible(number < len(actions))
            self._actions[number] = None
            if number < len(actions):
                name, tooltip, self._actions[number] = actions[number]
                made.setText(name)
                made.setAccessibleName(name)
                made.setToolTip(tooltip)
        self.show()

    def _act(self, number: int) -> None:
        action = self._actions[number]
        if action is not None:
            action()


class Figure(QWidget):
    """A number with what it counts below it."""

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__()
        self._name = name
        self.value = label("–", "figure")
        self.caption = label(name, "muted")
        self.setToolTip(tooltip)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.value)
        box.addWidget(self.caption)

    def set(self, text: str) -> None:
        """Show ``text``."""
        self.value.setText(text)
        self.setAccessibleName(f"{self._name}: {text}")


SETTLED_MS = 250
"""So long after something was written into it a card has its new size."""


WIDEST = 1.5
"""Times the usual width of a column that its content may make it."""


class SideScroll(QScrollArea):
    """A column of cards that scrolls when the window is low; as wide as its content, up to a limit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(width)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        content = QWidget()
        self.box = QVBoxLayout(content)
        self.box.setContentsMargins(0, 0, 0, 0)
        self.box.setSpacing(GRID)
        self.setWidget(content)
        content.installEventFilter(self)
        self._width = width
        self._sought: QWidget | None = None
        self.verticalScrollBar().rangeChanged.connect(self._on_range)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Be as wide as the content needs: nothing is cut off at the side. What needs too much is scrolled sideways."""
        if (
            isinstance(watched, QWidget)
            and watched is self.widget()
            and event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show)
        ):
            bar = self.verticalScrollBar().sizeHint().width()
            needed = watched.minimumSizeHint().width() + bar
            widest = int(WIDEST * self._width)
            self.setMinimumWidth(min(max(self._width, needed), widest))
            bars = Qt.ScrollBarPolicy
            self.setHorizontalScrollBarPolicy(bars.ScrollBarAsNeeded if needed > widest else bars.ScrollBarAlwaysOff)
        return super().eventFilter(watched, event)

    def scroll_down_to(self, card: QWidget) -> None:
        """Scroll down until the end of ``card``, which may just be growing, is in sight, or its top is at the top."""
        self._sought = card
        QTimer.singleShot(SETTLED_MS, self, self._settle)
        self._scroll()

    def _on_range(self, _least: int, most: int) -> None:
        """Keep the cards off the scroll bar, and let them end where the page does while there is none."""
        self.box.setContentsMargins(0, 0, 4 if most else 0, 0)
        self._scroll()

    def _scroll(self) -> None:
        if self._sought is not None:
            end = self._sought.geometry().bottom() + 1 - self.viewport().height()
            self.verticalScrollBar().setValue(max(self.verticalScrollBar().value(), min(self._sought.y(), end)))

    def _settle(self) -> None:
        self._sought = None

    def sizeHint(self) -> QSize:
        """As wide as asked for."""
        return QSize(self._width, 400)
