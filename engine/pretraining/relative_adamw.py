"""AdamW whose rate is relative to the size of each weight, as small T5s need it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch


class RelativeAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) with each step scaled by the root mean square of its weight.

    T5's weights differ in scale by a factor of 30, and were trained with Adafactor, whose steps are relative (Shazeer
    and Stern, 2018). Adam's steps scaled in the same way train small T5s better than Adafactor (Nawrot, "nanoT5: A
    PyTorch Framework for Pre-training and Fine-tuning T5-style Models with Limited Resources", 2023).

    Parameters
    ----------
    parameters
        Weights, float32.
    lr
        Relative rate: 0.01 moves a weight by about 1 % of its size a step.
    betas, eps, weight_decay
        As in ``torch.optim.AdamW``.
    smallest
        A weight smaller than this counts as this large, so that zeros can grow.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        smallest: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "smallest": smallest}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; weights without a gradient stay."""
        for group in self.param_groups:
            weights: list[torch.Tensor] = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._step_group(group, weights)

    def _step_group(self, group: dict[str, Any], weights: list[torch.Tensor]) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "step": torch.tensor(0.0),
                    "mean": torch.zeros_like(weight),
                    "square": torch.zeros_like(weight),
                }
        first, second = group["betas"]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        states = [self.state[weight] for weight in weights]
        means, squares = [state["mean"] for state in states], [state["square"] for state in states]
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        sizes = torch._foreach_norm(weights)
        scales = [
            (size / math.sqrt(weight.numel())).clamp_min(group["smallest"])
            for size, weight in zip(sizes, weights, strict=True)
        ]
        for state in states:
            state["step"] += 1
        counts = [float(state["step"]) for state in states]
        corrections = [math.sqrt(1 - second**count) / (1 - first**count) for count in counts]
        updates = torch._foreach_sqrt(squares)
        torch._foreach_add_(updates, group["eps"])
        updates = torch._foreach_div(means, updates)
        torch._foreach_mul_(updates, scales)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        if len(set(counts)) == 1:
            torch._foreach_add_(weights, updates, alpha=-group["lr"] * corrections[0])
        else:  # some weights have had their first gradient later than others
            torch._foreach_mul_(updates, corrections)
            torch._foreach_add_(weights, updates, alpha=-group["lr"])
