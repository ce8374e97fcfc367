"""Score held-out rows under the prompts of a bank, a batch at a time, so that it can be stopped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from engine.backbones.memory import fitting
from engine.events import Progress
from engine.prompting.scorer import PromptScorer
from engine.stage import Part, StopToken
from engine.training.examples import Examples


@dataclass(frozen=True)
class Scored:
    """Loss and correctness of each row, float32 [rows] and bool [rows]."""

    losses: np.ndarray
    correct: np.ndarray


def score_rows(
    scorer: PromptScorer,
    bank: torch.Tensor,
    examples: Examples,
    rows: np.ndarray,
    owner: np.ndarray,
    stage: str,
    stop: StopToken,
) -> Part[Scored | None]:
    """Return loss and correctness of ``rows`` under the prompts ``owner`` of ``bank``; ``None`` if stopped on the way.

    Texts of like length share a batch; the prediction is the argmax over the label words.
    """
    losses = np.empty(len(rows), np.float32)
    correct = np.empty(len(rows), bool)
    order = np.argsort(examples.texts.lengths[rows], kind="stable")

    def score(start: int, count: int) -> np.ndarray:
        places = order[start : start + count]
        with torch.no_grad():
            batch, labels = examples.batch(rows[places], scorer.backbone.device)
            prompts = torch.from_numpy(owner[places]).to(scorer.backbone.device)
            scores = scorer.scores(bank, batch, prompts, normalised=scorer.settings.loss == "vocabulary")
            losses[places] = scorer.losses_of(scores, labels).float().cpu().numpy()
            correct[places] = (scores.argmax(1) == labels).cpu().numpy()
        return places

    done = 0
    while done < len(order):
        if stop.requested:
            return None
        places, scorer.at_a_time = yield from fitting(partial(score, done), scorer.at_a_time, "texts")
        done += len(places)
        yield Progress(stage, done, len(rows), "rows", message="Validating")
    return Scored(losses, correct)
