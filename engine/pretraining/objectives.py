"""What a T5 is pre-trained to do: fill spans, go on with a text, fill in a chosen word, match vectors, answer tasks.

Every objective makes batches of a fixed shape from a random generator, so that a batch is a function of (seed, step).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.errors import DataError

PAD, END = 0, 1
IGNORED = -100
DENSITY, MEAN_SPAN = 0.15, 3


@dataclass(frozen=True)
class Batch:
    """What goes through the model at once.

    Attributes
    ----------
    inputs
        Tokens, int64 [rows, length]; padding is 0.
    labels
        Tokens to answer with, int64 [rows, answer length], -100 where nothing is asked; ``None``: vectors are asked.
    vectors
        float32 [rows, d] to be matched by the mean state of the encoder, or ``None``.
    """

    inputs: np.ndarray
    labels: np.ndarray | None = None
    vectors: np.ndarray | None = None

    @property
    def tokens(self) -> int:
        """How many tokens the encoder and the decoder read, without padding."""
        answers = 0 if self.labels is None else int((self.labels != IGNORED).sum())
        return int((self.inputs != PAD).sum()) + answers

    @property
    def asked(self) -> int:
        """How many tokens, or vectors, the loss is the mean over."""
        return len(self.inputs) if self.labels is None else int((self.labels != IGNORED).sum())

    def rows(self, start: int, end: int) -> Batch:
        """Return some of the rows."""
        part = slice(start, end)
        labels = None if self.labels is None else self.labels[part]
        return Batch(self.inputs[part], labels, None if self.vectors is None else self.vectors[part])


class Texts(Protocol):
    """Texts as tokens, a sequence of arrays."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> np.ndarray: ...


class Objective(Protocol):
    """What makes batches."""

    def batch(self, rng: np.random.Generator, tokens: int) -> Batch:
        """Return a batch of about ``tokens`` tokens of input."""
        ...


class SpanCorruption:
    """Spans of a text are cut out and asked for (T5, section 3.1.4): 15 % of the tokens in spans of 3 on average.

    Parameters
    ----------
    stream
        Tokens of all texts one after the other, with ``</s>`` between them: packed, nothing is padded.
    sentinels
        Ids of ``<extra_id_0>``, ``<extra_id_1>`` and so on.
    length
        Tokens of input after the spans were cut out, with ``</s>``.
    """

    def __init__(self, stream: np.ndarray, sentinels: np.ndarray, length: int) -> None:
        self._stream, self._sentinels = stream, sentinels
        self.length = length
        raw = length
        while _shape(raw + 1)[2] <= length:  # the longest text whose input is not longer
            raw += 1
        self.raw_length = raw
        self._noise, self._spans, _ = _shape(raw)
        _check_length(stream, raw)

    def batch(self, rng: np.random.Generator, tokens: int) -> Batch:
        """Return inputs [rows, length] and the spans that were cut out, each after its sentinel."""
        return self.corrupt(windows(self._stream, rng, rows_for(tokens, self.length), self.raw_length), rng)

    def corrupt(self, texts: np.ndarray, rng: np.random.Generator) -> Batch:
        """Cut spans out of ``texts``, int64 [rows, raw length]."""
        rows, length = texts.shape
        kept = _partition(rng, rows, length - self._noise, self._spans)
        cut = _partition(rng, rows, self._noise, self._spans)
        borders = np.cumsum(np.stack([kept, cut], 2).reshape(rows, -1), 1)  # kept, cut, kept, cut ...
        segment = (np.arange(length)[None, :, None] >= borders[:, None, :]).sum(2)
        is_cut = segment % 2 == 1
        first = np.diff(segment, axis=1, prepend=-1) > 0
        number = segment // 2
        sentinel = self._sentinels[np.minimum(number, len(self._sentinels) - 1)]
        end = np.full((rows, 1), END, np.int64)
        inputs = np.where(is_cut & first, sentinel, texts)[~is_cut | first].reshape(rows, -1)
        answers = np.where(~is_cut & first, sentinel, texts)[is_cut | first].reshape(rows, -1)
        return Batch(np.hstack([inputs, end]), np.hstack([answers, end]))


