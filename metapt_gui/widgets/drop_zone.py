"""Where files are dropped or browsed for, and which ones were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout

from metapt_gui.theme import GRID
from metapt_gui.widgets.pieces import ElidedLabel, button, enable, set_role

FILTER = "Texts (*.csv *.tsv *.jsonl *.ndjson *.json *.parquet *.xlsx *.txt *.md *.gz *.zst *.zip);;All files (*)"


class DropZone(QFrame):
    """A frame that takes files and folders."""

    files_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "drop")
        self.setProperty("over", False)
        self.setAcceptDrops(True)
        self.setAccessibleName("Files to import")
        self._text = ElidedLabel("Drop files here, or choose them.")
        self.browse = button("Choose files …", "Choose one or more files to read texts from.", self._files)
        self.folder = button("Folder …", "Read every file of a known format in a folder.", self._folder)
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * GRID, GRID, GRID, GRID)
        row.addWidget(self._text, 1)
        row.addWidget(self.browse)
        row.addWidget(self.folder)

    def show_files(self, files: Sequence[str]) -> None:
        """Name the files that are chosen."""
        if not files:
            self._text.setText("Drop files here, or choose them.")
        elif len(files) == 1:
            self._text.setText(Path(files[0]).name)
        else:
            self._text.setText(f"{Path(files[0]).name} and {len(files) - 1:,} more")
        self.setToolTip("\n".join(files[:20]))

    def set_fixed(self, reason: str) -> None:
        """Take no files for a ``reason``, or take them."""
        self.setAcceptDrops(not reason)
        for widget in (self.browse, self.folder):
            enable(widget, reason)

    def _files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Choose files", "", FILTER)
        if names:
            self.files_chosen.emit(names)

    def _folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Choose a folder")
        if name:
            self.files_chosen.emit([name])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
            set_role(self, True, "over")

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """They went elsewhere."""
        set_role(self, False, "over")

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand over what was dropped."""
        set_role(self, False, "over")
        names = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if names:
            self.files_chosen.emit(names)
