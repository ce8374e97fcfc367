"""Step 6: try the prompt on a sentence, classify files, take it away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QMimeData
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout

from engine.errors import MetaPTError
from engine.evaluation.answers import check_place
from engine.events import Event, Finished
from engine.jobs import PredictJob
from engine.roles import LEARNED
from engine.settings import BackboneSettings, ImportSettings
from engine.storage import read_json
from engine.workflow import PROBES, TUNE, USE, backbone_of, classifier_path, probe_files, tuned_prompt
from metapt_gui import wording
from metapt_gui.job_runner import Run
from metapt_gui.pages.page import Context, Page
from metapt_gui.pages.use_side import TUNED, UseSide
from metapt_gui.theme import GRID, Theme
from metapt_gui.widgets.charts import BarChart
from metapt_gui.widgets.dialogs import ask_where, reporting, show_error
from metapt_gui.widgets.drop_zone import FILTER
from metapt_gui.widgets.pieces import Card, label, set_role, single_shot

OUTPUTS = "CSV (*.csv);;Parquet (*.parquet);;JSON lines (*.jsonl)"
TYPING_MS = 250
LATE_MS = 1500
"""So long the answer about what stood there before is left; the engine may be in a long step."""
LONGEST = 20_000
"""So many characters of a sentence are taken in; a backbone reads far fewer."""
NONE_CLASSIFIED = "Classify a file to see how many texts each class gets."
CLEANED_ALIKE = ("strip_html",)
READ_ALIKE = (*CLEANED_ALIKE, "format", "encoding", "delimiter", "header", "skip_rows", "sheet", "one_row_per")
"""Settings of the task's texts that also hold for files to classify; the latter if the file is of the same kind."""


