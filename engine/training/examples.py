"""Labelled rows as the training loops take them, and how meta tasks are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.errors import DataError
from engine.prompting.passes import length_groups
from engine.prompting.scorer import PromptScorer
from engine.prompting.template import Batch, EncodedTexts


@dataclass(frozen=True)
class Examples:
    """Encoded texts and their classes (int64 [rows])."""

    texts: EncodedTexts
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: np.ndarray, device: torch.device) -> tuple[Batch, torch.Tensor]:
        """Return the texts at ``rows`` and their labels, int64 [B], on ``device``."""
        return self.texts.batch(rows, device), torch.from_numpy(self.labels[rows]).to(device)

    def losses(self, scorer: PromptScorer, bank: torch.Tensor, rows: np.ndarray, owner: np.ndarray) -> torch.Tensor:
        """Return the loss of each row under its own prompt, float32 [B]; on a CPU, texts of like length share a pass.

        Parameters
        ----------
        bank
            Soft prompts, float32 [R, n, d].
        rows, owner
            Rows and the prompt of each, int64 [B].
        """
        device = scorer.backbone.device
        groups = length_groups(self.texts.lengths_of(rows)) if device.type == "cpu" else [np.arange(len(rows))]
        parts = []
        for places in groups:
            batch, labels = self.batch(rows[places], device)
            prompts = torch.from_numpy(owner[places]).to(device)
            parts.append(scorer.losses(bank, batch, prompts, labels))
        back = np.argsort(np.concatenate(groups))
        return torch.cat(parts)[torch.from_numpy(back).to(device)]


@dataclass(frozen=True)
class MetaTask:
    """A meta task: the rows of one group, split once into training and validation rows (section 4.2)."""

    name: str
    training: np.ndarray
    validation: np.ndarray


def make_meta_tasks(
    groups: Sequence[tuple[str, np.ndarray]],
    *,
    shots: int,
    validation_share: float,
    validation_rows: int,
    seed: int,
) -> tuple[list[MetaTask], list[str]]:
    """Split groups of rows into meta tasks.

    Parameters
    ----------
    groups
        Name and row numbers of each group.
    shots
        m; a group with fewer rows than 2m beside its validation rows is dropped.
    validation_share, validation_rows
        The share of a group held out, and at most how many rows.
    seed
        Of the split.

    Returns
    -------
    tasks, notices
        The tasks, and a sentence for each group that was dropped.

    Raises
    ------
    DataError
        If no group is large enough.
    """
    tasks, notices = [], []
    for number, (name, rows) in enumerate(groups):
        held_out = min(validation_rows, max(1, round(validation_share * len(rows))))
        if len(rows) < held_out + 2 * shots:
            notices.append(
                f"The group '{name}' has {len(rows)} rows, fewer than the {held_out + 2 * shots} that {shots} shots "
                "need; it is left out."
            )
            continue
        order = np.random.default_rng([seed, number]).permutation(rows)
        tasks.append(MetaTask(name, np.sort(order[held_out:]), np.sort(order[:held_out])))
    if not tasks:
        raise DataError(
            f"None of the {len(groups)} groups has enough rows for {shots} shots",
            remedy="Make fewer groups, import more texts, or lower the shots.",
        )
    return tasks, notices


def support_and_query(task: MetaTask, shots: int, seed: int, step: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw m support and m fresh query rows of a task, without overlap, from (seed, step, task) alone."""
    random = np.random.default_rng([seed, step, number])
    rows = random.choice(task.training, 2 * shots, replace=False)
    return rows[:shots], rows[shots:]
