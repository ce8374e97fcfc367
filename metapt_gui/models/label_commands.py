"""The change of labels in one corpus, as a step that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
