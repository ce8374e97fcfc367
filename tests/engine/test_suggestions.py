"""Texts that are worth a label next."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from engine.annotation.suggestions import suggest_rows
from engine.jobs.session import Session

NOTHING = np.empty((0, 2), np.float32), np.empty(0, np.int64)


def blobs(centres: int, each: int) -> np.ndarray:
    angles = np.repeat(np.linspace(0, 2 * np.pi, centres, endpoint=False), each)
    noise = np.random.default_rng(0).normal(scale=0.02, size=(len(angles), 2))
    return (np.stack([np.cos(angles), np.sin(angles)], 1) + noise).astype(np.float32)


def test_without_labels_every_kind_of_text_is_suggested_once() -> None:
    found = suggest_rows(blobs(10, 12), *NOTHING, 10, seed=0)
    assert sorted(found // 12) == list(range(10))
    assert (np.diff(found) > 0).all()


def test_with_labels_those_in_doubt_are_suggested() -> None:
    random = np.random.default_rng(0)
    vectors = random.uniform(-1, 1, (300, 2)).astype(np.float32)
    labelled = np.array([[-1, 0], [-0.9, 0.5], [1, 0], [0.9, -0.5]], np.float32)
    found = suggest_rows(vectors, labelled, np.array([0, 0, 1, 1]), 10, seed=0)
    assert len(found) == 10
    across = vectors @ np.array([0.95, -0.25])  # the direction between the classes
    assert np.abs(across[found]).max() < np.quantile(np.abs(across), 0.4)
    assert np.ptp(vectors[found, 1]) > 1.2, "not ten of one place"


def test_doubt_is_between_the_two_likeliest_classes(monkeypatch) -> None:
    """Half and half is more in doubt than a small lead over two others, though its best is more probable."""
    chances = np.array([[0.4, 0.3, 0.3]] * 20 + [[0.5, 0.49, 0.01]] * 8)
    monkeypatch.setattr(LogisticRegression, "predict_proba", lambda self, vectors: chances)
    found = suggest_rows(blobs(4, 7), blobs(3, 2), np.array([0, 0, 1, 1, 2, 2]), 1, seed=0)
    assert found.min() >= 20


def test_odd_counts() -> None:
    assert suggest_rows(blobs(2, 2), *NOTHING, 10, seed=0).tolist() == [0, 1, 2, 3]
    same = np.ones((50, 2), np.float32)
    assert 1 <= len(suggest_rows(same, *NOTHING, 10, seed=0)) <= 10
    one_class = suggest_rows(blobs(5, 8), blobs(1, 2), np.array([3, 3]), 5, seed=0)
    assert sorted(one_class // 8) == list(range(5)), "one class leaves nothing in doubt"


def test_a_session_reads_every_text_once() -> None:
    class Encoder:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def encode(self, texts: list[str]) -> np.ndarray:
            self.seen += texts
            return np.array([[len(text), text.count("o")] for text in texts], np.float32)

    session, encoder = Session(), Encoder()
    session._encoders["cpu"] = encoder  # type: ignore[assignment]
    texts = [f"soup {'o' * number}" for number in range(40)]
    first = session.suggest_rows(texts[5:], [], [], 5)
    assert len(first) == 5
    again = session.suggest_rows(texts[5:], texts[:5], ["bad", "good", "bad", "good", "good"], 5)
    assert len(set(again)) == 5
    assert sorted(encoder.seen) == sorted(texts)
