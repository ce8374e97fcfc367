"""Step 4: learn where prompts should start, and watch it happen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QSplitter, QWidget

from engine.clustering.edits import task_fields
from engine.events import Event, Failed, Finished, Metric, Progress
from engine.jobs import BackboneJob, MetaTrainJob, PretrainJob
from engine.presets import DESCRIPTIONS, Values, as_many_texts, most_steps, preset
from engine.roles import LEARNED
from engine.settings import BackboneSettings, MetaTrainSettings, PretrainSettings
from engine.words import default_words
from engine.workflow import TRAIN, main_role, training_role, way_to_learn
from metapt_gui import wording
from metapt_gui.earlier_runs import OWN
from metapt_gui.job_runner import Run
from metapt_gui.pages.meta_train_side import WAYS, MetaTrainSide
from metapt_gui.pages.page import Context, Page
from metapt_gui.run_files import Curves, read_curves
from metapt_gui.step_runs import StepRuns
from metapt_gui.trial import TrialTimer
from metapt_gui.widgets.dialogs import reporting
from metapt_gui.widgets.live_curves import LiveCurves
from metapt_gui.widgets.pieces import enable
from metapt_gui.widgets.run_history import RunHistory

PARTS = (*(way.part for way in WAYS.values()), "prompt")
"""What the page shows of a preset."""


class MetaTrainPage(Page):
    """Prompt-MAML, or PPT, with live curves and a history of runs."""

    primary_text = "Train"
    primary_tooltip = "Learn a starting prompt."

    def __init__(self, context: Context) -> None:
        super().__init__(context, TRAIN)
        self._showing = False
        self._devices_asked = self._gpu = False
        self._trial: TrialTimer | None = None
        self._curves_of: Path | None = None
        self._prompt: dict[str, Any] = {}
        self._fill_body()

    # Layout -----------------------------------------------------------------------------------------------------------

    def _fill_body(self) -> None:
        self.losses = LiveCurves("Loss", "step", "loss")
        self.accuracy = LiveCurves("Validation accuracy", "step", "accuracy", percent=True)
        self.tasks = LiveCurves("Accuracy of each task", "step", "accuracy", percent=True, names=False)
        for plot in self.plots():
            plot.set_placeholder("Drawn while the prompt learns: press Train.")
        lower = QSplitter(Qt.Orientation.Horizontal)
        lower.addWidget(self.accuracy)
        lower.addWidget(self.tasks)
        self.history = RunHistory()
        self.runs = StepRuns(self.document, self.runner, self.context.background, self.history, *TRAIN.roles)
        self.runs.overlaid.connect(self._overlay)
        self.runs.hidden.connect(self._remove_overlay)
        self.runs.used.connect(self._show_used)
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self.losses)
        left.addWidget(lower)
        left.addWidget(self.history)
        for number, stretch in enumerate((4, 4, 2)):
            left.setStretchFactor(number, stretch)
        left.setChildrenCollapsible(False)
        self.set_columns(left, self._side())

    def _side(self) -> QWidget:
        self.side = MetaTrainSide(self.host)
        self.side.changed.connect(self._on_form)
        self.side.preset_chosen.connect(self._on_preset)
        self.side.way_chosen.connect(self._on_way)
        self.side.trial_asked.connect(self._start_trial)
        self.side.backbone.load_asked.connect(self._start_loading)
        return self.side

    def plots(self) -> list[Any]:
        """Return the plots."""
        return [self.losses, self.accuracy, self.tasks]

    def showEvent(self, event: QShowEvent) -> None:
        """Ask for the devices when the page is first seen."""
        super().showEvent(event)
        if not self._devices_asked and self.document.project is not None:
            self._devices_asked = True
            self.host.ask("devices", self._on_devices, key="devices to train on")

    def _on_devices(self, devices: list[dict[str, Any]]) -> None:
        names = ", ".join(f"{item['name']} ({item['description']})" for item in devices)
        self.side.backbone.show_facts(f"Devices: {names}")
        self._gpu = any(item["name"].startswith("cuda") for item in devices)
        if self.document.value("preset") is None and self._suited() != "laptop":
            self._use_preset(self._suited())

    def _suited(self) -> str:
        """The preset to begin with: the paper's rates are for T5-base and change nothing on the bundled backbone."""
        return "paper" if self._gpu and self._backbone()["backbone"] != "bundled" else "laptop"

    # What is shown ----------------------------------------------------------------------------------------------------

    def refresh(self, what: str) -> None:
        """Show settings, words, curves and runs."""
        if what in ("labels", "audit"):
            return
        if what == "opened":
            self._devices_asked = False
            self._show_settings()
            for plot in self.plots():
                plot.clear()
            self.history.show_runs([])  # a run of the same name in another project is not ticked
        elif what == "values" and not self._showing and self.document.value("prompt") not in (None, self._prompt):
            self._show_prompt(self.document.value("prompt"))  # it was changed on another page
        if what in ("opened", "source", "annotated"):
            self._show_words()
        if what in ("opened", *TRAIN.roles):
            self._show_result()
            self.runs.show()
        self.update_primary()

    def _show_settings(self) -> None:
        """Show what the project keeps in the forms."""
        self._showing = True
        name = self.document.value("preset", "laptop")
        self._show_way()
        usual = self._usual(name)
        self._show_values({part: self.document.value(part) or usual[part] for part in PARTS}, name)
        self.side.backbone.set_values(self.document.value("backbone", {}))
        self._show_words()
        self._showing = False

    def _usual(self, name: str) -> Values:
        """Return what is shown where the project keeps nothing: the preset's.

        Beside settings of one's own for MetaPT, PPT reads as many texts as that.
        """
        backbone = self.document.value("backbone", {}).get("backbone") or "bundled"
        usual = preset(name if name in DESCRIPTIONS else "laptop", backbone)
        own = self.document.value("meta_train") if name not in DESCRIPTIONS else None
        if own:
            usual["pretrain"] |= as_many_texts(MetaTrainSettings(**own))
        return usual

    def _show_values(self, values: Mapping[str, Any], name: str) -> None:
        self.side.show_values(values)
        self._show_prompt(values["prompt"])
        self.side.show_preset(name)

    def _show_used(self) -> None:
        """Show settings and curves of a run that is used now; it may be one of the other way."""
        self._show_settings()
        self._show_result()

    def _show_way(self) -> None:
        project = self.document.project
        self.side.show_way(way_to_learn(project) if project is not None else next(iter(WAYS)))
        learns = self.side.way == "MetaPT"
        loss = (
            "Loss: before adaptation (support) and after it (query)" if learns else "Loss: of training and validation"
        )
        self.losses.set_title(loss)
        self.tasks.setVisible(learns)

    def _show_result(self) -> None:
        """Show the curves of the prompt that was learned in the way that is chosen."""
        role, run = LEARNED[self.side.way], self.runner.current
        if run is not None and self.mine(run) and run.role:
            return  # it draws its own
        if self.document.has(role):
            self._read_curves(Path(self.document.path(role)))
        else:
            self._curves_of = None
            for plot in self.plots():
                plot.clear(keep_overlays=True)

    def _show_prompt(self, values: dict[str, Any]) -> None:
        self._prompt = values
        self.side.prompt_form.set_values(values)

    def _keep_prompt(self, values: dict[str, Any]) -> None:
        self._prompt = values
        self.document.set_value("prompt", values)

    def summary(self) -> str:
        """Return a line for the rail."""
        project = self.document.project
        best = self.runs.best(main_role(project, self.step)) if project is not None else ""
        return f"best {best}" if best else self.document.optional(self.step)

    def _show_words(self) -> None:
        corpus = None
        if self.document.project is not None:
            corpus = self.document.corpus(training_role(self.document.project))
        classes = corpus.classes if corpus is not None else ()
        words = (corpus.words if corpus is not None else {}) or default_words(classes)
        kept = self.document.value("source words", {})
        self.side.words.show_classes(classes, kept if kept.keys() == set(classes) else words)  # 2 of 5 is not 2 of 2
        self.side.words.set_backbone(self._backbone())

    def _read_curves(self, folder: Path) -> None:
        """Show the curves of a run, before what it streams meanwhile."""
        for plot in self.plots():
            plot.clear(keep_overlays=True)  # they stay ticked in the list
        self._curves_of = folder
        self.context.background.run("curves", partial(read_curves, folder), partial(self._show_curves, folder))

    def _show_curves(self, folder: Path, curves: Curves) -> None:
        if folder != self._curves_of:
            return
        for (name, group), (steps, values) in curves.items():
            plot, curve = self._place(name, group)
            if plot is not None:
                plot.put_before(curve, steps, values)

    def _place(self, name: str, group: str) -> tuple[LiveCurves | None, str]:
        """Return the plot of a metric, and what its curve is called there."""
        if name.endswith(" loss"):
            return self.losses, name.removesuffix(" loss")
        if name == "validation accuracy":
            return self.accuracy, "validation"
        return (self.tasks, group) if name == "task accuracy" else (None, "")

    def _remove_overlay(self, name: str) -> None:
        for plot in (self.losses, self.accuracy):
            plot.remove_overlay(name)

    def _overlay(self, name: str, curves: Curves) -> None:
        passed_over = "validation loss" if ("support loss", "") in curves else ""
        placed = {self._place(*known): points for known, points in curves.items() if known[0] != passed_over}
        for plot in (self.losses, self.accuracy):
            if shown := {curve: points for (place, curve), points in placed.items() if place is plot}:
                plot.overlay(name, shown)

    # What the person chooses ------------------------------------------------------------------------------------------

    def _backbone(self) -> dict[str, Any]:
        return self.side.backbone.values(offline=self.context.offline())

    def _on_preset(self, name: str) -> None:
        if name in DESCRIPTIONS:
            self._use_preset(name)

    def _on_way(self, way: str) -> None:
        """Show the settings and the curves of the other way."""
        self.document.set_value("learn by", way)
        self._show_way()
        self._show_result()

    def _use_preset(self, name: str) -> None:
        values = preset(name, self._backbone()["backbone"])  # type: ignore[arg-type]
        self._showing = True
        self._show_values(values, name)
        kept = self.document.value("tune")
        known = [preset(other, backbone)["tune"] for other in DESCRIPTIONS for backbone in ("bundled", "another")]
        untouched = kept is None or kept in known  # what the person set for tuning stays
        self.document.set_values({part: values[part] for part in (*PARTS, *(["tune"] if untouched else []))})
        self._showing = False
        self.document.set_value("preset", name)
        self.update_primary()

    def _on_form(self) -> None:
        if self._showing or self.document.read_only:
            return
        backbone = self._backbone()
        before = self.document.value("backbone", {}).get("backbone", "bundled")
        if not self.side.settings_problem():
            kept = self.document.value("preset", "laptop")
            self.document.set_values(self.side.values())
            self._keep_prompt(self.side.prompt_form.values())
            self.document.set_value("source words", self.side.words.words())
            if backbone["backbone"]:  # a name that is still to be typed is none
                self.document.set_value("backbone", {**backbone, "offline": False})
            if kept in DESCRIPTIONS and backbone["backbone"] not in (before, ""):  # it means other rates there
                first = self.document.value("preset") is None or (kept == "paper" and backbone["backbone"] == "bundled")
                self._use_preset(self._suited() if first else kept)
            elif kept in DESCRIPTIONS and not self.side.is_preset(preset(kept, backbone["backbone"])):
                self.document.set_value("preset", OWN)
                self.side.show_preset(OWN)
        self.side.words.set_backbone(backbone)
        self.update_primary()

    # Runs -------------------------------------------------------------------------------------------------------------

    def blocked(self) -> str:
        """Return what is missing."""
        if reason := self.one_class():
            return reason
        if self.side.way == "PPT":
            return self.side.problem() if self.document.has("source") else self._no_texts("Import labelled texts first")
        if not self.document.has("clusters"):
            if self.document.optional(self.step):
                return self._no_texts("Import labelled texts and cluster them first")
            return "Cluster first: the groups are the tasks that the prompt learns from."
        return self.side.problem()

    def _no_texts(self, what: str) -> str:
        without = self.document.optional(self.step)
        return f"{what}, or do without: Label and tune can start from a plain prompt." if without else f"{what}."

    def show_primary(self) -> None:
        """What else is tried or loaded needs the same."""
        super().show_primary()
        enable(self.side.estimate, "" if self.primary.isEnabled() else self.primary.toolTip())
        project = self.document.project
        pseudo = project is not None and training_role(project) == "annotated"
        self.side.advise(pseudo=pseudo, bundled=self._backbone()["backbone"] == "bundled")
        run = self.runner.current
        trains = "A prompt is being learned." if run is not None and self.mine(run) and run.role else ""
        enable(self.side.way_choice, self.document.fixed or trains)
        idle = self.runner.current is None and self.document.project is not None
        enable(self.side.backbone.load, "" if idle else "Another step is running, or no project is open.")

    def action(self, *, ready: bool) -> str:
        """Return that a run that was stopped goes on."""
        return "Resume" if ready and self.stopped(self._job()) else self.primary_text

    def _job(self, **changes: Any) -> MetaTrainJob | PretrainJob:
        project = self.document.project
        assert project is not None
        common: dict[str, Any] = {
            "corpus": self.document.path(training_role(project)),
            "settings": self.side.form.settings().model_copy(update=changes),
            "prompt": self.side.prompt_form.settings(),
            "backbone": BackboneSettings(**self._backbone()),
            "words": self.side.words.words(),
        }
        if self.side.way == "PPT":
            return PretrainJob(**common)
        clusters = project.role("clusters")
        return MetaTrainJob(clusters=str(clusters), **task_fields(project.cluster_edits(clusters)), **common)

    def start(self) -> None:
        """Train, or go on."""
        self.run(LEARNED[self.side.way], self._job())

    @reporting
    def _start_trial(self) -> None:
        settings = self.side.form.settings()
        corpus = self.document.corpus(training_role(self.document.project)) if self.document.project else None
        if isinstance(settings, PretrainSettings) and corpus is not None:
            settings = settings.model_copy(update={"steps": most_steps(settings, corpus.rows)})
        self._trial = TrialTimer(settings)
        self.run("", self._job(**self._trial.trial()))

    @reporting
    def _start_loading(self) -> None:
        self.side.backbone.show_facts("Loading …")
        self.run("", BackboneJob(backbone=BackboneSettings(**self._backbone())))

    def on_started(self, run: Run) -> None:
        """Begin the curves anew, unless a run goes on."""
        if run.role and LEARNED[self.side.way] != run.role:  # one that is run again
            self._on_way(next(way for way, role in LEARNED.items() if role == run.role))
        if run.role and run.number:
            self._read_curves(run.folder)

    def on_event(self, run: Run, event: Event) -> None:
        """Draw; time a trial; say how far a backbone is fetched."""
        if isinstance(run.job, BackboneJob):
            if isinstance(event, Progress):
                self.side.backbone.show_facts(f"{event.message}   {wording.progress(event)}")
        elif not run.role and self._trial is not None:
            self._trial.see(event)
        elif isinstance(event, Metric):
            plot, curve = self._place(event.name, event.group)
            if plot is not None:
                plot.add(curve, event.step, event.value)

    def on_ended(self, run: Run, event: Event) -> None:
        """List the run; or say what a trial found."""
        if run.role:
            self.runs.show()
            if not self.stands_on(run) and self.document.has(run.role):  # the curves are those of the one in use
                self._read_curves(Path(self.document.path(run.role)))
        elif isinstance(run.job, BackboneJob):
            self._say_backbone(event)
        elif isinstance(event, Finished) and self._trial is not None and run.job.stage == LEARNED[self.side.way]:
            paused = "Expected duration: the trial was paused; try it again."
            self.side.duration.setText(paused if self.runner.was_paused else self._trial.verdict())
        self.update_primary()

    def _say_backbone(self, event: Event) -> None:
        if isinstance(event, Finished):
            facts = event.summary
            size = f"{facts['parameters'] / 1e6:.1f} million parameters, vectors of length {facts['width']}"
            self.side.backbone.show_facts(f"{facts['name']}: {size}, on {facts['device']}.", "good")
        else:
            self.side.backbone.show_facts("Could not be loaded." if isinstance(event, Failed) else "Not loaded.", "bad")
