"""A page for the tests of the label table: it has texts, and answers what the table asks."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoStack

from engine.project import Project
from metapt_gui.models.commands import Change, description
from metapt_gui.models.label_model import LabelModel
from metapt_gui.widgets.label_table import LabelTable

TEXTS = [
    "The box was crushed",
    "Works as\n described",
    "Never again",
    "ÄRGERLICH and late",
    "Lovely colour",
    "Broken (twice) on arrival",
]
CLASSES = ["bad", "good"]


class Page:
    """What a page does: it answers the table's questions with commands, and writes each at once."""

    def __init__(self, table: LabelTable, texts=None, imported=None, project: Project | None = None) -> None:
        self.table, self.model, self.project = table, table.model, project
        self.labels: dict[int, str] = project.labels("hash") if project else {}
        self.stack = QUndoStack()
        self.model.set_classes(CLASSES)
        self.model.set_texts(TEXTS if texts is None else texts)
        self.model.set_imported(imported)
        self.model.set_labels(self.labels)
        self.failures: list[Exception] = []
        table.label_asked.connect(self.answer)

    def answer(self, rows: list[int], name: str | None) -> None:
        after, before = dict.fromkeys(rows, name), {row: self.labels.get(row) for row in rows}
        there, back = (lambda: self.write("hash", after)), (lambda: self.write("hash", before))
        self.stack.push(Change(description(after), there, back, self.failures.append))

    def write(self, corpus: str, labels: Mapping[int, str | None]) -> None:
        if self.project is not None:
            self.project.set_labels(corpus, labels)
        self.labels = {row: name for row, name in (self.labels | labels).items() if name is not None}
        self.model.change_labels(labels)

    def label(self, row: int, name: str | None) -> None:
        self.write("hash", {row: name})


def cell(model: LabelModel, row: int, column: int, role=Qt.ItemDataRole.DisplayRole):
    """Return what a cell says."""
    return model.index(row, column).data(role)
