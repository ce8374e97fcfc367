"""The column beside the label table: classes and words, what the backbone reads, where tuning starts, how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout

from engine.corpus.drawing import LEAST_TEST_ROWS, rows_to_test
from engine.presets import preset
from engine.roles import LEARNED
from engine.running.runs import own_labels_taught
from engine.settings import PromptSettings, TuneSettings
from engine.workflow import alike
from metapt_gui import wording
from metapt_gui.pages.page import Context
from metapt_gui.starts import FILE, NAMES, RANDOM, VOCABULARY, first_start
from metapt_gui.widgets.drop_zone import FILTER
from metapt_gui.widgets.pieces import Card, Figure, SideScroll, button, enable, label
from metapt_gui.widgets.settings_form import SettingsForm
from metapt_gui.widgets.words_editor import WordsEditor
from metapt_gui.wording import tooltip

START = "Where the prompt starts (its initialisation). The paper's is the meta-learned one."

SUGGEST, CHOOSING = "Suggest next 10", "Choosing …"


class FewShotSide(SideScroll):
    """Controls of the task and of tuning."""

    changed = Signal()
    checked = Signal()
    renamed = Signal(str, str)
    removed = Signal(str)
    suggest_asked = Signal()
    random_asked = Signal()
    labels_chosen = Signal(str)

    def __init__(self, context: Context) -> None:
        super().__init__(348)
        self._document = context.document
        self._file = ""
        self._chosen = ""
        self._learned: Mapping[str, Path] = {}
        self._total = self._test_texts = 0
        self._unlabelled: int | None = None
        self._choosing = False

        counts = Card("Labels")
        self.labelled = Figure("labels", "How many texts have a label.")
        self.split = label("", "muted", wrap=True)
        row = QHBoxLayout()
        self.suggest = button(
            SUGGEST,
            "Put ten texts first that are worth a label: in doubt after the labels so far, and unlike each other. "
            "They are harder than most, so the accuracy measured on them is a little too low.",
            self.suggest_asked.emit,
        )
        self.at_random = button(
            "Ten at random", "Put ten texts without a label first, drawn at random.", self.random_asked.emit
        )
        self.from_file = button(
            "Labels from a file …",
            "A file with the columns text and label; instead of text, row may name a row of this table.",
            self._choose_labels,
        )
        row.addWidget(self.suggest)
        row.addWidget(self.at_random)
        counts.box.addWidget(self.labelled)
        counts.box.addWidget(self.split)
        self.own_test = QCheckBox("Test on the test texts")
        self.own_test.setAccessibleName("Test on the test texts")
        self.own_test.setToolTip("Measure on the test texts of the page Import, and not on labels that are left over.")
        self.own_test.toggled.connect(self._on_form)
        self.own_test.hide()
        counts.box.addWidget(self.own_test)
        counts.box.addLayout(row)
        counts.box.addWidget(self.from_file)
        self.box.addWidget(counts)

        task = Card("Classes and label words")
        self.words = WordsEditor(context.host, names_editable=True)
        self.words.changed.connect(self.changed)
        self.words.checked.connect(self.checked)
        self.words.renamed.connect(self.renamed)
        self.words.removed.connect(self.removed)
        task.box.addWidget(self.words)
        self.unknown = label("", "warning", wrap=True)
        task.box.addWidget(self.unknown)
        self.box.addWidget(task)

        reads = Card("What the backbone reads")
        self.prompt_form = SettingsForm(PromptSettings, main=("template",), hidden=("soft_tokens", "answer", "loss"))
        self.prompt_form.changed.connect(self.changed)
        reads.box.addWidget(self.prompt_form)
        self.preview = label("", "muted", wrap=True)
        self.preview.setToolTip("Exactly what the backbone reads for the selected text, after cutting.")
        reads.box.addWidget(self.preview)
        self.box.addWidget(reads)

        tuning = Card("Tuning")
        starts = QHBoxLayout()
        starts.addWidget(label("Start from"))
        self.start_from = QComboBox()
        self.start_from.addItems(list(NAMES))
        self.start_from.setAccessibleName("Start from")
        self.start_from.setToolTip(START)
        self.start_from.activated.connect(self._on_start)
        starts.addWidget(self.start_from, 1)
        tuning.box.addLayout(starts)
        self.compare = QCheckBox("Compare with plain tuning and a probe")
        self.compare.setChecked(True)
        self.compare.setAccessibleName("Compare")
        self.compare.setToolTip(
            "Also tune from the other learned prompt, if there is one like it, and from a random one (PT), and fit a "
            "linear classifier on Sentence-BERT, on the same texts."
        )
        self.compare.toggled.connect(self.changed)
        tuning.box.addWidget(self.compare)
        self.form = SettingsForm(
            TuneSettings,
            main=("training_rows", "validation_rows", "seeds", "learning_rate", "epochs"),
            hidden=("test_rows",),
        )
        self.form.changed.connect(self._on_form)
        tuning.box.addWidget(self.form)
        self.box.addWidget(tuning)
        self.box.addStretch(1)

    def show_task(self, classes: Sequence[str], words: Mapping[str, str], kept: Mapping[str, Any]) -> None:
        """Show classes and words, and of what is ``kept`` with the task where tuning starts and whether to compare."""
        self.words.show_classes(classes, words)
        file, chosen, compare = kept.get("start_file"), kept.get("start"), kept.get("compare")
        self.own_test.setChecked(kept.get("own_test", True) is not False)
        self._file = file if isinstance(file, str) else ""
        known = chosen in list(NAMES) and (chosen != FILE or self._file)
        self._chosen = str(chosen) if known else ""
        self.compare.setChecked(compare if isinstance(compare, bool) else True)
        self._show_start()
        self.show_settings()

    def show_unknown(self, missing: Sequence[str], joined: Sequence[str] = ()) -> None:
        """Warn of classes of imported labels that the task does not have, and of those that it takes for others."""
        said = []
        if missing:
            said.append(f"The imported labels {', '.join(missing)} are of no class here; rename a class to use them.")
        if joined:
            said.append(f"Because classes were renamed here, labels of this file are read so: {', '.join(joined)}.")
        self.unknown.setText(" ".join(said))
        self.unknown.setVisible(bool(said))

    def show_settings(self) -> None:
        """Show what is kept with the project, when another page changed it."""
        values = preset(self._document.value("preset") if self._document.value("preset") == "paper" else "laptop")
        prompt = self._document.value("prompt") or values["prompt"]
        tune = self._document.value("tune") or values["tune"]
        if self.prompt_form.values() != {**self.prompt_form.values(), **_known(prompt, self.prompt_form)}:
            self.prompt_form.set_values(prompt)
        if self.form.values() != {**self.form.values(), **_known(tune, self.form)}:
            self.form.set_values(tune)
        self._say_split()

    def task_values(self) -> dict[str, Any]:
        """Return what is kept with the task; the start is empty as long as the person has chosen none."""
        return {
            "classes": self.words.classes(),
            "words": self.words.words(),
            "start": self._chosen,
            "start_file": self._file,
            "compare": self.compare.isChecked(),
            "own_test": self.own_test.isChecked(),
        }

    def show_test(self, texts: int | None) -> None:
        """Offer to test on so many texts of a file of their own; ``None``: there is none."""
        self._test_texts = texts or 0
        self.own_test.setVisible(texts is not None)
        self.own_test.setText(f"Test on the {wording.count(self._test_texts, 'test texts')}")
        self._say_split()

    def show_starts(self, learned: Mapping[str, Path]) -> None:
        """Offer the prompts that were learned, and start from the first if nothing else was chosen.

        ``learned`` is as `engine.workflow.learned_prompts` has it.
        """
        self._learned = learned
        model = self.start_from.model()
        for row, name in enumerate(NAMES.values()):
            if name in LEARNED:
                item = model.item(row)  # type: ignore[attr-defined]
                item.setEnabled(name in learned)
                item.setToolTip("" if name in learned else "The page Meta-train learns it.")
        self._show_start()

    def _show_start(self) -> None:
        shown = first_start(self._chosen, self._learned)
        self.start_from.setCurrentText(shown)
        self.start_from.setToolTip(tooltip(f"{START}\nThe file: {self._file}") if shown == FILE else START)

    def starts(self) -> tuple[dict[str, str], Path | None]:
        """Return name -> prompt file or way to begin, the chosen start first, and its file if it has one.

        To compare, a plain start comes with a learned one, and the other learned one if they can share a bank.
        """
        chosen = self.start_from.currentText()
        file = Path(self._file) if chosen == FILE else self._learned.get(NAMES[chosen])
        starts = {NAMES[chosen]: str(file)} if file is not None else {}
        if self.compare.isChecked() and file is not None and chosen != FILE:
            others = {name: other for name, other in self._learned.items() if other != file}
            starts |= {name: str(other) for name, other in others.items() if alike(file, other)}
        if self.compare.isChecked() or not starts:
            plain = VOCABULARY if chosen == VOCABULARY else RANDOM
            starts[NAMES[plain]] = "vocabulary" if chosen == VOCABULARY else "random"
        return starts, file

    def show_counts(self, counts: Mapping[str, int]) -> None:
        """Show how many labels of the classes there are and what they will be used for."""
        self._total = sum(counts.values())
        self.labelled.set(f"{self._total:,}")
        self._say_split()

    def set_choosing(self, choosing: bool) -> None:
        """Say that texts are being chosen."""
        self._choosing = choosing
        self._enable_suggestions()

    def set_unlabelled(self, count: int | None) -> None:
        """Suggest texts only as long as some have no label; ``None``: there are no texts."""
        self._unlabelled = count
        self._enable_suggestions()

    def _enable_suggestions(self) -> None:
        reason = "There are no texts yet." if self._unlabelled is None else "Every text has a label."
        reason = "" if self._unlabelled else reason
        self.suggest.setText(CHOOSING if self._choosing else SUGGEST)
        enable(self.suggest, "Texts are being chosen." if self._choosing else reason)
        enable(self.at_random, reason)

    def show_preview(self, text: str) -> None:
        """Show the exact input."""
        self.preview.setText(text)

    def problem(self) -> str:
        """Return why tuning cannot begin; empty if it can."""
        return self.words.problem() or self.prompt_form.problem() or self.form.problem()

    def to_test(self, settings: TuneSettings) -> int:
        """Return how many labelled texts are set aside to test on; those that have taught the others are not."""
        return rows_to_test(self._total, settings, self._taught())

    def _taught(self) -> int:
        """Return how many of the labelled texts have taught the others."""
        project, source = self._document.project, self._document.corpus("source")
        return source.rows if project is not None and source is not None and own_labels_taught(project) else 0

    def _say_split(self) -> None:
        if self.form.problem():
            return
        settings = self.form.settings()
        training, validation = settings.training_rows, settings.validation_rows
        own = bool(self._test_texts) and self.own_test.isChecked()
        if self._total >= training + validation:
            test = self.to_test(settings)
            text = f"Each seed takes {training} for training and {validation} for validation"
            if own or test:
                text += "." if own else f"; {test:,} are left to test on."
            else:
                missing = LEAST_TEST_ROWS + max(training + validation, self._taught()) - self._total
                more = wording.count(missing, "labels")
                text += f"; none is left to test on. With {more} more, some are."
            if (own or test) and (unused := self._total - training - validation - (0 if own else test)):
                text += f" {wording.count(unused, 'labels')} are not used: raise the training rows to learn from more."
        else:
            how = "half train, half validate" if training == validation else "split in the same proportion"
            text = f"Fewer than {training + validation}: {how}" + (". " if own else ", none is left to test on. ")
            text += f"{wording.count(training + validation - self._total, 'labels')} more for the paper's way."
        if training < 3 * len(self.words.classes()):
            text += f" {training} rows are few for {len(self.words.classes())} classes: some may be missing in a draw."
        self.split.setText(text)

    def _on_form(self) -> None:
        self._say_split()
        self.changed.emit()

    def _on_start(self) -> None:
        chosen = self.start_from.currentText()
        if chosen == FILE:
            name, _ = QFileDialog.getOpenFileName(self, "A prompt file", "", "Prompts (*.safetensors)")
            if not name:
                self._show_start()
                return
            self._file = name
        self._chosen = chosen
        self._show_start()
        self.changed.emit()

    def _choose_labels(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Labels from a file", "", FILTER)
        if name:
            self.labels_chosen.emit(name)


def _known(values: Mapping[str, Any], form: SettingsForm) -> dict[str, Any]:
    shown = form.values()
    return {name: value for name, value in values.items() if name in shown}
