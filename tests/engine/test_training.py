"""The training loops: learning, stopping, and resuming bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.corpus.drawing import draw_few_shot, few_shot_draws
from engine.errors import CheckpointError, DataError, StorageError, TrainingError
from engine.evaluation.results import ALONE
from engine.events import Checkpointed, Finished, Metric, Notice
from engine.prompting.bank import initial_prompt
from engine.prompting.prompt_file import load_prompt
from engine.settings import FullModelSettings, MetaTrainSettings, PretrainSettings, TuneSettings
from engine.stage import StopToken
from engine.training.bank_tuning import PromptRun, TuningPlan, tune_bank
from engine.training.examples import make_meta_tasks
from engine.training.pretrained_prompt import pretrain_prompt
from engine.training.prompt_maml import meta_train


def run(stage, stop: StopToken | None = None, after: int = 0) -> list:
    """Read a stage to its end; ask it to stop after its ``after``-th finished step."""
    events = []
    for event in stage:
        events.append(event)
        if stop is not None and isinstance(event, Metric) and event.name in ("query loss", "training loss"):
            after -= 1
            if after == 0:
                stop.request()
    return events


def curve(events, name: str) -> list[tuple[int, str, float]]:
    return [
        (event.step, event.group, event.value) for event in events if isinstance(event, Metric) and event.name == name
    ]


def tasks_of(examples, shots: int = 2, groups: int = 3):
    rows = np.array_split(np.arange(len(examples)), groups)
    named = [(f"group {number}", some) for number, some in enumerate(rows)]
    return make_meta_tasks(named, shots=shots, validation_share=0.2, validation_rows=100, seed=0)[0]


# Prompt-MAML ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"gradient": "first_order", "learn_inner_rates": True, "tasks_per_step": 2}])
@pytest.mark.parametrize("after", [1, 4, 5])
def test_meta_training_resumes_bit_for_bit(make_scorer, make_examples, tmp_path, changes, after):
    scorer = make_scorer()
    examples = make_examples(scorer)
    tasks = tasks_of(examples)
    settings = MetaTrainSettings(
        shots=2, steps=7, validate_every=2, checkpoint_every=3, patience=9, alpha=1.0, beta=0.3, **changes
    )
    whole = run(meta_train(scorer, examples, tasks, settings, tmp_path / "whole", stop=StopToken()))
    stop = StopToken()
    first = run(meta_train(scorer, examples, tasks, settings, tmp_path / "cut", stop=stop), stop, after)
    assert first[-1].outcome == "stopped"
    assert any(isinstance(event, Checkpointed) and event.step == after for event in first)
    torch.manual_seed(123)  # whatever happened in between must not matter
    second = run(meta_train(scorer, examples, tasks, settings, tmp_path / "cut", stop=StopToken()))
    for name in ("query loss", "support loss", "movement", "validation accuracy", "validation loss", "task accuracy"):
        assert curve(first, name) + curve(second, name) == curve(whole, name)
    cut, uncut = (load_file(tmp_path / folder / "checkpoint.safetensors") for folder in ("cut", "whole"))
    assert cut.keys() == uncut.keys()
    assert all(torch.equal(cut[name], uncut[name]) for name in cut)
    assert torch.equal(
        load_prompt(tmp_path / "cut" / "prompt.safetensors").vectors,
        load_prompt(tmp_path / "whole" / "prompt.safetensors").vectors,
    )


@pytest.mark.parametrize("steps", [2, 4])
def test_a_stop_during_validation_is_made_up_for(make_scorer, make_examples, tmp_path, steps):
    scorer = make_scorer()
    examples = make_examples(scorer)
    settings = MetaTrainSettings(shots=2, steps=steps, validate_every=2, alpha=1.0, beta=0.3)
    stage = (scorer, examples, tasks_of(examples), settings)
    whole = run(meta_train(*stage, tmp_path / "whole", stop=StopToken()))
    stop = StopToken()
    first = []
    for event in meta_train(*stage, tmp_path / "cut", stop=stop):
        first.append(event)
        if getattr(event, "message", "") == "Validating":
            stop.request()
    assert curve(first, "validation accuracy") == []
    assert first[-1].outcome == "stopped"
    second = run(meta_train(*stage, tmp_path / "cut", stop=StopToken()))
    assert curve(second, "validation accuracy") == curve(whole, "validation accuracy")


def test_the_last_step_is_validated(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples = make_examples(scorer)
    settings = MetaTrainSettings(shots=2, steps=5, validate_every=3, alpha=1.0, beta=0.3)
    events = run(meta_train(scorer, examples, tasks_of(examples), settings, tmp_path, stop=StopToken()))
    validated = [event.step for event in events if isinstance(event, Metric) and event.name == "validation accuracy"]
    assert validated[-1] == 5


def test_meta_training_learns_and_keeps_the_best(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(2, loss="label_words")
    examples = make_examples(scorer, 120)
    settings = MetaTrainSettings(
        initialisation="vocabulary", shots=4, steps=60, validate_every=10, patience=10, alpha=0.1, beta=0.3
    )
    events = run(meta_train(scorer, examples, tasks_of(examples, 4), settings, tmp_path, stop=StopToken()))
    losses = [value for _, _, value in curve(events, "query loss")]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    best = max(value for _, _, value in curve(events, "validation accuracy"))
    prompt = load_prompt(tmp_path / "prompt.safetensors")
    assert prompt.metrics["validation_accuracy"] == best
    before, after = ([v for *_, v in curve(events, f"validation loss{when}")] for when in (" before adaptation", ""))
    told = next(event.text for event in events if isinstance(event, Notice) and event.level == "info")
    assert f"from {np.mean(before):.3f} to {np.mean(after):.3f}." in told
    assert isinstance(events[-1], Finished)


def test_meta_training_stops_early(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples = make_examples(scorer)
    settings = MetaTrainSettings(shots=2, steps=500, validate_every=1, patience=2, beta=1e-9)
    events = run(meta_train(scorer, examples, tasks_of(examples), settings, tmp_path, stop=StopToken()))
    assert events[-1].outcome == "completed"
    assert events[-1].summary["steps"] < 60


def test_a_useless_alpha_is_told(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples = make_examples(scorer)
    settings = MetaTrainSettings(shots=2, steps=7, alpha=1e-7)
    events = run(meta_train(scorer, examples, tasks_of(examples), settings, tmp_path, stop=StopToken()))
    told = [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert len(told) == 1
    assert "of its length only: alpha 1e-07 is too small" in told[0]
    useful = settings.model_copy(update={"alpha": 5.0})
    events = run(meta_train(scorer, examples, tasks_of(examples), useful, tmp_path / "useful", stop=StopToken()))
    assert not any(event.level == "warning" for event in events if isinstance(event, Notice))


def test_memory_that_runs_out_halves_the_pass_with_the_same_result(make_scorer, make_examples, tmp_path, monkeypatch):
    from engine.training import meta_gradient as module

    scorer = make_scorer()
    examples = make_examples(scorer)
    settings = MetaTrainSettings(shots=2, steps=2, alpha=1.0, beta=0.3)
    run(meta_train(scorer, examples, tasks_of(examples), settings, tmp_path / "whole", stop=StopToken()))
    real = module._Set.task_losses

    def small_memory(self, bank):
        if len(self.rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, bank)

    monkeypatch.setattr(module._Set, "task_losses", small_memory)
    events = run(meta_train(scorer, examples, tasks_of(examples), settings, tmp_path / "small", stop=StopToken()))
    assert any(isinstance(event, Notice) and "2 tasks are taken at a time" in event.text for event in events)
    prompts = [load_prompt(tmp_path / name / "prompt.safetensors").vectors for name in ("whole", "small")]
    assert torch.allclose(*prompts, atol=1e-4)


def test_a_loss_that_is_not_a_number_ends_the_run(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples = make_examples(scorer)
    settings = MetaTrainSettings(shots=2, steps=50, beta=1e30)
    with pytest.raises(TrainingError, match=r"meta step \d+ \(alpha 0.08, beta 1e\+30\)"):
        run(meta_train(scorer, examples, tasks_of(examples), settings, tmp_path, stop=StopToken()))


def test_checkpoints_that_do_not_belong_are_refused(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples = make_examples(scorer)
    stage = (scorer, examples, tasks_of(examples))
    run(meta_train(*stage, MetaTrainSettings(shots=2, steps=2), tmp_path, stop=StopToken()))
    with pytest.raises(CheckpointError, match="other settings"):
        run(meta_train(*stage, MetaTrainSettings(shots=2, steps=2, alpha=0.5), tmp_path, stop=StopToken()))
    run(meta_train(*stage, MetaTrainSettings(shots=2, steps=3), tmp_path, stop=StopToken()))
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match="damaged"):
        run(meta_train(*stage, MetaTrainSettings(shots=2, steps=3), tmp_path, stop=StopToken()))


def test_a_full_disk_keeps_the_checkpoint_before(make_scorer, make_examples, tmp_path, monkeypatch):
    import safetensors.torch
    from safetensors import SafetensorError

    scorer = make_scorer()
    examples = make_examples(scorer)
    stage = (scorer, examples, tasks_of(examples), MetaTrainSettings(shots=2, steps=6, checkpoint_every=2))
    real, saved = safetensors.torch.save_file, []

    def full_after_one(tensors, path, metadata):
        saved.append(path)
        if len(saved) > 1:
            path.write_bytes(b"half a file")
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        real(tensors, path, metadata)

    monkeypatch.setattr(safetensors.torch, "save_file", full_after_one)
    with pytest.raises(StorageError, match="disk is full"):
        run(meta_train(*stage, tmp_path, stop=StopToken()))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    events = run(meta_train(*stage, tmp_path, stop=StopToken()))
    assert curve(events, "query loss")[0][0] == 3, "it goes on after the checkpoint at step 2"


# Tuning a bank --------------------------------------------------------------------------------------------------------

PLAN = TuningPlan(0.3, 0.01, 2, 4, steps=24, validate_every=3, patience=2, checkpoint_every=5)


def bank_runs(scorer, examples, seeds=(0, 1, 2)) -> list[PromptRun]:
    draws = [draw_few_shot(examples.labels, TuneSettings(training_rows=12, validation_rows=12), seed) for seed in seeds]
    return [
        PromptRun(
            f"seed {seed}",
            initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, scorer.settings.soft_tokens, seed),
            draw.training,
            draw.validation,
            seed,
        )
        for seed, draw in zip(seeds, draws, strict=True)
    ]


def test_side_by_side_equals_one_after_another(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(2)
    examples = make_examples(scorer)
    together = bank_runs(scorer, examples)
    events = run(tune_bank(scorer, examples, together, PLAN, tmp_path / "all", "tune", stop=StopToken()))
    for number, beside in enumerate(together):
        alone = bank_runs(scorer, examples, (number,))
        single = run(tune_bank(scorer, examples, alone, PLAN, tmp_path / str(number), "tune", stop=StopToken()))
        assert beside.stopping.best_step == alone[0].stopping.best_step
        assert torch.allclose(beside.result, alone[0].result, atol=2e-3)
        steps = [step for step, group, _ in curve(events, "training loss") if group == beside.name]
        assert steps == [step for step, _, _ in curve(single, "training loss")], "each stops at its own time"


def test_a_start_that_no_step_improves_on_is_kept(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(2)
    examples = make_examples(scorer)
    runs = bank_runs(scorer, examples)
    good = runs[0]
    run(tune_bank(scorer, examples, [good], PLAN, tmp_path / "good", "tune", stop=StopToken()))
    assert good.stopping.best_step > 0
    start = good.result.clone()
    useless = dataclasses.replace(PLAN, learning_rate=50.0, improvement="loss")
    for validate_start in (False, True):
        again = bank_runs(scorer, examples)[0]
        again.prompt = start
        plan = dataclasses.replace(useless, validate_start=validate_start)
        folder = tmp_path / str(validate_start)
        events = run(tune_bank(scorer, examples, [again], plan, folder, "tune", stop=StopToken()))
        assert torch.equal(again.result, start) is validate_start
        assert (again.stopping.best_step == 0) is validate_start
        losses = curve(events, "validation loss")
        assert (losses[0][0] == 0) is validate_start
        assert again.stopping.best_loss == min(loss for _, _, loss in losses)


@pytest.mark.parametrize("changes", [{}, {"improvement": "loss", "validate_start": True}])
@pytest.mark.parametrize("after", [1, 7])
def test_a_bank_resumes_bit_for_bit(make_scorer, make_examples, tmp_path, changes, after):
    plan = dataclasses.replace(PLAN, **changes)
    scorer = make_scorer(2)
    examples = make_examples(scorer)
    uncut, cut, again = (bank_runs(scorer, examples) for _ in range(3))
    whole = run(tune_bank(scorer, examples, uncut, plan, tmp_path / "whole", "tune", stop=StopToken()))
    stop = StopToken()
    first = run(tune_bank(scorer, examples, cut, plan, tmp_path / "cut", "tune", stop=stop), stop, after=3 * after)
    second = run(tune_bank(scorer, examples, again, plan, tmp_path / "cut", "tune", stop=StopToken()))
    for name in ("training loss", "validation accuracy", "validation loss"):
        assert curve(first, name) + curve(second, name) == curve(whole, name)
    assert all(torch.equal(a.result, b.result) for a, b in zip(uncut, again, strict=True))


def test_accumulation_does_not_change_the_gradient(make_scorer, make_examples):
    from engine.training.bank_tuning import _backward

    scorer = make_scorer(2)
    examples = make_examples(scorer)
    whole, parts = (bank_runs(scorer, examples) for _ in range(2))
    for runs, per_pass in ((whole, 12), (parts, 5)):
        for each in runs:
            each.prompt.requires_grad_()
        _backward(scorer, examples, runs, 0, 4, per_pass)
    for a, b in zip(whole, parts, strict=True):
        assert float((a.prompt.grad - b.prompt.grad).norm() / a.prompt.grad.norm()) <= 1e-5


def test_the_rows_of_an_epoch_are_each_seen_once():
    one = PromptRun("x", torch.zeros(1), np.arange(100, 110), np.empty(0, np.int64), 5)
    epochs = [np.concatenate([one.rows(step, 4) for step in range(3 * epoch, 3 * epoch + 3)]) for epoch in range(2)]
    for rows in epochs:
        assert sorted(rows) == list(range(100, 110))
    assert not np.array_equal(*epochs)


def test_ppt_trains_one_prompt_on_all_rows(make_scorer, make_examples, tmp_path):
    scorer = make_scorer(2)
    examples = make_examples(scorer)
    settings = PretrainSettings(
        initialisation="vocabulary", learning_rate=0.3, epochs=2, validate_every=5, batch_size=8
    )
    events = run(pretrain_prompt(scorer, examples, settings, tmp_path, stop=StopToken()))
    assert max(step for step, _, _ in curve(events, "training loss")) == 2 * 7  # 54 training rows in batches of 8
    assert load_prompt(tmp_path / "prompt.safetensors").training["method"] == "PPT"
    assert events[-1].summary["best_step"] in (5, 10, 14)


# Few-shot and full-model stages ---------------------------------------------------------------------------------------


def test_few_shot_stage_tunes_every_start_on_the_same_draws(make_scorer, make_examples, tmp_path):
    from engine.storage import read_json
    from engine.training.few_shot import few_shot

    scorer = make_scorer(2)
    examples = make_examples(scorer, 90)
    settings = TuneSettings(training_rows=8, validation_rows=8, seeds=2, epochs=3, learning_rate=0.3)
    starts = {
        name: [initial_prompt(name, scorer.backbone, scorer.verbalizer, 4, seed) for seed in range(2)]
        for name in ("vocabulary", "random")
    }
    test = np.arange(60, 90)
    draws = few_shot_draws(examples.labels, np.arange(60), settings)
    events = run(few_shot(scorer, examples, draws, starts, settings, tmp_path, stop=StopToken(), test=test))
    results = read_json(tmp_path / "results.json")
    assert list(results["runs"]) == ["vocabulary seed 0", "vocabulary seed 1", "random seed 0", "random seed 1"]
    assert list(results["summary"]) == ["vocabulary", "random", ALONE]
    assert results["summary"]["random"]["seeds"] == 2
    assert sorted(path.name for path in (tmp_path / "prompts").iterdir())[0] == "random-0.safetensors"
    chosen = load_prompt(tmp_path / "prompt.safetensors")
    both = [load_prompt(tmp_path / "prompts" / f"vocabulary-{seed}.safetensors") for seed in range(2)]
    best = max(both, key=lambda prompt: (prompt.metrics["validation_accuracy"], -prompt.metrics["validation_loss"]))
    assert torch.equal(chosen.vectors, best.vectors)
    assert events[-1].outcome == "completed"


def test_full_model_tuning_gives_the_weights_back(make_scorer, make_examples, tmp_path):
    from engine.training.full_model import tune_full_model

    scorer = make_scorer(2)
    examples = make_examples(scorer, 60)
    before = {name: weight.clone() for name, weight in scorer.backbone.model.state_dict().items()}
    draws = few_shot_draws(examples.labels, np.arange(40), TuneSettings(training_rows=8, validation_rows=8, seeds=2))
    settings = FullModelSettings(learning_rate=0.003, epochs=4)
    stage = (scorer, examples, draws, settings)
    whole = run(tune_full_model(*stage, tmp_path / "whole", stop=StopToken(), test=np.arange(40, 60)))
    assert len(curve(whole, "training loss")) >= 2 * 2
    after = scorer.backbone.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(weight.requires_grad for weight in scorer.backbone.model.parameters())
    stop = StopToken()
    first = run(tune_full_model(*stage, tmp_path / "cut", stop=stop, test=np.arange(40, 60)), stop, after=3)
    assert first[-1].outcome == "stopped"
    second = run(tune_full_model(*stage, tmp_path / "cut", stop=StopToken(), test=np.arange(40, 60)))
    assert curve(first, "training loss") + curve(second, "training loss") == curve(whole, "training loss")
    assert second[-1].summary == whole[-1].summary
    with pytest.raises(DataError, match="no texts to test on"):
        run(tune_full_model(*stage, tmp_path / "untested", stop=StopToken(), test=np.arange(0)))


def test_a_killed_full_model_tuning_loses_minutes_only(make_scorer, make_examples, tmp_path, monkeypatch):
    from engine.checkpoint import Every
    from engine.training.full_model import tune_full_model

    clock = iter(range(0, 10_000, 2))  # two seconds a look
    monkeypatch.setattr("engine.checkpoint.time.monotonic", lambda: float(next(clock)))
    every = Every(3.0)
    assert [every.due() for _ in range(4)] == [False, True, False, True]
    monkeypatch.setattr(Every, "due", lambda self: True)
    scorer = make_scorer(2)
    examples = make_examples(scorer, 60)
    draws = few_shot_draws(examples.labels, np.arange(40), TuneSettings(training_rows=8, validation_rows=8, seeds=1))
    stage = (scorer, examples, draws, FullModelSettings(learning_rate=0.003, epochs=4))
    killed = tune_full_model(*stage, tmp_path, stop=StopToken(), test=np.arange(40, 60))
    losses = (event for event in killed if isinstance(event, Metric) and event.name == "training loss")
    assert [next(losses).step for _ in range(3)] == [1, 2, 3]
    killed.close()
    second = run(tune_full_model(*stage, tmp_path, stop=StopToken(), test=np.arange(40, 60)))
    assert curve(second, "training loss")[0][0] == 3, "it goes on after the checkpoint at step 2"


def test_reptile_says_that_it_learns_no_inner_rates(make_scorer, make_examples, tmp_path):
    scorer = make_scorer()
    examples = make_examples(scorer)
    settings = MetaTrainSettings(gradient="reptile", learn_inner_rates=True, shots=2, steps=1)
    events = run(meta_train(scorer, examples, tasks_of(examples), settings, tmp_path, stop=StopToken()))
    assert any(isinstance(event, Notice) and "no gradient for the inner rates" in event.text for event in events)
