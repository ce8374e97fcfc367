"""Settings that go together: the paper's, and smaller ones for a laptop.

The rates of ``quick`` and ``laptop`` were chosen on development rows for the bundled backbone, whose embedding table is
large (docs/evidence-settings.md); other backbones keep the paper's rates.
"""

from __future__ import annotations

from typing import Any, Literal

from engine.settings import ClusterSettings, MetaTrainSettings, PretrainSettings, PromptSettings, Settings, TuneSettings

Preset = Literal["quick", "laptop", "paper"]
Values = dict[str, dict[str, Any]]
PARTS: dict[str, type[Settings]] = {
    "meta_train": MetaTrainSettings,
    "pretrain": PretrainSettings,
    "prompt": PromptSettings,
    "tune": TuneSettings,
}
"""What a preset sets, by the names that pipeline files have for it."""

_SMALL: Values = {
    "meta_train": {"gradient": "first_order", "initialisation": "vocabulary"},
    "prompt": {"soft_tokens": 20, "loss": "label_words"},
    "tune": {"epochs": 30, "improvement": "loss", "validate_start": True},
}
_BUNDLED_RATES: Values = {
    "meta_train": {"alpha": 100.0, "beta": 0.3},
    "pretrain": {"learning_rate": 1.0},
    "tune": {"learning_rate": 0.03},
}
PSEUDO_ALPHA, PSEUDO_RATE = 30.0, 0.3
"""MetaPT's alpha and PPT's rate that learned most from pseudo-labels on the bundled backbone; the presets' did from
true labels."""
_SIZES: dict[Preset, Values] = {
    "quick": {
        "meta_train": {"steps": 100, "validate_every": 25, "validation_rows": 10, "checkpoint_every": 20},
        "prompt": {"text_tokens": 48},
        "tune": {"seeds": 3},
    },
    "laptop": {
        "meta_train": {"steps": 300, "validate_every": 50, "validation_rows": 40, "checkpoint_every": 25},
        "prompt": {"text_tokens": 128},
    },
    "paper": {},
}
DESCRIPTIONS: dict[Preset, str] = {
    "quick": "To see how it works: 100 first-order steps, 20 soft tokens, texts cut at 48 tokens. Minutes on a laptop.",
    "laptop": "Needs no GPU: 300 first-order steps, 20 soft tokens, texts cut at 128 tokens.",
    "paper": "As in the paper: exact gradient, 20,000 steps, 100 soft tokens, 512 tokens a text. For T5-base on a GPU.",
}


def preset(name: Preset, backbone: str = "bundled") -> Values:
    """Return the values of ``meta_train``, ``pretrain``, ``prompt`` and ``tune`` settings of a preset, all of them.

    Parameters
    ----------
    backbone
        As in `engine.settings.BackboneSettings`.
    """
    layers = [_SIZES[name]]
    if name != "paper":
        layers.append(_SMALL)
        if backbone == "bundled":
            layers.append(_BUNDLED_RATES)
    values = {part: {key: value for layer in layers for key, value in layer.get(part, {}).items()} for part in PARTS}
    if name != "paper":
        values["pretrain"] |= as_many_texts(MetaTrainSettings(**values["meta_train"]))
    return {part: model(**values[part]).model_dump() for part, model in PARTS.items()}


def texts_a_step(meta: MetaTrainSettings, groups: int) -> int:
    """Return how many texts go through the backbone in a step of meta-training on ``groups`` tasks."""
    return (meta.inner_steps + 1) * meta.shots * min(meta.tasks_per_step or groups, groups)


def as_many_texts(meta: MetaTrainSettings, groups: int = ClusterSettings().clusters) -> dict[str, Any]:
    """Return `PretrainSettings` with which PPT reads as many texts as a meta-training of ``groups`` tasks does.

    It begins at the same start, too, is validated as often, and goes over the rows as many times as that takes. A text
    counts as often as it goes through the backbone: a support text once for each inner step.
    """
    return {
        "initialisation": meta.initialisation,
        "batch_size": texts_a_step(meta, groups),
        "steps": meta.steps,
        "epochs": 1000,
        "validate_every": meta.validate_every,
        "validation_rows": groups * meta.validation_rows,
        "patience": meta.patience,
    }


def most_steps(plain: PretrainSettings, rows: int) -> int:
    """Return how many steps PPT takes at most on so many labelled rows."""
    held_out = min(plain.validation_rows, max(1, round(plain.validation_share * rows)))
    per_epoch = max(1, -(-(rows - held_out) // plain.batch_size))
    return min(plain.steps, plain.epochs * per_epoch)


def other_budget(plain: PretrainSettings, meta: MetaTrainSettings, groups: int, rows: int) -> str:
    """Say what PPT and a meta-training of ``groups`` tasks read at most, if it differs by more than half; else nothing.

    Parameters
    ----------
    rows
        Of the corpus that both learn from; perhaps not all have a label.
    """
    read = plain.batch_size * most_steps(plain, rows)
    learned = meta.steps * texts_a_step(meta, groups)
    if 2 / 3 <= read / learned <= 3 / 2:
        return ""
    return (
        f"PPT reads at most {read:,} texts and MetaPT {learned:,}: these are no equal terms. The presets quick "
        "and laptop make the two alike."
    )
