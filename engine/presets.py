"""Settings that go together: the paper's, and smaller ones for a laptop.

The rates of ``quick`` and ``laptop`` were chosen on development rows for the bundled backbone, whose embedding table is
large (docs/evidence.md); other backbones keep the paper's rates.
"""

from __future__ import annotations

from typing import Any, Literal

from engine.settings import MetaTrainSettings, PromptSettings, TuneSettings

Preset = Literal["quick", "laptop", "paper"]
Values = dict[str, dict[str, Any]]

_SMALL: Values = {
    "meta_train": {"gradient": "first_order", "initialisation": "vocabulary"},
    "prompt": {"soft_tokens": 20, "loss": "label_words"},
    "tune": {"epochs": 30},
}
_BUNDLED_RATES: Values = {
    "meta_train": {"alpha": 100.0, "beta": 0.3},
    "prompt": {},
    "tune": {"learning_rate": 0.03},
}
_SIZES: dict[Preset, Values] = {
    "quick": {
        "meta_train": {"steps": 100, "validate_every": 25, "validation_rows": 10, "checkpoint_every": 20},
        "prompt": {"text_tokens": 48},
        "tune": {"seeds": 3},
    },
    "laptop": {
        "meta_train": {"steps": 300, "validate_every": 50, "validation_rows": 40, "checkpoint_every": 25},
        "prompt": {"text_tokens": 128},
        "tune": {},
    },
    "paper": {"meta_train": {}, "prompt": {}, "tune": {}},
}
DESCRIPTIONS: dict[Preset, str] = {
    "quick": "To see how it works: 100 first-order steps, 20 soft tokens, texts cut at 48 tokens. Minutes on a laptop.",
    "laptop": "Needs no GPU: 300 first-order steps, 20 soft tokens, texts cut at 128 tokens.",
    "paper": "As in the paper: exact gradient, 20,000 steps, 100 soft tokens, 512 tokens a text. For T5-base on a GPU.",
}


def preset(name: Preset, backbone: str = "bundled") -> Values:
    """Return the values of ``meta_train``, ``prompt`` and ``tune`` settings that a preset stands for, all of them.

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
    return {
        part: model(**{key: value for layer in layers for key, value in layer[part].items()}).model_dump()
        for part, model in (("meta_train", MetaTrainSettings), ("prompt", PromptSettings), ("tune", TuneSettings))
    }
