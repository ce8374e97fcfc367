"""A linear probe as a file: it answers as it was measured, and no file raises anything but a sentence."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_encoder import FakeEncoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_corpora import corpus_of
from safetensors.torch import save_file

from engine.corpus.drawing import Draw
from engine.errors import MetaPTError, PromptFileError, StorageError
from engine.evaluation.linear_probe import probe_target
from engine.evaluation.prediction import evaluate_classifier
from engine.evaluation.probe_file import KEY, Probe, ProbeClassifier, _document, is_probe, load_probe, save_probe
from engine.evaluation.results import PROBE_FILES
from engine.events import Finished
from engine.jobs import PredictJob
from engine.jobs.session import Session
from engine.prompting.prompt_file import load_prompt
from engine.stage import StopToken
from engine.storage import read_json

WORDS = (["cold", "rude", "late"], ["warm", "kind", "quick"])
TEXTS = [f"{WORDS[row % 2][row // 2 % 3]} and number {row}" for row in range(40)]
LABELS = np.arange(40) % 2
RUNS = [(4, 0), (5, 8), (6, 20)]
"""Seed, and first of the twelve rows that it learns from."""


@pytest.fixture
def probe() -> Probe:
    """A probe for the fake encoder."""
    numbers = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    return Probe(numbers, np.zeros(3, np.float32), ("bad", "so-so", "good"), "a fake", "fake", {"test_accuracy": 0.5})


@pytest.fixture
def path(probe: Probe, tmp_path: Path) -> Path:
    save_probe(probe, tmp_path / "probe.safetensors")
    return tmp_path / "probe.safetensors"


class FakeSession(Session):
    """A session whose Sentence-BERT is the fake encoder."""

    def sentence_encoder(self, device: str = "auto") -> FakeEncoder:  # type: ignore[override]
        return FakeEncoder()


def test_what_is_saved_is_read_again(probe: Probe, path: Path) -> None:
    found = load_probe(path)
    assert is_probe(path)
    assert np.array_equal(found.weights, probe.weights)
    assert np.array_equal(found.bias, probe.bias)
    names = ("classes", "encoder", "identity", "metrics", "training")
    assert [getattr(found, name) for name in names] == [getattr(probe, name) for name in names]


def test_a_run_leaves_probes_that_answer_as_they_were_measured(tmp_path: Path) -> None:
    source = corpus_of(tmp_path / "source", TEXTS[:20], ["1" if row % 2 else "0" for row in range(20)], ("0", "1"))
    draws = [(seed, Draw(np.arange(seed, 10 + seed), np.arange(12, 16))) for seed in range(3)]
    test = np.arange(20, 40)
    out, encoder, stop = tmp_path / "out", FakeEncoder(), StopToken()
    parts = {"source": source, "encoder": encoder, "cache": tmp_path / "cache", "stop": stop}
    *_, last = probe_target(TEXTS, LABELS, ("bad", "good"), draws, test, out, **parts)
    assert isinstance(last, Finished)
    measured = read_json(out / "results.json")["evaluations"]
    tested = corpus_of(tmp_path / "test", [TEXTS[row] for row in test], ["good" if row % 2 else "bad" for row in test])
    for name, file in PROBE_FILES.items():
        kept = load_probe(out / file)
        assert kept.training["method"] == name
        assert kept.training["source_rows"] == (20 if "source" in name else 0)
        figures = measured[f"{name} seed {kept.training['seed']}"]
        assert kept.metrics == {"test_accuracy": figures["accuracy"], "test_macro_f1": figures["macro_f1"]}
        *_, told = evaluate_classifier(ProbeClassifier(kept, encoder), tested, tmp_path / "evaluation", stop=stop)
        assert told.summary["accuracy"] == figures["accuracy"]
        assert told.summary["confusion"] == figures["confusion"]


def test_the_probe_that_cross_validates_best_is_kept(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[:4] = labels[20:24] = [1, 0, 0, 1]  # half of them contradict their words
    draws = [(seed, Draw(np.arange(first, first + 4), np.arange(first + 4, first + 12))) for seed, first in RUNS]
    parts = {"source": None, "encoder": FakeEncoder(), "cache": tmp_path / "cache", "stop": StopToken()}
    list(probe_target(TEXTS, labels, ("bad", "good"), draws, np.arange(20, 29), tmp_path / "out", **parts))
    kept = load_probe(tmp_path / "out" / "probe.safetensors")
    assert kept.training["seed"] == 5
    figures = read_json(tmp_path / "out" / "results.json")["evaluations"]["Sentence-BERT probe seed 5"]
    assert kept.metrics == {"test_accuracy": figures["accuracy"], "test_macro_f1": figures["macro_f1"]}
    assert figures["accuracy"] != figures["macro_f1"]


def test_rows_of_the_source_without_a_label_teach_nothing(tmp_path: Path) -> None:
    names = ["1" if row % 2 else "0" for row in range(20)]
    source = corpus_of(tmp_path / "source", TEXTS[:24], [*names, None, None, None, None], ("0", "1"))
    parts = {"source": source, "encoder": FakeEncoder(), "cache": tmp_path / "cache", "stop": StopToken()}
    draws = [(0, Draw(np.arange(10), np.arange(10, 20)))]
    list(probe_target(TEXTS, LABELS, ("bad", "good"), draws, np.arange(30, 40), tmp_path / "out", **parts))
    assert load_probe(tmp_path / "out" / "probe-with-source.safetensors").training["source_rows"] == 20


def test_a_corpus_whose_classes_are_in_another_order_is_measured_by_their_names(probe: Probe, tmp_path: Path) -> None:
    classifier = ProbeClassifier(probe, FakeEncoder())
    answers = classifier.predict(TEXTS[:12]).tolist()
    assert len(set(answers)) > 1
    tested = corpus_of(tmp_path / "tested", TEXTS[:12], answers, ("good", "so-so", "bad"))
    *_, told = evaluate_classifier(classifier, tested, tmp_path / "evaluation", stop=StopToken())
    assert told.summary["accuracy"] == 1
    assert told.summary["per_class"]["good"]["support"] == answers.count("good")


def test_a_probe_can_be_used_where_nothing_is_left_to_test_on(tmp_path: Path) -> None:
    draws = [(0, Draw(np.arange(10), np.arange(10, 20)))]
    parts = {"source": None, "encoder": FakeEncoder(), "cache": tmp_path / "cache", "stop": StopToken()}
    list(
        probe_target(TEXTS[:20], LABELS[:20], ("bad", "good"), draws, np.empty(0, np.int64), tmp_path / "out", **parts)
    )
    probe = load_probe(tmp_path / "out" / "probe.safetensors")
    assert probe.metrics == {}
    assert ProbeClassifier(probe, FakeEncoder()).predict(["rude and slow", "kind and fair"]).tolist() == ["bad", "good"]


def test_texts_keep_their_order_and_are_cleaned(probe: Probe) -> None:
    texts = ["soup", "a much longer text about soup", "tea  <b>time</b>", "", "bread and tea"]
    classifier = ProbeClassifier(probe, FakeEncoder())
    found = classifier.predict_proba([*texts[:3], *texts[4:]])
    single = [classifier.predict_proba([text])[0] for text in ("soup", texts[1], "tea time", texts[4])]
    assert np.allclose(found, single, atol=1e-6)
    assert np.allclose(found.sum(1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="list of texts"):
        classifier.predict("soup")


def test_files_are_classified_with_a_probe(path: Path, probe: Probe, tmp_path: Path) -> None:
    texts = tmp_path / "new.csv"
    texts.write_text("text\n" + "".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    job = PredictJob(prompt=str(path), files=[str(texts)], output=str(tmp_path / "out.jsonl"))
    *_, last = job.run(FakeSession(), tmp_path / "run", StopToken())
    assert isinstance(last, Finished)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = ProbeClassifier(probe, FakeEncoder()).predict(TEXTS)
    assert [line["prediction"] for line in lines] == expected.tolist()


def test_the_window_asks_a_probe(path: Path, tmp_path: Path) -> None:
    session = FakeSession()
    found = session.describe_prompt(str(path))
    assert found == {"encoder": "a fake", "classes": ["bad", "so-so", "good"], "metrics": {"test_accuracy": 0.5}}
    chances = session.classify({"backbone": "no such backbone"}, str(path), "soup of the day")
    assert list(chances) == ["bad", "so-so", "good"]
    assert sum(chances.values()) == pytest.approx(1)
    target = tmp_path / "taken.safetensors"
    assert session.export_prompt(str(path), str(target), False) == target.stat().st_size
    assert np.array_equal(load_probe(target).weights, load_probe(path).weights)
    with pytest.raises(PromptFileError, match="no soft prompt"):
        session.export_prompt(str(path), str(tmp_path / "peft"), True)


def test_another_sentence_bert_is_refused(probe: Probe) -> None:
    with pytest.raises(PromptFileError, match="made for the Sentence-BERT model a fake"):
        ProbeClassifier(probe, FakeEncoder(identity="another"))
    with pytest.raises(PromptFileError, match="length 64"):
        ProbeClassifier(probe, FakeEncoder(dimensions=32))


def test_missing_truncated_foreign_and_newer_files(path: Path, probe: Probe, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        load_probe(tmp_path / "nothing.safetensors")
    assert not is_probe(tmp_path / "nothing.safetensors")
    with pytest.raises(PromptFileError, match="no soft prompt"):
        load_prompt(path)
    save_probe(replace(probe, weights=np.full((3, 64), np.nan, np.float32)), path)
    with pytest.raises(PromptFileError, match="not numbers"):
        load_probe(path)
    save_probe(replace(probe, bias=np.zeros(2, np.float32)), path)
    with pytest.raises(PromptFileError, match="do not fit"):
        load_probe(path)
    tensors = {"weights": torch.zeros(3, 64), "bias": torch.zeros(3)}
    save_file(tensors, path, metadata={KEY: json.dumps(_document(probe) | {"format": 99})})
    with pytest.raises(PromptFileError, match="Update MetaPT"):
        load_probe(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PromptFileError, match="damaged"):
        load_probe(path)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["format", "classes", "encoder", "identity", "metrics", "training"]), value=_json)
def test_no_description_raises_anything_but_our_errors(probe: Probe, tmp_path: Path, key: str, value: object) -> None:
    tensors = {"weights": torch.zeros(3, 64), "bias": torch.zeros(3)}
    path = tmp_path / "made.safetensors"
    save_file(tensors, path, metadata={KEY: json.dumps(_document(probe) | {key: value})})
    with contextlib.suppress(MetaPTError):
        save_probe(load_probe(path), tmp_path / "again.safetensors")
