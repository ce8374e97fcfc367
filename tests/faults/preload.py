"""Imported once by the server that processes to be killed are forked from: nobody waits for torch at every kill."""

from __future__ import annotations

import contextlib
import os

from faults import stages

import engine.annotation.reselect
import engine.annotation.stage
import engine.backbones.pretraining
import engine.clustering.store
import engine.evaluation.linear_probe
import engine.evaluation.prediction
import engine.running.inputs
import engine.running.session
import engine.training.few_shot
import engine.training.full_model
import engine.training.pretrained_prompt
import engine.training.prompt_maml

engine.running.session.Session = stages.FastSession  # type: ignore[misc]  # the engines that are forked from here
stages.load_for_all(os.environ[stages.BACKBONE])

with contextlib.suppress(ImportError):  # without the system's libraries for Qt, the window is not tested
    import metapt_gui.main_window  # noqa: F401
