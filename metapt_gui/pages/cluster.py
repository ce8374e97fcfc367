"""Step 3: group similar texts, watch them find their places, and say which groups are worth learning from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PySide6.QtCore import Qt
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSplitter, QWidget

from engine.clustering.edits import ClusterEdit, Group, groups_of, task_fields
from engine.corpus.store import Corpus
from engine.events import Event, Finished, Metric, Points
from engine.jobs import ClusterJob
from engine.jobs.record import RunRecord
from engine.settings import ClusterSettings
from engine.workflow import CLUSTER, training_role
from metapt_gui import wording
from metapt_gui.job_runner import Run
from metapt_gui.models.commands import Change
from metapt_gui.models.shown_clustering import Shown, legend, read_shown
from metapt_gui.pages.page import Context, Page
from metapt_gui.theme import Theme
from metapt_gui.widgets.charts import SweepPlot
from metapt_gui.widgets.cluster_list import ClusterList
from metapt_gui.widgets.cluster_scatter import ClusterScatter
from metapt_gui.widgets.dialogs import TableDialog, reporting, show_error
from metapt_gui.widgets.pieces import Card, Figure, SideScroll, enable, label
from metapt_gui.widgets.settings_form import SettingsForm

TEXTS = {"source": "the labelled texts", "annotated": "the pseudo-labelled texts"}
COLOURS = ["group", "label", "confidence"]
PICKED = 1000
"""So many of the texts that a line was drawn around are listed."""


class ClusterPage(Page):
    """Clustering with a live scatter."""

    primary_text = "Cluster"
    primary_tooltip = "Read the texts with Sentence-BERT and group the similar ones."
    stop_text = "Stop and keep"
    stop_tooltip = "End after the present step and keep the groups found so far, if there are any yet."
    kept_text = "Stopped; the groups found so far are kept."
    unkept_text = "Stopped. The texts that were read are remembered: Cluster goes on from there."

    def __init__(self, context: Context) -> None:
        super().__init__(context, CLUSTER)
        self._shown: Shown | None = None
        self._live = False
        self._changes_before = 0
        self._fill_body()

    def _fill_body(self) -> None:
        self.scatter = ClusterScatter("Texts: near means similar")
        self.scatter.category_clicked.connect(self._on_clicked)
        self.scatter.picked.connect(self._on_picked)
        self.colour = QComboBox()
        self.colour.addItems(COLOURS)
        self.colour.setAccessibleName("Colour by")
        self.colour.setToolTip("What the colours of the dots mean: their group, their label, or how confident it is.")
        self.colour.currentTextChanged.connect(self._paint)
        self.sweep = SweepPlot("Silhouette for other numbers of groups (higher is better)")
        self.sweep.setMaximumHeight(190)
        self.sweep.chosen.connect(self._on_k)
        self.sweep.hide()
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self.scatter)
        left.addWidget(self.sweep)
        left.setStretchFactor(0, 1)
        left.setChildrenCollapsible(False)
        self.set_columns(left, self._side())

    def _side(self) -> QWidget:
        side = SideScroll(336)
        self.which = Card("Which texts are grouped")
        self.texts = QComboBox()
        self.texts.addItems(list(TEXTS.values()))
        self.texts.setAccessibleName("Texts to group")
        self.texts.setToolTip(
            "What the prompt will learn from. On the data sets that we measured, both taught about as much."
        )
        self.texts.activated.connect(self._on_texts)
        self.which.box.addWidget(self.texts)
        self.which.hide()
        side.box.addWidget(self.which)
        how = Card("How texts are grouped")
        self.form = SettingsForm(
            ClusterSettings,
            main=("method", "clusters", "projection", "sweep"),
            labels={"clusters": "Groups (K)", "projection": "Picture", "sweep": "Compare K from 3 to 30"},
        )
        self.form.changed.connect(self._on_form)
        how.box.addWidget(self.form)
        row = QHBoxLayout()
        row.addWidget(label("Colour by"))
        row.addWidget(self.colour, 1)
        how.box.addLayout(row)
        self.legend = label("", wrap=True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.hide()
        how.box.addWidget(self.legend)
        self.quality = Figure("silhouette (−1 to 1): how well apart the groups are", "Mean over a sample of texts.")
        how.box.addWidget(self.quality)
        side.box.addWidget(how)
        self.groups = ClusterList()
        self.groups.selected.connect(self._on_selected)
        self.groups.chosen.connect(partial(side.scroll_down_to, self.groups))
        self.groups.rename_asked.connect(self._rename)
        self.groups.include_asked.connect(self._include)
        self.groups.merge_asked.connect(self._merge)
        self.groups.split_asked.connect(self._split)
        side.box.addWidget(self.groups)
        side.box.addStretch(1)
        return side

    def plots(self) -> list[Any]:
        """Return the plots."""
        return [self.scatter, self.sweep]

    def set_theme(self, theme: Theme) -> None:
        """Paint plots and chips."""
        super().set_theme(theme)
        self.groups.set_theme(theme)
        self._paint()

    # What is shown ----------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show the clustering."""
        if what == "opened":
            self.form.set_values(self.document.value("cluster", {}))
        if what in ("opened", "annotated", "values") and self.document.project is not None:
            self.texts.setCurrentText(TEXTS[training_role(self.document.project)])
            self.which.setVisible(self.document.has("annotated"))
            enable(self.texts, self.document.fixed)
        if what in ("opened", "clusters"):
            self._shown = None
            if self.document.has("clusters"):
                folder, corpus = Path(self.document.path("clusters")), self._corpus_of_run()
                if corpus is not None:
                    self.context.background.run("clusters", partial(read_shown, folder, corpus), self._show)
                    return
            self.scatter.begin(0)
            self.sweep.hide()
            self.quality.set("–")
            self.groups.show_groups([], {}, "Cluster first.")
        elif what == "cluster edits":
            self._show_groups()

    def summary(self) -> str:
        """Return a line for the rail."""
        groups = self._groups()
        return wording.count(len(groups), "groups") if groups else self.document.optional(self.step)

    def _on_texts(self) -> None:
        roles = {title: role for role, title in TEXTS.items()}
        self.document.set_value("learn from", roles[self.texts.currentText()])

    def _corpus_of_run(self) -> Corpus | None:
        """Return the corpus that was clustered, which may not be the present one any more."""
        folder = RunRecord.open(Path(self.document.path("clusters"))).input("corpus")
        return Corpus.open(folder) if folder.is_dir() else None

    def _show(self, shown: Shown) -> None:
        if self.runner.current is not None and self.mine(self.runner.current):
            return  # what was read is of before this run
        self._shown = shown
        if not self._live or self.scatter.count == 0:
            if shown.positions is not None:
                self.scatter.set_points(shown.positions, shown.clustering.assignment)
            else:
                self.scatter.begin(len(shown.clustering.assignment))
        self._live = False
        self._offer_colours(shown)
        self.scatter.set_hover_text(shown.hover)
        self.quality.set("–" if shown.clustering.silhouette is None else f"{shown.clustering.silhouette:.3f}")
        self.sweep.setVisible(bool(shown.clustering.sweep))
        self.sweep.set_values(shown.clustering.sweep)
        self.sweep.set_chosen(len(shown.clustering.clusters))
        self._show_groups()
        self.context.host.state_changed.emit()

    def _show_groups(self) -> None:
        if self._shown is None:
            return
        groups = self._groups()
        rows = sorted({row for group in groups for row in group.central_rows})
        texts = dict(zip(rows, self._shown.texts.take(pa.array(rows, pa.int64())).to_pylist(), strict=True))
        reason = self.document.fixed
        self.groups.show_groups(groups, texts, reason)
        self._paint()

    def _offer_colours(self, shown: Shown) -> None:
        """Let the dots be coloured by what there is."""
        reasons = {
            "label": "" if shown.classes else "These texts have no labels.",
            "confidence": "" if shown.confidence is not None else "Only pseudo-labelled texts have a confidence.",
        }
        model = self.colour.model()
        assert isinstance(model, QStandardItemModel)
        for name, reason in reasons.items():
            item = model.item(COLOURS.index(name))
            item.setEnabled(not reason)
            item.setToolTip(reason)
        if reasons.get(self.colour.currentText()):
            self.colour.setCurrentText("group")

    def _paint(self) -> None:
        """Colour the dots: by group after the edits, by label, or by confidence."""
        by = self.colour.currentText()
        self.legend.setVisible(self._shown is not None and by == "label")
        self.groups.set_coloured(by == "group")
        if self._shown is None:
            return
        if by == "label":
            self.scatter.colour_by_category(self._shown.labels.astype(np.int16))
            self.scatter.set_names(dict(enumerate(self._shown.classes)))
            self.legend.setText(legend(self._shown, self.context.themes.theme))
        elif by == "confidence" and self._shown.confidence is not None:
            self.scatter.colour_by_value(self._shown.confidence, "confidence")
        else:
            groups = self._groups()
            into = np.full(len(self._shown.clustering.clusters) + 1, -1, np.int16)
            for group in groups:
                into[list(group.members)] = group.number if group.included else -1
            self.scatter.colour_by_category(into[self._shown.clustering.assignment])
            self.scatter.set_names({group.number: group.name for group in groups})
        chosen = self.groups.numbers()
        self._on_selected(chosen[0] if len(chosen) == 1 else -1)

    # What the person does ---------------------------------------------------------------------------------------------

    def _edits(self) -> dict[int, ClusterEdit]:
        if self._shown is None or self.document.project is None:
            return {}
        return self.document.project.cluster_edits(self._shown.clustering.folder)

    def _groups(self) -> list[Group]:
        clusters = self._shown.clustering.clusters if self._shown is not None else ()
        return groups_of(clusters, **task_fields(self._edits()))

    def write_edits(self, folder: Path, edits: Mapping[int, ClusterEdit]) -> None:
        """Make ``edits`` all that is said of the clusters of the clustering in ``folder``, and show what is kept."""
        project = self.document.project
        if project is None:
            return
        try:
            project.set_cluster_edits(folder, {**dict.fromkeys(project.cluster_edits(folder)), **edits})
        finally:
            if self.document.has("clusters") and project.role("clusters").name == folder.name:
                self.document.changed.emit("cluster edits")

    def _push(self, text: str, after: Mapping[int, ClusterEdit]) -> None:
        before = self._edits()
        if self._shown is not None and dict(after) != before and not self.document.read_only:
            there, back = (partial(self.write_edits, self._shown.clustering.folder, edits) for edits in (after, before))
            self.document.undo.push(Change(text, there, back, partial(show_error, self.window())))

    @reporting
    def _rename(self, number: int, name: str) -> None:
        edits = self._edits()
        edit = edits.get(number, ClusterEdit())
        self._push(f"Rename a group to {name}", {**edits, number: ClusterEdit(name, edit.included, edit.merged_into)})

    @reporting
    def _include(self, numbers: Sequence[int], included: bool) -> None:
        edits = self._edits()
        for number in numbers:
            edit = edits.get(number, ClusterEdit())
            edits[number] = ClusterEdit(edit.name, included, edit.merged_into)
        self._push("Use groups again" if included else "Leave groups out", edits)

    @reporting
    def _merge(self, numbers: Sequence[int]) -> None:
        edits, first = self._edits(), min(numbers)
        for number in range(len(self._shown.clustering.clusters) if self._shown else 0):
            edit = edits.get(number, ClusterEdit())
            root = number if edit.merged_into is None else edit.merged_into
            if root in numbers and number != first:
                edits[number] = ClusterEdit(edit.name, True, first)
        edits[first] = ClusterEdit(edits.get(first, ClusterEdit()).name)
        self._push(f"Merge {len(numbers)} groups", edits)
        self.groups.select([first])

    @reporting
    def _split(self, number: int) -> None:
        edits = {
            key: ClusterEdit(edit.name, edit.included) if edit.merged_into == number else edit
            for key, edit in self._edits().items()
        }
        self._push("Split a group again", edits)

    def _on_clicked(self, number: int) -> None:
        self.groups.select([number] if number >= 0 else [])

    @reporting
    def _on_picked(self, rows: np.ndarray) -> None:
        """Select the groups of the texts that a line was drawn around, and show these texts."""
        shown = self._shown
        if shown is None:
            return
        numbers = shown.clustering.assignment[rows]
        found = self._groups()
        groups = {member: group for group in found for member in group.members}
        counts = Counter(groups[int(number)].name if number in groups else "no group" for number in numbers)
        self.groups.select(sorted({int(number) for number in numbers if number in groups}))
        read = rows[:PICKED]
        texts = shown.texts.take(pa.array(read)).to_pylist()
        names = ["" if number < 0 else shown.classes[number] for number in shown.labels[read].tolist()]
        owners = [groups[number].name if number in groups else "" for number in numbers[:PICKED].tolist()]
        parts = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(8))
        first = f" The first {PICKED:,} are shown." if len(rows) > PICKED else ""
        note = f"{wording.count(len(rows), 'texts')} in {parts}. Their groups are selected in the list.{first}"
        lines = list(zip(owners, names, texts, strict=True))
        TableDialog(self, "Picked texts", ["group", "label", "text"], lines, note).open()

    def _on_selected(self, number: int) -> None:
        used = any(group.number == number and group.included for group in self.groups.groups)
        self.scatter.highlight(number if used and self.colour.currentText() == "group" else None)

    def _on_k(self, number: int) -> None:
        self.form.set_values({**self.form.values(), "clusters": number}, quiet=False)

    def _on_form(self) -> None:
        if not self.document.read_only and not self.form.problem():
            self.document.set_value("cluster", self.form.values())
        self.update_primary()

    # Runs -------------------------------------------------------------------------------------------------------------

    def blocked(self) -> str:
        """Return what is missing."""
        if not self.document.has("source"):
            return "Import labelled texts first, or do without: Label and tune can start from a plain prompt."
        return self.one_class() or self.form.problem()

    def start(self) -> None:
        """Cluster the pseudo-labelled texts, or the labelled ones."""
        project = self.document.project
        assert project is not None
        settings = self.form.settings()
        self.document.set_value("cluster", settings.model_dump())
        cache = str(project.cache.resolve())
        self.run(
            "clusters", ClusterJob(corpus=self.document.path(training_role(project)), cache=cache, settings=settings)
        )

    def on_started(self, run: Run) -> None:
        """Make room for the rows that will appear."""
        if run.number == 0:
            return
        assert isinstance(run.job, ClusterJob)
        before = Path(self.document.path("clusters")) if self.document.has("clusters") else None
        self._changes_before = self._changes_of(before) if before is not None else 0
        self._shown = None
        self._live = True
        self.colour.setCurrentText("group")
        self.groups.show_groups([], {}, "Wait until the groups are there.")
        self.scatter.set_hover_text(None)
        self.scatter.begin(Corpus.open(run.job.corpus).rows)
        self._found: dict[int, float] = {}
        self.sweep.set_values({})
        self.sweep.setVisible(run.job.settings.sweep)

    def _changes_of(self, folder: Path) -> int:
        return len(self.document.project.cluster_edits(folder)) if self.document.project is not None else 0

    def on_event(self, run: Run, event: Event) -> None:
        """Let rows appear and move; draw the sweep."""
        if isinstance(event, Points):
            self.scatter.place(event.rows, event.positions, event.clusters)
        elif isinstance(event, Metric) and event.name == "silhouette":
            if event.group == "sweep":
                self._found[event.step] = event.value
                self.sweep.set_values(self._found)
            else:
                self.quality.set(f"{event.value:.3f}")

    def on_ended(self, run: Run, event: Event) -> None:
        """Show what was there before, if nothing came of it; say what is not taken over to other groups."""
        if self.stands_on(run) and run.number and self._changes_before and not self._changes_of(run.folder):
            changes = wording.count(self._changes_before, "changes")
            self.warn(f"Not taken over to these groups: {changes} of those before (names, left out, merged).")
        if not isinstance(event, Finished) or not self.stands_on(run):
            self._live = False
            self.refresh("clusters")
        elif event.summary.get("silhouette") is None:
            self.quality.set("–")
