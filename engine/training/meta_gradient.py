"""One step of Prompt-MAML: adapt the prompt to every task, and differentiate what the adapted prompts lose.

All tasks run as one batch: the shared prompt is expanded into a bank [K, n, d], one row a task, so that a single pass
adapts all of them and the sum of the tasks' mean losses is differentiated once (equations 5 and 6, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from engine.backbones.side_by_side import side_by_side
from engine.prompting.scorer import PromptScorer, twice_differentiable
from engine.settings import MetaTrainSettings
from engine.training.examples import Examples


@dataclass(frozen=True)
class MetaGradient:
    """The gradient of a meta step and what it saw.

    Attributes
    ----------
    prompt, rates
        Gradients of the summed query loss with respect to the prompt [n, d] and to the log inner rates [n, 1] (``None``
        when they are not learned).
    support_losses, query_losses
        Mean loss of each task before (support set) and after adaptation (query set), float [K].
    movements
        ``|P_i' - P| / |P|`` of each task, float [K].
    """

    prompt: torch.Tensor
    rates: torch.Tensor | None
    support_losses: np.ndarray
    query_losses: np.ndarray
    movements: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether losses and gradients are numbers."""
        gradients = [self.prompt] if self.rates is None else [self.prompt, self.rates]
        numbers = all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        return numbers and bool(np.isfinite(self.query_losses).all())


@dataclass(frozen=True)
class _Set:
    """The support or query sets of K tasks: rows int64 [K, m] as one batch."""

    scorer: PromptScorer
    examples: Examples
    rows: np.ndarray

    def task_losses(self, bank: torch.Tensor) -> torch.Tensor:
        """Mean loss of each task under its own prompt, float32 [K]."""
        tasks, shots = self.rows.shape
        owner = np.repeat(np.arange(tasks), shots)
        return self.examples.losses(self.scorer, bank, self.rows.ravel(), owner).view(tasks, shots).mean(1)


def adapt(
    scorer: PromptScorer,
    examples: Examples,
    prompt: torch.Tensor,
    log_rates: torch.Tensor,
    supports: Sequence[np.ndarray],
    *,
    differentiable: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adapt the prompt to K tasks by plain gradient descent (equation 5), one step for each of ``supports``.

    Parameters
    ----------
    prompt
        Shared prompt, float32 [n, d].
    log_rates
        Logarithms of the inner rates of the soft tokens, float32 [n, 1].
    supports
        Rows int64 [K, m] of each inner step.
    differentiable
        Keep the graph through the gradient itself, for the exact meta-gradient.

    Returns
    -------
    bank, losses
        Adapted prompts [K, n, d], a function of ``prompt`` in the autograd graph, and the mean loss of each task before
        the first step, [K].
    """
    bank = prompt.expand(len(supports[0]), -1, -1)
    if not bank.requires_grad:
        bank = bank.clone().requires_grad_()
    first: torch.Tensor | None = None
    for rows in supports:
        losses = _Set(scorer, examples, rows).task_losses(bank)
        first = losses.detach() if first is None else first
        (gradient,) = torch.autograd.grad(losses.sum(), bank, create_graph=differentiable)
        bank = bank - log_rates.exp() * gradient
    assert first is not None
    return bank, first


def meta_gradient(
    scorer: PromptScorer,
    examples: Examples,
    prompt: torch.Tensor,
    log_rates: torch.Tensor,
    support: np.ndarray,
    query: np.ndarray,
    settings: MetaTrainSettings,
    *,
    tasks_per_pass: int | None = None,
) -> MetaGradient:
    """Return the gradient of the summed query losses of the adapted prompts (equation 6).

    Parameters
    ----------
    prompt
        float32 [n, d].
    log_rates
        float32 [n, 1]; its gradient is taken when it requires one.
    support, query
        Rows of the K tasks, int64 [K, m] each.
    settings
        ``gradient``, ``inner_steps``. ``exact`` differentiates through the adaptation; ``first_order`` takes the
        adapted prompt as a constant shift of the prompt (Finn et al. 2017); ``reptile`` (Nichol et al. 2018) alternates
        inner steps on both sets and takes the way back, (P - P_i') over the sum of the inner rates, as gradient.
    tasks_per_pass
        The K tasks are taken in groups of this many; the sum over groups is the same gradient with less memory. On a
        processor the tasks of a group are adapted side by side.
    """
    prompt = prompt.detach().requires_grad_()
    exact, reptile = settings.gradient == "exact", settings.gradient == "reptile"

    def work(part: slice) -> MetaGradient:
        sets = (support[part], query[part])
        steps = [sets[number % 2 if reptile else 0] for number in range(settings.inner_steps + reptile)]
        bank, losses = adapt(scorer, examples, prompt, log_rates, steps, differentiable=exact)
        shift = (bank - prompt).detach()
        rates = torch.zeros_like(log_rates) if log_rates.requires_grad else None
        with torch.set_grad_enabled(not reptile):
            query_losses = _Set(scorer, examples, sets[1]).task_losses(bank)
        if reptile:
            gradient = -(shift / (len(steps) * log_rates.detach().exp())).sum(0)
        else:
            wanted = [prompt] if rates is None else [prompt, log_rates]
            gradient, *others = torch.autograd.grad(query_losses.sum(), wanted)
            rates = others[0] if others else None
        moved = shift.flatten(1).norm(dim=1) / prompt.detach().norm()
        seen = (values.detach().float().cpu().numpy() for values in (losses, query_losses, moved))
        return MetaGradient(gradient, rates, *seen)

    tokens = examples.texts.lengths[np.concatenate([support, query], 1)].sum(1)
    with twice_differentiable(scorer.backbone) if exact else nullcontext():
        parts = side_by_side(scorer.backbone.device, work, tokens, at_a_time=tasks_per_pass)
    rates = [part.rates for part in parts if part.rates is not None]
    return MetaGradient(
        torch.stack([part.prompt for part in parts]).sum(0),
        torch.stack(rates).sum(0) if rates else None,
        np.concatenate([part.support_losses for part in parts]),
        np.concatenate([part.query_losses for part in parts]),
        np.concatenate([part.movements for part in parts]),
    )
