"""Batches of pre-training: what is cut out is what is asked for."""

import numpy as np
import pytest

from engine.pretraining.objectives import (
    END,
    IGNORED,
    PAD,
    ChosenWords,
    LabelledTexts,
    PrefixLanguageModel,
    SentenceVectors,
    SpanCorruption,
    Verdicts,
)

SENTINELS = np.arange(9099, 8999, -1)


@pytest.fixture
def stream() -> np.ndarray:
    """5,000 texts of 20 tokens that count on: 10, 11, 12 ... with an end after each."""
    tokens = (10 + np.arange(100_000) % 7000).astype(np.uint16)
    tokens[19::20] = END
    return tokens


def _fill(inputs: np.ndarray, labels: np.ndarray) -> list[int]:
    """Put the spans of ``labels`` back where their sentinels are."""
    spans: dict[int, list[int]] = {}
    for token in labels[:-1].tolist():
        if token in SENTINELS:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    filled: list[int] = []
    for token in inputs[:-1].tolist():
        filled += spans.pop(token) if token in SENTINELS else [token]
    assert not spans
    return filled


@pytest.mark.parametrize("length", [16, 64, 128])
def test_spans_that_were_cut_out_fill_the_text_again(stream: np.ndarray, length: int) -> None:
    objective = SpanCorruption(stream, SENTINELS, length)
    texts = stream[: 8 * objective.raw_length].reshape(8, -1).astype(np.int64)
    batch = objective.corrupt(texts, np.random.default_rng(0))
    assert batch.labels is not None
    for row in range(8):
        assert _fill(batch.inputs[row], batch.labels[row]) == texts[row].tolist()
    assert (batch.inputs[:, -1] == END).all()
    assert (batch.labels[:, -1] == END).all()
    assert batch.inputs.shape[1] <= length < batch.inputs.shape[1] + 3


def test_fifteen_percent_are_cut_out_in_spans_of_three_and_nothing_is_padded(stream: np.ndarray) -> None:
    objective = SpanCorruption(stream, SENTINELS, 128)
    batch = objective.batch(np.random.default_rng(0), 128 * 200)
    assert batch.labels is not None
    asked = ~np.isin(batch.labels, [*SENTINELS, END]) | (batch.labels == END)
    spans = np.isin(batch.labels, SENTINELS).sum(1)
    cut = asked.sum(1) - 1
    assert 0.145 < cut.mean() / objective.raw_length < 0.155
    assert 2.7 < (cut / spans).mean() < 3.3
    assert (batch.inputs != PAD).all()
    assert (batch.labels != IGNORED).all()
    assert len({tuple(np.flatnonzero(np.isin(row, SENTINELS))) for row in batch.inputs}) > 190  # cut at random


def test_sentinels_come_in_order_and_start_with_the_first(stream: np.ndarray) -> None:
    batch = SpanCorruption(stream, SENTINELS, 128).batch(np.random.default_rng(0), 1280)
    assert batch.labels is not None
    for rows in (batch.inputs, batch.labels):
        for row in rows:
            found = [token for token in row if token in SENTINELS]
            assert found == SENTINELS[: len(found)].tolist()


def test_a_batch_is_a_function_of_the_seed(stream: np.ndarray) -> None:
    objective = SpanCorruption(stream, SENTINELS, 64)
    one, same, other = (objective.batch(np.random.default_rng(seed), 640) for seed in (1, 1, 2))
    assert (one.inputs == same.inputs).all()
    assert not (one.inputs == other.inputs).all()


def test_a_prefix_is_followed_by_what_follows(stream: np.ndarray) -> None:
    batch = PrefixLanguageModel(stream, 32).batch(np.random.default_rng(0), 320)
    assert batch.labels is not None
    assert batch.inputs.shape == batch.labels.shape == (10, 32)
    whole = np.hstack([batch.inputs, batch.labels])
    steps = np.diff(whole, axis=1)
    inside = (whole[:, 1:] != END) & (whole[:, :-1] != END)
    assert (steps[inside] % 7000 == 1).all()


def test_a_chosen_word_is_asked_for_in_its_own_text_only(stream: np.ndarray) -> None:
    rare, common = 5000, 11  # at most one a 7,000 tokens, and many
    stream = stream.copy()
    stream[3::40] = common
    objective = ChosenWords(stream, SENTINELS, [rare, common], 64)
    batch = objective.batch(np.random.default_rng(0), 64 * 300)
    assert batch.labels is not None
    assert set(batch.labels[:, 1]) == {rare, common}
    assert (batch.labels[:, 0] == SENTINELS[0]).all()
    assert (batch.labels[:, 2] == END).all()
    assert ((batch.inputs == SENTINELS[0]).sum(1) == 1).all()
    kept = batch.inputs != PAD
    assert (kept.sum(1) <= 20).all()  # a text has 20 tokens with its end; the neighbours are padding
    assert ((batch.inputs == END).sum(1) <= 1).all()
    share = (batch.labels[:, 1] == rare).mean()
    frequency = (stream == rare).sum() / np.isin(stream, [rare, common]).sum()
    assert frequency < 0.01 < 0.04 < share  # as the root of the frequency: rarer words are asked for more


