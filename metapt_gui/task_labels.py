"""The labels of the task's texts: the same in the project, in the table and on the undo stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pyarrow.compute as pc
from PySide6.QtCore import QObject, Signal

from engine.errors import MetaPTError
from engine.jobs.target_task import TargetTask, present_names, renamed_once_more, task_from, usable_labels
from metapt_gui import wording
from metapt_gui.document import Document
from metapt_gui.models.annotated import AUDIT
from metapt_gui.models.commands import Change, description
from metapt_gui.models.label_model import LabelModel
from metapt_gui.models.texts import Texts


class TaskLabels(QObject):
    """Gives labels, takes them away, and lets them go with a class that is renamed.

    Parameters
    ----------
    document, model
        The project that keeps them; the table that shows them.

    Attributes
    ----------
    texts
        The texts that are shown; ``None`` as long as there are none.

    Signals
    -------
    changed
        Texts that are shown have other labels now.
    renamed
        A class has another name now, or keeps its own because the other could not be written.
    failed
        The error that kept labels from being written.
    """

    changed = Signal()
    renamed = Signal()
    failed = Signal(object)

    def __init__(self, document: Document, model: LabelModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document, self._model = document, model
        self.texts: Texts | None = None
        self._imported: tuple[bool, dict[str, str]] | None = None

    # What is shown ----------------------------------------------------------------------------------------------------

    @property
    def task(self) -> TargetTask:
        """What the project keeps of the task."""
        return task_from(self._document.value("task"))

    def classes(self) -> tuple[list[str], dict[str, str]]:
        """Return the classes of the task and their words: the person's, else those that were imported."""
        corpus, task = self._document.corpus("target"), self.task
        imported = present_names(corpus, task.renamed) if corpus is not None else []
        classes = list(task.classes) or imported or ["class 1", "class 2"]
        return classes, task.words_for(classes, corpus)

    def joined(self) -> list[str]:
        """Return which imported classes are taken for others of the import, because they were renamed before."""
        corpus = self._document.corpus("target")
        names = corpus.classes if corpus is not None else ()
        return [f"{old} as {new}" for old, new in self.task.renamed.items() if old in names and new in names]

    def show(self, texts: Texts | None, classes: Sequence[str] = ()) -> None:
        """Show other texts with their labels, or none."""
        self.texts, self._imported = texts, None
        self._model.set_texts(texts.texts if texts is not None else [])
        self.show_imported(classes)
        self._model.set_labels(self.own())

    def show_imported(self, classes: Sequence[str]) -> None:
        """Show the imported labels by the present names of their classes; none of them if none is of a class."""
        if self.texts is None:
            return
        renamed = self.task.renamed
        shown = (not set(classes).isdisjoint(present_names(self.texts.corpus, renamed)), renamed)
        if shown != self._imported:
            self._imported = shown
            self._model.set_imported(self.texts.labels if shown[0] else None, renamed)

    def own(self) -> dict[int, str]:
        """Return the person's labels of the texts that are shown."""
        project = self._document.project
        return project.labels(self.texts.corpus.content_hash) if project is not None and self.texts is not None else {}

    def usable(self, classes: Sequence[str]) -> dict[int, str]:
        """Return those of them that a job can use."""
        return usable_labels(self.own(), classes, self.texts.corpus.rows) if self.texts is not None else {}

    def row_of(self, row: int, text: str) -> int | None:
        """Return where a text is now that was in a ``row``; ``None`` if it is not there any more."""
        if self.texts is None:
            return None
        texts = self.texts.texts
        if row < len(texts) and texts[row].as_py() == text:
            return row
        found = pc.index(texts, text).as_py()
        return int(found) if found >= 0 else None

    # What the person does ---------------------------------------------------------------------------------------------

    def give(self, labels: Mapping[int, str | None], how: str = "") -> None:
        """Let rows have these labels, as one step that can be undone; ``how`` they are given, if not one by one."""
        own = self._model.own_label
        after = {row: name for row, name in labels.items() if own(row) != name}
        if not after or self.texts is None or self._document.read_only:
            return
        text = f"{how} {len(after):,} labels" if how else description(after)
        write, before = partial(self._write, self.texts.corpus.content_hash), {row: own(row) for row in after}
        self._document.undo.push(Change(text, partial(write, after), partial(write, before), self.failed.emit))

    def to_carry_over(self, *, imported_anew: bool) -> dict[str, dict[int, str]]:
        """Return the labels of other texts of the project, which some of the task's may be.

        None, if the person has labelled these before and they are not ``imported_anew``: a label may have been cleared.
        """
        project, corpus = self._document.project, self._document.corpus("target")
        if project is None or corpus is None or project.read_only:
            return {}
        if not imported_anew and project.ever_labelled(corpus.content_hash):
            return {}
        return {content: labels for content, labels in self._labelled().items() if content != corpus.content_hash}

    def carry_over(self) -> str:
        """Give texts without a label the one that they had when they were imported before; say what became of them."""
        if self.texts is None:
            return ""
        own, gone = self.own(), self.texts.gone
        found = {row: name for row, name in self.texts.carried.items() if row not in own}
        self.give(found, "Carry over")
        lost = f" {wording.count(gone, 'labels')} stood at texts that are gone." if gone else ""
        said = f"{wording.count(len(found), 'labels')} of yours went over to the texts that were imported.{lost}"
        return said if found or (gone and not own) else ""

    def _labelled(self) -> dict[str, dict[int, str]]:
        """Return content hash -> row -> class of all texts that were once those of the task."""
        found = self._document.project.labelled() if self._document.project is not None else {}
        return {content: labels for content, labels in found.items() if not content.startswith(AUDIT)}

    def rename(self, before: str, after: str) -> None:
        """Let a class have another name and its labels go with it, as one step that can be undone."""
        corpus, project, renamed = self._document.corpus("target"), self._document.project, self.task.renamed
        if corpus is None or project is None or project.read_only:
            return
        places = {
            content: [row for row, name in labels.items() if name == before]
            for content, labels in self._labelled().items()
        }
        test = self._document.corpus("test")
        imported = {*corpus.classes, *(test.classes if test is not None else ())}
        there = partial(self._write_name, places, before, after, renamed_once_more(renamed, imported, before, after))
        back = partial(self._write_name, places, after, before, renamed)
        self._document.undo.push(Change(f"Rename {before} to {after}", there, back, self._not_renamed))

    def _write_name(self, places: Mapping[str, Sequence[int]], old: str, new: str, renamed: Mapping[str, str]) -> None:
        project = self._document.project
        if project is None:
            return
        classes, words = self.classes()
        project.label_corpora({content: dict.fromkeys(rows, new) for content, rows in places.items()})
        named = {name: new if name == old else name for name in classes}
        kept = self._document.value("task")
        task = {
            **(kept if isinstance(kept, dict) else {}),
            "classes": list(dict.fromkeys(named.values())),
            # A word that nobody has chosen is the name itself, and follows it.
            "words": {named[name]: named[name] if word == name else word for name, word in words.items()},
            "renamed": dict(renamed),
        }
        self._document.set_value("task", task)
        if self.texts is not None:
            self._model.set_labels(self.own())
        self.renamed.emit()

    def remove(self, name: str) -> None:
        """Take a class away, as a step that can be undone; its labels stay where they are."""
        classes, words = self.classes()
        left = [other for other in classes if other != name]
        write = partial(self._write_classes, words)
        text = f"Take the class {name} away"
        self._document.undo.push(Change(text, partial(write, left), partial(write, classes), self._not_renamed))

    def _write_classes(self, words: Mapping[str, str], classes: Sequence[str]) -> None:
        kept = self._document.value("task")
        task = kept if isinstance(kept, dict) else {}
        # The word of a class that comes back is known from before; the others may have other ones by now.
        values = {"classes": list(classes), "words": {**words, **self.task.words}}
        self._document.set_value("task", {**task, **values})
        self.renamed.emit()

    def _not_renamed(self, error: MetaPTError) -> None:
        self.failed.emit(error)
        self.renamed.emit()  # the class keeps its name, as its labels do

    def _write(self, corpus: str, labels: Mapping[int, str | None]) -> None:
        project = self._document.project
        if project is None:
            return
        project.set_labels(corpus, labels)
        if self.texts is not None and self.texts.corpus.content_hash == corpus:
            self._model.change_labels(labels)
            self.changed.emit()
        self._document.changed.emit("labels")
