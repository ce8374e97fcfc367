"""The column beside the answers: what classifies, what it says of itself, and how it is taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from metapt_gui import wording
from metapt_gui.icons import icon
from metapt_gui.theme import Theme, fixed_font
from metapt_gui.widgets.dialogs import ask_where
from metapt_gui.widgets.pieces import Card, button, enable, label, set_role

TUNED = "The tuned prompt"
IMPORTS = {
    False: "from engine.prompting.classifier import PromptClassifier\n\n"
    "classifier = PromptClassifier.load({path!r}, backbone={backbone!r})\n",
    True: "from engine.evaluation.probe_file import ProbeClassifier\n\nclassifier = ProbeClassifier.load({path!r})\n",
}
"""Whether it is a probe -> the lines that load it."""
PYTHON = """texts = ["Sorted out within minutes."]
print(classifier.predict(texts))
print(classifier.classes_, classifier.predict_proba(texts))
"""
SHOWN, LONGEST = 10, 60
"""So many classes are named, and so many characters of each."""
MEASURED = {"test_accuracy": "Right on test texts", "validation_accuracy": "Right on validation texts"}


class UseSide(QWidget):
    """Shows a prompt or a probe.

    Signals
    -------
    chosen
        The name of what is to classify from now on; empty for the tuned prompt.
    load_asked
        A file or a folder to load instead.
    export_asked
        Where to write, and whether as a PEFT folder.
    """

    chosen = Signal(str)
    load_asked = Signal(str)
    export_asked = Signal(object, bool)

    def __init__(self) -> None:
        super().__init__()
        self._facts: Mapping[str, Any] = {}
        self._names: list[str] = []
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        about = Card("What classifies")
        self.choice = QComboBox()
        self.choice.setAccessibleName("What classifies")
        self.choice.setToolTip("The tuned prompt, a probe that it was compared with, or what was loaded from a file.")
        self.choice.activated.connect(lambda index: self.chosen.emit(self._names[index]))
        self.about = label("", wrap=True)
        self.load = button("Load a file …", "Use a prompt or a probe from a file instead.", self._load)
        self.load_folder = button("PEFT folder …", "Use a prompt from a PEFT folder.", self._load_folder)
        row = QHBoxLayout()
        row.addWidget(self.load)
        row.addWidget(self.load_folder)
        about.box.addWidget(self.choice)
        about.box.addWidget(self.about)
        about.box.addLayout(row)
        box.addWidget(about)
        away = Card("Take it away")
        self.save = button("Save …", "One small file that knows its classes, and its words and template.", self._save)
        self.save_peft = button("Save PEFT folder …", "A folder that the peft library reads.", self._save_peft)
        self.copy = button("Copy Python", "Copy the lines of Python that load and use it.", self._copy)
        row = QHBoxLayout()
        for widget in (self.save, self.save_peft, self.copy):
            row.addWidget(widget)
        away.box.addLayout(row)
        self.saved = label("", "good", wrap=True)
        self.saved.hide()
        away.box.addWidget(self.saved)
        self.python = QPlainTextEdit()
        self.python.setReadOnly(True)
        self.python.setFont(fixed_font())
        self.python.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.python.setAccessibleName("Python that loads it")
        self.python.setToolTip("What Copy Python copies.")
        away.box.addWidget(self.python, 1)
        box.addWidget(away, 1)

    def set_theme(self, theme: Theme) -> None:
        """Paint the icons."""
        for name, widget in (("save", self.save), ("folder", self.save_peft), ("copy", self.copy), ("file", self.load)):
            widget.setIcon(icon(name, theme))
        self.load_folder.setIcon(icon("folder", theme))

    def say(self, text: str) -> None:
        """Say what became of taking it away; nothing takes no room."""
        self.saved.setText(text)
        self.saved.setVisible(bool(text))

    def show_choices(self, titles: Mapping[str, str], used: str, fixed: str) -> None:
        """Offer name -> title, ``used`` being the present one; ``fixed`` says why nothing can be changed."""
        self._names = list(titles)
        self.choice.clear()
        self.choice.addItems(list(titles.values()))
        if used in self._names:
            self.choice.setCurrentIndex(self._names.index(used))
        enable(self.choice, fixed or ("" if len(titles) > 1 else "There is nothing else to choose."))
        enable(self.load, fixed)
        enable(self.load_folder, fixed)

    def show_file(self, file: Path | None) -> None:
        """Begin anew with another file, or with none."""
        self._facts = {}
        self.say("")
        for widget in (self.save, self.save_peft, self.copy):
            enable(widget, "" if file is not None else "Tune a prompt first, or load one.")
        set_role(self.about, "muted" if file is None else "")
        nothing = "There is no prompt yet. Tune one in the step before, or load one from a file."
        self.about.setText(nothing if file is None else f"{file.name}: reading …")
        self.python.setPlainText("")

    def show_facts(self, facts: Mapping[str, Any], loaded: str) -> None:
        """Show what a file says of itself; ``loaded`` is its path if it was loaded."""
        self._facts = facts
        if self.is_probe():
            parts = [
                f"Classes: {_first(facts['classes'])}",
                f"A linear classifier on the vectors of Sentence-BERT ({facts['encoder']})",
            ]
        else:
            words = _first([f"{name} ({word})" for name, word in facts["words"].items()])
            parts = [
                f"Classes (label words): {words or 'not known'}",
                f"{facts['soft_tokens']} soft tokens for the backbone {facts['backbone'] or 'it was made for'}",
                f"Template: {facts['settings']['template']}",
            ]
        measured = {name: facts["metrics"].get(name) for name in MEASURED}
        known = [f"{MEASURED[name]}: {wording.percent(value)}" for name, value in measured.items() if value is not None]
        origin = f"Loaded from a file, {loaded}." if loaded else "Learnt in this project."
        self.about.setText("\n".join([origin, *parts, *known[:1]]))
        enable(self.save_peft, "A probe is no prompt." if self.is_probe() else "")

    def show_code(self, path: Path, backbone: str) -> bool:
        """Show the lines of Python; return whether they are others than before."""
        code = IMPORTS[self.is_probe()].format(path=str(path), backbone=backbone) + PYTHON
        changed = self.python.toPlainText() != code
        if changed:
            self.python.setPlainText(code)
        return changed

    def show_problem(self, text: str) -> None:
        """Say why the file cannot be used."""
        set_role(self.about, "bad")
        self.about.setText(text)

    def is_probe(self) -> bool:
        """Whether what is shown is known to be a probe."""
        return "encoder" in self._facts

    def classes(self) -> list[str]:
        """Return the classes; none as long as they are not known."""
        return list(self._facts.get("classes", ()))

    def _save(self) -> None:
        kind = "probe" if self.is_probe() else "prompt"
        filters = f"{kind.title()} (*.safetensors)"
        path = ask_where(self, f"Save the {kind}", Path(f"{kind}.safetensors"), filters, (".safetensors",))
        if path is not None:
            self.export_asked.emit(path, False)

    def _save_peft(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save a PEFT folder", "prompt-peft", "")
        if name:
            self.export_asked.emit(Path(name), True)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.python.toPlainText())
        self.say("Copied.")

    def _load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load a file", "", "Prompts and probes (*.safetensors)")
        if name:
            self.load_asked.emit(name)

    def _load_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Load a prompt from a PEFT folder")
        if name:
            self.load_asked.emit(name)


def _first(names: Sequence[str]) -> str:
    """Return the names, or the first of many and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(wording.brief(name, LONGEST) for name in names[:SHOWN]) + more