def test_every_place_of_a_chosen_word_comes_and_words_by_the_root_of_their_frequency() -> None:
    stream = np.arange(100, 2100, dtype=np.uint16)
    stream[200:1800:100] = 11  # sixteen times, and the other word four times
    stream[250:1850:400] = 12
    batch = ChosenWords(stream, SENTINELS, [11, 12], 32).batch(np.random.default_rng(0), 32 * 3000)
    assert batch.labels is not None
    asked = batch.labels[:, 1]
    assert 1.8 < (asked == 11).sum() / (asked == 12).sum() < 2.2
    before = np.where(batch.inputs == SENTINELS[0], np.roll(batch.inputs, 1, 1), 0).max(1)
    assert (len(set(before[asked == 11])), len(set(before[asked == 12]))) == (16, 4)


def test_a_verdict_is_asked_for_without_its_sentence_and_with_its_neighbours() -> None:
    stop, word = 5, 6
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(2000):  # three sentences of one text repeat a number of their own; the middle one has the word
        numbers = rng.integers(100, 9000, 3)
        sentences = [[number] * int(rng.integers(9, 14)) + [stop] for number in numbers]
        sentences[1].insert(2, word)
        texts += [*sentences[0], *sentences[1], *sentences[2], END]
    objective = Verdicts(np.array(texts, np.uint16), SENTINELS, [word], 64, [stop])
    batch = objective.batch(np.random.default_rng(0), 64 * 500)
    assert batch.labels is not None
    assert (batch.labels == [SENTINELS[0], word, END]).all()
    for row in batch.inputs:
        kept = row[(row != PAD) & (row != END)]
        place = int(np.flatnonzero(kept == SENTINELS[0])[0])
        before, after = kept[:place], kept[place + 1 :]
        assert len(set(before.tolist()) - {stop}) <= 1
        assert len(set(after.tolist()) - {stop}) <= 1
        assert len(before) == 0 or before[-1] == stop  # the whole sentence is gone, and no other
        assert len(kept) > 9
        assert not set(before.tolist()) & set(after.tolist()) - {stop}
    sizes = (batch.inputs != PAD).sum(1)
    assert sizes.mean() > 10


def test_a_sentence_that_fills_the_window_keeps_its_other_words() -> None:
    stream = np.full(4000, 50, np.uint16)
    stream[::200] = 6
    batch = Verdicts(stream, SENTINELS, [6], 64, [5]).batch(np.random.default_rng(0), 64 * 20)
    assert ((batch.inputs == 50).sum(1) > 50).all()


def test_vectors_belong_to_their_texts_and_are_standardised() -> None:
    rng = np.random.default_rng(0)
    passages = [np.array([number + 2] * int(rng.integers(3, 30)) + [END], np.uint16) for number in range(400)]
    vectors = np.stack([np.full(3, number) * [1, 2, 3] + [0, 5, 9] for number in range(400)]).astype(np.float16)
    held, rest = SentenceVectors(passages, vectors, range(40)), SentenceVectors(passages, vectors, range(40, 400))
    seen = []
    for seed in range(200):
        batch = rest.batch(np.random.default_rng(seed), 200)
        assert batch.vectors is not None
        assert batch.labels is None
        numbers = batch.inputs[:, 0] - 2
        mean, deviation = vectors.astype(np.float32).mean(0), vectors.astype(np.float32).std(0)
        assert np.allclose(batch.vectors, (vectors[numbers].astype(np.float32) - mean) / deviation, atol=1e-2)
        assert len(set(numbers.tolist())) == len(numbers)
        seen += numbers.tolist()
    assert min(seen) >= 40
    assert len(set(seen)) > 300
    assert held.batch(np.random.default_rng(0), 200).inputs[:, 0].max() < 42


def test_texts_of_a_batch_of_vectors_are_of_similar_length() -> None:
    rng = np.random.default_rng(0)
    passages = [np.ones(int(length), np.uint16) for length in rng.integers(5, 100, 5000)]
    objective = SentenceVectors(passages, np.zeros((5000, 2), np.float16), range(5000))
    padding = []
    for seed in range(50):
        batch = objective.batch(np.random.default_rng(seed), 1000)
        padding.append((batch.inputs == PAD).mean())
    assert np.mean(padding) < 0.05


def test_a_question_follows_its_text_and_the_answer_is_its_label() -> None:
    texts = [np.array([100 + number] * 50 + [END], np.uint16) for number in range(20)]
    labels = np.arange(20) % 2
    answers = [np.array([SENTINELS[0], 7, END]), np.array([SENTINELS[0], 8, 9, END])]
    questions = [[np.array([50, SENTINELS[0], END])], [np.array([60, SENTINELS[0], END]), np.array([61, 62, END])]]
    batch = LabelledTexts(texts, labels, answers, questions, 32).batch(np.random.default_rng(0), 2000)
    assert batch.labels is not None
    for inputs, asked in zip(batch.inputs, batch.labels, strict=True):
        text = inputs[0] - 100
        body = inputs[inputs == inputs[0]]
        assert 8 <= len(body) <= 32
        rest = inputs[len(body) :]
        assert any(rest[rest != PAD].tolist() == question.tolist() for question in questions[labels[text]])
        assert asked[asked != IGNORED].tolist() == answers[labels[text]].tolist()
    assert {60, 61} <= set(batch.inputs.ravel().tolist()), "every question is asked"


def test_any_part_of_a_long_text_is_read() -> None:
    texts = [np.array([*range(100, 200), END], np.uint16)]
    answers, questions = [np.array([SENTINELS[0], 7, END])], [[np.array([50, SENTINELS[0], END])]]
    batch = LabelledTexts(texts, np.zeros(1, np.int64), answers, questions, 32).batch(np.random.default_rng(0), 9000)
    assert (batch.inputs[:, 0].min(), batch.inputs.max(where=batch.inputs < 200, initial=0)) == (100, 199)
    assert len(set(batch.inputs[:, 0])) > 50
