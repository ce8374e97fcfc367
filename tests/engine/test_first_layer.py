"""Looking up what the first layer projects comes to the same as projecting it, for less work."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.backbones import first_layer
from engine.backbones.first_layer import LookedUpLinear
from engine.prompting import scorer as scoring
from engine.prompting.scorer import twice_differentiable

TEXTS = ["tea", "cold soup and cold tea", "bread " * 12, "soup of the day, and bread"]
OWNER = torch.tensor([0, 1, 1, 0])


@pytest.fixture
def plainly(monkeypatch):
    """Switch the looking up off."""
    return lambda: monkeypatch.setattr(scoring, "looked_up", lambda *_: nullcontext())


def losses(scorer, bank: torch.Tensor) -> torch.Tensor:
    batch = scorer.template.encode(TEXTS).batch(np.arange(len(TEXTS)), torch.device("cpu"))
    return scorer.losses(bank, batch, OWNER, torch.tensor([0, 1, 0, 1]))


def test_losses_and_gradients_are_those_of_the_plain_way(make_scorer, plainly):
    scorer = make_scorer(2)
    bank = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    mine = losses(scorer, bank)
    (gradient,) = torch.autograd.grad(mine.sum(), bank)
    plainly()
    theirs = losses(scorer, bank)
    (their_gradient,) = torch.autograd.grad(theirs.sum(), bank)
    assert their_gradient.norm() > 1e-4
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-4, atol=1e-7)


def test_second_derivatives_are_those_of_the_plain_way(make_scorer, plainly, float64_backbone):
    scorer = make_scorer(2)
    bank = torch.randn(2, 4, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def second() -> torch.Tensor:
        with twice_differentiable(scorer.backbone):
            (gradient,) = torch.autograd.grad(losses(scorer, bank).sum(), bank, create_graph=True)
            return torch.autograd.grad(gradient.square().sum(), bank)[0]

    mine = second()
    plainly()
    theirs = second()
    assert theirs.norm() > 1e-8
    torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-14)


def test_it_is_less_work_and_nothing_is_left_behind(make_scorer, plainly):
    scorer = make_scorer(2)
    bank = torch.randn(2, 4, 32).requires_grad_()

    def operations() -> int:
        with FlopCounterMode(display=False) as counter:
            torch.autograd.grad(losses(scorer, bank).sum(), bank)
        return counter.get_total_flops()

    mine = operations()
    modules = [module for module in scorer.backbone.model.modules() if isinstance(module, LookedUpLinear)]
    assert len(modules) == 3
    assert not first_layer._known.rows
    plainly()
    assert mine < 0.95 * operations()


def test_memory_that_is_exhausted_on_the_way_leaves_the_model_as_it_was(make_scorer, monkeypatch):
    scorer = make_scorer(2)
    bank = torch.randn(2, 4, 32)
    expected = losses(scorer, bank)
    usual, calls = LookedUpLinear.forward, []

    def exhausted(linear: LookedUpLinear, given: torch.Tensor) -> torch.Tensor:
        calls.append(linear)
        if len(calls) == 3:  # the second of the three projections
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(linear, given)

    monkeypatch.setattr(LookedUpLinear, "forward", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        losses(scorer, bank)
    assert not first_layer._known.rows
    assert torch.equal(losses(scorer, bank), expected)


def test_with_dropout_every_place_is_computed(make_scorer, monkeypatch):
    """The rows of two equal words differ when some of their numbers are dropped, so nothing may be looked up."""
    scorer = make_scorer(2)
    asked = []
    monkeypatch.setattr(scoring, "looked_up", lambda *given: asked.append(given) or nullcontext())
    scorer.backbone.model.train()
    losses(scorer, torch.randn(2, 4, 32))
    scorer.backbone.model.eval()
    assert not asked
