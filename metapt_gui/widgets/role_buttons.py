"""Which of the kinds of texts the import page shows, and how many there are of each."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from engine.corpus.store import Corpus
from metapt_gui import wording
from metapt_gui.theme import GRID

ROLES = (
    (
        "source",
        "Labelled texts",
        "Texts with labels, such as reviews with stars: they teach. The paper uses Yelp reviews.",
    ),
    ("open-text", "Unlabelled texts", "Optional: a pile of text of any kind; the next step gives it pseudo-labels."),
    ("target", "Your task", "Texts of the task that you care about; a handful of labels is enough, or none yet."),
    ("test", "Test texts", "Optional: labelled texts of your task that no prompt is tuned on, only measured."),
)
NEED_LABELS = {"source": "Labelled texts", "test": "Test texts"}
DEFAULTS = {"target": {"keep_unlabelled": True}}
"""Where a role differs from the settings' own defaults: the rest of the task's texts is labelled by hand."""


def description(role: str) -> str:
    """Return what stands where no file is chosen yet."""
    title, sentence = next((title, sentence) for name, title, sentence in ROLES if name == role)
    return f"{title}\n\n{sentence}\n\nCSV, TSV, JSONL, JSON, Parquet, XLSX or plain text."


class RoleButtons(QWidget):
    """A button a role, of which one is down."""

    chosen = Signal(str)

    def __init__(self, role: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        for number, (name, title, tooltip) in enumerate(ROLES):
            made = QPushButton(title)
            made.setCheckable(True)
            made.setToolTip(tooltip)
            made.setChecked(name == role)
            self._group.addButton(made, number)
            self.buttons[name] = made
            row.addWidget(made)
        row.addStretch(1)
        self._group.idClicked.connect(self._on_clicked)

    def show_counts(self, corpus_of: Callable[[str], Corpus | None]) -> None:
        """Say how many texts there are of each."""
        for role, title, tooltip in ROLES:
            corpus, made = corpus_of(role), self.buttons[role]
            said = wording.count(corpus.rows, "texts") if corpus is not None else ""
            made.setText(f"{title}: {wording.short(corpus.rows)}" if corpus is not None else title)
            made.setAccessibleName(f"{title}: {said}" if said else title)
            made.setToolTip(f"{tooltip}\n{said}." if said else tooltip)

    def _on_clicked(self, number: int) -> None:
        self.chosen.emit(ROLES[number][0])