class PrefixLanguageModel:
    """The second half of a text is asked for, given the first: the adaptation that helps prompts (Lester et al., 2021).

    Parameters
    ----------
    stream
        As in `SpanCorruption`.
    length
        Tokens of the first half, and of the second.
    """

    def __init__(self, stream: np.ndarray, length: int) -> None:
        self._stream, self.length = stream, length
        _check_length(stream, 2 * length)

    def batch(self, rng: np.random.Generator, tokens: int) -> Batch:
        """Return inputs [rows, length] and what follows, [rows, length]."""
        texts = windows(self._stream, rng, rows_for(tokens, self.length), 2 * self.length)
        return Batch(*map(np.ascontiguousarray, np.hsplit(texts, 2)))


class ChosenWords:
    """One word of a list is cut out of its surroundings and asked for (salient spans: Guu et al., REALM, 2020).

    With a list of words of judgement, the model learns to tell from the rest of a text which of them belongs there.
    No label is read. Every word is as frequent as the square root of its frequency in the texts.

    Parameters
    ----------
    stream, sentinels
        As in `SpanCorruption`.
    words
        Ids of the words.
    length
        Tokens of text around the word at most; other texts' tokens are padding.

    Raises
    ------
    DataError
        If none of the words occurs.
    """

    def __init__(self, stream: np.ndarray, sentinels: np.ndarray, words: Sequence[int], length: int) -> None:
        self._stream, self._sentinel, self.length = stream, int(sentinels[0]), length
        places = np.flatnonzero(np.isin(stream, np.asarray(words, stream.dtype)))
        self._places = places[(places >= length) & (places < len(stream) - length)]
        self._places = self._places[np.argsort(stream[self._places], kind="stable")]
        if not len(self._places):
            raise DataError("None of the words occurs in the texts", remedy="Name words that the texts have.")
        _, self._starts, counts = np.unique(stream[self._places], return_index=True, return_counts=True)
        self._counts = counts
        self._chances = np.sqrt(counts) / np.sqrt(counts).sum()

    def batch(self, rng: np.random.Generator, tokens: int) -> Batch:
        """Return inputs [rows, length] and ``<extra_id_0> word </s>`` [rows, 3]."""
        rows = rows_for(tokens, self.length)
        word = rng.choice(len(self._starts), rows, p=self._chances)
        place = self._places[self._starts[word] + rng.integers(self._counts[word])]
        before = rng.integers(self.length // 8, self.length, rows)
        texts = self._stream[(place - before)[:, None] + np.arange(self.length)].astype(np.int64)
        ends = np.cumsum(texts == END, 1) - (texts == END)
        own = ends == ends[np.arange(rows), before][:, None]
        answers = texts[np.arange(rows), before].copy()
        texts[np.arange(rows), before] = self._sentinel
        hidden = self._hidden(texts, before)
        enough = (own & ~hidden).sum(1, keepdims=True) > self.length // 8
        own &= ~(hidden & enough)
        texts[~own] = PAD
        texts[own[:, -1] & (before < self.length - 1), -1] = END
        labels = np.stack([np.full(rows, self._sentinel), answers, np.full(rows, END)], 1)
        return Batch(texts, labels)

    def _hidden(self, texts: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return what is hidden beside the word, bool [rows, length]."""
        return np.zeros(texts.shape, bool)


class Verdicts(ChosenWords):
    """A whole sentence with a word of judgement is cut out, and the word is asked for: what was the verdict?

    Only what the other sentences say tells. Where they say too little, the word alone is cut out.

    Parameters
    ----------
    stops
        Ids of the pieces that end a sentence.
    """

    def __init__(
        self, stream: np.ndarray, sentinels: np.ndarray, words: Sequence[int], length: int, stops: Sequence[int]
    ) -> None:
        super().__init__(stream, sentinels, words, length)
        self._stops = np.asarray([*stops, END])

    def _hidden(self, texts: np.ndarray, before: np.ndarray) -> np.ndarray:
        column, at = np.arange(texts.shape[1]), before[:, None]
        stop = np.isin(texts, self._stops)
        first = np.where(stop & (column < at), column, -1).max(1, keepdims=True)
        last = np.where(stop & (column > at), column, texts.shape[1]).min(1, keepdims=True)
        return (column > first) & (column <= last) & (column != at) & (texts != END)


class SentenceVectors:
    """The mean state of the encoder, through a linear layer, is to match a sentence encoder's vectors.

    Parameters
    ----------
    passages
        Tokens of each text, with ``</s>``.
    vectors
        Float16 [passages, d], in the same order.
    part
        Which of them are drawn from; all are standardised by the same mean and deviation.
    """

    def __init__(self, passages: Texts, vectors: np.ndarray, part: range) -> None:
        self._lengths = np.fromiter((len(passages[row]) for row in part), np.int64, count=len(part))
        self._order = np.argsort(self._lengths, kind="stable")
        self._passages, self._vectors, self._part = passages, vectors, part
        some = vectors[:20_000].astype(np.float32)
        self._mean, self._deviation = some.mean(0), some.std(0) + 1e-4

    def batch(self, rng: np.random.Generator, tokens: int) -> Batch:
        """Return texts of similar length [rows, longest] and their standardised vectors [rows, d]."""
        anchor = int(rng.integers(len(self._order)))
        rows = min(rows_for(tokens, int(self._lengths[self._order[anchor]])), len(self._order))
        first = min(anchor, max(0, len(self._order) - 4 * rows))
        near = self._order[first : first + 4 * rows]
        chosen = self._part.start + np.sort(rng.choice(near, rows, replace=False))
        inputs = padded([self._passages[row] for row in chosen], PAD)
        vectors = (self._vectors[chosen].astype(np.float32) - self._mean) / self._deviation
        return Batch(inputs, vectors=vectors)


class LabelledTexts:
    """A text and a question, and the answer is a word: what the original T5 was trained on beside filling spans.

    Parameters
    ----------
    texts
        Tokens of each text, with ``</s>``.
    labels
        Number of the answer to each text, int64 [texts].
    answers
        Tokens of each answer, ``<extra_id_0>`` before it and ``</s>`` after it.
    questions
        For each answer, tokens to put after a text, one of them drawn each time; with a sentinel and ``</s>``.
    length
        Tokens of text at most; a part of a longer one is drawn.
    """

    def __init__(
        self,
        texts: Texts,
        labels: np.ndarray,
        answers: Texts,
        questions: Sequence[Texts],
        length: int,
    ) -> None:
        self._texts, self._labels, self._answers, self._questions = texts, labels, answers, questions
        self.length = length

    def batch(self, rng: np.random.Generator, tokens: int) -> Batch:
        """Return inputs [rows, longest] and answers [rows, longest answer]."""
        length = int(rng.integers(self.length // 4, self.length + 1))
        inputs, answers = [], []
        for row in rng.integers(len(self._texts), size=rows_for(tokens, length)):
            text, label = self._texts[row][:-1], self._labels[row]
            question = self._questions[label][int(rng.integers(len(self._questions[label])))]
            start = int(rng.integers(max(1, len(text) - length + 1)))
            inputs.append(np.concatenate([text[start : start + length], question]))
            answers.append(self._answers[label])
        return Batch(padded(inputs, PAD), padded(answers, IGNORED))


def windows(stream: np.ndarray, rng: np.random.Generator, rows: int, length: int) -> np.ndarray:
    """Return ``rows`` random stretches of ``stream``, int64 [rows, length]."""
    starts = rng.integers(0, len(stream) - length + 1, rows)
    return stream[starts[:, None] + np.arange(length)].astype(np.int64)


def padded(rows: Sequence[np.ndarray], filler: int) -> np.ndarray:
    """Return ``rows`` as one array, int64 [rows, longest], shorter ones filled up on the right."""
    found = np.full((len(rows), max(len(row) for row in rows)), filler, np.int64)
    for number, row in enumerate(rows):
        found[number, : len(row)] = row
    return found


def rows_for(tokens: int, length: int) -> int:
    """Return how many rows of ``length`` make about ``tokens`` tokens, at least one."""
    return max(1, round(tokens / length))


def _check_length(stream: np.ndarray, length: int) -> None:
    if len(stream) < length:
        raise DataError(
            f"The texts have {len(stream):,} tokens, fewer than the {length:,} of one example",
            remedy="Give more texts, or lower 'length'.",
        )


def _shape(raw: int) -> tuple[int, int, int]:
    """Return how many tokens are cut out of ``raw``, in how many spans, and the length of the input that is left."""
    noise = min(max(round(raw * DENSITY), 1), raw - 1)
    spans = max(round(noise / MEAN_SPAN), 1)
    return noise, spans, raw - noise + spans + 1


def _partition(rng: np.random.Generator, rows: int, total: int, parts: int) -> np.ndarray:
    """Split ``total`` into ``parts`` positive numbers at random, for each row: int64 [rows, parts]."""
    cuts = np.sort(np.argsort(rng.random((rows, total - 1)), 1)[:, : parts - 1], 1) + 1
    edges = np.hstack([np.zeros((rows, 1), np.int64), cuts, np.full((rows, 1), total)])
    return np.diff(edges, axis=1)
