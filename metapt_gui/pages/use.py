"""Step 6: try the prompt on a sentence, classify files, take it away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout

from engine.errors import MetaPTError
from engine.evaluation.answers import check_place
from engine.events import Event, Finished
from engine.running.jobs import PredictJob
from engine.settings import BackboneSettings, ImportSettings
from engine.storage import read_json
from metapt_gui import wording
from metapt_gui.dialogs import ask_where, reporting, show_error
from metapt_gui.icons import icon
from metapt_gui.job_runner import Run
from metapt_gui.pages.page import Context, Page
from metapt_gui.theme import GRID, Theme, fixed_font
from metapt_gui.widgets.charts import BarChart
from metapt_gui.widgets.drop_zone import FILTER
from metapt_gui.widgets.pieces import Card, button, enable, label, set_role
from metapt_gui.workflow import TUNE, USE, backbone_of, prompt_path

OUTPUTS = "CSV (*.csv);;Parquet (*.parquet);;JSON lines (*.jsonl)"
TYPING_MS = 250
NONE_CLASSIFIED = "Classify a file to see how many texts each class gets."
CLEANED_ALIKE = ("strip_html",)
READ_ALIKE = (*CLEANED_ALIKE, "format", "encoding", "delimiter", "header", "skip_rows", "sheet", "one_row_per")
"""Settings of the task's texts that also hold for files to classify; the latter if the file is of the same kind."""

PYTHON = """from engine.prompting.classifier import PromptClassifier

classifier = PromptClassifier.load({path!r}, backbone={backbone!r})
texts = ["Sorted out within minutes."]
print(classifier.predict(texts))
print(classifier.classes_, classifier.predict_proba(texts))
"""


