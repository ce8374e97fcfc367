"""Grouping, layout and description of texts, each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from made_corpora import corpus_of
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from themed_corpus import CLASSES, events_of, metrics, themed_texts

from engine.clustering import describe, grouping, projection
from engine.clustering.describe import label_nmi, silhouette
from engine.clustering.sample import drawn_rows
from engine.clustering.stage import Clustering
from engine.errors import DataError
from engine.events import Notice, Points, Progress
from engine.settings import ClusterSettings
from engine.stage import StopToken, result_of

# K-means -------------------------------------------------------------------------------------------------------------


def blobs(rows: int, clusters: int, dimensions: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    which = generator.integers(0, clusters, rows)
    centres = 10 * generator.normal(size=(clusters, dimensions))
    return (centres[which] + generator.normal(size=(rows, dimensions))).astype(np.float32), which


def test_kmeans_recovers_separated_blobs():
    vectors, which = blobs(600, 4)
    found = result_of(grouping.kmeans(vectors, 4, seed=0, stop=StopToken()))
    assert found.dtype == np.int16
    assert adjusted_rand_score(which, found) == 1


def test_kmeans_in_slices_is_kmeans():
    vectors = np.random.default_rng(0).normal(size=(800, 6)).astype(np.float32)
    first, _ = grouping.kmeans_plusplus(vectors, 7, random_state=3)
    whole = KMeans(7, init=first, n_init=1, max_iter=300).fit(vectors)
    assert whole.n_iter_ > grouping._KMEANS_SLICE  # several slices are needed
    found = result_of(grouping.kmeans(vectors, 7, seed=3, stop=StopToken()))
    np.testing.assert_array_equal(found, whole.labels_)


def test_kmeans_inertia_never_rises():
    vectors = np.random.default_rng(0).normal(size=(800, 6)).astype(np.float32)
    events = list(grouping.kmeans(vectors, 7, seed=3, stop=StopToken()))
    values = list(metrics(events, "inertia", "K=7").values())
    assert len(values) > 1
    assert values == sorted(values, reverse=True)


def test_kmeans_assigns_rows_it_did_not_learn_from(monkeypatch):
    monkeypatch.setattr(grouping, "FIT_ROWS", 100)
    monkeypatch.setattr(grouping, "_ASSIGN_ROWS", 64)
    vectors, which = blobs(500, 3)
    found = result_of(grouping.kmeans(vectors, 3, seed=0, stop=StopToken()))
    assert adjusted_rand_score(which, found) == 1


def test_rows_that_are_drawn_come_from_everywhere_once_and_in_order():
    drawn = [drawn_rows(1000, 100, seed) for seed in (0, 1)]
    for rows in drawn:
        assert (np.diff(rows) > 0).all()
        assert 30 < (rows < 500).sum() < 70
    assert not np.array_equal(*drawn)
    assert drawn_rows(5, 5, 0).tolist() == [0, 1, 2, 3, 4]


def test_kmeans_of_equal_texts_drops_empty_groups(tmp_path):
    corpus = corpus_of(tmp_path / "same", ["one thing", "another matter"] * 10, [None] * 20, CLASSES)
    events = events_of(corpus, tmp_path, clusters=5)
    assert any(isinstance(event, Notice) and "3 of 5 groups" in event.text for event in events)
    found = Clustering.open(tmp_path / "run")
    assert [item.size for item in found.clusters] == [10, 10]
    np.testing.assert_array_equal(found.assignment[::2], found.assignment[0])
    assert np.isfinite(found.projection).all()


# LDA, random, label --------------------------------------------------------------------------------------------------


def test_lda_separates_two_vocabularies():
    texts = [text for text, theme in zip(*themed_texts(300), strict=True) if theme < 2]
    found = result_of(grouping.lda(texts, 2, passes=5, seed=0, stop=StopToken()))
    assert found.dtype == np.int16
    assert adjusted_rand_score(np.arange(len(texts)) % 2, found) == 1


def test_lda_puts_texts_without_a_known_word_into_the_largest_topic():
    texts = [text for text, theme in zip(*themed_texts(300), strict=True) if theme < 2]
    texts = [*texts, *texts[1::2][:60], "the of and", "", "42 !!"]
    found = result_of(grouping.lda(texts, 2, passes=5, seed=0, stop=StopToken()))
    assert (found[-3:] == found[1]).all()


def test_lda_chunk_by_chunk_is_gensims_own_training(monkeypatch):
    from gensim.corpora import Dictionary
    from gensim.models import LdaModel

    monkeypatch.setattr(grouping, "_LDA_ROWS", 50)
    texts, _ = themed_texts(170)
    kept: list[LdaModel] = []
    inference = LdaModel.inference
    monkeypatch.setattr(
        LdaModel, "inference", lambda self, *given, **more: kept.append(self) or inference(self, *given, **more)
    )
    result_of(grouping.lda(texts, 3, passes=3, seed=5, stop=StopToken()))

    order = np.arange(170)
    np.random.default_rng(5).shuffle(order)
    words = [texts[row].split()[1:] for row in order]
    dictionary = Dictionary(words)
    own = LdaModel(
        [dictionary.doc2bow(text) for text in words],
        id2word=dictionary,
        num_topics=3,
        passes=3,
        chunksize=50,
        eval_every=None,
        random_state=5,
    )
    np.testing.assert_allclose(kept[0].get_topics(), own.get_topics(), rtol=1e-5)


def test_lda_without_common_words_is_a_sentence():
    with pytest.raises(DataError, match="no word occurs in several texts"):
        result_of(grouping.lda(["alpha", "beta", "gamma", "delta"], 2, passes=1, seed=0, stop=StopToken()))


def test_random_is_balanced_and_seeded():
    found = grouping.random(103, 10, seed=1)
    assert set(np.bincount(found)) == {10, 11}
    np.testing.assert_array_equal(found, grouping.random(103, 10, seed=1))
    assert (found != grouping.random(103, 10, seed=2)).any()
    assert (np.diff(found) != 0).mean() > 0.5  # not in blocks


def test_label_with_k_above_the_classes_splits_within_classes_only():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    found = grouping.label(labels, ("a", "b", "c"), 10, seed=0)
    assert all(len(np.unique(labels[found == number])) == 1 for number in range(10))
    sizes = np.bincount(found)
    assert (len(sizes), sizes.min(), sizes.max()) == (10, 10, 10)
    assert (np.diff(found[:60]) != 0).any()  # at random, not in blocks
    np.testing.assert_array_equal(found, grouping.label(labels, ("a", "b", "c"), 10, seed=0))
    assert (found != grouping.label(labels, ("a", "b", "c"), 10, seed=1)).any()


def test_label_with_one_group_a_class():
    np.testing.assert_array_equal(grouping.label(np.array([2, 0, 2, -1]), ("a", "b", "c"), 2, seed=0), [1, 0, 1, -1])


def test_label_never_gives_a_class_more_groups_than_rows():
    found = grouping.label(np.array([0, 1, 1, 1]), ("a", "b"), 4, seed=0)
    assert sorted(found) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "clusters", "sentence"),
    [
        ([-1, -1, -1], 2, "None of the texts has a label"),
        ([0, 1, 2, 2], 2, r"3 classes \(a, b, c\) cannot be put into 2 groups.*Choose 3 groups or more"),
        ([0, 1, -1, -1], 3, "2 labelled texts for 3 groups"),
    ],
)
def test_label_that_cannot_be_done_is_a_sentence(labels, clusters, sentence):
    with pytest.raises(DataError, match=sentence):
        grouping.label(np.array(labels), ("a", "b", "c"), clusters, seed=0)


# Layout --------------------------------------------------------------------------------------------------------------


def settings(**values) -> ClusterSettings:
    return ClusterSettings(**({"tsne_iterations": 80} | values))


def test_first_picture_comes_while_rows_are_embedded(monkeypatch):
    monkeypatch.setattr(projection, "FIRST_ROWS", 50)
    vectors, _ = blobs(120, 3)
    picture = projection.FirstPicture(120)
    shown = [
        [int(row) for event in picture(part, vectors[part]) for row in event.rows]
        for part in np.split(np.arange(120), 6)
    ]
    assert [len(rows) for rows in shown] == [0, 0, 60, 20, 20, 20]
    assert [row for rows in shown for row in rows] == list(range(120))


def test_first_two_components_are_the_pca_picture():
    vectors, which = blobs(300, 3)
    part = projection.principal_components(vectors, which.astype(np.int16), settings(projection_rows=100))
    points: list[Points] = []
    while True:
        try:
            event = next(part)
        except StopIteration as end:
            reduced = end.value
            break
        points += [event] if isinstance(event, Points) else []
    np.testing.assert_array_equal(np.concatenate([event.positions for event in points]), reduced[:, :2])
    np.testing.assert_array_equal(np.concatenate([event.clusters for event in points]), which)
    assert not points[0].positions.flags.writeable
    assert reduced[:, 0].var() > reduced[:, 1].var()


def run_tsne(reduced: np.ndarray, which: np.ndarray, chosen: ClusterSettings, stop: StopToken | None = None):
    part = projection.tsne(reduced, which.astype(np.int16), chosen, stop=stop or StopToken())
    events = []
    while True:
        try:
            events.append(next(part))
        except StopIteration as end:
            return end.value, events


def nearest_is_of_the_same_group(positions: np.ndarray, which: np.ndarray) -> float:
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((which[distances.argmin(1)] == which).mean())


def test_tsne_keeps_groups_together_and_its_divergence_falls():
    vectors, which = blobs(240, 4)
    positions, events = run_tsne(vectors, which, settings(tsne_iterations=200))
    assert (positions.shape, positions.dtype) == ((240, 2), np.float32)
    assert nearest_is_of_the_same_group(positions, which) == 1
    divergence = metrics(events, "kl_divergence")
    assert max(divergence) == 200
    assert divergence[200] < divergence[min(divergence)]
    np.testing.assert_array_equal([event for event in events if isinstance(event, Points)][-1].positions, positions)


def test_tsne_does_not_depend_on_its_slices(monkeypatch):
    vectors, which = blobs(150, 3)
    whole, _ = run_tsne(vectors, which, settings())
    monkeypatch.setattr(projection, "_SLICE_ITERATIONS", 3)
    sliced, events = run_tsne(vectors, which, settings())
    np.testing.assert_array_equal(sliced, whole)
    steps = sorted(metrics(events, "kl_divergence"))
    assert max(np.diff(steps)) <= 3


def test_rows_beyond_the_limit_are_placed_among_the_others(monkeypatch):
    monkeypatch.setattr(projection, "_PLACED_ROWS", 40)
    vectors, which = blobs(200, 4)
    positions, events = run_tsne(vectors, which, settings(projection_rows=80, perplexity=10, tsne_iterations=150))
    assert nearest_is_of_the_same_group(positions, which) > 0.95
    points = [event for event in events if isinstance(event, Points)]
    drawn = points[0].rows
    assert len(drawn) == 80
    placed = [event.rows for event in points if not np.array_equal(event.rows, drawn)]
    assert [len(rows) for rows in placed] == [40, 40, 40]
    assert sorted(np.concatenate([drawn, *placed])) == list(range(200))
    for event in points[-3:]:
        np.testing.assert_array_equal(event.positions, positions[event.rows])


def test_stopped_placing_has_no_positions_for_all():
    vectors, which = blobs(200, 4)
    stop = StopToken()
    part = projection.tsne(vectors, which.astype(np.int16), settings(projection_rows=80), stop=stop)
    result: object = "running"
    while result == "running":
        try:
            event = next(part)
            if isinstance(event, Progress) and event.message.startswith("Placing"):
                stop.request()
        except StopIteration as end:
            result = end.value
    assert result is None


def test_three_texts_are_laid_out_too():
    vectors = np.eye(3, dtype=np.float32)
    positions, events = run_tsne(vectors, np.arange(3), settings())
    np.testing.assert_array_equal(positions, vectors[:, :2])
    assert events == []


# Descriptions --------------------------------------------------------------------------------------------------------


def test_descriptions_of_a_toy_corpus():
    texts = ["the soup was cold", "cold soup", "soup again", "my battery died", "battery and screen", "screen, battery"]
    labels = np.array([0, 0, 1, 1, -1, 1])
    vectors = np.array([[1, 0], [1, 0.1], [1, -0.3], [0, 1], [0.1, 1], [-0.2, 1]], np.float32)
    assignment = np.array([0, 0, 0, 1, 1, 1], np.int16)
    first, second = result_of(describe.describe(texts, labels, CLASSES, assignment, vectors, seed=0))
    assert (first.size, second.size) == (3, 3)
    assert (first.labels, second.labels) == ({"bad": 2, "good": 1}, {"bad": 0, "good": 2})
    assert (first.terms, second.terms) == (("soup", "cold"), ("battery", "screen"))
    assert (first.name, second.name) == ("soup, cold", "battery, screen")
    assert first.central_rows == (0, 1, 2)  # the mean points to (3, -0.2)
    assert second.central_rows == (3, 4, 5)  # to (-0.1, 3)


def test_words_of_all_groups_tell_nothing():
    texts = [f"good {word}" for word in ["soup"] * 5 + ["screen"] * 5]
    described = result_of(
        describe.describe(texts, np.full(10, -1), (), np.repeat([0, 1], 5).astype(np.int16), None, seed=0)
    )
    assert [item.terms[0] for item in described] == ["soup", "screen"]
    assert [item.central_rows for item in described] == [(), ()]


def test_a_term_counts_by_its_share_in_the_group_and_by_how_much_it_sets_it_apart():
    """`menu` is in 9 of 10 texts here and 3 of 10 there, `oyster` in 2 only here; `food` as often in both."""
    here = [f"food {'menu' * (row < 9)} {'oyster' * (row < 2)}" for row in range(10)]
    there = [f"food {'menu' * (row < 9)} {'screen' * (row < 5)}" for row in range(30)]
    assignment = np.repeat([0, 1], [10, 30]).astype(np.int16)
    first, second = result_of(describe.describe(here + there, np.full(40, -1), (), assignment, None, seed=0))
    assert first.terms == ("menu", "oyster", "food")
    assert second.terms == ("screen", "food")


def test_group_without_terms_has_a_name():
    (only,) = result_of(describe.describe(["a", "of"], np.array([0, 1]), CLASSES, np.zeros(2, np.int16), None, seed=0))
    assert (only.name, only.terms) == ("Group 1", ())


def test_contractions_are_no_terms():
    texts = ["I don't think they've come, we'll wait"] * 3
    (only,) = result_of(describe.describe(texts, np.full(3, -1), (), np.zeros(3, np.int16), None, seed=0))
    assert set(only.terms) == {"think", "come", "wait"}


def test_silhouette_tells_separated_groups_from_random_ones():
    vectors, which = blobs(400, 3)
    assert silhouette(vectors, which.astype(np.int16), seed=0) > 0.7
    assert abs(silhouette(vectors, grouping.random(400, 3, seed=0), seed=0)) < 0.1
    assert silhouette(vectors, np.zeros(400, np.int16), seed=0) is None


def test_the_silhouette_looks_at_directions_and_not_at_lengths():
    vectors = np.array([[1, 0], [9, 0], [0, 1], [0, 9]], np.float32)
    assert silhouette(vectors, np.array([0, 0, 1, 1], np.int16), seed=0) == pytest.approx(1)
    nowhere = np.vstack([vectors, [[1, 1], [1, 1.1]]]).astype(np.float32)
    assert silhouette(nowhere, np.array([0, 0, 1, 1, -1, -1], np.int16), seed=0) == pytest.approx(1)


def test_label_nmi():
    labels = np.array([0, 0, 1, 1, -1])
    assert label_nmi(labels, np.array([1, 1, 0, 0, 0])) == pytest.approx(1)
    assert label_nmi(labels, np.array([0, 1, 0, 1, 0])) == pytest.approx(0, abs=1e-9)
    assert label_nmi(np.full(5, -1), labels) is None
