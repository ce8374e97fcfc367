"""On a processor that multiplies in bfloat16, attention is computed in float32: faster, and nearer to the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.backbones import load
from engine.prompting.scorer import PromptScorer, twice_differentiable
from engine.prompting.verbalizer import make_verbalizer
from engine.settings import BackboneSettings, PromptSettings
from engine.stage import result_of

TEXTS = ["tea", "cold soup and cold tea", "bread " * 12, "soup of the day, and bread"]
ATTENTION = torch.nn.functional.scaled_dot_product_attention


def scorer_in(folder: Path, precision: str) -> PromptScorer:
    settings = BackboneSettings(backbone=str(folder), device="cpu", precision=precision)
    backbone = result_of(load.load_backbone(settings))
    words = make_verbalizer(("0", "1"), {}, backbone.tokenizer)
    return PromptScorer(backbone, words, PromptSettings(soft_tokens=4, text_tokens=32))


def losses(scorer: PromptScorer, bank: torch.Tensor) -> torch.Tensor:
    batch = scorer.template.encode(TEXTS).batch(np.arange(4), torch.device("cpu"))
    return scorer.losses(bank, batch, torch.zeros(4, dtype=torch.long), torch.tensor([0, 1, 0, 1]))


@pytest.fixture
def bank() -> torch.Tensor:
    return torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()


def test_attention_is_in_float32_and_matrices_are_not(tiny_t5, bank, monkeypatch):
    scorer, seen = scorer_in(tiny_t5, "bfloat16"), set()

    def watched(query, key, value, **named):
        seen.update(tensor.dtype for tensor in (query, key, value))
        assert not torch.is_autocast_enabled("cpu")
        return ATTENTION(query, key, value, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    losses(scorer, bank)
    assert seen == {torch.float32}
    assert scorer.backbone.model.encoder.block[1].layer[0].SelfAttention.q.weight.dtype == torch.bfloat16


def test_it_masks_and_biases_as_before(tiny_t5, bank):
    mine = losses(scorer_in(tiny_t5, "bfloat16"), bank)
    whole = losses(scorer_in(tiny_t5, "float32"), bank)
    scorer = scorer_in(tiny_t5, "bfloat16")
    scorer.backbone.model.set_attn_implementation("sdpa")
    before = losses(scorer, bank)
    torch.testing.assert_close(mine, whole, rtol=0.02, atol=0.02)
    torch.testing.assert_close(mine, before, rtol=0.02, atol=0.02)


def test_it_can_be_differentiated_twice(tiny_t5, bank):
    scorer = scorer_in(tiny_t5, "bfloat16")
    with twice_differentiable(scorer.backbone):
        (gradient,) = torch.autograd.grad(losses(scorer, bank).sum(), bank, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), bank)
    assert second.norm() > 0
    assert torch.isfinite(second).all()
