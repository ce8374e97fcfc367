"""Step 1: choose files, see how they are read, say which column is what, import."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QSplitter,
    QStackedWidget,
    QWidget,
)

from engine.corpus.values import values_of
from engine.errors import MetaPTError, SettingsError
from engine.events import Event, Finished, Metric
from engine.running.jobs import ImportJob
from engine.running.pipeline import import_job
from engine.settings import ImportSettings
from engine.storage import read_json
from metapt_gui import wording
from metapt_gui.dialogs import reporting
from metapt_gui.job_runner import Run
from metapt_gui.missed_labels import missed, perhaps_missed
from metapt_gui.missed_labels import sentence as missed_sentence
from metapt_gui.pages.page import WARNINGS_SHOWN, Context, Page
from metapt_gui.widgets.charts import BarChart, Histogram
from metapt_gui.widgets.column_choice import ColumnChoice
from metapt_gui.widgets.drop_zone import DropZone
from metapt_gui.widgets.import_report import ImportReport, show_broken_beginning, show_broken_rows
from metapt_gui.widgets.pieces import Banner, Card, SideScroll, button, enable, label
from metapt_gui.widgets.preview_table import PreviewTable, counted, detected, guess
from metapt_gui.widgets.role_buttons import ROLES, RoleButtons
from metapt_gui.widgets.settings_form import SettingsForm
from metapt_gui.workflow import IMPORT, not_imported

READING = ("format", "encoding", "delimiter", "header", "skip_rows", "sheet")

COUNTING_SECONDS = 60.0
"""So long the labels of all files are counted when an import has left out many."""
NEED_LABELS = {"source": "Labelled texts", "test": "Test texts"}
DEFAULTS = {"target": {"keep_unlabelled": True}}
"""Where a role differs from the settings' own defaults: the rest of the task's texts is labelled by hand."""


class ImportPage(Page):
    """Import of the labelled, the unlabelled and the task's texts."""

    primary_text = "Import"
    primary_tooltip = "Read, clean and count the texts of the chosen files."
    stop_text = "Stop, keep a part"
    stop_tooltip = "End now. Only the texts that were read until now are kept; to have the rest, import again."
    kept_text = "Stopped; only the texts that were read until then are kept."

    def __init__(self, context: Context) -> None:
        super().__init__(context, IMPORT)
        self.role = "source"
        self._preview: dict[str, Any] = {}
        self._set_aside = False
        self._preview_problem = ""
        self._showing = False
        self._mapped: dict[str, int] = {}
        self._warned: dict[str, list[str]] = {}
        self._fill_body()

    # Layout -----------------------------------------------------------------------------------------------------------

    def _fill_body(self) -> None:
        role_buttons = RoleButtons(self.role)
        role_buttons.chosen.connect(self._on_role)
        self.roles, self._count_roles = role_buttons.buttons, role_buttons.show_counts
        self.body.addWidget(role_buttons)
        self.drop = DropZone()
        self.drop.files_chosen.connect(self.set_files)
        self.body.addWidget(self.drop)
        self.guess = Banner()
        self.body.addWidget(self.guess)

        self.preview = PreviewTable()
        self.model = self.preview.rows
        self.preview.horizontalHeader().sectionClicked.connect(self._on_header)
        self.empty = Card()
        self.empty.box.addStretch(1)
        self.empty_text = label("", wrap=True)
        self.empty_text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.box.addWidget(self.empty_text)
        self.empty_button = button("Choose files …", "Choose one or more files.", self.drop.browse.click)
        self.empty.box.addWidget(self.empty_button, alignment=Qt.AlignmentFlag.AlignCenter)
        self.empty.box.addStretch(1)
        self.table_or_empty = QStackedWidget()
        self.table_or_empty.addWidget(self.empty)
        self.table_or_empty.addWidget(self.preview)

        self.lengths = Histogram("Length of the texts", "characters", "texts")
        self.classes = BarChart("Texts of each class", "texts")
        charts = QSplitter(Qt.Orientation.Horizontal)
        charts.addWidget(self.lengths)
        charts.addWidget(self.classes)
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self.table_or_empty)
        left.addWidget(charts)
        left.setSizes([400, 220])
        self.set_columns(left, self._side())

    def _side(self) -> QWidget:
        side = self.side = SideScroll(336)
        self.report = ImportReport()
        self.report.broken_asked.connect(self._show_broken)
        self.figures, self.show_broken = self.report.figures, self.report.show_broken
        side.box.addWidget(self.report)

        self.columns = ColumnChoice()
        self.columns.changed.connect(self._on_changed)
        self.text_column, self.label_column = self.columns.text, self.columns.label
        self.class_map = self.columns.class_map
        side.box.addWidget(self.columns)

        reading = Card("How it is read")
        self.detected = label("", "muted", wrap=True)
        reading.box.addWidget(self.detected)
        self.form = SettingsForm(
            ImportSettings,
            main=("format", "encoding", "delimiter", "header", "maximum_rows", "balance"),
            hidden=("text_column", "label_column", "label_map", "words"),
        )
        self.form.changed.connect(self._on_form)
        reading.box.addWidget(self.form)
        side.box.addWidget(reading)
        side.box.addStretch(1)
        return side

    def plots(self) -> list[Any]:
        """Return the plots."""
        return [self.lengths, self.classes]

    # What is chosen ---------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show the files, settings and result of the role."""
        if what in ("opened", self.role):
            self._show_role()
        reason = "The project is open for reading only." if self.document.read_only else ""
        self.drop.set_fixed(reason)
        enable(self.empty_button, reason)
        self._count_roles(self.document.corpus)

    def forget(self) -> None:
        """Another project is shown, and nothing was said of its imports yet."""
        super().forget()
        self._warned.clear()

    def summary(self) -> str:
        """Return a line for the rail."""
        corpora = [self.document.corpus(role) for role, _, _ in ROLES]
        total = sum(corpus.rows for corpus in corpora if corpus is not None)
        return wording.count(total, "texts") if total else ""

    def files(self) -> list[str]:
        """Return the files that are chosen for the role."""
        found: list[str] = self.document.value(f"files {self.role}", [])
        return found

    def set_files(self, files: list[str]) -> None:
        """Choose other files; columns are guessed anew."""
        if self.document.read_only:
            return
        self.document.set_value(f"files {self.role}", [str(Path(name).absolute()) for name in files])
        self.document.set_value(f"import {self.role}", {})
        self._show_role()

    def import_settings(self) -> ImportSettings:
        """Return what the controls say.

        Raises
        ------
        SettingsError
            If a value is wrong.
        """
        chosen = self.form.settings().model_dump()
        return ImportSettings(**(chosen | self.columns.settings()))

    def _show_role(self) -> None:
        self._warnings = self._warned.setdefault(self.role, [])
        self._say_nothing_of_runs()
        self._preview, self._preview_problem = {}, ""
        self.host.forget("preview")  # it was asked for the files of another role, or for other files
        files = self.files()
        self.drop.show_files(files)
        self._showing = True
        self.form.set_values(DEFAULTS.get(self.role, {}) | self.document.value(f"import {self.role}", {}))
        self._showing = False
        self.model.show([], [], [])
        self.detected.setText("")
        self.guess.hide()
        self.columns.forget()
        self._show_report()
        self.table_or_empty.setCurrentIndex(0)
        self.empty_button.setVisible(not files)
        if files:
            self.empty_text.setText("Looking at the file …")
            self._ask_preview()
        else:
            title, sentence = next((title, sentence) for role, title, sentence in ROLES if role == self.role)
            self.empty_text.setText(f"{title}\n\n{sentence}\n\nCSV, TSV, JSONL, JSON, Parquet, XLSX or plain text.")
        self.update_primary()

    def _ask_preview(self) -> None:
        settings = dict(self.document.value(f"import {self.role}", {}))
        settings.pop("label_map", None)
        # Columns may be those of another file.
        for name in ("text_column", "label_column"):
            settings.pop(name, None)
        self.host.ask(
            "preview_file",
            self._on_preview,
            self._on_no_preview,
            key="preview",
            path=self.files()[0],
            settings=settings,
        )

    def _on_preview(self, preview: dict[str, Any]) -> None:
        self._preview, self._preview_problem = preview, ""
        columns = preview["columns"]
        kept = self.document.value(f"import {self.role}", {})
        text = kept.get("text_column", "")
        # Of one's own texts a channel or a status is no label, though its few values come again and again.
        likely = self.role != "open-text" and (self.role != "target" or preview["label_named"])
        guess = preview["label_column"] if likely else ""
        labelled = kept.get("label_column", guess)
        self.columns.show_columns(preview, text if text in columns else preview["text_column"], labelled)
        self.preview.show_preview(preview, self.text_column.currentText())
        self.detected.setText(detected(preview))
        self._show_guess()
        self.report.enable_broken(self._set_aside or bool(preview["broken"]))
        self.table_or_empty.setCurrentIndex(1)
        task = self.document.value("import target", {}) if self.role == "test" else {}  # both have the same classes
        self.columns.show_classes(kept.get("label_map", task.get("label_map", {})), counted(preview, len(self.files())))
        self.model.set_roles(self.columns.roles())
        if not kept:
            self._on_changed()  # what is shown is what is chosen
        self.update_primary()

    def _show_guess(self) -> None:
        sentence = guess(self._preview)
        self.guess.setVisible(bool(sentence))
        if sentence:
            tooltip = "Type another encoding, such as cp1250. The preview follows."
            self.guess.show_text(sentence, ("Change encoding", tooltip, self._choose_encoding))

    def _choose_encoding(self) -> None:
        control = self.form.control("encoding")
        self.side.ensureWidgetVisible(control)
        control.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_no_preview(self, error: MetaPTError) -> None:
        self._preview_problem = str(error)
        self.empty_text.setText(str(error))
        self.empty_button.show()
        self.table_or_empty.setCurrentIndex(0)
        self.update_primary()

    def _on_role(self, role: str) -> None:
        self.role = role
        self._show_role()
        self.show_state(self._state)

    def _on_header(self, column: int) -> None:
        if not self.document.read_only:
            self.columns.offer(self._preview["columns"][column])

    def _on_form(self) -> None:
        if self._showing or self.document.project is None:
            return
        before = self.document.value(f"import {self.role}", {})
        self._on_changed()
        now = self.document.value(f"import {self.role}", {})
        if self.files() and any(before.get(name) != now.get(name) for name in READING):
            self._ask_preview()

    def _on_changed(self) -> None:
        self.model.set_roles(self.columns.roles())
        with contextlib.suppress(SettingsError):  # the form shows what is wrong; what was right before stays
            self.document.set_value(f"import {self.role}", self.import_settings().model_dump())
        self._say_nothing_of_runs()
        self.update_primary()

    # The run ----------------------------------------------------------------------------------------------------------

    def blocked(self) -> str:
        """Return what is missing."""
        if not self.files():
            return "Choose a file first."
        if self._preview_problem:
            return self._preview_problem
        if not self._preview:
            return "The file is still being looked at."
        if self.label_column.currentText() == self.text_column.currentText():
            return "The same column cannot hold the text and the label."
        if self.role in NEED_LABELS and not self.columns.labelled():
            return f"{NEED_LABELS[self.role]} need a label column; choose one."
        return (self.class_map.problem() if self.columns.labelled() else "") or self.form.problem()

    def outdated_text(self) -> str:
        """Return which texts are not those of the files and settings that are chosen for them."""
        project = self.document.project
        changed = [role for role in self.step.roles if project is not None and not_imported(project, role)]
        if self.role in changed:
            return "These settings are not imported yet. Import again."
        named = " and ".join(title for role, title, _ in ROLES if role in changed)
        said = f"{named}: the settings are not imported yet. Import them again."
        return "  ".join([*self._warnings[-WARNINGS_SHOWN:], said])

    def warn(self, text: str, role: str = "") -> None:
        """Show a warning about the last run of a role, by default the one that runs, where the role is shown."""
        run = self.runner.current
        said = self._warned.setdefault(role or (run.role if run is not None else self.role), [])
        if text not in said:
            said.append(text)
            self.show_state(self._state)

    def _say_nothing_of_runs(self) -> None:
        """What the foot says of the last run is not so of what is chosen now."""
        if self.runner.current is None:
            self.progress_text.setText("")

    def start(self) -> None:
        """Import; folders are walked beside the event loop."""
        files, settings = self.files(), self.import_settings()
        self.document.set_value(f"import {self.role}", settings.model_dump())
        self._mapped = self.class_map.counts()
        role = self.role
        self.context.background.run(
            "find files", partial(import_job, files, settings), partial(self.run, role), self._on_no_preview
        )

    def on_started(self, run: Run) -> None:
        """Count from nothing."""
        self._warned.setdefault(run.role, []).clear()
        self._live: dict[str, int] = {}
        if run.role == self.role:
            self.report.show_counts(self._live)

    def on_event(self, run: Run, event: Event) -> None:
        """Count live."""
        if isinstance(event, Metric) and event.name == "rows" and run.role == self.role:
            self._live[event.group] = int(event.value)
            self.report.show_counts(self._live)

    def on_ended(self, run: Run, event: Event) -> None:
        """Show what came out."""
        if run.role == self.role:
            self._show_report()
        if isinstance(event, Finished) and self.stands_on(run) and isinstance(run.job, ImportJob):
            self._say_what_is_missing(run.role, run.job)

    def _say_what_is_missing(self, role: str, job: ImportJob) -> None:
        """Warn of what the import left out though nobody has said so."""
        report = read_json(Path(self.document.path(role)) / "report.json")
        if perhaps_missed(report, self._mapped, job.settings.label_map):
            count = partial(values_of, job.files, job.settings, seconds=COUNTING_SECONDS)
            self.context.background.run("count labels", count, partial(self._warn_of_missed, role, job))

    def _warn_of_missed(self, role: str, job: ImportJob, values: dict[str, int]) -> None:
        found = missed(values, self._mapped, job.settings.label_map)
        if not found:
            return
        self.warn(missed_sentence(found, values), role)
        if role == self.role and self.label_column.currentText() == job.settings.label_column:
            self._mapped = values
            self.class_map.show_values(values, job.settings.label_map)

    def _show_report(self) -> None:
        """Show counts, lengths and classes of the corpus that the role stands on."""
        report: dict[str, Any] = {}
        if self.document.has(self.role):
            folder = Path(self.document.path(self.role))
            report = read_json(folder / "report.json")
            if read_json(folder / "result.json").get("outcome") == "stopped":
                part = f"only its first part, {wording.count(report['kept'], 'texts')}, is in the project"
                self.warn(f"The import was stopped: {part}. Import again to read all.", self.role)
        self.report.show_report(report)
        self._set_aside = bool(report.get("broken"))
        self.report.enable_broken(self._set_aside or bool(self._preview.get("broken")))
        lengths = report.get("lengths", {"edges": [], "counts": []})
        edges = lengths["edges"]
        self.lengths.set_counts([*edges, 2 * edges[-1]] if edges else [], lengths["counts"])
        classes = report.get("classes", {})
        self.classes.set_bars(list(classes), list(classes.values()), list(range(len(classes))))

    @reporting
    def _show_broken(self) -> None:
        project = self.document.project
        if self._set_aside and project is not None and not not_imported(project, self.role):
            show_broken_rows(self.window(), Path(self.document.path(self.role)) / "rejected.jsonl")
        else:
            show_broken_beginning(self.window(), self._preview)
