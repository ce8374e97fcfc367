"""Which texts share a pass, and that passes change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loading import load

from engine.prompting.passes import length_groups
from engine.prompting.scorer import PromptScorer
from engine.prompting.template import BUCKET
from engine.prompting.verbalizer import make_verbalizer
from engine.settings import PromptSettings
from engine.training.examples import Examples


def cost(lengths: np.ndarray, groups: list[np.ndarray], pass_tokens: int) -> int:
    """Padded tokens, and what the passes cost."""
    widths = [-(-int(lengths[group].max()) // BUCKET) * BUCKET for group in groups]
    return sum(len(group) * width + pass_tokens for group, width in zip(groups, widths, strict=True))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 200))
def test_no_other_split_by_length_costs_less(values: list[int], pass_tokens: int) -> None:
    lengths = np.array(values)
    groups = length_groups(lengths, pass_tokens=pass_tokens)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(values)))
    order = np.argsort(lengths, kind="stable")
    best = min(
        cost(
            lengths, np.split(order, [place for place in range(1, len(values)) if cuts >> (place - 1) & 1]), pass_tokens
        )
        for cuts in range(2 ** (len(values) - 1))
    )
    assert cost(lengths, groups, pass_tokens) == best


def test_one_pass_when_lengths_are_alike_and_several_when_not() -> None:
    assert len(length_groups(np.full(80, 100))) == 1
    assert [len(group) for group in length_groups(np.array([10] * 40 + [120] * 40))] == [40, 40]
    assert len(length_groups(np.array([10, 120]), pass_tokens=256)) == 1


def test_losses_and_gradients_are_those_of_one_padded_batch(tiny_t5, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load(tiny_t5)
    verbalizer = make_verbalizer(("0", "1"), {"0": "bad", "1": "good"}, backbone.tokenizer)
    scorer = PromptScorer(backbone, verbalizer, PromptSettings(soft_tokens=3, text_tokens=64))
    texts = ["good " * (1 + 5 * (number % 7)) for number in range(20)]
    examples = Examples(scorer.template.encode(texts), np.arange(20) % 2)
    rows, owner = np.random.default_rng(0).permutation(20), np.arange(20) % 3
    bank = torch.randn(3, 3, backbone.width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    batch, labels = examples.batch(rows, backbone.device)
    whole = scorer.losses(bank, batch, torch.from_numpy(owner), labels)
    monkeypatch.setattr("engine.training.examples.length_groups", lambda found: length_groups(found, pass_tokens=0))
    assert len(length_groups(examples.texts.lengths, pass_tokens=0)) > 3
    apart = examples.losses(scorer, bank, rows, owner)
    torch.testing.assert_close(apart, whole, rtol=1e-5, atol=1e-6)
    weights = torch.arange(20.0)
    one, other = (torch.autograd.grad((losses * weights).sum(), bank)[0] for losses in (whole, apart))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
