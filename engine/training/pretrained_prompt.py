"""PPT: a prompt pre-trained on the same rows without tasks, to compare with (Gu et al. 2022; appendix A.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import DataError, TrainingError
from engine.events import Finished, Notice
from engine.presets import most_steps
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import describe_prompt, save_prompt
from engine.prompting.scorer import PromptScorer
from engine.settings import PretrainSettings
from engine.stage import Stage, StopToken
from engine.training.bank_tuning import PLANNED, PromptRun, TuningPlan, tune_bank
from engine.training.examples import Examples

STAGE = "pretrain-prompt"


def pretrain_prompt(
    scorer: PromptScorer,
    examples: Examples,
    settings: PretrainSettings,
    folder: Path,
    *,
    stop: StopToken,
    start: torch.Tensor | None = None,
) -> Stage:
    """Tune one prompt on all rows together; writes ``folder/prompt.safetensors``.

    Parameters
    ----------
    examples
        Labelled (or pseudo-labelled) rows.
    settings
        See `PretrainSettings`; the defaults are the paper's.
    start
        A prompt [n, d] to start from instead of ``settings.initialisation``.

    Raises
    ------
    DataError
        If there are too few rows.
    TrainingError
        If the loss is no longer a number; the prompt that was good so far is written.
    """
    rows = np.flatnonzero(examples.labels >= 0)
    held_out = min(settings.validation_rows, max(1, round(settings.validation_share * len(rows))))
    if len(rows) < held_out + settings.batch_size:
        raise DataError(
            f"{len(rows)} labelled rows are too few to pre-train a prompt in batches of {settings.batch_size}",
            remedy="Lower the batch size, or import more texts.",
        )
    order = np.random.default_rng([settings.seed, 0x99]).permutation(rows)
    if start is None:
        start = initial_prompt(
            settings.initialisation, scorer.backbone, scorer.verbalizer, scorer.settings.soft_tokens, settings.seed
        )
    run = PromptRun("PPT", start, order[held_out:], order[:held_out], settings.seed)
    steps = most_steps(settings, len(rows))
    plan = TuningPlan(**settings.model_dump(include=PLANNED), steps=steps, validate_every=settings.validate_every)
    for warning in scorer.verbalizer.warnings():
        yield Notice(warning, "warning")
    try:
        completed = yield from tune_bank(scorer, examples, [run], plan, folder, STAGE, stop=stop)
    except TrainingError:
        _save(run, scorer, settings, steps, folder)  # what was good so far outlives the loss
        raise
    metrics = _save(run, scorer, settings, steps, folder)
    yield Finished(str(folder), "completed" if completed else "stopped", metrics)


def _save(run: PromptRun, scorer: PromptScorer, settings: PretrainSettings, steps: int, folder: Path) -> dict[str, Any]:
    """Write the prompt and return its metrics."""
    metrics = run.stopping.figures(steps)
    training = {"method": "PPT", **settings.model_dump()}
    save_prompt(describe_prompt(run.result, scorer, metrics=metrics, training=training), folder / "prompt.safetensors")
    return metrics
