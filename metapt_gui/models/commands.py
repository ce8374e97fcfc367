"""Changes that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtGui import QUndoCommand

Change = tuple[int, str | None, str | None]
"""Row of the corpus (from 0), class before, class after; ``None`` for no label."""


class SetLabels(QUndoCommand):
    """Label rows, or clear their labels.

    Parameters
    ----------
    write
        Puts a class, or ``None``, on a row: into the project and into what is shown. Failures are for it to tell.
    changes
        What changes.
    text
        What the menu calls it after "Undo"; made from the changes if empty.
    """

    def __init__(self, write: Callable[[int, str | None], None], changes: Sequence[Change], text: str = "") -> None:
        super().__init__(text or description(changes))
        self._write, self._changes = write, list(changes)

    def redo(self) -> None:
        """Write what comes after."""
        for row, _, after in self._changes:
            self._write(row, after)

    def undo(self) -> None:
        """Write what was before, in the opposite order."""
        for row, before, _ in reversed(self._changes):
            self._write(row, before)


class SetThreshold(QUndoCommand):
    """Moves the threshold of one class; ``write`` puts it somewhere."""

    def __init__(self, write: Callable[[str, float], None], name: str, before: float, after: float) -> None:
        super().__init__(f"Threshold of {name}")
        self._write, self._name, self._before, self._after = write, name, before, after

    def redo(self) -> None:
        """Move it."""
        self._write(self._name, self._after)

    def undo(self) -> None:
        """Move it back."""
        self._write(self._name, self._before)


def description(changes: Sequence[Change]) -> str:
    """Return ``Label 12 as good``, ``Label 3 texts as good``, ``Clear the label of 12``; rows are counted from 1."""
    classes = {after for _, _, after in changes}
    one = len(changes) == 1
    what = f"{changes[0][0] + 1:,}" if one else f"{len(changes):,} texts"
    if len(classes) != 1:
        return f"Label {what}"
    name = classes.pop()
    if name is None:
        return f"Clear the label of {what}" if one else f"Clear the labels of {what}"
    return f"Label {what} as {name}"
