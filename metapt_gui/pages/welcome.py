"""The welcome page: a new project, one that exists, the sample, or a file dropped anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPixmap, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from metapt_gui.theme import GRID
from metapt_gui.widgets.pieces import Card, button, label

WIDEST = 720
"""Pixels that the page fills of a wide window: lines that are read in one look."""


class RecentProject(QPushButton):
    """The name of a project and its place, whose middle is left out where there is no room for it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.setProperty("role", "link")
        self.setToolTip(f"Open {path}")
        self.setAccessibleName(f"Open recent project {path.stem}")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as much of the place as there is room for."""
        super().resizeEvent(event)
        name, metrics = f"{self._path.stem}    ", self.fontMetrics()
        room = self.width() - metrics.horizontalAdvance(name) - GRID
        place = metrics.elidedText(str(self._path.parent), Qt.TextElideMode.ElideMiddle, max(room, 0))
        self.setText(f"{name}{place}".replace("&", "&&"))


class WelcomePage(QWidget):
    """What a person sees first."""

    new_asked = Signal()
    open_asked = Signal()
    sample_asked = Signal()
    recent_asked = Signal(object)

    def __init__(self, mark: QPixmap) -> None:
        super().__init__()
        self.setObjectName("page")
        outer = QHBoxLayout(self)
        outer.addStretch(1)
        page = QWidget()
        page.setMaximumWidth(WIDEST)
        column = QVBoxLayout(page)
        column.setSpacing(2 * GRID)
        outer.addWidget(page, 100)
        outer.addStretch(1)
        column.addStretch(1)
        head = QHBoxLayout()
        head.setSpacing(2 * GRID)
        picture = QLabel()
        picture.setPixmap(mark)
        picture.setAccessibleName("MetaPT")
        head.addWidget(picture)
        titles = QVBoxLayout()
        titles.setSpacing(2)
        titles.addStretch(1)
        titles.addWidget(label("MetaPT", "title"))
        titles.addWidget(
            label("From a pile of text and a handful of labels to a prompt that classifies, as a small file.", "muted")
        )
        titles.addStretch(1)
        head.addLayout(titles, 1)
        column.addLayout(head)
        card = Card("Begin")
        row = QHBoxLayout()
        self.new = button("&New project …", "Make an empty project in a folder. Ctrl+N", self.new_asked.emit, "primary")
        self.open = button("&Open project …", "Open a .metapt folder. Ctrl+O", self.open_asked.emit)
        self.sample = button(
            "Try the &sample project",
            "1,053 made-up reviews and 220 support messages; the whole way takes about ten minutes.",
            self.sample_asked.emit,
        )
        for widget in (self.new, self.open, self.sample):
            row.addWidget(widget)
        row.addStretch(1)
        card.box.addLayout(row)
        card.box.addWidget(
            label("Or drop a CSV, JSONL, Parquet, XLSX or text file anywhere in this window.", "muted", wrap=True)
        )
        column.addWidget(card)
        self._recent = Card("Recent projects")
        self._rows = QVBoxLayout()
        self._rows.setSpacing(2)
        self._recent.box.addLayout(self._rows)
        column.addWidget(self._recent)
        column.addStretch(2)

    def show_recent(self, projects: Sequence[Path]) -> None:
        """List the projects that were open lately."""
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for path in projects:
            made = RecentProject(path)
            made.clicked.connect(partial(self.recent_asked.emit, path))
            self._rows.addWidget(made)
        if not projects:
            self._rows.addWidget(label("None yet.", "muted"))