class UsePage(Page):
    """Uses and exports a prompt."""

    primary_text = "Classify a file …"
    primary_tooltip = "Choose files, and a file for the answers: CSV, Parquet or JSON lines."
    pausable = True
    stoppable = False
    kept_text = "Stopped; no file was written."
    outdated_step = TUNE

    def __init__(self, context: Context) -> None:
        super().__init__(context, USE)
        self._prompt: Path | None = None
        self._facts: dict[str, Any] = {}
        self._made_on = ""
        self._fill_body()
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self._classify)

    def _fill_body(self) -> None:
        columns = QHBoxLayout()
        columns.setSpacing(GRID)
        left = QVBoxLayout()
        asked = Card("Try a sentence")
        self.sentence = QPlainTextEdit()
        self.sentence.setPlaceholderText("Type a sentence …")
        self.sentence.setAccessibleName("Sentence to classify")
        self.sentence.setToolTip("The probabilities beside follow as you type.")
        self.sentence.setTabChangesFocus(True)
        self.sentence.setMaximumHeight(110)
        self.sentence.textChanged.connect(self._on_typed)
        self.answer = label("", "heading", wrap=True)
        asked.box.addWidget(self.sentence)
        asked.box.addWidget(self.answer)
        left.addWidget(asked)
        self.chances = BarChart("Probability of each class", "per cent", end=100)
        left.addWidget(self.chances, 1)
        self.files = Card("Classified files")
        self.counts = label(NONE_CLASSIFIED, "muted", wrap=True)
        self.files.box.addWidget(self.counts)
        left.addWidget(self.files)
        columns.addLayout(left, 3)

        right = QVBoxLayout()
        about = Card("The prompt")
        self.about = label("", wrap=True)
        about.box.addWidget(self.about)
        row = QHBoxLayout()
        self.load = button("Load a prompt …", "Use a prompt from a file or a PEFT folder instead.", self._load)
        self.load_folder = button("PEFT folder …", "Use a prompt from a PEFT folder.", self._load_folder)
        self.own = button("Use this project's", "Back to the prompt that was tuned here.", self._use_own)
        for widget in (self.load, self.load_folder, self.own):
            row.addWidget(widget)
        about.box.addLayout(row)
        right.addWidget(about)
        away = Card("Take it away")
        self.save = button("Save prompt …", "One small file that knows its classes, words and template.", self._save)
        self.save_peft = button("Save PEFT folder …", "A folder that the peft library reads.", self._save_peft)
        self.copy = button("Copy Python", "Copy the lines of Python that load and use the prompt.", self._copy)
        row = QHBoxLayout()
        for widget in (self.save, self.save_peft, self.copy):
            row.addWidget(widget)
        away.box.addLayout(row)
        self.saved = label("", "good", wrap=True)
        away.box.addWidget(self.saved)
        self.python = QPlainTextEdit()
        self.python.setReadOnly(True)
        self.python.setFont(fixed_font())
        self.python.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.python.setAccessibleName("Python that loads the prompt")
        self.python.setToolTip("What Copy Python copies.")
        away.box.addWidget(self.python, 1)
        right.addWidget(away, 1)
        columns.addLayout(right, 2)
        self.body.addLayout(columns, 1)

    def set_theme(self, theme: Theme) -> None:
        """Paint the plot and the icons."""
        super().set_theme(theme)
        for name, widget in (("save", self.save), ("folder", self.save_peft), ("copy", self.copy), ("file", self.load)):
            widget.setIcon(icon(name, theme))

    def plots(self) -> list[Any]:
        """Return the plot."""
        return [self.chances]

    # What is shown ----------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show the prompt that is used."""
        if what == "opened":
            self.counts.setText(NONE_CLASSIFIED)
        if what in ("opened", "tune", "meta-train", "values"):
            project = self.document.project
            found = prompt_path(project) if project is not None else None
            if found != self._prompt or what in ("opened", "tune", "meta-train"):
                self._prompt, self._facts = found, {}
                self._made_on = backbone_of(found) if found is not None else ""
                self.saved.setText("")
                self._show_prompt()
                if found is not None:
                    self.host.ask("describe_prompt", self._on_facts, self._on_problem, prompt=str(found))
            elif found is not None:
                self._show_code()
        self.update_primary()

    def summary(self) -> str:
        """Return a line for the rail."""
        return ", ".join(self._facts.get("words", {}))

    def _show_prompt(self) -> None:
        reason = "" if self._prompt is not None else "Tune a prompt first, or load one."
        for widget in (self.save, self.save_peft, self.copy):
            enable(widget, reason)
        loaded = bool(self.document.value("loaded prompt"))
        fixed = "The project is open for reading only." if self.document.read_only else ""
        enable(self.load, fixed)
        enable(self.load_folder, fixed)
        enable(self.own, fixed or ("" if loaded else "It is in use."))
        self.sentence.setEnabled(self._prompt is not None)
        if self._prompt is None:
            set_role(self.about, "muted")
            self.about.setText("There is no prompt yet. Tune one in the step before, or load one from a file.")
            self.python.setPlainText("")
            self.chances.set_bars([], [], [])
            self.answer.setText("")
            return
        set_role(self.about, "")
        self.about.setText(f"{self._prompt.name}: reading …")
        self._show_code()

    def _show_code(self) -> None:
        code = PYTHON.format(path=str(self._prompt), backbone=self._backbone().backbone)
        if self.python.toPlainText() != code:
            self.python.setPlainText(code)
            self._typing.start()  # what was answered is of another prompt or backbone

    def _on_facts(self, facts: dict[str, Any]) -> None:
        if self._prompt is None:
            return
        self._facts = facts
        words = ", ".join(f"{name} ({word})" for name, word in facts["words"].items())
        metrics = facts["metrics"]
        parts = [
            f"Classes (label words): {words or 'not known'}",
            f"{facts['soft_tokens']} soft tokens for the backbone {facts['backbone'] or 'it was made for'}",
            f"Template: {facts['settings']['template']}",
        ]
        for name, text in (
            ("test_accuracy", "Right on test texts"),
            ("validation_accuracy", "Right on validation texts"),
        ):
            if metrics.get(name) is not None:
                parts.append(f"{text}: {wording.percent(metrics[name])}")
                break
        loaded = self.document.value("loaded prompt")
        origin = f"Loaded from a file, {loaded}" if loaded else "Learnt in this project"
        self.about.setText("\n".join([f"{origin}.", *parts]))
        self._typing.start()
        self.host.state_changed.emit()

    def _on_problem(self, error: MetaPTError) -> None:
        set_role(self.about, "bad")
        self.about.setText(str(error))

    def _backbone(self) -> BackboneSettings:
        """The backbone that the prompt was made on; that of the page Meta-train if this is not known."""
        chosen = {**self.document.value("backbone", {}), "offline": self.context.offline()}
        return BackboneSettings(**chosen | ({"backbone": self._made_on} if self._made_on else {}))

    # A sentence -------------------------------------------------------------------------------------------------------

    def _on_typed(self) -> None:
        self._typing.start()

    def _classify(self) -> None:
        text = self.sentence.toPlainText().strip()
        if not text or self._prompt is None:
            self.host.forget("classify")  # the answer about what stood there before
            self.answer.setText("")
            self.chances.set_bars([], [], [])
            return
        self.host.ask(
            "classify",
            self._on_chances,
            self._on_no_answer,
            backbone=self._backbone().model_dump(),
            prompt=str(self._prompt),
            text=text,
        )

    def _on_chances(self, chances: dict[str, float]) -> None:
        best = max(chances, key=lambda name: chances[name])
        self.answer.setText(f"{best}   {wording.percent(chances[best])}")
        values = [100 * value for value in chances.values()]
        self.chances.set_bars(list(chances), values, list(range(len(chances))))

    def _on_no_answer(self, error: MetaPTError) -> None:
        self.answer.setText(str(error))
        self.chances.set_bars([], [], [])

    # Files ------------------------------------------------------------------------------------------------------------

    def outdated_text(self) -> str:
        """Return why the prompt is out of date, and what to do."""
        return "Something has changed since this prompt was learnt. Tune again to take away what is there now."

    def blocked(self) -> str:
        """Return what is missing."""
        return "" if self._prompt is not None else "Tune a prompt first, or load one."

    def start(self) -> None:
        """Ask for files and where to write, then classify."""
        files, _ = QFileDialog.getOpenFileNames(self, "Files to classify", "", FILTER)
        if files:
            self.classify_into([Path(name) for name in files])

    def classify_into(self, files: Sequence[Path]) -> None:
        """Ask where the answers go, then classify the texts of ``files``."""
        first = files[0]
        suggestion = first.with_name(f"{first.stem} classified.csv")
        output = ask_where(self, "Where the answers go", suggestion, OUTPUTS, (".csv", ".parquet", ".jsonl"))
        if output is None:
            return
        check_place(output, files)  # the engine does so, too, but here nothing has begun
        self._ask_columns(files, output)

    def _ask_columns(self, files: Sequence[Path], output: Path) -> None:
        """Look at the first file, to read it as the texts of the task were read if it is like theirs."""
        kept = self.document.value("import target", {})
        kinds = {Path(name).suffix for name in self.document.value("files target", [])}
        alike = files[0].suffix in kinds
        reading = {name: kept[name] for name in (READ_ALIKE if alike else CLEANED_ALIKE) if name in kept}
        self.host.ask(
            "preview_file",
            partial(self._on_columns, files, output, reading),
            self._on_not_saved,
            key="columns",
            path=str(files[0].absolute()),
            settings=reading,
        )

    def _on_columns(
        self, files: Sequence[Path], output: Path, reading: dict[str, Any], preview: dict[str, Any]
    ) -> None:
        wanted = self.document.value("import target", {}).get("text_column", "")
        if wanted in preview["columns"]:
            reading = {**reading, "text_column": wanted}
        self.classify_files(files, output, ImportSettings(**reading))

    def classify_files(self, files: Sequence[Path], output: Path, reading: ImportSettings | None = None) -> None:
        """Classify the texts of ``files``, read as ``reading`` says, into ``output``, whose ending says the format."""
        self.run(
            "predictions",
            PredictJob(
                prompt=str(self._prompt),
                files=[str(path.absolute()) for path in files],
                output=str(output.absolute()),
                backbone=self._backbone(),
                reading=reading or ImportSettings(),
            ),
            fresh=True,
        )

    def on_ended(self, run: Run, event: Event) -> None:
        """Say what came out."""
        if isinstance(event, Finished) and event.outcome == "completed":
            counts = ", ".join(f"{name} {count:,}" for name, count in event.summary["counts"].items())
            self.counts.setText(
                f"{wording.count(event.summary['rows'], 'texts')} classified, from {_columns(run.folder)}, into "
                f"{event.summary['output']}: {counts}."
            )

    # Taking it away ---------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        filters = "Prompt (*.safetensors)"
        path = ask_where(self, "Save the prompt", Path("prompt.safetensors"), filters, (".safetensors",))
        if path is not None:
            self.export(path, peft=False)

    def _save_peft(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save a PEFT folder", "prompt-peft", "")
        if name:
            self.export(Path(name), peft=True)

    def export(self, path: Path, *, peft: bool) -> None:
        """Write the prompt as a file, or as a folder that PEFT reads."""
        self.saved.setText("")
        self.host.ask(
            "export_prompt",
            partial(self._on_saved, path),
            self._on_not_saved,
            prompt=str(self._prompt),
            target=str(path.absolute()),
            peft=peft,
        )

    def _on_saved(self, path: Path, size: int) -> None:
        self.saved.setText(f"Saved {path} ({wording.size(size)}).")

    def _on_not_saved(self, error: MetaPTError) -> None:
        show_error(self.window(), error)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.python.toPlainText())
        self.saved.setText("Copied.")

    def _load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load a prompt", "", "Prompts (*.safetensors)")
        if name:
            self.use(name)

    def _load_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Load a prompt from a PEFT folder")
        if name:
            self.use(name)

    @reporting
    def use(self, name: str) -> None:
        """Use the prompt of a file or of a PEFT folder instead of the project's."""
        self.host.ask("describe_prompt", partial(self._on_loaded, name), self._on_not_saved, key="load", prompt=name)

    def _on_loaded(self, name: str, _facts: dict[str, Any]) -> None:
        self.document.set_value("loaded prompt", name)

    def _use_own(self) -> None:
        self.document.set_value("loaded prompt", None)


def _columns(folder: Path) -> str:
    """Name the columns that the texts of a run were read from, in their order."""
    sources = read_json(folder / "report.json")["sources"]
    names = [f"‘{name}’" for name in dict.fromkeys(source["text_column"] for source in sources)]
    return f"the column {names[0]}" if len(names) == 1 else f"the columns {', '.join(names)}"
