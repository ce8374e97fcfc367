"""Pseudo-labels: calibration, selection, both annotators, and what is left to audit."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from made_corpora import corpus_of
from second_device import second_device

from engine.annotation import roberta
from engine.annotation.annotators import EmbeddedTexts, SentenceBertAnnotator
from engine.annotation.calibration import fit_temperature, probabilities, reliability
from engine.annotation.selection import select
from engine.annotation.stage import _split, annotate
from engine.corpus.store import Corpus
from engine.errors import BackboneError, DataError, SettingsError
from engine.events import Finished, Metric, Notice
from engine.settings import AnnotateSettings
from engine.stage import StopToken, result_of
from engine.storage import read_json

WORDS = {"bad": ["cold", "rude", "broken", "awful", "slow"], "good": ["warm", "kind", "lovely", "fresh", "superb"]}
AXES = [*WORDS["bad"], *WORDS["good"], "minister", "treaty", "=x"]


class WordEncoder:
    """Counts known words; rows of length one."""

    name, identity, dimensions, batch_size = "words", "words-1", len(AXES) + 1, 16

    def encode(self, texts):
        vectors = np.array([[*(text.split().count(word) for word in AXES), 0.1] for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def labelled(tmp_path) -> Corpus:
    random = np.random.default_rng(0)
    names = ["bad", "good"] * 60
    texts = [" ".join(random.choice(WORDS[name], 3)) + f" {i}" for i, name in enumerate(names)]
    return corpus_of(tmp_path / "labelled", texts, names, ("bad", "good"))


@pytest.fixture
def unlabelled(tmp_path, labelled) -> Corpus:
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(WORDS["bad"], 4)) + f" u{i}" for i in range(40)]
    texts += [" ".join(random.choice(WORDS["good"], 4)) + f" u{i}" for i in range(20)]
    texts += [f"the minister signed the treaty {i}" for i in range(10)]
    texts += ["cold warm", "rude kind", *labelled.texts[:5], "=x warm kind lovely"]
    return corpus_of(tmp_path / "unlabelled", texts, [None] * len(texts), ())


def run(labelled, unlabelled, folder, stop: StopToken | None = None, **settings) -> list:
    options = AnnotateSettings(**({"confidence": 0.6, "held_out_share": 0.25} | settings))
    return list(
        annotate(
            labelled,
            unlabelled,
            folder,
            options,
            encoder=WordEncoder(),
            cache=folder.parent / "cache",
            stop=stop or StopToken(),
        )
    )


# Calibration ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found_again(temperature):
    random = np.random.default_rng(0)
    true = random.normal(0, 2, (20_000, 3))
    chances = probabilities(true, 1.0)
    labels = np.array([random.choice(3, p=row / row.sum()) for row in chances.astype(np.float64)])
    assert fit_temperature(true * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_reliability_by_hand():
    bins = reliability(np.array([0.95, 0.97, 0.5]), np.array([True, False, True]))
    assert [(row["rows"], row["accuracy"]) for row in bins] == [(1, 1.0), (2, 0.5)]
    assert bins[1]["confidence"] == pytest.approx(0.96)


# Selection ------------------------------------------------------------------------------------------------------------


def choose(predicted, certain, domain=None, known=None, **settings):
    n = len(predicted)
    return select(
        np.array(predicted),
        np.array(certain),
        np.ones(n) if domain is None else np.array(domain),
        np.zeros(n, bool) if known is None else np.array(known),
        ("a", "b"),
        AnnotateSettings(**settings),
        domain_threshold=0.5,
    )


def test_thresholds_per_class_domain_and_known_texts():
    chosen = choose(
        [0, 0, 1, 1, 1, 1],
        [0.95, 0.85, 0.85, 0.65, 0.99, 0.99],
        domain=[1, 1, 1, 1, 0.2, 1],
        known=[False] * 5 + [True],
        confidence=0.9,
        class_confidence={"b": 0.7},
        balance=False,
    )
    assert chosen.rows.tolist() == [0, 2]
    assert chosen.dropped["not confident"] == {"a": 1, "b": 1}
    assert chosen.dropped["out of domain"] == {"a": 0, "b": 1}
    assert chosen.dropped["already labelled"] == {"a": 0, "b": 1}


def test_balancing_keeps_the_most_confident():
    chosen = choose([0, 0, 0, 1], [0.91, 0.99, 0.95, 0.92])
    assert chosen.rows.tolist() == [1, 3]
    assert chosen.dropped["surplus of its class"] == {"a": 2, "b": 0}


def test_a_maximum_of_rows_is_shared_fairly():
    chosen = choose([0] * 8 + [1] * 2, [0.95] * 10, balance=False, maximum_rows=6)
    assert np.bincount(np.array([0] * 8 + [1] * 2)[chosen.rows]).tolist() == [4, 2]


# The stage ------------------------------------------------------------------------------------------------------------


def test_what_is_kept_and_what_is_dropped(labelled, unlabelled, tmp_path):
    events = run(labelled, unlabelled, tmp_path / "out")
    assert isinstance(events[-1], Finished)
    corpus = Corpus.open(tmp_path / "out")
    assert corpus.classes == ("bad", "good")
    assert corpus.words == labelled.words
    for text, label in zip(corpus.texts, corpus.labels, strict=True):
        words = set(text.split())
        assert not words & {"minister", "treaty"}, "text that is unlike the labelled ones is left out"
        assert words & set(WORDS[corpus.classes[label]])
    assert np.bincount(corpus.labels).tolist()[0] == np.bincount(corpus.labels).tolist()[1]
    assert not set(corpus.texts) & set(labelled.texts)
    assert (corpus.confidence >= 0.6).all()
    report = read_json(tmp_path / "out" / "annotation.json")
    dropped = sum(count for counts in report["dropped"].values() for count in counts.values())
    assert sum(report["kept"].values()) == corpus.rows == unlabelled.rows - dropped
    assert sum(report["dropped"]["already labelled"].values()) == 5
    assert 10 <= sum(report["dropped"]["out of domain"].values()) <= 0.2 * unlabelled.rows + 1
    assert report["held_out_after"]["accuracy"] == 1
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")
    assert scores.num_rows == unlabelled.rows


def test_the_vectors_of_kept_texts_are_known_afterwards(labelled, unlabelled, tmp_path):
    from engine.embedding.cache import embed

    class Silent(WordEncoder):
        def encode(self, texts):
            raise AssertionError("everything is in the cache")

    run(labelled, unlabelled, tmp_path / "out")
    corpus = Corpus.open(tmp_path / "out")
    vectors = result_of(embed(corpus.texts, Silent(), tmp_path / "cache", stop=StopToken()))
    assert np.array_equal(vectors, WordEncoder().encode(corpus.texts))


def test_the_audit_file_cannot_run_formulas(labelled, unlabelled, tmp_path):
    run(labelled, unlabelled, tmp_path / "out", balance=False, out_of_domain_share=0.0)
    with open(tmp_path / "out" / "audit.csv", newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert "'=x warm kind lovely" in [row["text"] for row in rows]
    for row in rows:
        assert row["text"].lstrip("'") == unlabelled.texts[int(row["row"])]
        assert 0.6 <= float(row["confidence"]) <= 1


def test_nothing_kept_says_why(labelled, tmp_path):
    texts = [labelled.texts[0], *(f"the minister signed the treaty {i}" for i in range(30))]
    news = corpus_of(tmp_path / "news", texts, [None] * 31, ())
    with pytest.raises(DataError, match=r"None of 31 texts is kept: 1 already labelled, 30 not confident"):
        run(labelled, news, tmp_path / "out", confidence=1.0, out_of_domain_share=0.0)
    assert not (tmp_path / "out" / "corpus.parquet").exists()


def test_bad_settings_and_too_few_labels(labelled, unlabelled, tmp_path):
    with pytest.raises(SettingsError, match="no class ugly"):
        run(labelled, unlabelled, tmp_path / "out", class_confidence={"ugly": 0.5})
    one = corpus_of(tmp_path / "one", ["a", "b"], ["bad", "bad"], ("bad",))
    with pytest.raises(DataError, match="at least two classes"):
        run(one, unlabelled, tmp_path / "out")


def test_stop_and_cancel_leave_no_corpus(labelled, unlabelled, tmp_path):
    stop = StopToken()
    stop.request()
    assert run(labelled, unlabelled, tmp_path / "a", stop)[-1].outcome == "stopped"
    stage = annotate(
        labelled,
        unlabelled,
        tmp_path / "b",
        AnnotateSettings(),
        encoder=WordEncoder(),
        cache=tmp_path / "cache",
        stop=StopToken(),
    )
    for _ in range(4):
        next(stage)
    stage.close()
    assert not list(tmp_path.glob("[ab]/corpus.*"))


@pytest.mark.parametrize("counts", [(60, 2, 60), (60, 2), (2, 2)])
def test_every_class_is_learned_however_much_is_held_out(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    for seed in range(10):
        training, held_out = _split(labels, AnnotateSettings(held_out_share=0.85, seed=seed))
        assert sorted(np.concatenate([training, held_out])) == list(range(len(labels)))
        assert set(labels[training]) == set(labels)
        assert len(held_out)


def test_two_classes_have_two_columns_of_logits(labelled):
    texts = EmbeddedTexts(labelled.texts, WordEncoder().encode(labelled.texts))
    annotator = SentenceBertAnnotator()
    assert result_of(annotator.fit(texts, labelled.labels, 2, stop=StopToken()))
    logits = result_of(annotator.logits(texts, stop=StopToken()))
    assert logits.shape == (120, 2)
    assert (logits.argmax(1) == labelled.labels).all()


# RoBERTa --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_roberta(tmp_path_factory) -> Path:
    """A RoBERTa of one layer with a byte-pair tokenizer trained on the words above."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-roberta")
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator([" ".join(AXES)] * 50, vocab_size=400, min_frequency=1, special_tokens=special)
    bpe.save(str(folder / "tokenizer.json"))
    tokenizer = RobertaTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        num_labels=5,
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_tiny_roberta_learns_and_labels(labelled, unlabelled, tmp_path, tiny_roberta, monkeypatch):
    rates, norms, step = [], [], torch.optim.AdamW.step

    def noted(self):
        weights = self.param_groups[0]["params"]
        rates.append(self.param_groups[0]["lr"])
        norms.append(torch.stack([weight.grad.norm() for weight in weights if weight.grad is not None]).norm())
        step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    options = {"annotator": "roberta", "model": str(tiny_roberta), "device": "cpu", "maximum_tokens": 16}
    events = run(labelled, unlabelled, tmp_path / "out", epochs=12, learning_rate=0.005, batch_size=8, **options)
    losses = [event.value for event in events if isinstance(event, Metric) and event.name == "annotator loss"]
    assert len(losses) == 12 * 12  # 90 training rows in batches of 8, 12 epochs
    assert np.argmax(rates) == 14, "a tenth of the steps is warm-up"
    assert (rates[0], rates[14], rates[79]) == pytest.approx((0, 0.005, 0.0025))
    assert max(norms) <= 1.001
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])
    corpus = Corpus.open(tmp_path / "out")
    names = [corpus.classes[label] for label in corpus.labels]
    right = [bool(set(text.split()) & set(WORDS[name])) for text, name in zip(corpus.texts, names, strict=True)]
    assert np.mean(right) > 0.9


