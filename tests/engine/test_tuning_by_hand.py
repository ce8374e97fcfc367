"""Tuning against plain loops: AdamW, the linear schedule, the batches of an epoch, and which weights are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from engine.corpus.drawing import Draw, few_shot_draws
from engine.evaluation.metrics import evaluate
from engine.events import Event, Metric, Notice
from engine.prompting.bank import initial_prompt
from engine.settings import FullModelSettings, PretrainSettings, TuneSettings
from engine.stage import StopToken, result_of
from engine.storage import read_json
from engine.training.bank_tuning import PromptRun, TuningPlan, tune_bank
from engine.training.few_shot import few_shot
from engine.training.full_model import tune_full_model
from engine.training.pretrained_prompt import pretrain_prompt

FACTORS = [0, 0.5, 1, 0.75, 0.5, 0.25]
"""Two steps of warm-up, then linearly down to 0 at the sixth step."""
SEED = 2
PLAN = TuningPlan(0.5, 0.3, 2, 4, steps=6, validate_every=4, patience=9, checkpoint_every=50)


def curve(events: Iterable[Event], name: str, group: str) -> list[float]:
    return [event.value for event in events if isinstance(event, Metric) and (event.name, event.group) == (name, group)]


def losses_of(scorer, examples, prompt: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
    batch, labels = examples.batch(rows, prompt.device)
    return scorer.losses(prompt[None], batch, torch.zeros(len(rows), dtype=torch.long), labels)


def accuracy_of(scorer, examples, prompt: torch.Tensor, rows: np.ndarray) -> float:
    batch, labels = examples.batch(rows, prompt.device)
    scores = scorer.scores(prompt[None], batch, torch.zeros(len(rows), dtype=torch.long))
    return float((scores.argmax(1) == labels).float().mean())


@pytest.mark.parametrize("loss", ["vocabulary", "label_words"])
def test_a_prompt_of_a_bank_is_tuned_as_it_would_be_by_a_plain_loop(make_scorer, make_examples, tmp_path, loss):
    scorer = make_scorer(2, loss=loss)
    examples = make_examples(scorer)
    training, validation = np.arange(10), np.arange(30, 50)  # batches of 4, 4 and 2 rows
    runs = [
        PromptRun(
            f"seed {seed}",
            initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, seed),
            training + seed,
            validation,
            seed,
        )
        for seed in range(2)
    ]
    starts = [run.prompt.clone() for run in runs]
    plan = dataclasses.replace(PLAN, improvement="loss")
    events = list(tune_bank(scorer, examples, runs, plan, tmp_path, "tune", stop=StopToken()))
    for run, start in zip(runs, starts, strict=True):
        prompt = start.requires_grad_()
        optimizer = torch.optim.AdamW([prompt], lr=plan.learning_rate, weight_decay=plan.weight_decay)
        learned, validated = [], []
        for step, factor in enumerate(FACTORS):
            mean = losses_of(scorer, examples, prompt, run.rows(step, plan.batch_size)).mean()
            (prompt.grad,) = torch.autograd.grad(mean, prompt)
            optimizer.param_groups[0]["lr"] = factor * plan.learning_rate
            optimizer.step()
            learned.append(float(mean.detach()))
            if step + 1 in (4, 6):
                with torch.no_grad():
                    held_out = float(losses_of(scorer, examples, prompt, validation).mean())
                    validated.append((accuracy_of(scorer, examples, prompt, validation), held_out))
        assert curve(events, "training loss", run.name) == pytest.approx(learned, rel=1e-3)
        found = zip(*(curve(events, f"validation {name}", run.name) for name in ("accuracy", "loss")), strict=True)
        assert np.allclose(list(found), validated, rtol=1e-3)
        assert torch.allclose(run.prompt, prompt, atol=2e-3)
        assert run.stopping.best_loss == pytest.approx(min(held_out for _, held_out in validated), rel=1e-3)


def test_a_prompt_that_has_run_out_of_patience_learns_no_more(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(2)
    examples, none = make_examples(scorer), np.empty(0, np.int64)
    start = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, 0)
    runs = [PromptRun(name, start, np.arange(8), rows, 0) for name, rows in (("x", np.arange(20, 40)), ("y", none))]
    plan = TuningPlan(1e-12, 0.0, 0, 4, steps=20, validate_every=2, patience=2, checkpoint_every=50)
    events = list(tune_bank(scorer, examples, runs, plan, tmp_path, "tune", stop=StopToken()))
    learned = [len(curve(events, "training loss", name)) for name in ("x", "y")]
    assert learned == [6, 20], "the first of its validations is as good as any"


def test_a_tuning_that_has_run_out_of_patience_goes_on_with_more(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(2)
    examples = make_examples(scorer)
    plan = TuningPlan(1e-12, 0.0, 0, 4, steps=40, validate_every=2, patience=1, checkpoint_every=50)
    learned = []
    for patience in (1, 4):
        start = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, 4, 0)
        runs = [PromptRun("x", start, np.arange(8), np.arange(20, 40), 0)]
        more = dataclasses.replace(plan, patience=patience)
        events = tune_bank(scorer, examples, runs, more, tmp_path, "tune", stop=StopToken())
        learned.append(len(curve(list(events), "training loss", "x")))
    assert learned == [4, 6], "ten steps in all: the best at the second, and four validations after it"


def test_every_seed_has_its_own_order_of_rows():
    orders = [
        [PromptRun("x", torch.zeros(1), np.arange(40), np.empty(0, np.int64), seed).rows(step, 40) for step in range(2)]
        for seed in (0, 1)
    ]
    assert len({tuple(order) for both in orders for order in both}) == 4


def test_all_weights_are_tuned_as_by_a_plain_loop_and_the_best_are_tested(make_scorer, make_examples, tmp_path):
    """With dropout while it learns, and without it where it is validated or tested."""
    scorer = make_scorer(2)
    examples = make_examples(scorer, 60)
    model, none = scorer.backbone.model, torch.empty(0, scorer.backbone.width)
    draw, test = Draw(np.arange(6), np.arange(20, 40)), np.arange(40, 60)
    settings = FullModelSettings(
        learning_rate=0.02, warmup_steps=2, batch_size=4, epochs=3, patience=9, weight_decay=0.3
    )
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    torch.manual_seed(SEED)
    learned, validated = [], []
    for step, factor in enumerate(FACTORS):
        epoch, place = divmod(step, 2)
        rows = np.random.default_rng([SEED, epoch]).permutation(draw.training)[4 * place : 4 * place + 4]
        model.train()
        optimizer.zero_grad()
        mean = losses_of(scorer, examples, none, rows).mean()
        mean.backward()
        optimizer.param_groups[0]["lr"] = factor * settings.learning_rate
        optimizer.step()
        learned.append(float(mean.detach()))
        if place == 1:
            model.eval()
            with torch.no_grad():
                figures = (
                    accuracy_of(scorer, examples, none, draw.validation),
                    -float(losses_of(scorer, examples, none, draw.validation).mean()),
                )
                chances = result_of(scorer.probabilities(none[None], examples.texts.take(test)))[0]
            validated.append((figures, evaluate(chances, examples.labels[test], ("0", "1")).to_dict()))
    model.load_state_dict(before)
    model.requires_grad_(False)

    stage = tune_full_model(scorer, examples, [(SEED, draw)], settings, tmp_path, stop=StopToken(), test=test)
    events, name = list(stage), f"full model seed {SEED}"
    assert curve(events, "training loss", name) == pytest.approx(learned, rel=1e-4)
    assert curve(events, "validation accuracy", name) == pytest.approx([figures[0] for figures, _ in validated])
    assert curve(events, "validation loss", name) == pytest.approx([-figures[1] for figures, _ in validated], rel=1e-4)
    best = max(range(3), key=lambda epoch: validated[epoch][0])
    assert best < 2, "the last weights must not be the best ones for this to tell them apart"
    found = read_json(tmp_path / "results.json")["evaluations"][str(SEED)]
    assert found["expected_calibration_error"] == pytest.approx(validated[best][1]["expected_calibration_error"])
    assert found["confusion"] == validated[best][1]["confusion"]


# What the stages ask the loop for -------------------------------------------------------------------------------------


def test_few_shot_tuning_is_planned_by_its_settings(make_scorer, make_examples, tmp_path, monkeypatch):
    plans: list[TuningPlan] = []

    def noted(scorer, examples, runs, plan, *_, **__):
        plans.append(plan)
        return False
        yield

    monkeypatch.setattr("engine.training.few_shot.tune_bank", noted)
    scorer = make_scorer(2)
    examples = make_examples(scorer)
    settings = TuneSettings(
        training_rows=10,
        validation_rows=10,
        seeds=1,
        learning_rate=0.7,
        weight_decay=0.6,
        warmup_steps=5,
        batch_size=4,
        epochs=8,
        epochs_without_validation=2,
        patience=3,
        improvement="loss",
        validate_start=True,
        checkpoint_every=9,
    )
    for chosen in (settings, settings.model_copy(update={"training_rows": 60, "validation_rows": 0})):
        starts = {"x": [torch.zeros(4, 32)]}
        draws = few_shot_draws(examples.labels, np.arange(60), chosen)
        list(few_shot(scorer, examples, draws, starts, chosen, tmp_path, stop=StopToken()))
    expected = TuningPlan(0.7, 0.6, 5, 4, 8 * 3, 3, 3, 9, "loss", True)  # 10 rows are three batches
    assert plans == [expected, dataclasses.replace(expected, steps=2 * 15, validate_every=15)]


def test_a_class_that_is_not_among_the_training_texts_is_told(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(3)
    examples = make_examples(scorer, 24)
    settings = TuneSettings(training_rows=3, validation_rows=12, seeds=6, epochs=1)
    starts = {"x": [torch.zeros(4, 32)] * 6}
    draws = few_shot_draws(examples.labels, np.arange(24), settings)
    told = [
        event.text
        for event in few_shot(scorer, examples, draws, starts, settings, tmp_path, stop=StopToken())
        if isinstance(event, Notice) and event.text.startswith("Seed ")
    ]
    expected = []
    for seed, draw in draws:
        absent = [name for number, name in enumerate("012") if number not in examples.labels[draw.training]]
        if absent:
            expected.append(f"Seed {seed} drew no training text of the class {', '.join(absent)}.")
    assert told == expected
    assert 1 < len(told) < 6


def test_ppt_is_planned_by_its_settings(make_scorer, make_examples, tmp_path, monkeypatch):
    asked: list[tuple[PromptRun, TuningPlan]] = []

    def noted(scorer, examples, runs, plan, *_, **__):
        asked.append((runs[0], plan))
        return False
        yield

    monkeypatch.setattr("engine.training.pretrained_prompt.tune_bank", noted)
    scorer = make_scorer(2)
    examples = make_examples(scorer)
    settings = PretrainSettings(
        learning_rate=0.7,
        weight_decay=0.6,
        warmup_steps=5,
        batch_size=4,
        epochs=3,
        validate_every=11,
        validation_share=0.3,
        patience=2,
        checkpoint_every=9,
        seed=1,
    )
    start = torch.ones(4, 32)
    for changes in ({}, {"steps": 6}, {"validation_rows": 5}, {"seed": 2}):
        chosen = settings.model_copy(update=changes)
        list(pretrain_prompt(scorer, examples, chosen, tmp_path, stop=StopToken(), start=start))
    runs, plans = zip(*asked, strict=True)
    expected = TuningPlan(0.7, 0.6, 5, 4, 3 * 11, 11, 2, 9)  # 42 of 60 rows are 11 batches
    assert plans == (
        expected,
        dataclasses.replace(expected, steps=6),
        dataclasses.replace(expected, steps=3 * 14),
        expected,
    )
    assert [len(run.validation) for run in runs] == [18, 18, 5, 18]
    assert all(torch.equal(run.prompt, start) for run in runs)
    for run in runs:
        assert sorted([*run.training, *run.validation]) == list(range(60))
    assert [run.seed for run in runs] == [1, 1, 1, 2]
    held_out = [sorted(run.validation) for run in runs]
    assert held_out[0] == held_out[1] != held_out[3]
    assert held_out[0] != list(range(18)), "the first rows of a corpus that is sorted are no sample"
