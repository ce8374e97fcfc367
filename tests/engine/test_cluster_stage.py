"""The stage of clustering: what it writes and reads, what is refused, stopping and cancelling."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_encoder import FakeEncoder
from made_corpora import corpus_of
from sklearn.metrics import adjusted_rand_score
from themed_corpus import CLASSES, THEMES, events_of, metrics, start, themed_texts

from engine.clustering import grouping
from engine.clustering.stage import Clustering
from engine.corpus.store import Corpus
from engine.errors import DataError, StorageError
from engine.events import Finished, Notice, Points, Progress
from engine.stage import StopToken
from engine.storage import UNFINISHED


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    texts, _ = themed_texts(90)
    return corpus_of(tmp_path / "corpus", texts, [CLASSES[row % 2] for row in range(90)], CLASSES)


def test_groups_that_are_the_classes_are_told(tmp_path):
    def warnings(name: str, labels: list[str | None]) -> list[str]:
        made = corpus_of(tmp_path / name, themed_texts(90)[0], labels, CLASSES)
        events = events_of(made, tmp_path / f"of {name}", projection="none")
        return [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]

    themes = themed_texts(90)[1].tolist()
    topics = [CLASSES[theme == 0] for theme in themes]
    (warning,) = warnings("topics", topics)
    assert warning.startswith("In 3 of 3 groups nearly all texts have the same label.")
    half = [CLASSES[row % 2] if theme < 2 else CLASSES[0] for row, theme in enumerate(themes)]
    assert warnings("one group of three", half) == []
    nearly = [CLASSES[(theme == 0) != (row < 6)] for row, theme in enumerate(themes)]
    assert len(warnings("some have another label", nearly)) == 1
    unlabelled = [name if row < 30 else None for row, name in enumerate(topics)]
    assert len(warnings("most have no label", unlabelled)) == 1
    assert warnings("one class", [CLASSES[0]] * 90) == []
    assert warnings("no label", [None] * 90) == []


# The stage -----------------------------------------------------------------------------------------------------------


def test_stage_writes_what_the_reader_reads(corpus, tmp_path):
    events = events_of(corpus, tmp_path)
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.path, last.outcome, last.summary["sizes"]) == (str(tmp_path / "run"), "completed", [30, 30, 30])
    found = Clustering.open(tmp_path / "run")
    assert adjusted_rand_score(themed_texts(90)[1], found.assignment) == 1
    assert (found.method, found.content_hash, found.settings["clusters"]) == ("kmeans", corpus.content_hash, 3)
    assert found.assignment.dtype == np.int16
    for item in found.clusters:
        theme = themed_texts(90)[1][item.central_rows[0]]
        assert set(item.terms) == set(THEMES[theme])
        assert item.labels == {"bad": 15, "good": 15}
        assert (found.assignment[list(item.central_rows)] == item.number).all()
        assert len(item.central_rows) == 10
    assert found.silhouette > 0.2
    assert found.label_nmi == pytest.approx(0, abs=1e-6)
    assert found.projection.shape == (90, 2)
    assert found.projection.dtype == np.float32
    assert not isinstance(found.projection, np.memmap), "a mapped file cannot be replaced on every system"
    table = pq.read_table(tmp_path / "run" / "clusters.parquet")
    assert table.schema.names == ["row", "cluster"]
    assert [str(kind) for kind in table.schema.types] == ["int64", "int16"]
    meta = json.loads((tmp_path / "run" / "clusters.json").read_text())
    assert (meta["method"], meta["K"], meta["layout"]) == ("kmeans", 3, "tsne")
    older = {**meta, "clusters": [{**item, "included": True} for item in meta["clusters"]]}
    (tmp_path / "run" / "clusters.json").write_text(json.dumps(older))
    assert Clustering.open(tmp_path / "run").clusters == found.clusters


def test_same_seed_same_result(corpus, tmp_path):
    events_of(corpus, tmp_path)
    first = Clustering.open(tmp_path / "run")
    positions = np.array(first.projection)
    events_of(corpus, tmp_path)
    second = Clustering.open(tmp_path / "run")
    np.testing.assert_array_equal(second.assignment, first.assignment)
    np.testing.assert_array_equal(second.projection, positions)
    assert second.clusters == first.clusters


@pytest.mark.parametrize("method", ["kmeans", "lda", "random", "label"])
def test_every_method_is_seeded_by_the_settings(corpus, tmp_path, monkeypatch, method):
    seeds, plain = [], getattr(grouping, method)

    def noted(*given, seed: int, **more):
        seeds.append(seed)
        return plain(*given, seed=seed, **more)

    monkeypatch.setattr(grouping, method, noted)
    events_of(corpus, tmp_path, method=method, projection="none", seed=7, clusters=3)
    assert set(seeds) == {7}


def test_pca_points_come_before_tsne_points_and_clusters_with_the_second(corpus, tmp_path):
    points = [event for event in events_of(corpus, tmp_path) if isinstance(event, Points)]
    kinds = [event.kind for event in points]
    assert kinds == sorted(kinds)  # "pca" < "tsne"
    assert set(kinds) == {"pca", "tsne"}
    assert points[0].clusters is None
    assert points[-1].clusters is not None
    last_pca = [event for event in points if event.kind == "pca"][-1]
    np.testing.assert_array_equal(last_pca.clusters, Clustering.open(tmp_path / "run").assignment)


def test_projection_pca_runs_no_tsne(corpus, tmp_path):
    events = events_of(corpus, tmp_path, projection="pca")
    assert {event.kind for event in events if isinstance(event, Points)} == {"pca"}
    pca = [event for event in events if isinstance(event, Points)][-1]
    np.testing.assert_array_equal(Clustering.open(tmp_path / "run").projection, pca.positions)


@pytest.mark.parametrize("method", ["lda", "random", "label"])
def test_without_projection_these_methods_encode_nothing(corpus, tmp_path, method):
    encoder = FakeEncoder()
    events_of(corpus, tmp_path, encoder=encoder, method=method, projection="none")
    assert encoder.encoded == []
    found = Clustering.open(tmp_path / "run")
    assert found.projection is None
    assert not (tmp_path / "run" / "projection.npy").exists()
    assert found.silhouette is None
    assert found.clusters[0].terms


@pytest.mark.parametrize("method", ["lda", "random", "label"])
def test_with_projection_these_methods_are_laid_out(corpus, tmp_path, method):
    events_of(corpus, tmp_path, method=method)
    found = Clustering.open(tmp_path / "run")
    assert found.projection.shape == (90, 2)
    assert found.silhouette is not None


def test_stage_by_label(corpus, tmp_path):
    events_of(corpus, tmp_path, method="label", clusters=4, projection="none")
    found = Clustering.open(tmp_path / "run")
    assert [sum(count > 0 for count in item.labels.values()) for item in found.clusters] == [1, 1, 1, 1]
    assert found.label_nmi > 0.6


def test_texts_without_a_label_are_in_no_group_by_label(tmp_path):
    texts, _ = themed_texts(30)
    corpus = corpus_of(
        tmp_path / "corpus", texts, [None if row < 4 else CLASSES[row % 2] for row in range(30)], CLASSES
    )
    events = events_of(corpus, tmp_path, method="label", clusters=2)
    assert any(isinstance(event, Notice) and event.text.startswith("4 texts without a label") for event in events)
    found = Clustering.open(tmp_path / "run")
    assert found.assignment[:4].tolist() == [-1] * 4
    assert [item.size for item in found.clusters] == [13, 13]
    assert not {0, 1, 2, 3} & {row for item in found.clusters for row in item.central_rows}


def test_sweep_peaks_at_the_true_number_of_groups(corpus, tmp_path):
    events = events_of(corpus, tmp_path, sweep=True, projection="none")
    found = Clustering.open(tmp_path / "run").sweep
    assert sorted(found) == list(range(3, 31))
    assert max(found, key=lambda number: found[number]) == 3
    assert metrics(events, "silhouette", "sweep") == pytest.approx(found)


def test_more_groups_than_texts_fails_before_any_work(tmp_path):
    corpus = corpus_of(tmp_path / "corpus", ["a text", "another"], [None, None], CLASSES)
    encoder = FakeEncoder()
    with pytest.raises(DataError, match="2 texts cannot make 3 groups"):
        events_of(corpus, tmp_path, encoder=encoder)
    assert encoder.encoded == []
    assert not (tmp_path / "run").exists()


def test_wrong_label_method_fails_before_any_work(tmp_path):
    corpus = corpus_of(tmp_path / "corpus", ["a text", "another", "a third"], [None] * 3, CLASSES)
    encoder = FakeEncoder()
    with pytest.raises(DataError, match="None of the texts has a label"):
        events_of(corpus, tmp_path, encoder=encoder, method="label")
    assert encoder.encoded == []


def messages(corpus: Corpus, tmp_path: Path, **options) -> list[str]:
    return [event.message for event in events_of(corpus, tmp_path, **options) if isinstance(event, Progress)]


@pytest.mark.parametrize("method", ["kmeans", "lda"])
def test_stop_before_the_groups_are_known_leaves_nothing(corpus, tmp_path, method):
    moments = messages(corpus, tmp_path / "all", method=method)
    before = moments[: next(place for place, text in enumerate(moments) if text.startswith("Laying out"))]
    assert any("LDA" in text or "K-means" in text for text in before)
    for number, moment in enumerate(dict.fromkeys(before)):
        place, stop = tmp_path / str(number), StopToken()
        last = None
        for event in start(corpus, place, stop=stop, method=method):
            last = event
            if isinstance(event, Progress) and event.message == moment:
                stop.request()
        if moment != before[-1]:
            assert last == Finished(str(place / "run"), "stopped"), moment
            assert not (place / "run" / "clusters.parquet").exists()


def test_stop_during_tsne_keeps_the_groups_and_the_layout_so_far(corpus, tmp_path):
    stop, last, shown = StopToken(), None, None
    for event in start(corpus, tmp_path, stop=stop, tsne_iterations=5_000):
        last = event
        if isinstance(event, Points) and event.kind == "tsne":
            shown = event
            stop.request()
    assert isinstance(last, Finished)
    assert last.outcome == "stopped"
    found = Clustering.open(tmp_path / "run")
    assert [item.size for item in found.clusters] == [30, 30, 30]
    np.testing.assert_array_equal(found.projection, shown.positions)


def test_stop_while_rows_are_placed_keeps_the_pca_layout(corpus, tmp_path):
    stop, pca = StopToken(), None
    for event in start(corpus, tmp_path, stop=stop, projection_rows=50):
        if isinstance(event, Points) and event.kind == "pca":
            pca = event
        if isinstance(event, Progress) and event.message.startswith("Placing"):
            stop.request()
    np.testing.assert_array_equal(Clustering.open(tmp_path / "run").projection, pca.positions)


def test_cancel_at_every_event_leaves_no_clusters(corpus, tmp_path):
    count = len(events_of(corpus, tmp_path / "all"))
    for number in range(1, count, 7):
        place = tmp_path / str(number)
        stage = start(corpus, place)
        for _ in range(number):
            next(stage)
        stage.close()
        assert not (place / "run" / "clusters.parquet").exists()
        assert not list(place.rglob(f".*{UNFINISHED}"))


def test_no_event_is_two_seconds_after_the_last(tmp_path):
    texts, _ = themed_texts(900)
    corpus = corpus_of(tmp_path / "corpus", texts, [None] * 900, CLASSES)
    few = corpus_of(tmp_path / "few", texts[:60], [None] * 60, CLASSES)
    for method in ("kmeans", "lda"):
        list(start(few, tmp_path / f"{method}-first", method=method))  # imports the libraries, which takes seconds
        moments = [time.monotonic()]
        for _ in start(corpus, tmp_path / method, method=method, projection_rows=600, tsne_iterations=300):
            moments.append(time.monotonic())
        assert Clustering.open(tmp_path / method / "run").projection is not None
        assert max(np.diff(moments)) < 2


@pytest.mark.parametrize("damage", ["no json", "json", "meaning", "no parquet", "parquet", "other rows", "projection"])
def test_damaged_clustering_is_a_sentence(corpus, tmp_path, damage):
    events_of(corpus, tmp_path)
    folder = tmp_path / "run"
    match damage:
        case "no json":
            (folder / "clusters.json").unlink()
        case "json":
            (folder / "clusters.json").write_text("{")
        case "meaning":
            (folder / "clusters.json").write_text('{"method": "kmeans", "clusters": [{}]}')
        case "no parquet":
            (folder / "clusters.parquet").unlink()
        case "parquet":
            (folder / "clusters.parquet").write_bytes(b"PAR1")
        case "other rows":
            pq.write_table(pq.read_table(folder / "clusters.parquet").slice(0, 80), folder / "clusters.parquet")
        case "projection":
            (folder / "projection.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(StorageError):
        _ = Clustering.open(folder).projection


def test_a_later_run_without_projection_leaves_no_old_one(corpus, tmp_path):
    events_of(corpus, tmp_path)
    events_of(corpus, tmp_path, projection="none")
    assert Clustering.open(tmp_path / "run").projection is None
