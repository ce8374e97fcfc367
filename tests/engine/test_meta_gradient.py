"""The heart of the method: the gradient of a meta step, against the formula done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.prompting.bank import initial_prompt
from engine.settings import MetaTrainSettings
from engine.training.meta_gradient import adapt, meta_gradient

ALPHA = 0.3


def _rows(tasks: int = 3, shots: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).permutation(60)[: tasks * 2 * shots].reshape(tasks, 2 * shots)
    return rows[:, :shots], rows[:, shots:]


def _log_rates(scorer, dtype=torch.float32, alpha: float = ALPHA) -> torch.Tensor:
    return torch.full((scorer.settings.soft_tokens, 1), math.log(alpha), dtype=dtype)


def _prompt(scorer, dtype=torch.float32) -> torch.Tensor:
    return initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, scorer.settings.soft_tokens, 0).to(dtype)


def _loop_over_tasks(scorer, examples, prompt, support, query, *, exact: bool, inner_steps: int = 1) -> torch.Tensor:
    """Algorithm 1 as it is written: one task after another, one prompt at a time."""
    from engine.prompting.scorer import twice_differentiable

    total = torch.zeros_like(prompt)
    with twice_differentiable(scorer.backbone):
        for support_rows, query_rows in zip(support, query, strict=True):
            shared = prompt.clone().requires_grad_()
            adapted = shared
            for _ in range(inner_steps):
                loss = _mean_loss(scorer, examples, adapted, support_rows)
                (gradient,) = torch.autograd.grad(loss, adapted, create_graph=exact)
                adapted = adapted - ALPHA * (gradient if exact else gradient.detach())
            total += torch.autograd.grad(_mean_loss(scorer, examples, adapted, query_rows), shared)[0]
    return total


def _mean_loss(scorer, examples, prompt, rows) -> torch.Tensor:
    batch, labels = examples.batch(rows, prompt.device)
    return scorer.losses(prompt[None], batch, torch.zeros(len(rows), dtype=torch.long), labels).mean()


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("gradient", ["exact", "first_order"])
@pytest.mark.parametrize("inner_steps", [1, 2])
def test_batched_gradient_equals_the_loop_over_tasks(make_scorer, make_examples, gradient, inner_steps):
    scorer = make_scorer()
    examples, prompt = make_examples(scorer), _prompt(scorer)
    support, query = _rows()
    settings = MetaTrainSettings(gradient=gradient, alpha=ALPHA, inner_steps=inner_steps)
    found = meta_gradient(scorer, examples, prompt, _log_rates(scorer), support, query, settings).prompt
    exact = gradient == "exact"
    expected = _loop_over_tasks(scorer, examples, prompt, support, query, exact=exact, inner_steps=inner_steps)
    assert _relative(found, expected) <= 1e-5


@pytest.mark.parametrize("gradient", ["exact", "first_order"])
def test_batched_gradient_equals_the_loop_in_float64(float64_backbone, make_scorer, make_examples, gradient):
    scorer = make_scorer()
    examples, prompt = make_examples(scorer), _prompt(scorer, torch.float64)
    support, query = _rows()
    rates = _log_rates(scorer, torch.float64)
    settings = MetaTrainSettings(gradient=gradient, alpha=ALPHA)
    found = meta_gradient(scorer, examples, prompt, rates, support, query, settings).prompt
    expected = _loop_over_tasks(scorer, examples, prompt, support, query, exact=gradient == "exact")
    assert _relative(found, expected) <= 1e-9


@pytest.mark.parametrize("loss", ["vocabulary", "label_words"])
def test_exact_gradient_equals_numerical_differentiation(float64_backbone, make_scorer, make_examples, loss):
    scorer = make_scorer(loss=loss)
    examples, prompt = make_examples(scorer), _prompt(scorer, torch.float64)
    support, query = _rows()
    rates = _log_rates(scorer, torch.float64)
    settings = MetaTrainSettings(alpha=ALPHA)

    def query_loss(at: torch.Tensor) -> float:
        bank, _ = adapt(scorer, examples, at, rates, [support], differentiable=False)
        return sum(float(_mean_loss(scorer, examples, bank[i].detach(), rows)) for i, rows in enumerate(query))

    found = meta_gradient(scorer, examples, prompt, rates, support, query, settings).prompt
    directions = torch.randn(4, *prompt.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for direction in directions:
        step = 1e-5 * direction
        numerical = (query_loss(prompt + step) - query_loss(prompt - step)) / 2e-5
        analytical = float((found * direction).sum())
        assert analytical == pytest.approx(numerical, rel=1e-6)


def test_first_order_differs_from_exact_but_equals_it_as_alpha_vanishes(make_scorer, make_examples):
    scorer = make_scorer()
    examples, prompt = make_examples(scorer), _prompt(scorer)
    support, query = _rows()

    def difference(alpha: float) -> float:
        gradients = [
            meta_gradient(
                scorer,
                examples,
                prompt,
                _log_rates(scorer, alpha=alpha),
                support,
                query,
                MetaTrainSettings(gradient=kind, alpha=alpha),
            ).prompt
            for kind in ("exact", "first_order")
        ]
        return _relative(gradients[1], gradients[0])

    assert difference(1.0) > 1e-3
    assert difference(1e-6) < 1e-5


@pytest.mark.parametrize("gradient", ["exact", "first_order", "reptile"])
def test_taking_tasks_in_groups_does_not_change_the_gradient(make_scorer, make_examples, gradient):
    scorer = make_scorer()
    examples, prompt = make_examples(scorer), _prompt(scorer)
    support, query = _rows()
    rates = _log_rates(scorer).requires_grad_(gradient != "reptile")
    settings = MetaTrainSettings(gradient=gradient, alpha=ALPHA, learn_inner_rates=True)
    whole, grouped = (
        meta_gradient(scorer, examples, prompt, rates, support, query, settings, tasks_per_pass=size)
        for size in (None, 2)
    )
    assert _relative(grouped.prompt, whole.prompt) <= 1e-5
    assert np.allclose(grouped.query_losses, whole.query_losses, rtol=1e-5)
    if gradient != "reptile":
        assert _relative(grouped.rates, whole.rates) <= 1e-4


def test_learned_rates_have_the_numerical_gradient(float64_backbone, make_scorer, make_examples):
    scorer = make_scorer()
    examples, prompt = make_examples(scorer), _prompt(scorer, torch.float64)
    support, query = _rows()
    rates = _log_rates(scorer, torch.float64)
    settings = MetaTrainSettings(alpha=ALPHA, learn_inner_rates=True)
    found = meta_gradient(scorer, examples, prompt, rates.clone().requires_grad_(), support, query, settings).rates
    step = torch.zeros_like(rates)
    step[2] = 1e-5
    losses = [
        meta_gradient(scorer, examples, prompt, rates + sign * step, support, query, settings).query_losses.sum()
        for sign in (1, -1)
    ]
    # query losses are reported in float32, hence the tolerance
    assert float(found[2]) == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=0.05, abs=0.02)


def test_reptile_is_the_way_back_from_the_adapted_prompts(make_scorer, make_examples):
    scorer = make_scorer()
    examples, prompt = make_examples(scorer), _prompt(scorer)
    support, query = _rows()
    settings = MetaTrainSettings(gradient="reptile", alpha=ALPHA)
    found = meta_gradient(scorer, examples, prompt, _log_rates(scorer), support, query, settings).prompt
    expected = torch.zeros_like(prompt)
    for sets in zip(support, query, strict=True):
        adapted = prompt.clone()
        for rows in sets:
            adapted = adapted.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(_mean_loss(scorer, examples, adapted, rows), adapted)
            adapted = adapted.detach() - ALPHA * gradient
        expected += (prompt - adapted) / (2 * ALPHA)
    assert _relative(found, expected) <= 1e-5