class Sentence(QPlainTextEdit):
    """Takes in the beginning of what is pasted or dropped: the layout of megabytes would hold the window up."""

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Insert no more than fits."""
        self.insertPlainText(source.text()[: max(0, LONGEST - len(self.toPlainText()))])


class UsePage(Page):
    """Uses and exports a prompt, or the probe that it was compared with."""

    primary_text = "Classify a file …"
    primary_tooltip = "Choose files, and a file for the answers: CSV, Parquet or JSON lines."
    stop_text = "Stop and keep"
    stop_tooltip = "End here and write the answers so far."
    outdated_step = TUNE

    def __init__(self, context: Context) -> None:
        super().__init__(context, USE)
        self._file: Path | None = None
        self._made_on = ""
        self._fill_body()
        self._typing = single_shot(self, TYPING_MS, self._classify)
        self._late = single_shot(self, LATE_MS, self._say_late)

    def _fill_body(self) -> None:
        columns = QHBoxLayout()
        columns.setSpacing(GRID)
        left = QVBoxLayout()
        asked = Card("Try a sentence")
        self.sentence = Sentence()
        self.sentence.setPlaceholderText("Type a sentence …")
        self.sentence.setAccessibleName("Sentence to classify")
        self.sentence.setToolTip(f"The probabilities below follow as you type. At most {LONGEST:,} characters.")
        self.sentence.setTabChangesFocus(True)
        self.sentence.setMaximumHeight(110)
        self.sentence.textChanged.connect(self._on_typed)
        self.answer = label("", "figure", wrap=True)
        asked.box.addWidget(self.sentence)
        asked.box.addWidget(self.answer)
        left.addWidget(asked)
        self.chances = BarChart("Probability of each class", "probability (%)", end=100)
        self.chances.set_placeholder("Type a sentence above to see how likely each class is.")
        left.addWidget(self.chances, 1)
        self.files = Card("Classified files")
        self.counts = label(NONE_CLASSIFIED, "muted", wrap=True)
        self.files.box.addWidget(self.counts)
        left.addWidget(self.files)
        columns.addLayout(left, 3)

        self.side = UseSide()
        self.side.chosen.connect(self._choose)
        self.side.load_asked.connect(self.use)
        self.side.export_asked.connect(self.export)
        columns.addWidget(self.side, 2)
        self.body.addLayout(columns, 1)

    def set_theme(self, theme: Theme) -> None:
        """Paint the plot and the icons."""
        super().set_theme(theme)
        self.side.set_theme(theme)

    def plots(self) -> list[Any]:
        """Return the plot."""
        return [self.chances]

    # What is shown ----------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show the prompt that is used."""
        if what == "opened":
            self.counts.setText(NONE_CLASSIFIED)
        if what in ("opened", "tune", "linear-probe", *LEARNED.values(), "values"):
            project = self.document.project
            found = classifier_path(project) if project is not None else None
            if found != self._file or what != "values":
                self._file = found
                self._made_on = backbone_of(found) if found is not None else ""
                self._show_file()
            else:
                self._show_code()
        self.update_primary()

    def summary(self) -> str:
        """Return a line for the rail."""
        return ", ".join(self.side.classes())

    def _show_file(self) -> None:
        project, loaded = self.document.project, self.document.value("loaded prompt")
        probes = probe_files(project) if project is not None else {}
        titles = {"": TUNED, **{name: PROBES[name] for name in probes}} if tuned_prompt(project) is not None else {}
        if loaded:
            titles[loaded] = f"{Path(loaded).name}, loaded"
        used = loaded or next((name for name, path in probes.items() if path == self._file), "")
        fixed = self.document.fixed
        self.side.show_choices(titles, used, fixed)
        self.side.show_file(self._file)
        self.sentence.setEnabled(self._file is not None)
        self._answer_nothing()
        if self._file is not None:
            self.host.ask("describe_prompt", self._on_facts, self._on_problem, prompt=str(self._file))

    def _show_code(self) -> None:
        if self._file is not None and self.side.show_code(self._file, self._backbone().backbone):
            self._typing.start()  # what was answered is of another prompt or backbone

    def _on_facts(self, facts: dict[str, Any]) -> None:
        if self._file is None:
            return
        self.side.show_facts(facts, self.document.value("loaded prompt") or "")
        self._show_code()
        self._typing.start()
        self.host.state_changed.emit()

    def _on_problem(self, error: MetaPTError) -> None:
        self.side.show_problem(str(error))

    def _choose(self, name: str) -> None:
        if name != self.document.value("loaded prompt"):
            self.document.set_values({"loaded prompt": None, "used": name})

    def _backbone(self) -> BackboneSettings:
        """The backbone that the prompt was made on; that of the page Meta-train if this is not known."""
        chosen = {**self.document.value("backbone", {}), "offline": self.context.offline()}
        return BackboneSettings(**chosen | ({"backbone": self._made_on} if self._made_on else {}))

    # A sentence -------------------------------------------------------------------------------------------------------

    def _on_typed(self) -> None:
        self._typing.start()

    def _classify(self) -> None:
        text = self.sentence.toPlainText().strip()
        if not text or self._file is None:
            self._answer_nothing()
            return
        self._late.start()
        self.host.ask(
            "classify",
            self._on_chances,
            self._on_no_answer,
            backbone=self._backbone().model_dump(),
            prompt=str(self._file),
            text=text,
        )

    def _answer_nothing(self) -> None:
        """What was answered, or will be, is of another sentence or another prompt."""
        self.host.forget("classify")
        self._late.stop()
        self.answer.setText("")
        self.chances.set_bars([], [], [])

    def _say_late(self) -> None:
        set_role(self.answer, "muted")
        self.answer.setText("The engine is busy; the answer follows.")
        self.chances.set_bars([], [], [])

    def _on_chances(self, chances: dict[str, float]) -> None:
        set_role(self.answer, "figure")
        self._late.stop()
        best = max(chances, key=lambda name: chances[name])
        self.answer.setText(f"{best}   {wording.percent(chances[best])}")
        values = [100 * value for value in chances.values()]
        self.chances.set_bars(list(chances), values, list(range(len(chances))))

    def _on_no_answer(self, error: MetaPTError) -> None:
        set_role(self.answer, "bad")
        self._late.stop()
        self.answer.setText(str(error))
        self.chances.set_bars([], [], [])

    # Files ------------------------------------------------------------------------------------------------------------

    def outdated_text(self) -> str:
        """Return why the prompt is out of date, and what to do."""
        return "Something has changed since this prompt was learnt. Tune again to take away what is there now."

    def blocked(self) -> str:
        """Return what is missing."""
        return "" if self._file is not None else "Tune a prompt first, or load one."

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
            partial(
                self._on_columns, partial(self._predict, str(self._file), self._backbone(), files, output), reading
            ),
            self._on_not_saved,
            key="columns",
            path=str(files[0].absolute()),
            settings=reading,
        )

    def _on_columns(
        self, begin: Callable[[ImportSettings], None], reading: dict[str, Any], preview: dict[str, Any]
    ) -> None:
        wanted = self.document.value("import target", {}).get("text_column", "")
        if wanted in preview["columns"]:
            reading = {**reading, "text_column": wanted}
        begin(ImportSettings(**reading))

    def classify_files(self, files: Sequence[Path], output: Path, reading: ImportSettings | None = None) -> None:
        """Classify the texts of ``files``, read as ``reading`` says, into ``output``, whose ending says the format."""
        self._predict(str(self._file), self._backbone(), files, output, reading or ImportSettings())

    def _predict(
        self, prompt: str, backbone: BackboneSettings, files: Sequence[Path], output: Path, reading: ImportSettings
    ) -> None:
        self.run(
            "predictions",
            PredictJob(
                prompt=prompt,
                files=[str(path.absolute()) for path in files],
                output=str(output.absolute()),
                backbone=backbone,
                reading=reading,
                partial=True,
            ),
            fresh=True,
        )

    def on_ended(self, run: Run, event: Event) -> None:
        """Say what came out."""
        if not isinstance(event, Finished):
            return
        if event.outcome == "stopped":
            self.progress_text.setText(
                f"Stopped; {'the answers so far are' if event.summary else 'no file was'} written."
            )
        if event.summary:
            counts = ", ".join(f"{name} {count:,}" for name, count in event.summary["counts"].items())
            self.counts.setText(
                f"{wording.count(event.summary['rows'], 'texts')} classified, from {_columns(run.folder)}, into "
                f"{event.summary['output']}: {counts}."
            )

    # Taking it away ---------------------------------------------------------------------------------------------------

    def export(self, path: Path, peft: bool) -> None:
        """Write the prompt or the probe as a file, or a prompt as a folder that PEFT reads."""
        self.side.say(f"{path.name} is being written …")
        self.host.ask(
            "export_prompt",
            partial(self._on_saved, path),
            self._on_not_saved,
            needed=True,
            prompt=str(self._file),
            target=str(path.absolute()),
            peft=peft,
        )

    def _on_saved(self, path: Path, size: int) -> None:
        self.side.say(f"Saved {path} ({wording.size(size)}).")

    def _on_not_saved(self, error: MetaPTError) -> None:
        show_error(self.window(), error)

    @reporting
    def use(self, name: str) -> None:
        """Use a prompt or a probe of a file, or the prompt of a PEFT folder, instead of the project's."""
        self.host.ask("describe_prompt", partial(self._on_loaded, name), self._on_not_saved, key="load", prompt=name)

    def _on_loaded(self, name: str, _facts: dict[str, Any]) -> None:
        self.document.set_value("loaded prompt", name)


def _columns(folder: Path) -> str:
    """Name the columns that the texts of a run were read from, in their order."""
    sources = read_json(folder / "report.json")["sources"]
    names = [f"‘{name}’" for name in dict.fromkeys(source["text_column"] for source in sources)]
    return f"the column {names[0]}" if len(names) == 1 else f"the columns {', '.join(names)}"
