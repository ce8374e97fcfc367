"""Step 1: choose files, see how they are read, say which column is what, import."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QWidget

from engine.corpus.values import values_of
from engine.errors import MetaPTError, SettingsError
from engine.events import Event, Finished, Metric
from engine.jobs import ImportJob
from engine.running.pipeline import import_job
from engine.settings import ImportSettings
from engine.stage import StopToken
from engine.storage import read_json
from engine.workflow import IMPORT, not_imported, reasons_to_import
from metapt_gui import wording
from metapt_gui.job_runner import Run
from metapt_gui.missed_labels import missed, perhaps_missed
from metapt_gui.missed_labels import sentence as missed_sentence
from metapt_gui.own_labels import OwnLabels
from metapt_gui.pages.page import WARNINGS_SHOWN, Context, Page
from metapt_gui.widgets.column_choice import ColumnChoice, suits
from metapt_gui.widgets.dialogs import reporting
from metapt_gui.widgets.drop_zone import DropZone
from metapt_gui.widgets.import_report import (
    ImportReport,
    ReportCharts,
    report_of,
    show_broken_beginning,
    show_broken_rows,
)
from metapt_gui.widgets.pieces import Banner, Card, SideScroll, enable, label
from metapt_gui.widgets.preview_table import PreviewTable, TableOrNothing, counted, detected, guess
from metapt_gui.widgets.role_buttons import DEFAULTS, NEED_LABELS, ROLES, RoleButtons, description
from metapt_gui.widgets.settings_form import SettingsForm

READING = ("format", "encoding", "delimiter", "header", "skip_rows", "sheet")
COUNTING_SECONDS = 60.0
"""So long the labels of all files are counted when an import has left out many."""


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
        self._set_aside = self._showing = self._finding = False
        self._preview_problem = self._other_files = ""
        self._mapped: dict[str, int] = {}
        self._counted: dict[str, tuple[str, dict[str, int]]] = {}
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
        self.guess, self.own = Banner(), OwnLabels(self.document, self.context.background)
        self.own.taken.connect(self._show_role)
        self.body.addWidget(self.guess)
        self.body.addWidget(self.own)

        self.preview = PreviewTable()
        self.model = self.preview.rows
        self.preview.horizontalHeader().sectionClicked.connect(self._on_header)
        self.shown = TableOrNothing(self.preview, "Choose files …", "Choose one or more files.", self.drop.browse.click)
        self.charts = ReportCharts()
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self.shown)
        left.addWidget(self.charts)
        left.setSizes([400, 220])
        self.set_columns(left, self._side())

    def _side(self) -> QWidget:
        side = self.side = SideScroll(336)
        self.report = ImportReport()
        self.report.broken_asked.connect(self._show_broken)
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
        return [self.charts.lengths, self.charts.classes]

    # What is chosen ---------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show the files, settings and result of the role."""
        if what in ("opened", self.role):
            self._show_role()
        self.own.show_for(self.role)
        reason = self.document.fixed
        self.drop.set_fixed(reason)
        enable(self.shown.button, reason)
        self._count_roles(self.document.corpus)

    def forget(self) -> None:
        """Another project is shown, and nothing was said of its imports yet."""
        super().forget()
        self._finding = False
        self._warned.clear()
        self._counted.clear()

    def summary(self) -> str:
        """Return a line for the rail."""
        total = sum(corpus.rows for role, _, _ in ROLES if (corpus := self.document.corpus(role)) is not None)
        return wording.count(total, "texts") if total else ""

    def files(self) -> list[str]:
        """Return the files that are chosen for the role."""
        return list(self.document.value(f"files {self.role}", []))

    def set_files(self, files: list[str]) -> None:
        """Choose other files; what was chosen for those before holds if these have the same columns."""
        if self.document.read_only:
            return
        kinds = [{Path(name).suffix.lower() for name in names} for names in (self.files(), files)]
        self.document.set_value(f"files {self.role}", [str(Path(name).absolute()) for name in files])
        self._other_files = self.role
        self._counted.pop(self.role, None)
        if kinds[0] == kinds[1]:
            self._show_role()
        else:
            self._choose_anew()

    def _choose_anew(self) -> None:
        self._other_files = ""
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
        self.host.forget("preview_file")  # it was asked for the files of another role, or for other files
        files = self.files()
        self.drop.show_files(files)
        self.own.show_for(self.role)
        self._showing = True
        self.form.set_values(DEFAULTS.get(self.role, {}) | self.document.value(f"import {self.role}", {}))
        self._showing = False
        self.model.show([], [], [])
        self.detected.setText("")
        self.guess.hide()
        self.columns.forget()
        self._show_report()
        if files:
            self.shown.show_text("Looking at the file …")
            self._ask_preview()
        else:
            self.shown.show_text(description(self.role), choose=True)
        self.update_primary()

    def _ask_preview(self) -> None:
        settings = dict(self.document.value(f"import {self.role}", {}))
        for name in ("label_map", "text_column", "label_column"):  # they may be those of another file
            settings.pop(name, None)
        path = self.files()[0]
        self.host.ask("preview_file", self._on_preview, self._on_no_preview, path=path, settings=settings)

    def _on_preview(self, preview: dict[str, Any]) -> None:
        kept = self.document.value(f"import {self.role}", {})
        if self._other_files == self.role and kept and not suits(kept, preview):
            self._choose_anew()
            return
        self._preview, self._preview_problem, self._other_files = preview, "", ""
        columns = preview["columns"]
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
        self.shown.show_table()
        task = self.document.value("import target", {}) if self.role == "test" else {}  # both have the same classes
        label_map = kept.get("label_map", task.get("label_map", {}))
        self.columns.show_classes(label_map, counted(preview, len(self.files())))
        self._show_counted(label_map)
        self.model.set_roles(self.columns.roles())
        if not kept:
            self._on_changed()  # what is shown is what is chosen
        self.update_primary()

    def _show_guess(self) -> None:
        self.guess.hide()
        if sentence := guess(self._preview):
            tooltip = "Type another encoding, such as cp1250. The preview follows."
            self.guess.show_text(sentence, ("Change encoding", tooltip, self._choose_encoding))

    def _choose_encoding(self) -> None:
        self.side.ensureWidgetVisible(self.form.control("encoding"))
        self.form.control("encoding").setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_no_preview(self, error: MetaPTError) -> None:
        if self._other_files == self.role:  # they may be read as those before were
            self._choose_anew()
            return
        self._preview_problem = str(error)
        self.shown.show_text(str(error), choose=True)
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
        self.preview.show_text_column(self.text_column.currentText())
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
        if self._finding:
            return "The files to import are still being looked for."
        if self.label_column.currentText() == self.text_column.currentText():
            return "The same column cannot hold the text and the label."
        if self.role in NEED_LABELS and not self.columns.labelled():
            return f"{NEED_LABELS[self.role]} need a label column; choose one."
        return (self.class_map.problem() if self.columns.labelled() else "") or self.form.problem()

    def outdated_text(self) -> str:
        """Return which texts are not those of the files and settings that are chosen for them."""
        reasons = reasons_to_import(self.document.project) if self.document.project is not None else {}
        if self.role in reasons:
            return f"{reasons[self.role][:1].upper()}{reasons[self.role][1:]}. Import again."
        said = "  ".join(f"{title}: {reasons[role]}. Import again." for role, title, _ in ROLES if role in reasons)
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
        self._finding = True
        find, role = partial(import_job, files, settings), self.role
        self.context.background.run("find files", find, partial(self._on_found, role), partial(self._on_found, role))
        self.update_primary()

    def _on_found(self, role: str, found: ImportJob | MetaPTError) -> None:
        self._finding = False
        if isinstance(found, MetaPTError):
            self._on_no_preview(found)
        else:
            self.run(role, found)

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
            stop = StopToken()
            count = partial(values_of, job.files, job.settings, seconds=COUNTING_SECONDS, stop=stop)
            warn = partial(self._warn_of_missed, role, job, self._mapped)
            self.context.background.run(f"count labels {role}", count, warn, stop=stop)

    def _warn_of_missed(self, role: str, job: ImportJob, mapped: dict[str, int], values: dict[str, int]) -> None:
        found = missed(values, mapped, job.settings.label_map)
        if not found:
            return
        self.warn(missed_sentence(found, values), role)
        self._counted[role] = (job.settings.label_column, values)
        if role == self.role:
            self._show_counted(job.settings.label_map)

    def _show_counted(self, label_map: Mapping[str, str]) -> None:
        """Show the labels of all files, if those of the present column were counted."""
        column, values = self._counted.get(self.role, ("", {}))
        if values and column == self.label_column.currentText():
            self._mapped = values
            self.class_map.show_values(values, label_map)

    def _show_report(self) -> None:
        """Show counts, lengths and classes of the corpus that the role stands on."""
        report, stopped = report_of(Path(self.document.path(self.role))) if self.document.has(self.role) else ({}, "")
        if stopped:
            self.warn(stopped, self.role)
        self.report.show_report(report)
        self._set_aside = bool(report.get("broken"))
        self.report.enable_broken(self._set_aside or bool(self._preview.get("broken")))
        self.charts.show_report(report)

    @reporting
    def _show_broken(self) -> None:
        project = self.document.project
        if self._set_aside and project is not None and not not_imported(project, self.role):
            show_broken_rows(self.window(), Path(self.document.path(self.role)) / "rejected.jsonl")
        else:
            show_broken_beginning(self.window(), self._preview)
