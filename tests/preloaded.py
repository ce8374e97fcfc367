"""What the server that processes are forked from has (`forking`): everything is imported, and a backbone is loaded.

Imported there, once: nobody waits for torch at every process. Where it is imported otherwise, it does nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import TYPE_CHECKING

from engine.jobs.session import Session
from engine.settings import BackboneSettings
from engine.stage import result_of

if TYPE_CHECKING:
    from engine.backbones.load import Backbone

BACKBONE = "METAPT_TESTS_BACKBONE"
"""Environment variable that tells the server which backbone to load."""


def chosen_backbone(folder: str) -> BackboneSettings:
    """The settings that a backbone is loaded with."""
    return BackboneSettings(backbone=folder, device="cpu", precision="float32", threads=1)


LOADED: list[tuple[BackboneSettings, Backbone]] = []
"""The backbone that all processes of the server have, with its settings."""

MODULES = (
    "sentence_transformers",
    "engine.annotation.reselect",
    "engine.annotation.stage",
    "engine.pretraining.stage",
    "engine.cli",
    "engine.clustering.store",
    "engine.embedding.sentence_bert",
    "engine.evaluation.linear_probe",
    "engine.evaluation.prediction",
    "engine.jobs.inputs",
    "engine.jobs.session",
    "engine.training.few_shot",
    "engine.training.full_model",
    "engine.training.pretrained_prompt",
    "engine.training.prompt_maml",
)

if BACKBONE in os.environ:
    for name in MODULES:
        importlib.import_module(name)
    with contextlib.suppress(ImportError):  # without the system's libraries for Qt, the window is not tested
        importlib.import_module("metapt_gui.main_window")
    _settings = chosen_backbone(os.environ[BACKBONE])
    LOADED.append((_settings, result_of(Session().backbone(_settings))))
