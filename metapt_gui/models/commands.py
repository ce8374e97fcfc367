"""Changes that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtGui import QUndoCommand

from engine.errors import MetaPTError


class Change(QUndoCommand):
    """Writes what comes after and, when it is undone, what was before.

    It is for what it was made for (a corpus, a clustering), whichever is shown when it is undone. What cannot be
    written makes it obsolete: the stack drops it.

    Parameters
    ----------
    text
        What the menu calls it after "Undo".
    after, before
        Write the one and the other, into the project and into what is shown, or raise.
    failed
        Is told what kept it from being written.
    """

    def __init__(
        self,
        text: str,
        after: Callable[[], object],
        before: Callable[[], object],
        failed: Callable[[MetaPTError], object],
    ) -> None:
        super().__init__(text)
        self._after, self._before, self._failed = after, before, failed

    def redo(self) -> None:
        """Write what comes after."""
        self._write(self._after)

    def undo(self) -> None:
        """Write what was before."""
        self._write(self._before)

    def _write(self, write: Callable[[], object]) -> None:
        try:
            write()
        except MetaPTError as error:
            self.setObsolete(True)
            self._failed(error)


def description(labels: Mapping[int, str | None]) -> str:
    """Return ``Label 12 as good``, ``Label 3 texts as good``, ``Clear the label of 12``; rows are counted from 1."""
    classes = set(labels.values())
    one = len(labels) == 1
    what = f"{next(iter(labels)) + 1:,}" if one else f"{len(labels):,} texts"
    if len(classes) != 1:
        return f"Label {what}"
    name = classes.pop()
    if name is None:
        return f"Clear the label of {what}" if one else f"Clear the labels of {what}"
    return f"Label {what} as {name}"