def test_fine_tuning_stops_within_a_step(labelled, unlabelled, tmp_path, tiny_roberta):
    stop = StopToken()
    options = AnnotateSettings(annotator="roberta", model=str(tiny_roberta), device="cpu", maximum_tokens=16)
    seen = []
    for event in annotate(
        labelled, unlabelled, tmp_path / "out", options, encoder=WordEncoder(), cache=tmp_path / "cache", stop=stop
    ):
        seen.append(event)
        if isinstance(event, Metric):
            stop.request()
    assert sum(isinstance(event, Metric) for event in seen) == 1
    assert seen[-1].outcome == "stopped"


@pytest.mark.parametrize("after", [1, 17, 24], ids=["first step", "second epoch", "while labelling"])
def test_a_stopped_fine_tuning_goes_on_bit_for_bit(labelled, unlabelled, tmp_path, tiny_roberta, after):
    options = {"annotator": "roberta", "model": str(tiny_roberta), "device": "cpu", "maximum_tokens": 16}
    options |= {"epochs": 2, "learning_rate": 0.005, "batch_size": 8, "confidence": 0.0, "held_out_share": 0.25}
    whole = run(labelled, unlabelled, tmp_path / "whole", **options)
    stop, halves = StopToken(), []
    for each in (stop, StopToken()):
        for event in annotate(
            labelled,
            unlabelled,
            tmp_path / "out",
            AnnotateSettings(**options),
            encoder=WordEncoder(),
            cache=tmp_path / "cache",
            stop=each,
        ):
            halves.append(event)
            if isinstance(event, Metric) and event.step == after:
                stop.request()
        assert (tmp_path / "out" / "checkpoint.safetensors").exists() == (each is stop)
    assert [event for event in halves if isinstance(event, Metric)] == [e for e in whole if isinstance(e, Metric)]
    scores = [pq.read_table(tmp_path / name / "scores.parquet") for name in ("whole", "out")]
    assert scores[0].equals(scores[1])


