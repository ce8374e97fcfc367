"""The losses of pre-training: what padding and weights do to them."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.pretraining.objectives import Batch
from engine.pretraining.relative_adamw import RelativeAdamW
from engine.pretraining.stage import _Trainer
from engine.settings import PretrainingPhase


def test_the_padding_of_a_text_has_no_part_in_its_vector(backbone) -> None:
    torch.manual_seed(0)
    trainer = SimpleNamespace(device=torch.device("cpu"), model=backbone.model, _head=torch.nn.Linear(32, 3))
    wanted = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    rows = [np.array([[7, 8, 1]]), np.array([[9, 10, 11, 12, 13, 14, 15, 16, 1]])]
    alone = [
        _Trainer._loss(trainer, Batch(row, vectors=wanted[number : number + 1])).item()
        for number, row in enumerate(rows)
    ]
    padded = np.zeros((2, 9), np.int64)
    padded[0, :3], padded[1] = rows[0], rows[1]
    together = _Trainer._loss(trainer, Batch(padded, vectors=wanted)).item()
    assert together == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_loss_counts_by_its_weight_and_is_told_without_it(rows) -> None:
    weight = torch.nn.Parameter(torch.tensor(2.0))
    trainer = SimpleNamespace(
        optimizer=SimpleNamespace(zero_grad=lambda **_: None),
        _autocast=nullcontext,
        _loss=lambda batch: weight * float(batch.inputs.mean()),
    )
    phase = PretrainingPhase(spans=0.5, chosen_words=0.5, chosen_words_weight=3.0)
    batches = {
        name: Batch(np.full((2, 3), value), np.full((2, 2), 5)) for name, value in (("spans", 7), ("chosen_words", 11))
    }
    losses = _Trainer._backward(trainer, batches, phase, rows)
    assert {name: float(loss) for name, loss in losses.items()} == {"spans": 2 * 7.0, "chosen_words": 2 * 11.0}
    assert float(weight.grad) == 7 + 3 * 11


def test_weight_decay_is_taken_off_before_the_step() -> None:
    weight = torch.nn.Parameter(torch.full((4,), 2.0))
    weight.grad = torch.zeros(4)
    RelativeAdamW([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full((4,), 2.0 * (1 - 0.1 * 0.5)))
