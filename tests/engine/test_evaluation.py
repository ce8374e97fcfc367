"""Metrics against hand-computed cases, the linear probes, and the table."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from made_corpora import corpus_of
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from engine.command_line.tables import comparison_table
from engine.corpus.drawing import Draw
from engine.evaluation.bins import bin_of
from engine.evaluation.linear_probe import Fit, linear_probe, probe_target, source_classes_on_target
from engine.evaluation.metrics import evaluate, expected_calibration_error, summarise
from engine.evaluation.probe_file import Probe, load_probe
from engine.evaluation.results import RunResults, better_probe
from engine.events import Notice
from engine.running.pipeline import merged_summaries
from engine.stage import StopToken
from engine.storage import read_json

# six rows, three classes: predictions 0 0 1 2 2 2, truth 0 1 1 2 2 0
CHANCES = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9], [0.1, 0.3, 0.6], [0.4, 0.1, 0.5]]
)
TRUTH = np.array([0, 1, 1, 2, 2, 0])


def test_figures_by_hand():
    found = evaluate(CHANCES, TRUTH, ("a", "b", "c"))
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion == [[1, 0, 1], [1, 1, 0], [0, 0, 2]]
    assert (found.per_class["a"].precision, found.per_class["a"].recall) == (0.5, 0.5)
    assert (found.per_class["b"].precision, found.per_class["b"].recall) == (1.0, 0.5)
    assert found.per_class["c"].precision == pytest.approx(2 / 3)
    assert [figures.support for figures in found.per_class.values()] == [2, 2, 2]
    f1 = [0.5, 2 / 3, 0.8]
    assert found.macro_f1 == pytest.approx(np.mean(f1))
    assert found.majority_accuracy == pytest.approx(2 / 6)
    assert found.largest_predicted_share == pytest.approx(0.5)
    # Confidences 0.8, 0.7, 0.9 and right, 0.5 and wrong, and 0.6 twice, once right, each in a bin of its own.
    assert found.expected_calibration_error == pytest.approx((0.2 + 0.3 + 0.1 + 0.5 + 2 * 0.1) / 6)


def test_a_class_that_is_never_predicted_counts_as_zero():
    found = evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]), ("a", "b"))
    assert found.macro_f1 == pytest.approx((2 / 3 + 0) / 2)
    assert found.largest_predicted_share == 1


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.96, 0.55, 0.2])
    correct = np.array([True, False, True, False])
    expected = 0.5 * abs(0.5 - 0.955) + 0.25 * abs(1 - 0.55) + 0.25 * abs(0 - 0.2)
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_bins_are_fifteen_and_a_border_belongs_to_the_lower_one():
    assert bin_of(np.array([0, 0.2, 0.2 + 1e-9, 0.4, 0.99, 1])).tolist() == [0, 2, 3, 5, 14, 14]


def test_mean_and_sample_deviation_over_seeds():
    runs = [evaluate(np.eye(2)[[0, 0, 0, first]], np.array([0, 0, 0, 1]), ("a", "b")) for first in (0, 1)]
    summary = summarise(runs)
    assert summary["accuracy_mean"] == pytest.approx(0.875)
    assert summary["accuracy_std"] == pytest.approx(np.std([0.75, 1.0], ddof=1))
    assert summary["largest_predicted_share_max"] == 1
    assert summarise(runs[:1])["accuracy_std"] is None
    even = evaluate(np.eye(2)[[0, 1]], np.array([0, 1]), ("a", "b"))
    assert summarise([runs[0], even])["majority_accuracy"] == pytest.approx((0.75 + 0.5) / 2)


@pytest.mark.parametrize(
    ("accuracies", "better"),
    [
        ({"PT": 0.3, "Sentence-BERT probe": 0.9}, "Sentence-BERT probe"),
        ({"PT": 0.3, "Sentence-BERT probe": 0.8, "Sentence-BERT probe + source": 0.9}, "Sentence-BERT probe + source"),
        ({"PT": 0.3, "backbone alone": 0.9, "Sentence-BERT probe": 0.8}, ""),
        ({"PT": 0.9, "Sentence-BERT probe": 0.9}, ""),
        ({"Sentence-BERT probe": 0.9}, ""),
        ({}, ""),
    ],
)
def test_a_probe_is_named_where_it_is_better_than_what_is_kept(accuracies, better):
    summary = {name: {"accuracy_mean": accuracy} for name, accuracy in accuracies.items()}
    assert better_probe("PT seed 1", summary) == better


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 classes"):
        evaluate(np.zeros((3, 3)), np.zeros(3, int), ("a", "b"))


def test_the_table_shows_figures_in_per_cent():
    summary = {
        "MetaPT": summarise([evaluate(CHANCES, TRUTH, "abc")] * 2),
        "PT": summarise([evaluate(CHANCES, TRUTH, "abc")]),
    }
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(comparison_table(summary))
    shown = console.export_text()
    assert [figure in shown for figure in ("66.7 ± 0.0 %", "66.7 % ", "33.3 %")] == [True, True, True]


# Linear probes --------------------------------------------------------------------------------------------------------


def answers(fit: Fit, vectors: np.ndarray) -> np.ndarray:
    """Return the probabilities that a fit gives."""
    classes = tuple(str(number) for number in range(len(fit.bias)))
    return Probe(fit.weights, fit.bias, classes, "", "").probabilities(vectors)


@pytest.mark.parametrize("labels", [[0, 1] * 10, [0, 1, 2, 2] * 5, [0, 2] * 10])
def test_a_probe_answers_as_the_regression_that_it_was_made_from(labels):
    """The numbers are taken out of scikit-learn's model, which keeps two classes otherwise than three."""
    random = np.random.default_rng(0)
    vectors = np.eye(5)[labels] + random.normal(size=(20, 5))
    plain = LogisticRegression(max_iter=1000, C=1.0).fit(vectors, labels)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("engine.evaluation.linear_probe.STRENGTHS", (1.0,))
        found = answers(linear_probe(vectors, np.array(labels), 3, seed=0), vectors)
    assert np.allclose(found[:, plain.classes_], plain.predict_proba(vectors), atol=1e-5)
    assert np.allclose(found.sum(1), 1)


