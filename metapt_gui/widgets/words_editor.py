"""Classes and their label words, checked against the backbone's tokenizer while they are typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QVBoxLayout, QWidget

from engine.errors import MetaPTError
from metapt_gui import wording
from metapt_gui.engine_host import EngineHost
from metapt_gui.widgets.pieces import button, in_turn, label, set_role, single_shot
from metapt_gui.wording import tooltip

DELAY_MS = 300


class WordsEditor(QWidget):
    """One line a class: its name, its word, and what the tokenizer makes of the word.

    Parameters
    ----------
    host
        Is asked about words.
    names_editable
        Whether classes can be renamed, added and taken away too.
    """

    changed = Signal()
    checked = Signal()
    renamed = Signal(str, str)
    removed = Signal(str)

    def __init__(self, host: EngineHost, *, names_editable: bool) -> None:
        super().__init__()
        self._host, self._names_editable = host, names_editable
        self._backbone: dict[str, Any] = {}
        self._classes: list[str] = []
        self._pieces: dict[str, list[str]] = {}
        self._instead: dict[str, list[str]] = {}
        self._lines: list[tuple[QLineEdit, QLineEdit, Any]] = []
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(4)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addLayout(self._grid)
        self.add = button("Add a class", "One more class to tell apart.", self._add)
        self.add.setVisible(names_editable)
        box.addWidget(self.add)
        self.advice = label("", "warning", wrap=True)
        self.advice.hide()
        box.addWidget(self.advice)
        self._timer = single_shot(self, DELAY_MS, self.check)

    # Values -----------------------------------------------------------------------------------------------------------

    def show_classes(self, classes: Sequence[str], words: Mapping[str, str]) -> None:
        """Show classes and their words."""
        if list(classes) == self.classes() and all(words.get(name, "") == word for name, word in self.words().items()):
            return
        self._classes = list(classes)
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self._lines = []
        for column, text in enumerate(("Class", "Label word", "")):
            self._grid.addWidget(label(text, "muted"), 0, column)
        before = self.add.previousInFocusChain()
        lines = [self._add_line(number, name, words.get(name, "")) for number, name in enumerate(self._classes)]
        in_turn(before, [widget for line in lines for widget in line])
        self._timer.start()

    def classes(self) -> list[str]:
        """Return the names of the classes, in order."""
        return list(self._classes)

    def words(self) -> dict[str, str]:
        """Return class -> word."""
        return {name: line[1].text().strip() for name, line in zip(self._classes, self._lines, strict=True)}

    def problem(self) -> str:
        """Return why these classes and words cannot be used; empty if they can."""
        words = [word.lower() for word in self.words().values()]
        if len(words) < 2:
            return "Name at least two classes."
        if not all(words):
            return "Give each class a label word."
        if len(set(words)) < len(words):
            return "Two classes share a label word."
        unknown = [word for word in self.words().values() if self._pieces.get(word) == []]
        if unknown:
            return f"The backbone does not know the label word ‘{wording.brief(unknown[0])}’. Choose another."
        return ""

    def set_backbone(self, backbone: dict[str, Any]) -> None:
        """Ask another backbone's tokenizer from now on."""
        if backbone != self._backbone:
            self._backbone = dict(backbone)
            self._pieces.clear()
            self._instead.clear()
            self._timer.start()

    # Lines ------------------------------------------------------------------------------------------------------------

    def _add_line(self, number: int, name: str, word: str) -> list[QWidget]:
        named, worded, said = QLineEdit(name), QLineEdit(word), label("", "muted")
        named.setAccessibleName(f"Class {number + 1}")
        renaming = "Name of the class; Enter keeps it. Its labels go with it."
        named.setToolTip(renaming if self._names_editable else tooltip(name))
        named.setReadOnly(not self._names_editable)
        worded.setAccessibleName(f"Label word of class {number + 1}")
        worded.setToolTip(
            "The word that the backbone is asked for when a text is of this class (the paper's verbalizer)."
        )
        named.editingFinished.connect(partial(self._on_name, number))
        worded.textEdited.connect(self._on_word)
        said.setMinimumWidth(72)
        widgets: list[QWidget] = [named, worded, said]
        if self._names_editable:
            widgets.append(button("✕", "Take this class away; its labels stay on disk.", partial(self._remove, number)))
            widgets[-1].setAccessibleName(f"Take class {name} away")
            widgets[-1].setFixedWidth(32)
            widgets[-1].setStyleSheet("padding: 4px;")
        for line in (named, worded):
            line.setCursorPosition(0)  # what does not fit is the end
        for column, widget in enumerate(widgets):
            self._grid.addWidget(widget, number + 1, column)
        self._lines.append((named, worded, said))
        return [widget for widget in widgets if widget is not said]

    def _add(self) -> None:
        number = len(self._classes) + 1
        while f"class {number}" in self._classes:
            number += 1
        self.show_classes([*self._classes, f"class {number}"], self.words())
        self.changed.emit()

    def _remove(self, number: int) -> None:
        self.removed.emit(self._classes[number])

    def _on_name(self, number: int) -> None:
        line = self._lines[number][0]
        before, after = self._classes[number], line.text().strip()
        if after == before or not self._names_editable:
            return
        if not after or after in self._classes:
            line.setText(before)
            there = f"There is a class ‘{wording.brief(after)}’ already."
            self.advice.setText(there if after else "A class needs a name.")
            self.advice.show()
            return
        self._classes[number] = after
        place = self._grid.itemAtPosition(number + 1, 3)
        if place is not None and (away := place.widget()) is not None:
            away.setAccessibleName(f"Take class {after} away")
        self.renamed.emit(before, after)
        self.changed.emit()

    def _on_word(self) -> None:
        self._timer.start()
        self.changed.emit()

    # Checking ---------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Ask the tokenizer about every word that it has not been asked about."""
        self._say()
        if not self._backbone:
            return
        for word in set(self.words().values()):
            if word and word not in self._pieces:
                self._host.ask(
                    "word_tokens",
                    partial(self._on_pieces, self._backbone, word),
                    self._on_failure,
                    key=f"word {id(self)} {word}",
                    backbone=self._backbone,
                    word=word,
                )

    def _on_pieces(self, backbone: dict[str, Any], word: str, pieces: list[str]) -> None:
        if backbone is not self._backbone:
            return  # another one is asked by now
        self._pieces[word] = pieces
        self._say()
        self.checked.emit()
        if len(pieces) > 1:
            self._host.ask(
                "suggest_words",
                partial(self._on_suggestions, self._backbone, word),
                key=f"suggest {id(self)} {word}",
                backbone=self._backbone,
                word=word,
            )

    def _on_failure(self, error: MetaPTError) -> None:
        self.advice.setText(str(error))
        self.advice.show()

    def _on_suggestions(self, backbone: dict[str, Any], word: str, words: list[str]) -> None:
        if backbone is self._backbone:
            self._instead[word] = words
            self._say()

    def _advise(self) -> None:
        """Name other words for those that are split, of all classes."""
        found = {word: self._instead[word] for word in self.words().values() if self._instead.get(word)}
        tries = [f"for ‘{wording.brief(word)}’ {', '.join(words)}" for word, words in found.items()]
        if tries:
            self.advice.setText(
                f"One token works better for this backbone than several tokens. Try {'; '.join(tries)}."
            )
            self.advice.show()

    def _say(self) -> None:
        words = [word.lower() for word in self.words().values()]
        several = False
        for (_, line, said), word in zip(self._lines, self.words().values(), strict=True):
            pieces = self._pieces.get(word)
            if word and words.count(word.lower()) > 1:
                text, role = "used twice", "bad"
            elif not word:
                text, role = "missing", "bad"
            elif pieces is None:
                text, role = "", "muted"
            elif not pieces:
                text, role = "unknown", "bad"
            elif len(pieces) == 1:
                text, role = "1 token", "good"
            else:
                text, role, several = f"{len(pieces)} tokens", "warning", True
            said.setText(text)
            said.setToolTip(tooltip("  ".join(pieces or [])))
            line.setAccessibleDescription(text)
            set_role(said, role)
        if several:
            self._advise()
        else:
            self.advice.hide()
