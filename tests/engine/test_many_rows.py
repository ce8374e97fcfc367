"""More labelled rows than can be learned from or compared with in reasonable time: some are drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from made_corpora import corpus_of
from sklearn.linear_model import LogisticRegression

from engine.annotation import annotators, domain
from engine.annotation.annotators import EmbeddedTexts, SentenceBertAnnotator
from engine.annotation.domain import domain_scores
from engine.annotation.stage import annotate
from engine.corpus.drawing import Draw, rows_of_every_class
from engine.evaluation import linear_probe as probes
from engine.evaluation.linear_probe import probe_target
from engine.events import Finished, Notice, Progress
from engine.settings import AnnotateSettings
from engine.stage import StopToken, result_of


def unit(rows: int, dimensions: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_rows_are_drawn_from_every_class_always_the_same() -> None:
    labels = np.zeros(1000, np.int64)
    labels[[3, 500, 999]], labels[::4] = 1, -1
    drawn = rows_of_every_class(labels, 100, np.random.default_rng(0), least=5)
    assert len(drawn) == len(set(drawn)) == 100
    assert (np.diff(drawn) > 0).all()
    assert (labels[drawn] >= 0).all()
    assert {3, 999} <= set(drawn.tolist())
    assert 30 < (drawn < 500).sum() < 70, "from everywhere"
    assert drawn.tolist() == rows_of_every_class(labels, 100, np.random.default_rng(0), least=5).tolist()
    assert drawn.tolist() != rows_of_every_class(labels, 100, np.random.default_rng(1), least=5).tolist()
    everything = rows_of_every_class(labels, 750, np.random.default_rng(0), least=5)
    assert everything.tolist() == np.flatnonzero(labels >= 0).tolist()


# The labelled domain --------------------------------------------------------------------------------------------------


def nearest_ten(vectors: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    return np.sort(vectors @ labelled.T, 1)[:, -10:].mean(1)


def test_domain_scores_are_the_mean_of_the_nearest() -> None:
    labels = np.zeros(12, np.int64)
    vectors = np.array([[1.0] + [0] * 11], np.float32)
    scores = result_of(domain_scores(vectors, np.eye(12, dtype=np.float32), labels, stop=StopToken()))
    assert scores is not None
    assert scores[0] == pytest.approx(1 / 10)


def test_the_nearest_of_thousands_are_found() -> None:
    """Of so many that they are not sorted on the way."""
    asked, labelled = unit(5, 8, 0), unit(10_000, 8, 1)
    scores = result_of(domain_scores(asked, labelled, np.zeros(10_000, np.int64), stop=StopToken()))
    assert scores == pytest.approx(nearest_ten(asked, labelled))


def test_many_labelled_texts_are_drawn_from_and_few_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, labelled, labels = unit(50, 4, 0), unit(400, 4, 1), np.arange(400) % 3
    everything = result_of(domain_scores(asked, labelled, labels, stop=StopToken()))
    assert everything == pytest.approx(nearest_ten(asked, labelled))
    monkeypatch.setattr(domain, "COMPARED", 200)
    drawn = rows_of_every_class(labels, 200, np.random.default_rng(0), least=domain.LEAST_OF_A_CLASS)
    some = result_of(domain_scores(asked, labelled, labels, stop=StopToken()))
    assert some == pytest.approx(nearest_ten(asked, labelled[drawn]))
    assert some != pytest.approx(everything)


def test_comparing_shows_its_progress_and_stops_within_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "CHUNK", 10)
    asked, labelled, labels = unit(35, 4, 0), unit(20, 4, 1), np.zeros(20, np.int64)
    whole = [event for event in domain_scores(asked, labelled, labels, stop=StopToken()) if isinstance(event, Progress)]
    assert [event.done for event in whole] == [0, 10, 20, 30, 35]
    stop = StopToken()
    part = domain_scores(asked, labelled, labels, stop=stop)
    assert [next(part).done, next(part).done] == [0, 10]
    stop.request()
    with pytest.raises(StopIteration) as end:
        next(part)
    assert end.value.value is None


def test_an_annotation_that_is_stopped_while_it_compares_leaves_no_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "CHUNK", 10)
    texts = [f"{'warm kind' if number % 2 else 'cold rude'} {number}" for number in range(60)]
    names = ["good" if number % 2 else "bad" for number in range(60)]
    labelled = corpus_of(tmp_path / "labelled", texts, names, ("bad", "good"))
    unlabelled = corpus_of(tmp_path / "unlabelled", [f"{text} again" for text in texts], [None] * 60, ())
    stop, seen, out = StopToken(), [], tmp_path / "out"
    settings = AnnotateSettings(confidence=0.1)
    parts = {"encoder": FakeEncoder(), "cache": tmp_path / "cache"}
    for event in annotate(labelled, unlabelled, out, settings, stop=stop, **parts):
        seen.append(event)
        if isinstance(event, Progress) and event.message.startswith("Comparing") and event.done:
            stop.request()
    assert sum(isinstance(event, Progress) and event.message.startswith("Comparing") for event in seen) == 2
    assert seen[-1] == Finished(str(out), "stopped")
    assert not (out / "corpus.parquet").exists()


# The annotator --------------------------------------------------------------------------------------------------------


def test_the_annotator_learns_from_some_of_many_texts_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.where(np.arange(2000) % 500 == 7, 2, np.arange(2000) % 2)  # four rows of the last class
    vectors = unit(2000, 6, 0)
    vectors[np.arange(2000), labels] += 3
    texts = EmbeddedTexts([""] * 2000, vectors)
    whole = SentenceBertAnnotator()
    assert not [event for event in whole.fit(texts, labels, 3, stop=StopToken()) if isinstance(event, Notice)]
    expected = LogisticRegression(max_iter=1000).fit(vectors, labels)
    logits = result_of(whole.logits(texts, stop=StopToken()))
    assert np.array_equal(logits, vectors @ expected.coef_.T.astype(np.float32) + expected.intercept_.astype("f4"))

    learned = []
    plain = LogisticRegression.fit
    monkeypatch.setattr(annotators, "LEARNED", 200)
    monkeypatch.setattr(
        LogisticRegression, "fit", lambda self, rows, names: learned.append(len(rows)) or plain(self, rows, names)
    )
    some = SentenceBertAnnotator()
    told = [event.text for event in some.fit(texts, labels, 3, stop=StopToken()) if isinstance(event, Notice)]
    assert told == [
        "The annotator learns from 200 of the 2,000 labelled texts, drawn at random: all of them would take too long."
    ]
    assert learned == [200]
    found = result_of(some.logits(texts, stop=StopToken()))
    assert found is not None
    assert found.shape == (2000, 3), "a class of four rows is among the drawn ones"
    assert (found.argmax(1) == labels).mean() > 0.95


# The probe that sees the source ---------------------------------------------------------------------------------------


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[list[tuple[int, int]], list[str]]]:
    """Run probes on a target of 40 rows and a source of 200; return the rows and classes fitted on, and notices."""
    words = [["cold", "rude"], ["warm", "kind"]]
    labels = np.arange(40) % 2
    texts = [f"{words[label][i % 4 // 2]} {i}" for i, label in enumerate(labels)]
    stars = ["2" if row == 9 else str(row % 2 * 4) for row in range(200)]
    read = [f"{words[row % 2][row % 4 // 2]} read {row}" for row in range(200)]
    source = corpus_of(tmp_path / "source", read, stars, ("0", "1", "2", "3", "4"))

    def run() -> tuple[list[tuple[int, int]], list[str]]:
        fitted = []
        plain = probes.linear_probe

        def counted(vectors: np.ndarray, labels: np.ndarray, *rest: object, **options: object) -> np.ndarray:
            fitted.append((len(vectors), len(np.unique(labels))))
            return plain(vectors, labels, *rest, **options)

        with monkeypatch.context() as patched:
            patched.setattr(probes, "linear_probe", counted)
            draws = [(seed, Draw(np.array([seed, seed + 2]), np.array([seed + 1, seed + 3]))) for seed in range(2)]
            parts = {"source": source, "encoder": FakeEncoder(), "cache": tmp_path / "cache", "stop": StopToken()}
            out = tmp_path / "out"
            events = list(probe_target(texts, labels, ("bad", "good"), draws, np.arange(10, 40), out, **parts))
        assert isinstance(events[-1], Finished)
        assert events[-1].summary["summary"]["Sentence-BERT probe + source"]["accuracy_mean"] == 1
        told = [event.text for event in events if isinstance(event, Notice)]
        assert "by their order: 0 as bad, 1 as bad, 3 as good, 4 as good" in told[0]
        return fitted, told[1:]

    return run


def test_a_probe_learns_from_some_of_a_large_source_and_from_all_of_the_draw(
    probe: Callable[[], tuple[list[tuple[int, int]], list[str]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert probe() == ([(4, 2), (203, 2)] * 2, [])  # the row of three stars has no place on the target's scale
    monkeypatch.setattr(probes, "SOURCE_ROWS", 120)
    fitted, told = probe()
    assert fitted == [(4, 2), (124, 2)] * 2
    assert told == [
        "The probe that sees the source learns from 120 of its 199 labelled texts, drawn at random: all of them would "
        "take too long."
    ]
    kept = tmp_path / "out" / "probe-with-source.safetensors"
    before = kept.read_bytes()
    probe()
    assert kept.read_bytes() == before, "the same rows are drawn every time"
