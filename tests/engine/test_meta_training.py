"""Prompt-MAML against algorithm 1 and its validation done by hand: which rows, which update, which prompt is kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.errors import CheckpointError
from engine.events import Event, Metric
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import load_prompt
from engine.settings import MetaTrainSettings
from engine.stage import StopToken
from engine.training import prompt_maml
from engine.training.examples import MetaTask, make_meta_tasks, support_and_query
from engine.training.meta_gradient import meta_gradient
from engine.training.prompt_maml import meta_train

SETTINGS = MetaTrainSettings(
    gradient="first_order",
    initialisation="vocabulary",
    shots=2,
    inner_steps=2,
    steps=6,
    validate_every=2,
    alpha=20.0,
    beta=0.3,
    weight_decay=0.1,
    patience=9,
    seed=4,
)


def unequal_tasks(examples) -> list[MetaTask]:
    """Three tasks, whose 5, 4 and 3 held-out rows a mean over rows would weight otherwise than one over tasks."""
    groups = [(str(number), rows) for number, rows in enumerate(np.split(np.arange(len(examples)), [25, 45]))]
    return make_meta_tasks(groups, shots=2, validation_share=0.2, validation_rows=100, seed=0)[0]


def train(scorer, examples, settings: MetaTrainSettings, folder: Path, **options) -> list[Event]:
    tasks = unequal_tasks(examples)
    return list(meta_train(scorer, examples, tasks, settings, folder, stop=StopToken(), **options))


def curve(events: Iterable[Event], name: str) -> list[float]:
    """Values of a metric of no group, in their order."""
    return [event.value for event in events if isinstance(event, Metric) and (event.name, event.group) == (name, "")]


def held_out(scorer, examples, prompt: torch.Tensor, rows: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean loss of ``rows`` under a prompt."""
    batch, labels = examples.batch(rows, prompt.device)
    owner = torch.zeros(len(rows), dtype=torch.long)
    with torch.no_grad():
        losses = scorer.losses(prompt[None], batch, owner, labels)
        answers = scorer.scores(prompt[None], batch, owner).argmax(1)
    return float((answers == labels).float().mean()), float(losses.mean())


def adapted(scorer, examples, prompt: torch.Tensor, rates: torch.Tensor, rows: np.ndarray, steps: int) -> torch.Tensor:
    """The prompt after plain gradient descent on one task's rows."""
    batch, labels = examples.batch(rows, prompt.device)
    for _ in range(steps):
        prompt = prompt.detach().requires_grad_()
        loss = scorer.losses(prompt[None], batch, torch.zeros(len(rows), dtype=torch.long), labels).mean()
        prompt = prompt - rates * torch.autograd.grad(loss, prompt)[0]
    return prompt.detach()


