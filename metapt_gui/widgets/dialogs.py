"""Dialogs: what went wrong, what was found, what to do. They open without blocking whoever shows them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from engine.errors import EngineProcessError, MetaPTError
from engine.events import Failed
from metapt_gui.theme import GRID, fixed_font
from metapt_gui.widgets.pieces import fill, label, set_role, table_of

Slot = TypeVar("Slot", bound=Callable[..., Any])
FORBIDDEN = r'[<>:"|?*]'
"""What a file's name may not have on Windows."""
WIDEST = 320
"""Pixels that a column of a table takes from the last one, at most."""


class ErrorDialog(QDialog):
    """One sentence about what happened, one about what to do, the details behind a button."""

    def __init__(self, parent: QWidget | None, error: MetaPTError | Failed, details: str = "") -> None:
        super().__init__(parent)
        self.setObjectName("error-dialog")
        self.setWindowTitle("MetaPT")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(520)
        if isinstance(error, (Failed, EngineProcessError)):
            details = error.details or details
        parts = [error.what.rstrip(".") + ".", f"Where: {error.where}" if error.where else "", error.remedy or ""]
        self.report = "\n".join([*filter(None, parts), "", details]).strip()
        self.sentence = label(parts[0], "heading", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        layout.addWidget(self.sentence)
        for text, role in ((parts[1], "muted"), (parts[2], "")):
            if text:
                line = label(text, role, wrap=True)
                line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                layout.addWidget(line)
        self.details = QPlainTextEdit(details)
        self.details.setReadOnly(True)
        self.details.setFont(fixed_font())
        self.details.setAccessibleName("Details of the error")
        self.details.setMinimumHeight(180)
        self.details.hide()
        layout.addWidget(self.details)
        row = QHBoxLayout()
        self.more = QPushButton("Details")
        self.more.setCheckable(True)
        self.more.setVisible(bool(details))
        self.more.setToolTip("Show what a developer needs to know.")
        self.more.toggled.connect(self.details.setVisible)
        self.copy = QPushButton("Copy")
        self.copy.setToolTip("Copy the text of this error, with its details, for a report.")
        self.copy.clicked.connect(self._copy)
        close = QPushButton("Close")
        close.setDefault(True)
        close.setProperty("role", "primary")
        close.clicked.connect(self.accept)
        row.addWidget(self.more)
        row.addWidget(self.copy)
        row.addStretch(1)
        row.addWidget(close)
        layout.addLayout(row)
        close.setFocus()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.report)


def show_error(parent: QWidget | None, error: MetaPTError | Failed, details: str = "") -> ErrorDialog:
    """Show an error without blocking, and return its dialog."""
    dialog = ErrorDialog(parent, error, details)
    dialog.open()
    return dialog


def reporting(slot: Slot) -> Slot:
    """Let a slot of a widget show the project's errors in a dialog instead of raising them."""

    @functools.wraps(slot)
    def guarded(self: Any, *arguments: Any) -> Any:
        try:
            return slot(self, *arguments)
        except MetaPTError as error:
            show_error(self.window(), error)
            return None

    return guarded  # type: ignore[return-value]


class Question(QMessageBox):
    """A question with named answers, the first of them by default; each calls what belongs to it."""

    def __init__(
        self,
        parent: QWidget | None,
        text: str,
        more: str,
        answers: Sequence[tuple[str, Callable[[], object] | None]],
    ) -> None:
        super().__init__(parent)
        self.setObjectName("question")
        self.setWindowTitle("MetaPT")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setText(text)
        self.setInformativeText(more)
        self._answers = {}
        for name, action in answers:
            button = self.addButton(name, QMessageBox.ButtonRole.ActionRole)
            self._answers[button] = action
            if action is None:
                self.setEscapeButton(button)
        first = next(iter(self._answers))
        set_role(first, "primary")
        self.setDefaultButton(first)
        self.buttonClicked.connect(self._chosen)

    def _chosen(self, button: QPushButton) -> None:
        action = self._answers.get(button)
        if action is not None:
            action()


def ask_where(parent: QWidget, title: str, suggestion: Path, filters: str, endings: Sequence[str]) -> Path | None:
    """Ask for a file to write; ``None`` if nobody wants one.

    A name without one of the ``endings`` gets that of the chosen filter. The system's dialog has asked about the name
    as it was typed, so a file of the longer name is asked about here.
    """
    suggested = suggestion.with_name(re.sub(FORBIDDEN, "-", suggestion.name))
    name, kind = QFileDialog.getSaveFileName(parent, title, str(suggested), filters)
    if not name or Path(name).suffix in endings:
        return Path(name) if name else None
    path = Path(name + next((ending for ending in endings if ending in kind), endings[0]))
    answer = QMessageBox.StandardButton.Yes
    if path.exists():
        answer = QMessageBox.question(parent, "MetaPT", f"{path.name} exists already. Replace it?")
    return path if answer == QMessageBox.StandardButton.Yes else None


class TextDialog(QMessageBox):
    """A text in Markdown to read."""

    def __init__(self, parent: QWidget | None, title: str, text: str) -> None:
        super().__init__(QMessageBox.Icon.NoIcon, title, text, QMessageBox.StandardButton.Close, parent)
        self.setTextFormat(Qt.TextFormat.MarkdownText)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)


class TableDialog(QDialog):
    """A table that is only looked at: broken rows, keys, dry runs."""

    def __init__(
        self, parent: QWidget | None, title: str, names: Sequence[str], rows: Sequence[Sequence[str]], note: str = ""
    ) -> None:
        super().__init__(parent)
        self.setObjectName("table-dialog")
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(760, 480)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        if note:
            layout.addWidget(label(note, wrap=True))
        self.table = table_of(names, title)
        self.table.setAlternatingRowColors(True)
        fill(self.table, rows)
        for column in range(len(names) - 1):  # the last one has the room that is left
            self.table.resizeColumnToContents(column)
            self.table.setColumnWidth(column, min(self.table.columnWidth(column), WIDEST))
        self.table.horizontalHeader().setSectionResizeMode(len(names) - 1, QHeaderView.ResizeMode.Stretch)
        layout.addWidget(self.table)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        set_role(buttons.button(QDialogButtonBox.StandardButton.Close), "primary")
        layout.addWidget(buttons)
