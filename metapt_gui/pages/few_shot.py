"""Step 5: say what the classes are, label a handful of texts, tune, and see how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QTabWidget

from engine.errors import MetaPTError
from engine.events import Event, Finished
from engine.jobs import ProbeJob, TuneJob
from engine.jobs.record import ending
from engine.jobs.target_task import present_names
from engine.presets import preset
from engine.project import Project
from engine.prompting.header import soft_tokens
from engine.roles import LEARNED
from engine.running.runs import own_labels_taught, tested_on
from engine.settings import BackboneSettings, PromptSettings, TuneSettings
from engine.workflow import TUNE, embedded_source, learned_prompts
from metapt_gui import wording
from metapt_gui.job_runner import Run
from metapt_gui.label_files import FileLabels, read_labels, show_left_out
from metapt_gui.models.texts import Texts, read_texts
from metapt_gui.pages.few_shot_side import FewShotSide
from metapt_gui.pages.page import Context, Page
from metapt_gui.result_files import results_of
from metapt_gui.run_files import Curves, read_curves
from metapt_gui.step_runs import StepRuns
from metapt_gui.suggestions import Suggestions
from metapt_gui.task_labels import TaskLabels
from metapt_gui.theme import Theme
from metapt_gui.widgets.dialogs import reporting, show_error
from metapt_gui.widgets.label_table import LabelTable
from metapt_gui.widgets.pieces import enable, single_shot
from metapt_gui.widgets.results_view import Results, ResultsView, Wrong
from metapt_gui.widgets.run_history import RunHistory
from metapt_gui.widgets.tuning_curves import TuningCurves


class FewShotPage(Page):
    """Label table, task editor, tuning and results."""

    primary_text = "Tune"
    primary_tooltip = "Tune the prompt on the labelled texts, with several seeds side by side."

    def __init__(self, context: Context) -> None:
        super().__init__(context, TUNE)
        self._showing = self._saving = False
        self._carried = ""
        self._fill_body()
        self._preview_timer = single_shot(self, 300, self._ask_preview)

    # Layout -----------------------------------------------------------------------------------------------------------

    def _fill_body(self) -> None:
        self.table = LabelTable()
        self.table.label_asked.connect(self._on_label)
        self.labels = TaskLabels(self.document, self.table.model, self)
        self.labels.changed.connect(self._show_counts)
        self.labels.renamed.connect(self._show_task)
        self.labels.failed.connect(self._on_failed)
        self.table.view.selectionModel().currentRowChanged.connect(lambda *_: self._preview_timer.start())
        self.curves = TuningCurves()
        self.results = ResultsView()
        self.results.text_asked.connect(self._show_text)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Labels, curves, results")
        self.tabs.addTab(self.table, "Labels")
        self.tabs.addTab(self.curves, "Curves")
        self.tabs.addTab(self.results, "Results")
        self.history = RunHistory("labels", ticks=False)
        self.runs = StepRuns(self.document, self.runner, self.context.background, self.history, "tune")
        self.runs.used.connect(self._read_curves)
        self.tabs.addTab(self.history, "Runs")
        self.side = FewShotSide(self.context)
        self.side.changed.connect(self._on_task)
        self.side.checked.connect(self.update_primary)
        self.side.renamed.connect(self._rename)
        self.side.removed.connect(self.labels.remove)
        self.suggestions = Suggestions(self.host, self.table.model, self.labels)
        self.suggestions.choosing.connect(self.side.set_choosing)
        self.suggestions.found.connect(self._put_first)
        self.suggestions.failed.connect(self._on_no_suggestions)
        self.side.suggest_asked.connect(self._suggest)
        self.side.random_asked.connect(partial(self._suggest, at_random=True))
        self.side.labels_chosen.connect(self._import_labels)
        self.set_columns(self.tabs, self.side)

    def plots(self) -> list[Any]:
        """Return the plots."""
        return [*self.curves.plots(), self.results.matrix]

    def set_theme(self, theme: Theme) -> None:
        """Paint plots and the table."""
        super().set_theme(theme)
        self.table.set_theme(theme)

    def save_layout(self) -> None:
        """Remember splitters and columns."""
        super().save_layout()
        self.context.settings.set("label columns", self.table.state())

    def restore_layout(self) -> None:
        """Put splitters and columns where they were."""
        super().restore_layout()
        self.table.restore_state(self.context.settings.bytes("label columns"))

    # What is shown ----------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show texts, task and results."""
        if what in ("opened", "target"):
            before = self.labels.texts.corpus.content_hash if self.labels.texts is not None else ""
            self.labels.show(None)
            self.table.set_placeholder("No texts yet: import those of your task first (Import, Your task).")
            self._show_task()
            corpus = self.document.corpus("target")
            if corpus is not None:
                anew = what == "target" and before != corpus.content_hash
                labelled = self.labels.to_carry_over(imported_anew=anew)
                self.context.background.run("target", partial(read_texts, corpus, labelled), self._show_texts)
        if what == "opened":
            self.side.set_choosing(False)
            self._read_curves()
        if what in ("opened", "tune"):
            self.runs.show()
        if what in ("opened", "target", "tune", "linear-probe"):
            if (read := results_of(self.document)) is not None:
                self.context.background.run("results", read, self._show_results)
            else:
                self.results.show_results(None)
        if what in ("opened", "values", *LEARNED.values()):
            project = self.document.project
            self.side.show_starts(learned_prompts(project) if project is not None else {})
        if what in ("opened", "test"):
            test = self.document.corpus("test")
            self.side.show_test(None if test is None else test.rows)
        if what == "values" and not self._saving:
            self.side.show_settings()
        self.update_primary()

    def summary(self) -> str:
        """Return a line for the rail."""
        return wording.count(sum(self._counts().values()), "labels") if self.labels.texts is not None else ""

    def _show_task(self) -> None:
        kept = self.document.value("task")
        self._showing = True
        self.side.show_task(*self.labels.classes(), kept if isinstance(kept, dict) else {})
        self._showing = False
        self._show_classes()
        self._show_counts()

    def _show_classes(self) -> None:
        """Show the classes in the table, and which imported labels are of none of them."""
        corpus, classes = self.document.corpus("target"), self.side.words.classes()
        imported = present_names(corpus, self.labels.task.renamed) if corpus is not None else []
        self.side.show_unknown([name for name in imported if name not in classes], self.labels.joined())
        self.table.model.set_classes(classes)
        self.labels.show_imported(classes)

    def _show_texts(self, texts: Texts) -> None:
        self.labels.show(texts, self.side.words.classes())
        if self._carried in self._warnings:  # it was of other texts
            self._warnings.remove(self._carried)
        self._carried = self.labels.carry_over()
        if self._carried:
            self.warn(self._carried)
        self._show_counts()
        self._preview_timer.start()
        self.host.state_changed.emit()

    def _counts(self) -> dict[str, int]:
        """Return how many labels each class has; labels of what is no class are not counted."""
        counts = self.table.model.counts()
        return {name: counts.get(name, 0) for name in self.side.words.classes()}

    def _show_counts(self) -> None:
        reason = self.document.fixed
        self.table.set_read_only(reason)
        enable(self.side.words, reason)
        enable(self.side.from_file, reason or ("" if self.labels.texts is not None else "There are no texts yet."))
        self.side.show_counts(self._counts())
        there = self.labels.texts is not None
        self.side.set_unlabelled(len(self.table.model.rows_with(label=False)) if there else None)
        self.update_primary()

    def _show_results(self, results: Results | None) -> None:
        self.results.show_results(results)
        self.table.model.set_uses(results.uses if results is not None else {})

    # Labels -----------------------------------------------------------------------------------------------------------

    def _on_label(self, rows: Sequence[int], name: str | None) -> None:
        self.labels.give(dict.fromkeys(rows, name))

    def _on_failed(self, error: MetaPTError) -> None:
        show_error(self.window(), error)

    def showEvent(self, event: QShowEvent) -> None:
        """Ask for what could not be asked while nobody looked."""
        super().showEvent(event)
        self._preview_timer.start()

    @reporting
    def _rename(self, before: str, after: str) -> None:
        self.labels.rename(before, after)

    def _suggest(self, *, at_random: bool = False) -> None:
        self.suggestions.suggest(self.side.words.classes(), at_random=at_random)

    def _on_no_suggestions(self, error: MetaPTError) -> None:
        self.banner.show_text(f"No texts could be suggested. {error}")

    def _put_first(self, rows: list[int]) -> None:
        if rows:
            self.table.model.set_order(rows)
            self._show_row(rows[0])

    def _show_row(self, row: int) -> None:
        """Show a text among the labels, and let keys label it."""
        self.tabs.setCurrentIndex(0)
        self.table.bring(row)
        self.table.view.setFocus()

    def _show_text(self, wrong: Wrong) -> None:
        """Show a text that went wrong, in whatever row it is by now."""
        row = self.labels.row_of(wrong.row, wrong.text)
        if row is None:
            self.results.say_gone()
        else:
            self._show_row(row)

    def _import_labels(self, path: str) -> None:
        """Take labels from a file with the columns text (or row) and label."""
        texts = self.labels.texts
        if texts is None:
            return

        def take(found: FileLabels) -> None:
            if self.labels.texts is texts:
                self.labels.give(found.labels, "Import")
                show_left_out(self.window(), found)

        read = partial(read_labels, Path(path), texts, self.side.words.classes())
        self.context.background.run("label file", read, take, self._on_failed)

    # The task ---------------------------------------------------------------------------------------------------------

    def _on_task(self) -> None:
        if not self._showing and not self.document.read_only:
            self._save()

    def _save(self) -> None:
        """Keep what the controls show in one go: who is told shows all of it anew."""
        kept, shown = self.document.value("task"), self.side.task_values()
        if not self.labels.task.classes and shown["classes"] == self.labels.classes()[0]:
            del shown["classes"]  # nobody has changed them: another import brings its own
        values: dict[str, Any] = {"task": {**(kept if isinstance(kept, dict) else {}), **shown}}
        if not self.side.form.problem():
            values["tune"] = self.side.form.values()
        if not self.side.prompt_form.problem():
            values["prompt"] = self._prompt().model_dump()
        self._saving = True  # a number that is still being typed stays in its control
        self.document.set_values(values)
        self._saving = False
        self._show_classes()
        self._show_counts()
        self._preview_timer.start()

    def _prompt(self) -> PromptSettings:
        values = self.document.value("prompt") or preset("laptop")["prompt"]
        return PromptSettings(**{**values, **self.side.prompt_form.values()})

    def _backbone(self) -> BackboneSettings:
        return BackboneSettings(**{**self.document.value("backbone", {}), "offline": self.context.offline()})

    def _ask_preview(self) -> None:
        texts = self.labels.texts
        if texts is None or not self.isVisible() or self.side.prompt_form.problem():
            return
        row = self.table.current_row()
        text = texts.texts[row if row is not None and row >= 0 else 0].as_py() if len(texts.texts) else ""
        self.host.ask(
            "preview",
            self.side.show_preview,
            self._on_no_preview,
            backbone=self._backbone().model_dump(),
            prompt=self._prompt().model_dump(),
            text=text,
        )
        self.side.words.set_backbone(self._backbone().model_dump())

    def _on_no_preview(self, error: MetaPTError) -> None:
        self.side.show_preview(str(error))

    # Runs -------------------------------------------------------------------------------------------------------------

    def blocked(self) -> str:
        """Return what is missing."""
        if not self.document.has("target"):
            return "Import the texts of your task first."
        if self.labels.texts is None:
            return "The texts are still being read."
        if problem := self.side.problem():
            return problem
        if sum(map(bool, self._counts().values())) < 2:
            return f"Label texts of at least two classes first ({self.table.how()}, in the table)."
        if unknown := self._unknown_in_test():
            names = ", ".join(unknown)
            return f"The test texts have labels that are no class here: {names}. Import them again, or untick them."
        return ""

    def _test(self) -> str:
        return tested_on(self.document.project) if self.document.project is not None else ""

    def _unknown_in_test(self) -> list[str]:
        corpus = self.document.corpus("test") if self._test() else None
        names = present_names(corpus, self.labels.task.renamed) if corpus is not None else []
        return sorted(set(names) - set(self.side.words.classes()))

    def _split(self) -> TuneSettings:
        """Return the settings with as many test rows as the labels leave, none if there are texts to test on."""
        settings = self.side.form.settings()
        return settings.model_copy(update={"test_rows": 0 if self._test() else self.side.to_test(settings)})

    def _target(self) -> dict[str, Any]:
        classes = self.side.words.classes()
        return {
            "corpus": self.document.path("target"),
            "test": self._test(),
            "taught": own_labels_taught(self.document.project) if self.document.project is not None else "",
            "classes": classes,
            "renamed": self.labels.task.renamed,
            "labels": self.labels.usable(classes),
            "tune": self._split(),
            "prompt": self._prompt(),
            "backbone": self._backbone(),
            "words": self.side.words.words(),
        }

    def start(self) -> None:
        """Tune from the chosen start and, to compare, from a plain one; the linear probe follows."""
        self.run("tune", self._job())

    def _job(self) -> TuneJob:
        target = self._target()
        starts, file = self.side.starts()
        if file is not None:  # whatever the settings say by now, all starts are as long as this one
            target["prompt"] = target["prompt"].model_copy(update={"soft_tokens": soft_tokens(file)})
        return TuneJob(starts=starts, **target)

    def action(self, *, ready: bool) -> str:
        """Return that a run that was stopped goes on."""
        last = Path(self.document.path("tune")) if ready and self.document.has("tune") else None
        begun = last is not None and ending(last).outcome != "completed"
        return "Resume" if begun and self.stopped(self._job()) else self.primary_text  # else no label is read

    def on_started(self, run: Run) -> None:
        """Begin the curves anew."""
        if run.role == "tune" and run.number:
            self.curves.clear()
            self.tabs.setCurrentIndex(1)

    def _read_curves(self) -> None:
        self.curves.clear()
        if self.document.has("tune"):
            curves = partial(read_curves, Path(self.document.path("tune")))
            self.context.background.run("tuning curves", curves, self._show_curves)

    def _show_curves(self, curves: Curves) -> None:
        if self.runner.current is None or self.runner.current.role != "tune":  # that one draws its own
            self.curves.show_curves(curves)

    def on_event(self, run: Run, event: Event) -> None:
        """Draw."""
        self.curves.add(event)

    def on_ended(self, run: Run, event: Event) -> None:
        """Compare with a linear probe, then show the results."""
        if isinstance(event, Finished) and run.role == "tune" and event.outcome == "completed":
            project = self.document.project
            if project is not None and self.side.compare.isChecked():
                same = ("corpus", "test", "taught", "classes", "renamed", "labels", "tune", "words")
                task = {name: getattr(run.job, name) for name in same}
                probe = ProbeJob(source=embedded_source(project), cache=str(project.cache.resolve()), **task)
                QTimer.singleShot(0, self, partial(self._follow_with, project, probe))
            self.tabs.setCurrentIndex(2)

    def _follow_with(self, project: Project, probe: ProbeJob) -> None:
        if self.document.project is project:  # it is closed if the window waited for the tuning to end
            self.run("linear-probe", probe)