@pytest.mark.parametrize("own_start", [False, True])
def test_meta_training_is_algorithm_1_with_adamw_and_keeps_what_validates_best(
    make_scorer, make_examples, tmp_path, own_start
):
    scorer = make_scorer()
    examples = make_examples(scorer)
    tasks, settings = unequal_tasks(examples), SETTINGS.model_copy(update={"learn_inner_rates": own_start})
    start = torch.randn(4, 32, generator=torch.Generator().manual_seed(1)) if own_start else None
    events = train(scorer, examples, settings, tmp_path, start=start)

    begin = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, settings.seed)
    prompt = (begin if start is None else start).clone().requires_grad_()
    rates = torch.full((4, 1), math.log(settings.alpha)).requires_grad_(settings.learn_inner_rates)
    groups = [{"params": [prompt], "weight_decay": settings.weight_decay}, {"params": [rates], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.beta)
    gradients, validations = [], []
    for step in range(settings.steps):
        drawn = [support_and_query(task, 2, settings.seed, step, number) for number, task in enumerate(tasks)]
        support, query = (np.stack(rows) for rows in zip(*drawn, strict=True))
        found = meta_gradient(scorer, examples, prompt, rates, support, query, settings)
        gradients.append(found)
        prompt.grad, rates.grad = found.prompt, found.rates
        optimizer.step()
        if (step + 1) % settings.validate_every == 0:
            shared, of_tokens, after, before = prompt.detach().clone(), rates.detach().exp(), [], []
            for number, task in enumerate(tasks):
                rows, _ = support_and_query(task, 2, settings.seed, 2**31, number)
                own = adapted(scorer, examples, shared, of_tokens, rows, settings.inner_steps)
                after.append(held_out(scorer, examples, own, task.validation))
                before.append(held_out(scorer, examples, shared, task.validation)[1])
            validations.append((*np.mean(after, 0), np.mean(before), shared, step + 1))

    kept = load_file(tmp_path / "checkpoint.safetensors")
    assert torch.allclose(kept["prompt"], prompt, atol=1e-5)
    assert torch.allclose(kept["log_rates"], rates, atol=1e-5)
    for name, part in (("support loss", "support_losses"), ("query loss", "query_losses"), ("movement", "movements")):
        assert curve(events, name) == pytest.approx([getattr(found, part).mean() for found in gradients], rel=1e-5)
    for place, name in enumerate(("accuracy", "loss", "loss before adaptation")):
        assert curve(events, f"validation {name}") == pytest.approx([found[place] for found in validations], rel=1e-4)
    accuracy, loss, _, best, at = max(validations, key=lambda found: (found[0], -found[1]))
    assert at < settings.steps, "the last prompt must not be the best one for this to tell them apart"
    written = load_prompt(tmp_path / "prompt.safetensors")
    assert torch.allclose(written.vectors, best, atol=1e-5)
    figures = {"best_step": at, "validation_accuracy": accuracy, "validation_loss": loss}
    assert {name: written.metrics[name] for name in figures} == pytest.approx(figures, rel=1e-4)


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_movement_and_support_loss_are_of_the_prompt_and_the_way_it_went(make_scorer, make_examples, inner_steps):
    scorer = make_scorer()
    examples = make_examples(scorer)
    prompt = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, 0)
    support, query = np.arange(8).reshape(2, 4), np.arange(8, 16).reshape(2, 4)
    settings = MetaTrainSettings(gradient="first_order", alpha=2.0, inner_steps=inner_steps)
    rates = torch.full((4, 1), math.log(2.0))
    found = meta_gradient(scorer, examples, prompt, rates, support, query, settings)
    for task in range(2):
        own = adapted(scorer, examples, prompt, torch.tensor(2.0), support[task], inner_steps)
        assert found.movements[task] == pytest.approx(float((own - prompt).norm() / prompt.norm()), rel=1e-4)
        assert found.support_losses[task] == pytest.approx(held_out(scorer, examples, prompt, support[task])[1])
        assert found.query_losses[task] == pytest.approx(held_out(scorer, examples, own, query[task])[1], rel=1e-4)


def test_reptile_takes_its_steps_on_both_sets_in_turn(make_scorer, make_examples):
    scorer = make_scorer()
    examples = make_examples(scorer)
    prompt = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, 0)
    support, query = np.arange(4)[None], np.arange(4, 8)[None]
    settings = MetaTrainSettings(gradient="reptile", alpha=2.0, inner_steps=2)
    found = meta_gradient(scorer, examples, prompt, torch.full((4, 1), math.log(2.0)), support, query, settings).prompt
    own = prompt
    for rows in (support[0], query[0], support[0]):
        own = adapted(scorer, examples, own, torch.tensor(2.0), rows, 1)
    assert torch.allclose(found, (prompt - own) / (3 * 2.0), atol=1e-5)


def test_every_step_draws_other_tasks(make_scorer, make_examples, tmp_path, monkeypatch):
    drawn: dict[int, list[int]] = {}

    def noted(task: MetaTask, shots: int, seed: int, step: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        drawn.setdefault(step, []).append(number)
        return support_and_query(task, shots, seed, step, number)

    monkeypatch.setattr(prompt_maml, "support_and_query", noted)
    scorer = make_scorer()
    settings = SETTINGS.model_copy(update={"tasks_per_step": 2, "steps": 12, "validate_every": 100, "inner_steps": 1})
    train(scorer, make_examples(scorer), settings, tmp_path)
    steps = [tuple(drawn[step]) for step in range(12)]
    assert set(steps) == {(0, 1), (0, 2), (1, 2)}


def test_a_checkpoint_of_other_labels_or_of_another_start_is_refused(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples, start = make_examples(scorer), torch.zeros(4, 32)
    settings = SETTINGS.model_copy(update={"steps": 1})
    train(scorer, examples, settings, tmp_path, start=start)
    for other, where in ((dataclasses.replace(examples, labels=examples.labels[::-1].copy()), start), (examples, None)):
        with pytest.raises(CheckpointError, match="other settings, data"):
            train(scorer, other, settings, tmp_path, start=where)


def test_a_training_that_has_run_out_of_patience_goes_on_with_more(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples = make_examples(scorer)
    impatient = SETTINGS.model_copy(update={"steps": 20, "validate_every": 1, "patience": 1, "beta": 30.0})
    first = train(scorer, examples, impatient, tmp_path)[-1].summary["steps"]
    assert first < 20
    more = train(scorer, examples, impatient.model_copy(update={"patience": 20}), tmp_path)[-1].summary["steps"]
    assert more == 20
