"""Offers the labels of the person's own task where there is no labelled source: its other texts learn from them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal

from engine.corpus.drawing import LEAST_TEST_ROWS, TEST_ROWS
from engine.errors import MetaPTError
from engine.jobs.own_labels import ANNOTATION, FILES, FOLDER, Written, is_own, write_own_labels
from engine.jobs.target_task import task_from
from engine.project import Project
from engine.running.runs import tested_on
from engine.settings import TuneSettings, validated
from metapt_gui.background import Background
from metapt_gui.document import Document
from metapt_gui.widgets.dialogs import reporting, show_error
from metapt_gui.widgets.pieces import Banner

OFFER = (
    "No labelled texts from elsewhere? Those of your task that you have labelled can teach, and its other texts learn "
    "from them."
)
TAKEN = "These are texts of your task: import both, labelled and unlabelled ones. Labelled more since? Take them, too."
TOOLTIP = "Choose the texts of your task that have a label, and as unlabelled texts all others. Then import both."


class OwnLabels(Banner):
    """A line with a button, shown where nothing else is chosen for a role.

    Signals
    -------
    taken
        Files are chosen for the labelled and the unlabelled texts.
    """

    taken = Signal()

    def __init__(self, document: Document, background: Background) -> None:
        super().__init__()
        self._document, self._background = document, background

    def show_for(self, role: str) -> None:
        """Offer it for ``role``, or hide."""
        free = {name: self._free(name) for name in ("source", role)}
        if role not in FILES or not self._document.has("target") or self._document.fixed or not all(free.values()):
            self.hide()
        else:
            said = TAKEN if self._document.value(f"files {role}") else OFFER
            self.show_text(said, ("Take my labels", TOOLTIP, self.take))

    def _free(self, role: str) -> bool:
        """Whether the person has chosen no other files."""
        return all(is_own(name, role) for name in self._document.value(f"files {role}", []))

    @reporting
    def take(self) -> None:
        """Write the files and choose them for the roles that have no others."""
        project, corpus = self._document.project, self._document.corpus("target")
        if project is None or corpus is None:
            return
        chosen = validated(TuneSettings, self._document.value("tune") or {})
        tune = chosen.model_copy(update={"test_rows": 0 if tested_on(project) else TEST_ROWS})
        task, labels = task_from(project.value("task")), project.labels(corpus.content_hash)
        write = partial(write_own_labels, corpus, task, labels, tune, project.folder / FOLDER, least=LEAST_TEST_ROWS)
        self._background.run("own labels", write, partial(self._choose, project), self._fail)

    def _choose(self, project: Project, written: Written) -> None:
        if self._document.project is not project:
            return
        for role, (file, settings) in written.items():
            if not self._free(role):
                continue  # a pile of the person's own can learn from these labels, too
            self._document.set_value(f"files {role}", [str(Path(file))])
            self._document.set_value(f"import {role}", settings.model_dump())
        if not self._document.value("annotate"):
            self._document.set_value("annotate", ANNOTATION.model_dump(include={"confidence", "out_of_domain_share"}))
        self.taken.emit()

    def _fail(self, error: MetaPTError) -> None:
        show_error(self.window(), error)
