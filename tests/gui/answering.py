"""A page for the tests of the label table: it has texts, and answers what the table asks."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoStack

from engine.project import Project
from metapt_gui.models.commands import SetLabels
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
    """What a page does: it answers the table's questions with commands."""

    def __init__(self, table: LabelTable, texts=None, imported=None, project: Project | None = None) -> None:
        self.table, self.model, self.project = table, table.model, project
        self.labels: dict[int, str] = project.labels("hash") if project else {}
        self.stack = QUndoStack()
        self.model.set_classes(CLASSES)
        self.model.set_texts(TEXTS if texts is None else texts, imported)
        self.model.set_labels(self.labels)
        table.label_asked.connect(self.answer)

    def answer(self, rows: list[int], name: str | None) -> None:
        self.stack.push(SetLabels(self.write, [(row, self.labels.get(row), name) for row in rows]))

    def write(self, row: int, name: str | None) -> None:
        if self.project is not None:
            self.project.set_label("hash", row, name)
        if name is None:
            self.labels.pop(row, None)
        else:
            self.labels[row] = name
        self.model.row_changed(row)


def cell(model: LabelModel, row: int, column: int, role=Qt.ItemDataRole.DisplayRole):
    """Return what a cell says."""
    return model.index(row, column).data(role)
