"""The change of labels in one corpus, of the name of a class, and of which there are, as steps that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from PySide6.QtGui import QUndoCommand

from engine.errors import MetaPTError
from metapt_gui.models.commands import Change, description


class ChangeLabels(QUndoCommand):
    """Labels rows of a corpus, or clears their labels, all at once.

    It is for the corpus that it was made for, whichever is shown when it is undone. What cannot be written makes it
    obsolete: the stack drops it.

    Parameters
    ----------
    write
        Puts class or ``None`` on rows of a corpus: into the project and into what is shown, or raises.
    corpus
        Content hash of the corpus.
    changes
        What changes, each row once.
    failed
        Is told what kept the labels from being written.
    text
        What the menu calls it after "Undo"; made from the changes if empty.
    """

    def __init__(
        self,
        write: Callable[[str, Mapping[int, str | None]], None],
        corpus: str,
        changes: Sequence[Change],
        failed: Callable[[MetaPTError], object],
        text: str = "",
    ) -> None:
        super().__init__(text or description(changes))
        self._write, self._corpus, self._changes, self._failed = write, corpus, list(changes), failed

    def redo(self) -> None:
        """Write what comes after."""
        self._put({row: after for row, _, after in self._changes})

    def undo(self) -> None:
        """Write what was before."""
        self._put({row: before for row, before, _ in self._changes})

    def _put(self, labels: Mapping[int, str | None]) -> None:
        try:
            self._write(self._corpus, labels)
        except MetaPTError as error:
            self.setObsolete(True)
            self._failed(error)


class Names(NamedTuple):
    """What a class is called, and with that the imported classes: old -> new name."""

    name: str
    renamed: Mapping[str, str]


class RenameClass(QUndoCommand):
    """Gives a class of the task another name, and the labels that are of it.

    As `ChangeLabels` it is for the corpora that it was made for, and obsolete if it cannot be written.

    Parameters
    ----------
    write
        Lets rows of corpora be of a class, and the task have its name in place of the one before; or raises.
    places
        Content hash of each corpus -> its rows that a person labelled with the class.
    before, after
        The names.
    failed
        Is told what kept the name from being written.
    """

    def __init__(
        self,
        write: Callable[[Mapping[str, Sequence[int]], str, Names], None],
        places: Mapping[str, Sequence[int]],
        before: Names,
        after: Names,
        failed: Callable[[MetaPTError], object],
    ) -> None:
        super().__init__(f"Rename {before.name} to {after.name}")
        self._write, self._places, self._failed = write, places, failed
        self._before, self._after = before, after

    def redo(self) -> None:
        """Write the name after."""
        self._put(self._before, self._after)

    def undo(self) -> None:
        """Write the name before."""
        self._put(self._after, self._before)

    def _put(self, old: Names, new: Names) -> None:
        try:
            self._write(self._places, old.name, new)
        except MetaPTError as error:
            self.setObsolete(True)
            self._failed(error)


class ChangeClasses(QUndoCommand):
    """Lets the task have other classes. As `ChangeLabels` it is obsolete if that cannot be written.

    Parameters
    ----------
    write
        Lets the task have these classes, or raises.
    before, after
        The classes.
    failed
        Is told what kept them from being written.
    text
        What the menu calls it after "Undo".
    """

    def __init__(
        self,
        write: Callable[[Sequence[str]], None],
        before: Sequence[str],
        after: Sequence[str],
        failed: Callable[[MetaPTError], object],
        text: str,
    ) -> None:
        super().__init__(text)
        self._write, self._before, self._after, self._failed = write, list(before), list(after), failed

    def redo(self) -> None:
        """Write the classes after."""
        self._put(self._after)

    def undo(self) -> None:
        """Write the classes before."""
        self._put(self._before)

    def _put(self, classes: Sequence[str]) -> None:
        try:
            self._write(classes)
        except MetaPTError as error:
            self.setObsolete(True)
            self._failed(error)
