"""Step 4: learn where prompts should start, and watch it happen."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QSplitter, QWidget

from engine.clustering.edits import task_fields
from engine.events import Event, Failed, Finished, Metric, Progress
from engine.jobs import BackboneJob, MetaTrainJob
from engine.presets import DESCRIPTIONS, PSEUDO_ALPHA, preset
from engine.settings import BackboneSettings, MetaTrainSettings, PromptSettings
from engine.words import default_words
from engine.workflow import TRAIN, training_role
from metapt_gui import wording
from metapt_gui.earlier_runs import OWN
from metapt_gui.job_runner import Run
from metapt_gui.pages.page import Context, Page
from metapt_gui.run_files import Curves, read_curves
from metapt_gui.step_runs import StepRuns
from metapt_gui.trial import STEPS, TrialTimer
from metapt_gui.widgets.backbone_picker import BackbonePicker
from metapt_gui.widgets.dialogs import reporting
from metapt_gui.widgets.live_curves import LiveCurves
from metapt_gui.widgets.pieces import Card, SideScroll, button, enable, label
from metapt_gui.widgets.run_history import RunHistory
from metapt_gui.widgets.settings_form import SettingsForm
from metapt_gui.widgets.words_editor import WordsEditor


class MetaTrainPage(Page):
    """Prompt-MAML with live curves and a history of runs."""

    primary_text = "Train"
    primary_tooltip = "Learn a starting prompt from the groups."

    def __init__(self, context: Context) -> None:
        super().__init__(context, TRAIN)
        self._showing = False
        self._devices_asked = self._gpu = False
        self._trial: TrialTimer | None = None
        self._prompt: dict[str, Any] = {}
        self._fill_body()

    # Layout -----------------------------------------------------------------------------------------------------------

    def _fill_body(self) -> None:
        self.losses = LiveCurves("Loss: before adaptation (support) and after it (query)", "step", "loss")
        self.accuracy = LiveCurves("Validation accuracy", "step", "accuracy", percent=True)
        self.tasks = LiveCurves("Accuracy of each task", "step", "accuracy", percent=True, names=False)
        for plot in self.plots():
            plot.set_placeholder("Drawn while the prompt learns: press Train.")
        lower = QSplitter(Qt.Orientation.Horizontal)
        lower.addWidget(self.accuracy)
        lower.addWidget(self.tasks)
        self.history = RunHistory()
        self.runs = StepRuns(self.document, self.runner, self.context.background, self.history, "meta-train")
        self.runs.overlaid.connect(self._overlay)
        self.runs.hidden.connect(self._remove_overlay)
        self.runs.used.connect(self._show_settings)
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self.losses)
        left.addWidget(lower)
        left.addWidget(self.history)
        for number, stretch in enumerate((4, 4, 2)):
            left.setStretchFactor(number, stretch)
        left.setChildrenCollapsible(False)
        self.set_columns(left, self._side())

    def _side(self) -> QWidget:
        side = SideScroll(336)
        chosen = Card("Preset")
        self.preset = QComboBox()
        self.preset.addItems([*DESCRIPTIONS, OWN])
        self.preset.setAccessibleName("Preset")
        self.preset.setToolTip("Settings that go together. Choosing one sets the forms below.")
        self.preset.activated.connect(self._on_preset)
        self.about_preset = label("", "muted", wrap=True)
        self.advice = label(
            f"The labels of these texts are pseudo-labels. An alpha of {PSEUDO_ALPHA:g} learned more from such texts.",
            "warning",
            wrap=True,
        )
        self.duration = label("Expected duration: not measured yet.", wrap=True)
        self.estimate = button(
            "How long will it take?",
            f"Runs {STEPS} steps and a validation, times them, and throws them away.",
            self._start_trial,
        )
        for widget in (self.preset, self.about_preset, self.advice, self.duration, self.estimate):
            chosen.box.addWidget(widget)
        side.box.addWidget(chosen)
        self.backbone = BackbonePicker()
        self.backbone.changed.connect(self._on_form)
        self.backbone.load_asked.connect(self._start_loading)
        side.box.addWidget(self.backbone)
        training = Card("Meta-training")
        self.form = SettingsForm(
            MetaTrainSettings,
            main=("gradient", "initialisation", "alpha", "beta", "shots", "steps", "patience"),
            labels={"alpha": "Rate of adaptation (alpha)", "beta": "Rate of the prompt (beta)", "shots": "Shots (m)"},
        )
        self.form.changed.connect(self._on_form)
        training.box.addWidget(self.form)
        side.box.addWidget(training)
        prompting = Card("Prompt")
        self.prompt_form = SettingsForm(PromptSettings, main=("soft_tokens", "text_tokens", "template"))
        self.prompt_form.changed.connect(self._on_form)
        prompting.box.addWidget(self.prompt_form)
        side.box.addWidget(prompting)
        worded = Card("Label words of the texts that teach")
        self.words = WordsEditor(self.host, names_editable=False)
        self.words.changed.connect(self._on_form)
        worded.box.addWidget(self.words)
        side.box.addWidget(worded)
        side.box.addStretch(1)
        return side

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
        self.backbone.show_facts(f"Devices: {names}")
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
        if what in ("opened", "meta-train"):
            if self.document.has("meta-train") and self.runner.current is None:
                self._read_curves(Path(self.document.path("meta-train")))
            self.runs.show()
        self.update_primary()

    def _show_settings(self) -> None:
        """Show what the project keeps in the forms."""
        self._showing = True
        name = self.document.value("preset", "laptop")
        values = preset(name if name in DESCRIPTIONS else "laptop")
        self.form.set_values(self.document.value("meta_train") or values["meta_train"])
        self._show_prompt(self.document.value("prompt") or values["prompt"])
        self.backbone.set_values(self.document.value("backbone", {}))
        self._show_preset(name)
        self._show_words()
        self._showing = False

    def _show_prompt(self, values: dict[str, Any]) -> None:
        self._prompt = values
        self.prompt_form.set_values(values)

    def _keep_prompt(self, values: dict[str, Any]) -> None:
        self._prompt = values
        self.document.set_value("prompt", values)

    def summary(self) -> str:
        """Return a line for the rail."""
        best = self.runs.best()
        return f"best {best}" if best else self.document.optional(self.step)

    def _show_words(self) -> None:
        corpus = None
        if self.document.project is not None:
            corpus = self.document.corpus(training_role(self.document.project))
        classes = corpus.classes if corpus is not None else ()
        words = (corpus.words if corpus is not None else {}) or default_words(classes)
        kept = self.document.value("source words", {})
        self.words.show_classes(classes, kept if kept.keys() == set(classes) else words)  # 2 of 5 is not 2 of 2
        self.words.set_backbone(self._backbone())

    def _read_curves(self, folder: Path) -> None:
        """Show the curves of a run, before what it streams meanwhile."""
        for plot in self.plots():
            plot.clear(keep_overlays=True)  # they stay ticked in the list
        self.context.background.run("curves", partial(read_curves, folder), self._show_curves)

    def _show_curves(self, curves: Curves) -> None:
        for (name, group), (steps, values) in curves.items():
            plot, curve = self._place(name, group)
            if plot is not None:
                plot.put_before(curve, steps, values)

    def _place(self, name: str, group: str) -> tuple[LiveCurves | None, str]:
        """Return the plot of a metric, and what its curve is called there."""
        if name in ("support loss", "query loss", "validation loss"):
            return self.losses, name.removesuffix(" loss")
        if name == "validation accuracy":
            return self.accuracy, "validation"
        return (self.tasks, group) if name == "task accuracy" else (None, "")

    def _remove_overlay(self, name: str) -> None:
        for plot in (self.losses, self.accuracy):
            plot.remove_overlay(name)

    def _overlay(self, name: str, curves: Curves) -> None:
        loss = {kind: curves[(f"{kind} loss", "")] for kind in ("support", "query") if (f"{kind} loss", "") in curves}
        self.losses.overlay(name, loss)
        if ("validation accuracy", "") in curves:
            self.accuracy.overlay(name, {"validation": curves[("validation accuracy", "")]})

    # What the person chooses ------------------------------------------------------------------------------------------

    def _backbone(self) -> dict[str, Any]:
        return self.backbone.values(offline=self.context.offline())

    def _on_preset(self) -> None:
        if self.preset.currentText() in DESCRIPTIONS:
            self._use_preset(self.preset.currentText())

    def _use_preset(self, name: str) -> None:
        values = preset(name, self._backbone()["backbone"])  # type: ignore[arg-type]
        self._showing = True
        self.form.set_values(values["meta_train"])
        self._show_prompt(values["prompt"])
        kept = self.document.value("tune")
        known = [preset(other, backbone)["tune"] for other in DESCRIPTIONS for backbone in ("bundled", "another")]
        untouched = kept is None or kept in known  # what the person set for tuning stays
        for part in ("meta_train", "prompt", "tune") if untouched else ("meta_train", "prompt"):
            self.document.set_value(part, values[part])
        self._showing = False
        self.document.set_value("preset", name)
        self._show_preset(name)
        self.update_primary()

    def _show_preset(self, name: str) -> None:
        self.preset.setCurrentText(name if name in DESCRIPTIONS else OWN)
        self.about_preset.setText(DESCRIPTIONS.get(name, "Changed from a preset."))  # type: ignore[call-overload]
        self.duration.setText("Expected duration: not measured yet.")

    def _on_form(self) -> None:
        if self._showing or self.document.read_only:
            return
        backbone = self._backbone()
        before = self.document.value("backbone", {}).get("backbone", "bundled")
        if not self.form.problem() and not self.prompt_form.problem():
            kept = self.document.value("preset", "laptop")
            self.document.set_value("meta_train", self.form.values())
            self._keep_prompt(self.prompt_form.values())
            self.document.set_value("source words", self.words.words())
            if backbone["backbone"]:  # a name that is still to be typed is none
                self.document.set_value("backbone", {**backbone, "offline": False})
            if kept in DESCRIPTIONS and backbone["backbone"] not in (before, ""):  # it means other rates there
                first = self.document.value("preset") is None or (kept == "paper" and backbone["backbone"] == "bundled")
                self._use_preset(self._suited() if first else kept)
            elif kept in DESCRIPTIONS:
                same = preset(kept, backbone["backbone"])
                if same["meta_train"] != self.form.values() or same["prompt"] != self.prompt_form.values():
                    self.document.set_value("preset", OWN)
                    self._show_preset(OWN)
        self.words.set_backbone(backbone)
        self.update_primary()

    # Runs -------------------------------------------------------------------------------------------------------------

    def blocked(self) -> str:
        """Return what is missing."""
        if reason := self.one_class():
            return reason
        if not self.document.has("clusters"):
            if self.document.optional(self.step):
                return (
                    "Import labelled texts and cluster them first, or do without: Label and tune can start from a "
                    "plain prompt."
                )
            return "Cluster first: the groups are the tasks that the prompt learns from."
        return self.words.problem() or self.backbone.problem() or self.form.problem() or self.prompt_form.problem()

    def show_primary(self) -> None:
        """What else is tried or loaded needs the same."""
        super().show_primary()
        enable(self.estimate, "" if self.primary.isEnabled() else self.primary.toolTip())
        project, alpha = self.document.project, self.form.values().get("alpha")
        pseudo = project is not None and training_role(project) == "annotated"
        high = isinstance(alpha, float) and alpha > PSEUDO_ALPHA and self._backbone()["backbone"] == "bundled"
        self.advice.setVisible(pseudo and high)
        idle = self.runner.current is None and self.document.project is not None
        enable(self.backbone.load, "" if idle else "Another step is running, or no project is open.")

    def action(self, *, ready: bool) -> str:
        """Return that a run that was stopped goes on."""
        return "Resume" if ready and self.stopped(self._job()) else self.primary_text

    def _job(self, **changes: Any) -> MetaTrainJob:
        project = self.document.project
        assert project is not None
        clusters = project.role("clusters")
        return MetaTrainJob(
            corpus=self.document.path(training_role(project)),
            clusters=str(clusters),
            **task_fields(project.cluster_edits(clusters)),
            settings=self.form.settings().model_copy(update=changes),
            prompt=self.prompt_form.settings(),
            backbone=BackboneSettings(**self._backbone()),
            words=self.words.words(),
        )

    def start(self) -> None:
        """Train, or go on."""
        self.run("meta-train", self._job())

    @reporting
    def _start_trial(self) -> None:
        self._trial = TrialTimer(self.form.settings())
        self.run("", self._job(**self._trial.trial()))

    @reporting
    def _start_loading(self) -> None:
        self.backbone.show_facts("Loading …")
        self.run("", BackboneJob(backbone=BackboneSettings(**self._backbone())))

    def on_started(self, run: Run) -> None:
        """Begin the curves anew, unless a run goes on."""
        if run.role and run.number:
            self._read_curves(run.folder)

    def on_event(self, run: Run, event: Event) -> None:
        """Draw; time a trial; say how far a backbone is fetched."""
        if isinstance(run.job, BackboneJob):
            if isinstance(event, Progress):
                self.backbone.show_facts(f"{event.message}   {wording.progress(event)}")
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
        elif isinstance(event, Finished) and self._trial is not None:
            paused = "Expected duration: the trial was paused; try it again."
            self.duration.setText(paused if self.runner.was_paused else self._trial.verdict())
        self.update_primary()

    def _say_backbone(self, event: Event) -> None:
        if isinstance(event, Finished):
            facts = event.summary
            size = f"{facts['parameters'] / 1e6:.1f} million parameters, vectors of length {facts['width']}"
            self.backbone.show_facts(f"{facts['name']}: {size}, on {facts['device']}.", "good")
        else:
            self.backbone.show_facts("Could not be loaded." if isinstance(event, Failed) else "Not loaded.", "bad")
