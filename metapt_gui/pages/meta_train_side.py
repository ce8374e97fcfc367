"""The controls of step 4: preset, backbone, the way to learn with its settings, prompt and label words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox

from engine.presets import DESCRIPTIONS, PSEUDO_ALPHA, PSEUDO_RATE
from engine.settings import MetaTrainSettings, PretrainSettings, PromptSettings, Settings
from metapt_gui.earlier_runs import OWN
from metapt_gui.engine_host import EngineHost
from metapt_gui.trial import STEPS
from metapt_gui.widgets.backbone_picker import BackbonePicker
from metapt_gui.widgets.pieces import Card, SideScroll, button, label
from metapt_gui.widgets.settings_form import SettingsForm
from metapt_gui.widgets.words_editor import WordsEditor

NOT_MEASURED = "Expected duration: not measured yet."


@dataclass(frozen=True)
class Way:
    """How a prompt can be learned.

    Attributes
    ----------
    shown, about
        What it is called, and what it does.
    part
        Name of its settings in presets, pipelines and projects.
    model, main, labels
        Its settings, and how the form shows them.
    rate, pseudo_rate
        The setting that pseudo-labels want lower on the bundled backbone, and how low.
    """

    shown: str
    about: str
    part: str
    model: type[Settings]
    main: tuple[str, ...]
    rate: str
    pseudo_rate: float
    labels: Mapping[str, str] = field(default_factory=dict)


WAYS = {
    "MetaPT": Way(
        "from groups, as tasks (MetaPT)",
        "Meta-learning: every group is a task, and the prompt learns to start where a few steps help with each.",
        "meta_train",
        MetaTrainSettings,
        ("gradient", "initialisation", "alpha", "beta", "shots", "steps", "patience"),
        "alpha",
        PSEUDO_ALPHA,
        {"alpha": "Rate of adaptation (alpha)", "beta": "Rate of the prompt (beta)", "shots": "Shots (m)"},
    ),
    "PPT": Way(
        "from all texts together (PPT)",
        "Pre-training without tasks: needs no groups. On the data that we measured it was as good as MetaPT.",
        "pretrain",
        PretrainSettings,
        ("initialisation", "learning_rate", "batch_size", "steps", "epochs", "patience"),
        "learning_rate",
        PSEUDO_RATE,
    ),
}
"""Way to learn (`engine.roles.LEARNED`) -> how the page shows it."""


class MetaTrainSide(SideScroll):
    """Controls of learning a prompt; ``values`` go out as the project keeps them, and come in by `show_values`."""

    changed = Signal()
    preset_chosen = Signal(str)
    way_chosen = Signal(str)
    trial_asked = Signal()

    def __init__(self, host: EngineHost) -> None:
        super().__init__(336)
        self._add_preset()
        self.backbone = BackbonePicker()
        self.backbone.changed.connect(self.changed)
        self.box.addWidget(self.backbone)
        self._add_ways()
        prompting = Card("Prompt")
        self.prompt_form = SettingsForm(PromptSettings, main=("soft_tokens", "text_tokens", "template"))
        self.prompt_form.changed.connect(self.changed)
        prompting.box.addWidget(self.prompt_form)
        self.box.addWidget(prompting)
        worded = Card("Label words of the texts that teach")
        self.words = WordsEditor(host, names_editable=False)
        self.words.changed.connect(self.changed)
        worded.box.addWidget(self.words)
        self.box.addWidget(worded)
        self.box.addStretch(1)

    def _add_preset(self) -> None:
        chosen = Card("Preset")
        self.preset = QComboBox()
        self.preset.addItems([*DESCRIPTIONS, OWN])
        self.preset.setAccessibleName("Preset")
        self.preset.setToolTip("Settings that go together. Choosing one sets the forms below.")
        self.preset.activated.connect(lambda _row: self.preset_chosen.emit(self.preset.currentText()))
        self.about_preset = label("", "muted", wrap=True)
        self.advice = label("", "warning", wrap=True)
        self.duration = label(NOT_MEASURED, wrap=True)
        self.estimate = button(
            "How long will it take?",
            f"Runs {STEPS} steps and a validation, times them, and throws them away.",
            self.trial_asked.emit,
        )
        for widget in (self.preset, self.about_preset, self.advice, self.duration, self.estimate):
            chosen.box.addWidget(widget)
        self.box.addWidget(chosen)

    def _add_ways(self) -> None:
        training = Card("How the prompt learns")
        self.way_choice = QComboBox()
        for way, known in WAYS.items():
            self.way_choice.addItem(known.shown, way)
        self.way_choice.setAccessibleName("How the prompt learns")
        self.way_choice.setToolTip("By meta-learning over groups of texts, or by pre-training on all of them together.")
        self.way_choice.activated.connect(lambda _row: self.way_chosen.emit(self.way))
        self.about_way = label("", "muted", wrap=True)
        training.box.addWidget(self.way_choice)
        self.learns_from = label("", "muted", wrap=True)
        training.box.addWidget(self.about_way)
        training.box.addWidget(self.learns_from)
        self.forms: dict[str, SettingsForm[Any]] = {}
        for way, known in WAYS.items():
            form = SettingsForm(known.model, main=known.main, labels=known.labels)
            form.changed.connect(self.changed)
            training.box.addWidget(form)
            self.forms[way] = form
        self.show_way(next(iter(WAYS)))
        self.box.addWidget(training)

    @property
    def way(self) -> str:
        """The way to learn that is chosen."""
        return str(self.way_choice.currentData())

    @property
    def form(self) -> SettingsForm[Any]:
        """The settings of the way that is chosen."""
        return self.forms[self.way]

    def show_way(self, way: str) -> None:
        """Show how the prompt learns, and the settings of that."""
        self.way_choice.setCurrentIndex(self.way_choice.findData(way))
        self.about_way.setText(WAYS[way].about)
        for name, form in self.forms.items():
            form.setVisible(name == way)
        self.duration.setText(NOT_MEASURED)

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show settings as the project keeps them: part -> values."""
        for way, form in self.forms.items():
            form.set_values(values[WAYS[way].part])

    def values(self) -> dict[str, Any]:
        """Return the settings of every way as the project keeps them; those that cannot be used are left out."""
        return {WAYS[way].part: form.values() for way, form in self.forms.items() if not form.problem()}

    def show_preset(self, name: str) -> None:
        """Name the preset."""
        self.preset.setCurrentText(name if name in DESCRIPTIONS else OWN)
        self.about_preset.setText(DESCRIPTIONS.get(name, "Changed from a preset."))  # type: ignore[call-overload]
        self.duration.setText(NOT_MEASURED)

    def is_preset(self, values: Mapping[str, Any]) -> bool:
        """Whether the forms show what a preset has."""
        shown = self.values() | {"prompt": self.prompt_form.values()}
        return all(values[part] == settings for part, settings in shown.items())

    def problem(self) -> str:
        """Return what is wrong with what is set; empty if nothing."""
        return self.words.problem() or self.backbone.problem() or self.settings_problem()

    def settings_problem(self) -> str:
        """Return what is wrong in the forms."""
        return self.form.problem() or self.prompt_form.problem()

    def advise(self, *, pseudo: bool, bundled: bool) -> None:
        """Say which texts teach; advise a lower rate for pseudo-labels and the bundled backbone."""
        texts = (
            "pseudo-labelled texts; the page Cluster lets you choose the labelled ones" if pseudo else "labelled texts"
        )
        self.learns_from.setText(f"It learns from the {texts}.")
        known = WAYS[self.way]
        rate = self.form.values().get(known.rate)
        name = known.labels.get(known.rate, known.rate.replace("_", " "))
        self.advice.setText(
            f"The labels of these texts are pseudo-labels. From such texts more was learned with {known.pseudo_rate:g} "
            f"as the {name[0].lower()}{name[1:]}."
        )
        self.advice.setVisible(pseudo and bundled and isinstance(rate, float) and rate > known.pseudo_rate)
