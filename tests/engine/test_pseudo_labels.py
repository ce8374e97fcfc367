"""What pseudo-labels stand on: rows held out to calibrate, bars that are just met, ties, and what is told and shown."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_encoder import FakeEncoder
from made_corpora import corpus_of

from engine.annotation import results
from engine.annotation.annotators import EmbeddedTexts, SentenceBertAnnotator
from engine.annotation.calibration import fit_temperature, probabilities
from engine.annotation.reselect import reselect
from engine.annotation.selection import LiveCounts, Selection, notices, select
from engine.annotation.stage import _split, annotate
from engine.corpus.store import Corpus
from engine.evaluation.metrics import evaluate
from engine.settings import AnnotateSettings
from engine.stage import StopToken, result_of
from engine.storage import read_json

KEEP_ALL = {"confidence": 0.0, "out_of_domain_share": 0.0, "balance": False}


@pytest.fixture
def noise(tmp_path: Path) -> tuple[Corpus, Corpus]:
    """Labelled texts whose classes their words do not tell, and others: what is learned by heart holds nowhere else."""
    names = np.random.default_rng(0).permutation(["bad", "good"] * 60).tolist()
    labelled = corpus_of(tmp_path / "labelled", [f"one{row} two{row}" for row in range(120)], names)
    return labelled, corpus_of(tmp_path / "asked", [f"three{row} four{row}" for row in range(80)], [None] * 80)


def run(noise: tuple[Corpus, Corpus], folder: Path, **settings: object) -> AnnotateSettings:
    chosen = AnnotateSettings(**(KEEP_ALL | {"held_out_share": 0.4} | settings))
    cache = folder.parent / "cache"
    list(annotate(*noise, folder, chosen, encoder=FakeEncoder(), cache=cache, stop=StopToken()))
    return chosen


# Calibration ----------------------------------------------------------------------------------------------------------


def test_confidence_is_calibrated_on_rows_that_nothing_was_learned_of(noise, tmp_path):
    settings, labelled = run(noise, tmp_path / "out"), noise[0]
    texts, others = (EmbeddedTexts(corpus.texts, FakeEncoder().encode(corpus.texts)) for corpus in noise)
    training, held_out = _split(labelled.labels, settings)
    annotator = SentenceBertAnnotator()
    result_of(annotator.fit(texts.take(training), labelled.labels[training], 2, stop=StopToken()))
    logits = result_of(annotator.logits(texts.take(held_out), stop=StopToken()))
    temperature = fit_temperature(logits, labelled.labels[held_out])
    assert temperature > 1.5, "what was learned by heart is far too sure of itself"
    report = read_json(tmp_path / "out" / "annotation.json")
    assert report["temperature"] == pytest.approx(temperature, rel=1e-3)
    plain, tempered = (probabilities(logits, value) for value in (1.0, temperature))
    for when, chances in (("before", plain), ("after", tempered)):
        expected = evaluate(chances, labelled.labels[held_out], labelled.classes).expected_calibration_error
        assert report[f"held_out_{when}"]["expected_calibration_error"] == pytest.approx(expected, abs=1e-4)
    shown = sum(row["confidence"] * row["rows"] for row in report["reliability"]) / len(held_out)
    assert shown == pytest.approx(tempered.max(1).mean(), abs=1e-4)
    chances = probabilities(result_of(annotator.logits(others, stop=StopToken())), temperature)
    scores = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert np.allclose(scores["confidence"], chances.max(1), atol=1e-3)
    assert scores["label"] == [labelled.classes[number] for number in chances.argmax(1)]


def test_rows_are_held_out_by_class_and_by_seed():
    labels = np.repeat([0, 1, 2], [100, 40, 20])
    held_out = [_split(labels, AnnotateSettings(held_out_share=0.25, seed=seed))[1] for seed in range(5)]
    assert all(np.bincount(labels[rows]).tolist() == [25, 10, 5] for rows in held_out)
    assert len({tuple(rows) for rows in held_out}) == 5


# Selection ------------------------------------------------------------------------------------------------------------


def choose(predicted: list[int], certain: list[float], domain: list[float] | None = None, **settings) -> Selection:
    rows = len(predicted)
    return select(
        np.array(predicted),
        np.array(certain),
        np.ones(rows) if domain is None else np.array(domain),
        np.zeros(rows, bool),
        ("a", "b"),
        AnnotateSettings(**settings),
        domain_threshold=0.5,
    )


def test_a_row_that_just_meets_a_bar_is_kept():
    assert choose([0, 1, 1], [0.75, 0.75, 0.74], [0.5, 1, 1], confidence=0.75).rows.tolist() == [0, 1]


def test_of_equally_confident_rows_some_are_drawn_by_the_seed():
    drawn = {
        tuple(choose([0] * 40, [0.95] * 40, balance=False, maximum_rows=10, seed=seed).rows.tolist())
        for seed in range(4)
    }
    assert len(drawn) == 4
    assert all(len(rows) == 10 and rows != tuple(range(10)) for rows in drawn)


def test_the_class_that_keeps_balancing_low_is_named_and_so_is_one_that_came_out_empty():
    settings = AnnotateSettings()
    chosen = choose([0] * 9 + [1], [0.95] * 10)
    (told,) = notices(chosen, ("a", "b"), np.array([1, 1]), settings)
    assert told.startswith("Balancing dropped 8 confident texts, because few are confidently 'b'")
    (told,) = notices(choose([0], [0.95]), ("a", "b"), np.array([1, 0]), settings)
    assert told.startswith("No text was kept for b;")


def test_confidences_are_counted_from_none_to_full():
    counts = LiveCounts(np.zeros(3, int), np.array([0.5, 0.55, 0.95]), np.ones(3, bool), 1)
    assert counts.histogram(10)[0].tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 1]


def test_a_row_that_a_person_labelled_is_certain(noise, tmp_path):
    settings = run(noise, tmp_path / "out")
    scores = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert scores["confidence"][3] < 0.9
    edits = {3: "good" if scores["label"][3] == "bad" else "bad"}
    list(reselect(tmp_path / "out", *noise, tmp_path / "anew", settings, edits=edits, stop=StopToken()))
    made = Corpus.open(tmp_path / "anew")
    assert made.confidence is not None
    assert made.confidence[3] == 1
    assert made.classes[made.labels[3]] == edits[3]
    assert np.allclose(np.delete(made.confidence, 3), np.delete(scores["confidence"], 3))


# The rows to look at --------------------------------------------------------------------------------------------------


def test_the_rows_to_look_at_are_a_sample_of_those_that_are_kept(noise, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "AUDITED", 5)
    first: list[list[int]] = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        run(noise, folder, maximum_rows=40, seed=seed)
        kept = set(Corpus.open(folder).texts)
        with open(folder / "audit.csv", newline="", encoding="utf-8-sig") as stream:
            shown = list(csv.DictReader(stream))
        assert len(shown) == 10
        assert {row["text"] for row in shown} <= kept
        of_bad = [row for row, text in enumerate(noise[1].texts) if text in kept and row_is_bad(folder, row)]
        rows = [int(row["row"]) for row in shown if row["label"] == "bad"]
        assert set(rows) <= set(of_bad)
        first.append(rows == of_bad[:5])
    assert not all(first), "they are not the first ones"


def row_is_bad(folder: Path, row: int) -> bool:
    return pq.read_table(folder / "scores.parquet").column("label")[row].as_py() == "bad"
