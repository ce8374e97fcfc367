"""Parts side by side come to what the whole does, and nothing of one part reaches another or is left behind."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import torch

from engine.backbones import side_by_side as module
from engine.backbones.side_by_side import side_by_side
from engine.embedding.sentence_bert import SentenceEncoder
from engine.prompting.bank import initial_prompt
from engine.settings import MetaTrainSettings
from engine.training.bank_tuning import PromptRun, _backward
from engine.training.meta_gradient import meta_gradient

CPU = torch.device("cpu")


@pytest.fixture
def threads(monkeypatch):
    """Set the number of threads, and let any work be worth one."""
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "LEAST_TOKENS", 1)
    yield torch.set_num_threads
    torch.set_num_threads(before)


def parts_of(tokens: list[int], device: torch.device = CPU) -> list[slice]:
    return side_by_side(device, lambda part: part, tokens)


def test_every_thing_is_in_one_part_and_parts_cost_about_the_same(threads):
    threads(3)
    tokens = np.random.default_rng(0).integers(1, 100, 50)
    parts = parts_of(tokens)
    assert [parts[0].start, parts[-1].stop] == [0, 50]
    assert all(one.stop == other.start for one, other in pairwise(parts))
    costs = [int(tokens[part].sum()) for part in parts]
    assert len(costs) == 3
    assert max(costs) - min(costs) <= 200


@pytest.mark.parametrize(("tokens", "number"), [([5], 1), ([5, 5], 2), ([1000, 1, 1, 1], 2), ([1] * 9, 3), ([0, 0], 1)])
def test_there_are_no_more_parts_than_things_and_none_is_empty(threads, tokens, number):
    threads(3)
    parts = parts_of(tokens)
    assert len(parts) == number
    assert all(part.stop > part.start for part in parts)


def test_little_work_and_other_devices_stay_whole(threads, monkeypatch):
    threads(3)
    assert len(parts_of([100] * 10, torch.device("cuda"))) == 1
    monkeypatch.setattr(module, "LEAST_TOKENS", 400)
    assert [len(parts_of([100] * number)) for number in (7, 8, 12, 50)] == [1, 2, 3, 3]


def test_so_many_at_a_time_are_cut_into_parts_of_their_own(threads):
    threads(2)
    parts = side_by_side(CPU, lambda part: part, [1] * 7, at_a_time=4)
    assert parts == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]


def test_parts_run_at_once_with_their_share_of_the_cores(threads):
    threads(5)
    meeting = threading.Barrier(2, timeout=10)

    def work(part: slice) -> tuple[int, list[slice]]:
        meeting.wait()  # ends only if both are there
        return torch.get_num_threads(), parts_of([1] * 10)  # whoever asks inside a part gets no further ones

    assert side_by_side(CPU, work, [1, 1]) == [(2, [slice(0, 10)])] * 2
    assert torch.get_num_threads() == 5
    seen: list[int] = []
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [5]


def test_a_failure_is_raised_when_all_parts_have_ended(threads):
    threads(2)
    ended = []

    def work(part: slice) -> None:
        if part.start == 0:
            raise torch.OutOfMemoryError("no room")
        time.sleep(0.2)
        ended.append(part)

    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        side_by_side(CPU, work, [1, 1])
    assert ended == [slice(1, 2)]
    assert len(parts_of([1, 1])) == 2


@pytest.mark.parametrize("gradient", ["exact", "first_order", "reptile"])
def test_a_meta_step_is_the_same(threads, make_scorer, make_examples, gradient):
    scorer = make_scorer()
    examples = make_examples(scorer)
    prompt = initial_prompt("vocabulary", scorer.backbone, scorer.verbalizer, scorer.settings.soft_tokens, 0)
    rates = torch.full((len(prompt), 1), -1.0, requires_grad=gradient != "reptile")
    rows = np.random.default_rng(0).permutation(60)[:40].reshape(5, 8)
    settings = MetaTrainSettings(gradient=gradient, alpha=0.3, inner_steps=2)
    found = []
    for number in (1, 3):
        threads(number)
        found.append(meta_gradient(scorer, examples, prompt, rates, rows[:, :4], rows[:, 4:], settings))
    one, many = found
    torch.testing.assert_close(many.prompt, one.prompt, rtol=1e-4, atol=1e-6)
    for name in ("support_losses", "query_losses", "movements"):
        np.testing.assert_allclose(getattr(many, name), getattr(one, name), rtol=1e-4)
    if gradient != "reptile":
        torch.testing.assert_close(many.rates, one.rates, rtol=1e-3, atol=1e-6)


def test_a_step_of_tuning_is_the_same(threads, make_scorer, make_examples):
    scorer = make_scorer()
    examples = make_examples(scorer)
    width = scorer.backbone.width
    rows = np.arange(20)
    runs = [PromptRun(name, torch.randn(4, width), rows, rows[:0], seed) for seed, name in enumerate("abc")]
    found = []
    for number, per_pass in ((1, 100), (3, 100), (3, 7)):
        threads(number)
        losses = _backward(scorer, examples, runs, 0, 5, per_pass)
        found.append((losses, [run.prompt.grad.clone() for run in runs]))
    for losses, gradients in found[1:]:
        np.testing.assert_allclose(losses, found[0][0], rtol=1e-5)
        for mine, expected in zip(gradients, found[0][1], strict=True):
            assert expected.norm() > 1e-6
            torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("normalised", [True, False])
def test_scores_are_the_same_and_record_no_gradient(threads, make_scorer, make_examples, normalised):
    scorer = make_scorer()
    examples = make_examples(scorer)
    bank = torch.randn(2, 4, scorer.backbone.width, requires_grad=True)
    batch, _ = examples.batch(np.arange(11), CPU)
    owner = torch.arange(11) % 2
    found = []
    for number in (1, 3):
        threads(number)
        with torch.no_grad():
            found.append(scorer.scores(bank, batch, owner, normalised=normalised))
    assert not found[1].requires_grad
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_vectors_of_texts_are_the_same_and_in_their_order(threads):
    """More texts than one thread takes at a time, and a tokenizer that serves one thread at a time."""
    encoder = SentenceEncoder(device="cpu", precision="float32")
    texts = [f"Text {number} " + "and so on " * (number % 23) for number in range(120)]
    threads(1)
    expected = encoder.encode(texts)
    threads(4)
    assert encoder.batch_size == 64
    for _ in range(2):
        np.testing.assert_allclose(encoder.encode(texts), expected, atol=1e-5)
