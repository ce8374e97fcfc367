"""Which texts are worth a label: the engine is asked, and who asked for them is told."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QObject, Signal

from engine.errors import MetaPTError
from metapt_gui.engine_host import EngineHost
from metapt_gui.models.label_model import LabelModel
from metapt_gui.task_labels import TaskLabels

SUGGESTED = 10
CANDIDATES, LABELLED = 200, 300
"""So many texts without a label, at most, are looked at for a suggestion, and so many with one."""


class Suggestions(QObject):
    """Finds ten texts that have no label: those that are worth one most, or any.

    Signals
    -------
    choosing
        Whether the engine is choosing.
    found
        Their rows, in order (list of int).
    failed
        The error that kept texts from being suggested.
    """

    choosing = Signal(bool)
    found = Signal(object)
    failed = Signal(object)

    def __init__(self, host: EngineHost, model: LabelModel, labels: TaskLabels) -> None:
        super().__init__(labels)
        self._host, self._model, self._labels = host, model, labels

    def suggest(self, classes: Sequence[str], *, at_random: bool = False) -> None:
        """Look for ten texts; labels of other classes than ``classes`` say nothing."""
        texts, model = self._labels.texts, self._model
        if texts is None:
            return
        free = model.rows_with(label=False)
        random = np.random.default_rng(len(free))
        free = random.permutation(free)
        if at_random or len(free) <= SUGGESTED:
            self.found.emit(sorted(free[:SUGGESTED].tolist()))
            return
        known = set(classes)
        rows = random.permutation(model.rows_with(label=True)).tolist()
        labelled = list(itertools.islice((row for row in rows if model.label(row) in known), LABELLED))
        candidates = free[:CANDIDATES]

        def chosen(found: list[int]) -> None:
            self.choosing.emit(False)
            if self._labels.texts is texts:
                self.found.emit(sorted(row for row in candidates[found].tolist() if model.label(row) is None))

        def failed(error: MetaPTError) -> None:
            self.choosing.emit(False)
            self.failed.emit(error)

        self.choosing.emit(True)
        self._host.ask(
            "suggest_rows",
            chosen,
            failed,
            texts=[texts.texts[row].as_py() for row in candidates.tolist()],
            labelled=[texts.texts[row].as_py() for row in labelled],
            labels=[model.label(row) for row in labelled],
            count=SUGGESTED,
        )