def test_a_second_device_learns_the_same(labelled, unlabelled, tmp_path, tiny_roberta):
    """As a GPU would, and a stopped fine-tuning is gone on with there."""
    options = {"annotator": "roberta", "model": str(tiny_roberta), "maximum_tokens": 16, "batch_size": 8}
    options |= {"epochs": 1, "confidence": 0.1}
    stop, whole, losses = StopToken(), run(labelled, unlabelled, tmp_path / "here", device="cpu", **options), []
    with second_device(roberta):
        for _ in range(2):
            for event in annotate(
                labelled,
                unlabelled,
                tmp_path / "there",
                AnnotateSettings(held_out_share=0.25, **options),
                encoder=WordEncoder(),
                cache=tmp_path / "cache",
                stop=stop,
            ):
                if isinstance(event, Metric) and event.name == "annotator loss":
                    losses.append(event.value)
                    if len(losses) == 3:
                        stop.request()
            stop = StopToken()
    expected = [event.value for event in whole if isinstance(event, Metric) and event.name == "annotator loss"]
    assert losses == pytest.approx(expected, rel=0.02)  # dropout draws other numbers
    assert event.outcome == "completed"


def test_a_hub_name_offline_is_a_sentence(labelled, unlabelled, tmp_path):
    with pytest.raises(BackboneError, match="network is switched off"):
        run(labelled, unlabelled, tmp_path / "out", annotator="roberta", model="FacebookAI/roberta-base", device="cpu")


