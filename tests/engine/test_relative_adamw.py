"""The optimiser of pre-training against AdamW."""

from __future__ import annotations

import torch

from engine.pretraining.relative_adamw import RelativeAdamW


def test_relative_adamw_is_adamw_with_a_rate_times_the_size_of_the_weight() -> None:
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(5, 4) * scale) for scale in (1e-6, 0.1, 3.0)]
    twins = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    ours = RelativeAdamW(weights, lr=0.01, betas=(0.9, 0.98), weight_decay=0.0)
    theirs = [torch.optim.AdamW([twin], betas=(0.9, 0.98), eps=0.0, weight_decay=0.0) for twin in twins]
    for step in range(6):
        for weight, twin, optimizer in zip(weights, twins, theirs, strict=True):
            gradient = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))
            weight.grad, twin.grad = gradient.clone(), gradient.clone()
            size = max(1e-3, float(twin.detach().pow(2).mean().sqrt()))
            optimizer.param_groups[0]["lr"] = 0.01 * size
            optimizer.step()
        ours.step()
    for weight, twin in zip(weights, twins, strict=True):
        assert torch.allclose(weight, twin, rtol=1e-4, atol=1e-9)


def test_a_weight_whose_first_gradient_comes_late_is_corrected_by_its_own_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, 2, 5, 4, generator=generator)
    early, late = (torch.nn.Parameter(torch.randn(5, 4, generator=generator)) for _ in range(2))
    twins = [torch.nn.Parameter(weight.detach().clone()) for weight in (early, late)]
    together, apart = RelativeAdamW([early, late], lr=0.01), [RelativeAdamW([twin], lr=0.01) for twin in twins]
    for step, (first, second) in enumerate(gradients):
        early.grad = twins[0].grad = first
        apart[0].step()
        if step >= 3:
            late.grad = twins[1].grad = second
            apart[1].step()
        together.step()
    assert torch.allclose(early, twins[0], rtol=1e-5, atol=1e-7)
    assert torch.allclose(late, twins[1], rtol=1e-5, atol=1e-7)