def test_a_probe_separates_what_can_be_separated():
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    vectors = np.eye(5)[labels] + 0.05 * random.normal(size=(60, 5))
    chances = answers(linear_probe(vectors[:30], labels[:30], 3, seed=0), vectors[30:])
    assert (chances.argmax(1) == labels[30:]).all()


def test_the_strength_of_a_probe_is_the_likeliest_in_cross_validation():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    vectors = np.eye(6)[labels] + random.normal(scale=3, size=(40, 6))
    split = StratifiedKFold(5, shuffle=True, random_state=1)
    scores = {
        strength: cross_val_score(
            LogisticRegression(max_iter=1000, C=strength), vectors, labels, cv=split, scoring="neg_log_loss"
        ).mean()
        for strength in (0.01, 0.1, 1.0, 10.0, 100.0)
    }
    best = max(scores, key=lambda strength: scores[strength])
    assert best != 1.0, "it is not the usual one"
    found = linear_probe(vectors, labels, 2, seed=1)
    assert found.score == pytest.approx(scores[best])
    expected = LogisticRegression(max_iter=1000, C=best).fit(vectors, labels)
    assert np.allclose(found.weights[1], expected.coef_[0], atol=1e-5)


@pytest.mark.parametrize("labels", [[0, 0, 2, 2, 2], [0, 2, 2, 2, 2], [2, 2, 2, 2, 2]])
def test_few_and_absent_classes(labels):
    vectors = np.eye(5)[labels]
    chances = answers(linear_probe(vectors, np.array(labels), 3, seed=0), vectors)
    assert chances.shape == (5, 3)
    assert (chances[:, 1] == 0).all(), "a class without training rows gets probability 0"
    assert np.allclose(chances.sum(1), 1)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("12345", "01", [0, 0, -1, 1, 1]),
        ("12345", "abc", [0, 0, 1, 2, 2]),
        ("123", "12", [0, -1, 1]),
        ("12", "ab", [0, 1]),
        ("01", "12345", [1, 3]),
        (["bad", "good", "so-so"], ["good", "so-so", "bad"], [2, 0, 1]),
        (["bad", "good", "so-so"], ["good", "bad"], [1, 0, -1]),
        ("12345", "15", [0, 0, -1, 1, 1]),
        (["account", "hardware", "shipping"], ["billing", "delivery", "login"], [-1, -1, -1]),
        (["billing", "shipping"], ["billing", "login"], [-1, -1]),
    ],
)
def test_classes_are_mapped_by_name_and_ratings_by_their_place_on_the_scale(source, target, expected):
    assert source_classes_on_target(source, target).tolist() == expected