def test_a_folder_that_is_no_model_is_a_sentence(labelled, unlabelled, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackboneError, match="annotator cannot be loaded"):
        run(labelled, unlabelled, tmp_path / "out", annotator="roberta", model=str(tmp_path / "empty"), device="cpu")


def test_what_does_not_fit_into_memory_is_taken_in_parts_with_the_same_gradient(
    labelled, tiny_roberta, monkeypatch, tmp_path
):

    from engine.annotation.roberta import RobertaAnnotator

    texts = EmbeddedTexts(labelled.texts[:7], WordEncoder().encode(labelled.texts[:7]))
    labels = labelled.labels[:7]
    options = AnnotateSettings(annotator="roberta", model=str(tiny_roberta), device="cpu", maximum_tokens=16, epochs=1)
    annotator = RobertaAnnotator(options, tmp_path)
    result_of(annotator._load(5))
    annotator._model.eval()  # no dropout

    def gradient(at_a_time: int) -> torch.Tensor:
        annotator._backward(texts.texts, torch.from_numpy(labels), at_a_time)
        return torch.cat([weight.grad.flatten() for weight in annotator._model.parameters() if weight.grad is not None])

    assert torch.allclose(gradient(3), gradient(7), atol=1e-6)
    logits = result_of(annotator.logits(texts, stop=StopToken()))
    scores = RobertaAnnotator._scores

    def limited(self: RobertaAnnotator, texts: list[str]) -> torch.Tensor:
        if len(texts) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return scores(self, texts)

    monkeypatch.setattr(RobertaAnnotator, "_scores", limited)
    assert np.allclose(result_of(annotator.logits(texts, stop=StopToken())), logits, atol=1e-5)
    warnings = [event.text for event in annotator.fit(texts, labels, 5, stop=StopToken()) if isinstance(event, Notice)]
    assert warnings[-1] == "The memory was exhausted; 2 texts are taken at a time from now on."
