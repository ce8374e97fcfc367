"""Step 2: give unlabelled texts the labels that the labelled ones suggest, and choose which to trust."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QSplitter, QTableWidget, QTableWidgetItem, QWidget

from engine.annotation.reselect import REJECTED
from engine.events import Event, Finished
from engine.jobs import AnnotateJob, SelectJob
from engine.jobs.job import ANNOTATED_FROM
from engine.running.runs import moved_on
from engine.settings import AnnotateSettings
from engine.workflow import LABEL
from metapt_gui import wording
from metapt_gui.job_runner import Run
from metapt_gui.models.annotated import AUDIT, Annotated, audited_texts, read_annotated
from metapt_gui.models.commands import Change
from metapt_gui.pages.page import Context, Page
from metapt_gui.widgets.audit_table import AuditTable
from metapt_gui.widgets.charts import ReliabilityDiagram
from metapt_gui.widgets.dialogs import TableDialog, reporting, show_error
from metapt_gui.widgets.pieces import Card, Figure, SideScroll, button, enable, label, table_of
from metapt_gui.widgets.settings_form import SettingsForm
from metapt_gui.widgets.threshold_histogram import ThresholdHistogram

DRY_RUN = 20
TUNED = ("model", "epochs", "learning_rate", "batch_size", "maximum_tokens")
"""Settings that only the annotator that is fine-tuned reads."""
BINS = 40


class PseudoLabelPage(Page):
    """Annotation, thresholds, audit."""

    primary_text = "Pseudo-label"
    primary_tooltip = "Learn from the labelled texts and label the unlabelled ones."
    stoppable = False

    def __init__(self, context: Context) -> None:
        super().__init__(context, LABEL)
        self._shown: Annotated | None = None
        self._showing = False
        self._fill_body()

    def _fill_body(self) -> None:
        self.empty = Card("Nothing to label yet")
        self.empty.box.addWidget(
            label(
                "This step is optional. It needs labelled texts and a pile of unlabelled ones (Import, Unlabelled "
                "texts): it labels the pile, and the prompt then learns from that. If you have no labelled texts from "
                "elsewhere, your task's own can teach (Import, Labelled texts). Without this step the prompt learns "
                "from the labelled texts as they are, which taught about as much on the data sets that we measured. "
                "The next step lets you choose.",
                wrap=True,
            )
        )
        self.empty.box.addStretch(1)
        self.body.addWidget(self.empty)
        self.histogram = ThresholdHistogram("Confidence")
        self.histogram.threshold_changed.connect(self._on_drag)
        self.histogram.threshold_set.connect(self._on_dragged)
        self.audit = AuditTable()
        self.audit.decided.connect(self._on_decided)
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self.histogram)
        left.addWidget(self.audit)
        left.setChildrenCollapsible(False)
        self.set_columns(left, self._side())

    def _side(self) -> QWidget:
        side = SideScroll(336)
        kept = Card("Kept")
        self.total = Figure("texts would be kept", "Follows the thresholds as you drag them.")
        kept.box.addWidget(self.total)
        tip = (
            "How many texts of each class are as confident as its threshold asks. Click a class to move its threshold."
        )
        self.table = table_of(("class", "threshold", "kept"), "Texts kept of each class", tip, figures=(1, 2))
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.cellClicked.connect(self._on_class)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setMinimumHeight(180)
        for column, width in enumerate((110, 90, 90)):
            self.table.setColumnWidth(column, width)
        kept.box.addWidget(self.table)
        self.balance = QCheckBox("Balance: as many texts of each class")
        self.balance.setToolTip("Keep the same number of texts of each class. Default: on, as in the paper.")
        self.balance.setAccessibleName("Balance")
        self.balance.toggled.connect(self._on_form)
        kept.box.addWidget(self.balance)
        side.box.addWidget(kept)
        how = Card("Annotator")
        self.form = SettingsForm(
            AnnotateSettings,
            main=("annotator", "model", "confidence", "out_of_domain_share", "maximum_rows"),
            hidden=("class_confidence", "balance", "offline"),
        )
        self.form.changed.connect(self._on_form)
        how.box.addWidget(self.form)
        self.dry_run = button(
            f"Try it on {DRY_RUN} texts",
            f"Label {DRY_RUN} texts, taught by a few hundred of the labelled ones: takes seconds.",
            self._start_dry_run,
        )
        how.box.addWidget(self.dry_run)
        side.box.addWidget(how)
        self.reliability = ReliabilityDiagram("Reliability")
        self.reliability.setMinimumHeight(230)
        side.box.addWidget(self.reliability)
        held_out = Card()
        self.accuracy = Figure("right on held-out labelled texts", "Accuracy of the annotator on rows it has not seen.")
        held_out.box.addWidget(self.accuracy)
        side.box.addWidget(held_out)
        side.box.addStretch(1)
        return side

    def plots(self) -> list[Any]:
        """Return the plots."""
        return [self.histogram, self.reliability]

    # What is shown ----------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show the annotation."""
        kept, shown = self.document.value("annotate", {}), self.form.values()
        if what == "opened" or (what == "values" and any(shown.get(name, kept[name]) != kept[name] for name in kept)):
            self._showing = True
            self.form.set_values(kept)
            self._enable_model()
            self.balance.setChecked(bool(kept.get("balance", True)))
            self._showing = False
        if what not in ("opened", "annotated", "source", "open-text"):
            return
        possible = self.document.has("open-text") or self.document.has("annotated")
        self.empty.setVisible(not possible)
        self.splitter.setVisible(possible)
        if what in ("opened", "annotated"):
            self._shown = None
            if self.document.has("annotated"):
                folder = Path(self.document.path("annotated"))
                read = partial(read_annotated, folder, self._decided_elsewhere(folder))
                self.context.background.run("annotation", read, self._show)
            else:
                self._clear()

    def summary(self) -> str:
        """Return a line for the rail."""
        corpus = self.document.corpus("annotated")
        if corpus is not None:
            return wording.count(corpus.rows, "texts")
        return self.document.optional(self.step)

    def annotate_settings(self) -> AnnotateSettings:
        """Return what the controls say."""
        values = self.form.settings().model_dump()
        thresholds = self.document.value("annotate", {}).get("class_confidence", {})
        known = self._classes()
        values["class_confidence"] = {name: value for name, value in thresholds.items() if name in known}
        values["balance"] = self.balance.isChecked()
        values["offline"] = self.context.offline()
        return AnnotateSettings(**values)

    def _classes(self) -> tuple[str, ...]:
        source = self.document.corpus("source")
        return source.classes if source is not None else ()

    def _clear(self) -> None:
        self.histogram.set_histograms({})
        self.reliability.set_bins([])
        self.audit.model.show([])
        self.table.setRowCount(0)
        self.total.set("–")
        self.accuracy.set("–")

    def _show(self, annotated: Annotated) -> None:
        self._shown = annotated
        if annotated.decided and self.document.project is not None:
            self.document.project.set_labels(annotated.subject, annotated.decided)
            said = wording.count(len(annotated.decided), "decisions")
            self.warn(f"{said} of the audit went over to the texts that were imported.")
        histograms = annotated.counts.histogram(BINS)
        self.histogram.set_histograms({name: histograms[number] for number, name in enumerate(annotated.classes)})
        self._show_thresholds()
        self.reliability.set_bins(annotated.facts["reliability"])
        self.accuracy.set(wording.percent(annotated.facts["held_out_after"]["accuracy"]))
        self.audit.set_classes(annotated.classes)
        self.audit.model.show(annotated.audit)
        self.audit.model.set_decisions(self._decisions())
        self.audit.allow(self._audit_reason())
        self._count()
        self.update_primary()

    def _thresholds(self) -> dict[str, float]:
        assert self._shown is not None
        kept, applied = self.document.value("annotate", {}), self._shown.facts["thresholds"]
        chosen = kept.get("class_confidence", {})
        return {name: float(chosen.get(name, kept.get("confidence", applied[name]))) for name in self._shown.classes}

    def _show_thresholds(self) -> None:
        for name, value in self._thresholds().items() if self._shown is not None else ():
            self.histogram.set_threshold(name, value)

    def _count(self) -> None:
        if self._shown is None:
            return
        thresholds = {**self._thresholds(), **self.histogram.thresholds()}
        kept = self._shown.counts.kept(
            np.array([thresholds[name] for name in self._shown.classes]),
            balance=self.balance.isChecked(),
            maximum_rows=self.document.value("annotate", {}).get("maximum_rows"),
        )
        self.total.set(f"{int(kept.sum()):,}")
        self.table.setRowCount(len(kept))
        for row, name in enumerate(self._shown.classes):
            for column, text in enumerate((name, f"{thresholds[name]:.2f}", f"{int(kept[row]):,}")):
                self.table.setItem(row, column, QTableWidgetItem(text))

    # What the person does ---------------------------------------------------------------------------------------------

    def set_threshold(self, name: str, value: float) -> None:
        """Keep ``value`` as the threshold of a class with the project, and show what is kept."""
        kept = dict(self.document.value("annotate", {}))
        kept["class_confidence"] = {**kept.get("class_confidence", {}), name: round(value, 4)}
        try:
            self.document.set_value("annotate", kept)
        finally:
            self._show_thresholds()
            self._count()
            self.update_primary()

    def _on_class(self, row: int, _column: int) -> None:
        if self._shown is not None:
            self.histogram.select(self._shown.classes[row])

    def _on_drag(self, _name: str, _value: float) -> None:
        self._count()

    @reporting
    def _on_dragged(self, name: str, before: float, after: float) -> None:
        if not self.document.read_only:
            there, back = (partial(self.set_threshold, name, value) for value in (after, before))
            self.document.undo.push(Change(f"Threshold of {name}", there, back, partial(show_error, self.window())))

    def _on_form(self) -> None:
        if self._showing or self.document.read_only:
            return
        self._enable_model()
        if not self.form.problem():
            kept = self.document.value("annotate", {})
            values = {**self.form.values(), "balance": self.balance.isChecked()}
            same = kept.get("confidence", AnnotateSettings().confidence) == values["confidence"]
            values["class_confidence"] = kept.get("class_confidence", {}) if same else {}  # it is meant for all classes
            self.document.set_value("annotate", values)
            self._show_thresholds()
        self._count()
        self.update_primary()

    def _decisions(self) -> dict[int, str]:
        """Return what was decided about the unlabelled texts that are shown."""
        return self._decisions_about(self._shown.subject) if self._shown is not None else {}

    def _decisions_about(self, subject: str) -> dict[int, str]:
        project = self.document.project
        return project.labels(subject) if project is not None and subject else {}

    def _decided_elsewhere(self, folder: Path) -> dict[str, dict[int, str]]:
        """Return what was decided about other imports, if nothing ever was about the texts of this annotation."""
        project, subject = self.document.project, audited_texts(folder)
        if project is None or project.read_only or not subject or project.ever_labelled(subject):
            return {}
        decided = {
            name.removeprefix(AUDIT): rows for name, rows in project.labelled().items() if name.startswith(AUDIT)
        }
        return {content: rows for content, rows in decided.items() if f"{AUDIT}{content}" != subject}

    def _edits(self, subject: str) -> dict[int, str]:
        """Return the decisions that can be applied; a class may be gone since."""
        decisions, known = self._decisions_about(subject), (*self._classes(), REJECTED)
        edits = {row: name for row, name in decisions.items() if name in known}
        if left := len(decisions) - len(edits):
            self.warn(f"{wording.count(left, 'decisions')} of the audit are left out: their class is gone.")
        return edits

    def write_decision(self, subject: str, row: int, decision: str | None) -> None:
        """Write what was decided about a row of the unlabelled texts that ``subject`` names."""
        if self.document.project is None:
            return
        self.document.project.set_label(subject, row, decision)
        if self._shown is not None and self._shown.subject == subject:
            self.audit.model.set_decisions(self._decisions())
            self.document.changed.emit("audit")
            self.update_primary()

    @reporting
    def _on_decided(self, row: int, decision: str | None) -> None:
        before = self.audit.model.decision(row)
        if self._shown is None or decision == before or self._audit_reason():
            return
        said = "reject" if decision == "" else f"label {decision}" if decision else "undecide"
        there, back = (partial(self.write_decision, self._shown.subject, row, what) for what in (decision, before))
        self.document.undo.push(Change(f"Audit: {said}", there, back, partial(show_error, self.window())))

    def _audit_reason(self) -> str:
        """Return why nothing can be decided about the texts that are shown."""
        if not self.document.fixed and self._shown is not None and not self._shown.subject:
            return "The unlabelled texts that these were are not in the project any more."
        return self.document.fixed

    def _enable_model(self) -> None:
        """The settings of a model that is fine-tuned say nothing while the quick annotator is chosen."""
        tuned = self.form.values().get("annotator") == "roberta"
        for name in TUNED:
            self.form.set_enabled_reason(name, tuned, "Only a fine-tuned model needs this; choose it as the annotator.")

    # Runs -------------------------------------------------------------------------------------------------------------

    def blocked(self) -> str:
        """Return what is missing."""
        if not self.document.has("source"):
            return "Import labelled texts first; without them this step is not needed."
        if not self.document.has("open-text"):
            return "Import unlabelled texts first; without them this step is not needed."
        return self.form.problem()

    def show_primary(self) -> None:
        """A dry run needs the same."""
        super().show_primary()
        enable(self.dry_run, "" if self.primary.isEnabled() else self.primary.toolTip())

    def action(self, *, ready: bool) -> str:
        """Return that thresholds are applied where nothing else has changed."""
        return "Apply" if self._only_selection() else self.primary_text

    def _only_selection(self) -> bool:
        """Whether the scores that are there still hold, so that only the selection need be made anew."""
        project = self.document.project
        if self._shown is None or self.form.problem() or project is None:
            return False
        record = project.record_of("annotated")
        job = record.job if record is not None else None
        if not isinstance(job, (AnnotateJob, SelectJob)) or moved_on(project, job, ANNOTATED_FROM):
            return False
        free = {"confidence", "class_confidence", "balance", "maximum_rows", "out_of_domain_share", "offline"}
        return job.settings.model_dump(exclude=free) == self.annotate_settings().model_dump(exclude=free)

    def start(self) -> None:
        """Annotate, or select anew from the scores that are there."""
        settings = self.annotate_settings()
        corpora: dict[str, Any] = {
            "labelled": self.document.path("source"),
            "unlabelled": self.document.path("open-text"),
        }
        if self._shown is not None and self._only_selection():
            edits = self._edits(self._shown.subject)
            job = SelectJob(annotated=str(self._shown.folder), settings=settings, edits=edits, **corpora)
            self.run("annotated", job)
        else:
            cache = str(self.document.project.cache.resolve()) if self.document.project is not None else ""
            self.run("annotated", AnnotateJob(cache=cache, settings=settings, **corpora))

    @reporting
    def _start_dry_run(self) -> None:
        assert self.document.project is not None
        job = AnnotateJob(
            labelled=self.document.path("source"),
            unlabelled=self.document.path("open-text"),
            cache=str(self.document.project.cache.resolve()),
            settings=self.annotate_settings(),
            sample=DRY_RUN,
        )
        self.run("", job)

    def on_ended(self, run: Run, event: Event) -> None:
        """Apply what was decided about these texts before; show what a dry run found."""
        done = isinstance(run.job, AnnotateJob) and run.role and self.stands_on(run)
        if done and (edits := self._edits(audited_texts(run.folder))):
            given = run.job.model_dump(include={"labelled", "unlabelled", "settings"})
            self.run(run.role, SelectJob(annotated=str(run.folder), edits=edits, **given))
        if not run.role and isinstance(event, Finished) and event.outcome == "completed":
            found = pq.read_table(run.folder / "corpus.parquet").to_pylist()
            shown = [(item["label"], f"{item['confidence']:.2f}", item["text"]) for item in found]
            note = "What an annotator that has seen a few hundred labelled texts makes of these. The full run sees all."
            TableDialog(self.window(), "Dry run", ("pseudo-label", "confidence", "text"), sorted(shown), note).open()