@pytest.mark.parametrize(("more", "advice"), [(0, "label more"), (3, "set some of 3 others aside as test rows")])
def test_without_rows_to_test_on_a_probe_of_the_training_rows_is_validated(tmp_path, more, advice):
    texts = ["cold soup", "warm soup", "cold bread", "warm bread", *["a", "b", "c"][:more], "d"]
    draws = [(0, Draw(np.array([0, 1]), np.array([2, 3]))), (1, Draw(np.array([1, 0]), np.array([3, 2])))]
    options = {"source": None, "encoder": FakeEncoder(), "cache": tmp_path / "cache", "stop": StopToken()}
    labels, none = np.array([0, 1, 0, 1, *[1] * more, -1]), np.empty(0, np.int64)
    events = list(probe_target(texts, labels, ("bad", "good"), draws, none, tmp_path / "out", **options))
    (told,) = [event.text for event in events if isinstance(event, Notice)]
    assert "the figures are of probes that learned from the training texts alone, on the validation texts" in told
    assert advice in told
    assert merged_summaries([tmp_path / "out"]) == {}, "nothing was tested"
    found = RunResults.open(tmp_path / "out")
    assert found.measured_on == "validation"
    assert found.validation_summary["Sentence-BERT probe"]["seeds"] == 2
    assert found.validation_summary["Sentence-BERT probe"]["accuracy_mean"] == 1
    kept = load_probe(tmp_path / "out" / "probe.safetensors")
    assert kept.training["rows"] == 4, "the probe that is used has learned from all of the draw"


def test_without_validation_rows_a_probe_is_left_out_and_said_so(tmp_path):
    draws = [(0, Draw(np.array([0, 1]), np.empty(0, np.int64)))]
    options = {"source": None, "encoder": FakeEncoder(), "cache": tmp_path / "cache", "stop": StopToken()}
    labels, none = np.array([0, 1]), np.empty(0, np.int64)
    events = list(probe_target(["a", "b"], labels, ("bad", "good"), draws, none, tmp_path / "out", **options))
    (told,) = [event.text for event in events if isinstance(event, Notice)]
    assert "how good the probe is cannot be measured" in told
    assert RunResults.open(tmp_path / "out").validation_summary == {}


def test_a_source_of_other_topics_teaches_no_probe(tmp_path):
    """Its classes have no order: the first of one list is not the first of the other."""
    source = corpus_of(tmp_path / "source", ["a parcel", "a card"], ["shipping", "payment"], ["payment", "shipping"])
    draws = [(0, Draw(np.array([0, 1]), np.empty(0, np.int64)))]
    options = {"encoder": FakeEncoder(), "cache": tmp_path / "cache", "stop": StopToken()}
    events = list(
        probe_target(
            ["my parcel", "my card", "a parcel"],
            np.array([1, 0, 1]),
            ("billing", "delivery"),
            draws,
            np.array([2]),
            tmp_path / "out",
            source=source,
            **options,
        )
    )
    (told,) = [event.text for event in events if isinstance(event, Notice)]
    assert "its classes (payment, shipping) are not those of the task (billing, delivery)" in told
    assert list(RunResults.open(tmp_path / "out").summary) == ["Sentence-BERT probe"]


def test_the_source_helps_a_probe_that_has_seen_little(tmp_path):
    words = [["cold", "rude"], ["warm", "kind"]]
    random = np.random.default_rng(0)
    labels = np.arange(80) % 2
    texts = [" ".join([words[label][i % 2], *random.choice(["a", "b", "c", "d"], 3)]) for i, label in enumerate(labels)]
    stars = np.array([0, 4])[labels]
    source = corpus_of(tmp_path / "source", texts, [str(star) for star in stars], "01234")
    draws = [(seed, Draw(np.array([seed, seed + 2]), np.array([seed + 1, seed + 3]))) for seed in range(2)]
    events = list(
        probe_target(
            texts,
            labels,
            ("bad", "good"),
            draws,
            np.arange(20, 80),
            tmp_path / "out",
            source=source,
            encoder=FakeEncoder(),
            cache=tmp_path / "cache",
            stop=StopToken(),
        )
    )
    summary = read_json(tmp_path / "out" / "results.json")["summary"]
    assert events[-1].summary["summary"] == summary
    assert summary["Sentence-BERT probe + source"]["accuracy_mean"] == 1
    assert summary["Sentence-BERT probe"]["accuracy_mean"] < 1
    (told,) = [event.text for event in events if isinstance(event, Notice)]
    assert told.endswith("takes its classes by their order: 0 as bad, 1 as bad, 3 as good, 4 as good.")
    assert summary["Sentence-BERT probe"]["seeds"] == 2


def test_a_class_that_does_not_occur_has_no_part_in_the_mean():
    found = evaluate(np.eye(3)[[0, 1, 1]], np.array([0, 1, 1]), ("a", "b", "c"))
    assert found.macro_f1 == 1
    assert found.per_class["c"].f1 == 0
    taken_for_it = evaluate(np.eye(3)[[0, 1, 2]], np.array([0, 1, 1]), ("a", "b", "c"))
    assert taken_for_it.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
