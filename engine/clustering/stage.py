"""The stage that groups the texts of a corpus into meta tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.clustering import grouping
from engine.clustering.describe import describe, label_nmi, same_as_classes, silhouette
from engine.clustering.projection import FirstPicture, principal_components, tsne
from engine.clustering.store import Cluster, Clustering, save
from engine.corpus.store import Corpus
from engine.embedding.cache import embed
from engine.embedding.sentence_bert import Encoder
from engine.errors import DataError
from engine.events import Finished, Metric, Notice, Progress
from engine.settings import ClusterSettings
from engine.stage import Part, Stage, StopToken

__all__ = ["Cluster", "Clustering", "cluster"]

SWEEP = range(3, 31)
"""K of figure 3(b)."""


def cluster(
    corpus: Corpus, folder: Path, settings: ClusterSettings, *, encoder: Encoder, cache: Path, stop: StopToken
) -> Stage:
    """Group the texts of ``corpus`` (section 4.2) and write its groups, descriptions and layout.

    Until the groups are known, a stop leaves nothing but the vectors in the cache. After that it ends the layout: the
    groups are written with the t-SNE that there is by then, if every text has a place in it, else with the PCA.

    Parameters
    ----------
    corpus
        n texts; labels are needed for the method ``label`` only.
    folder
        Where the results go; read them with `Clustering.open`.
    settings
        See `ClusterSettings`.
    encoder, cache
        Make and keep the vectors of the texts; LDA, random and label do without if nothing is
        projected or swept.

    Yields
    ------
    Event
        `Progress`; `Points` ``"pca"``, first without, then with clusters, then ``"tsne"``; `Metric` ``inertia`` (group
        ``K=...``), ``silhouette`` (step = K; group ``sweep`` for other K), ``label_nmi``, ``kl_divergence``; `Notice`;
        `Finished`.

    Raises
    ------
    DataError
        If there are fewer texts than groups, or the labels do not fit the method.
    StorageError
        If something cannot be written.
    """
    yield Progress("cluster", 0, corpus.rows, "rows", message="Reading the texts")
    if corpus.rows < settings.clusters:
        raise DataError(
            f"{corpus.rows:,} texts cannot make {settings.clusters} groups",
            where=corpus.folder,
            remedy="Choose fewer groups, or import more texts.",
        )
    if settings.method == "label":
        grouping.label(corpus.labels, corpus.classes, settings.clusters, seed=settings.seed)  # fails before the work
    texts, stopped = corpus.texts, Finished(str(folder), "stopped")
    drawn = settings.projection != "none"
    vectors = None
    if drawn or settings.method == "kmeans" or settings.sweep:
        picture = FirstPicture(corpus.rows) if drawn else None
        vectors = yield from embed(texts, encoder, cache, stop=stop, stage="cluster", observe=picture)
    if stop.requested:
        yield stopped
        return
    sweep: dict[int, float] = {}
    if settings.sweep and vectors is not None:
        sweep = yield from _sweep(vectors, settings, stop)
    assignment = yield from _grouped(corpus, vectors, settings, stop)
    if assignment is None:
        yield stopped
        return

    missing = int((assignment < 0).sum())
    if missing:
        yield Notice(f"{missing:,} texts without a label are in no group.", "warning")
    numbers, assignment = _without_empty(assignment)
    if numbers < settings.clusters:
        yield Notice(
            f"{settings.clusters - numbers} of {settings.clusters} groups came out empty and were dropped.", "warning"
        )

    positions, layout = None, "none"
    reduced = None
    if drawn and vectors is not None:
        reduced = yield from principal_components(vectors, assignment, settings)
        positions, layout = reduced[:, :2], "pca"
    clusters = yield from describe(texts, corpus.labels, corpus.classes, assignment, vectors, seed=settings.seed)
    if warning := same_as_classes(clusters):
        yield Notice(warning, "warning")
    quality = None if vectors is None else silhouette(vectors, assignment, seed=settings.seed)
    if quality is not None:
        yield Metric("silhouette", settings.clusters, quality)
    agreement = label_nmi(corpus.labels, assignment)
    if agreement is not None:
        yield Metric("label_nmi", settings.clusters, agreement)
    if settings.projection == "tsne" and reduced is not None and not stop.requested:
        found = yield from tsne(reduced, assignment, settings, stop=stop)
        if found is not None:
            positions, layout = found, "tsne"

    facts = {
        "method": settings.method,
        "K": settings.clusters,
        "settings": settings.model_dump(),
        "content_hash": corpus.content_hash,
        "encoder": None if vectors is None else encoder.name,
        "layout": layout,
        "silhouette": quality,
        "label_nmi": agreement,
        "sweep": sweep,
    }
    save(folder, assignment, positions, clusters, facts)
    summary = {"groups": len(clusters), "sizes": [item.size for item in clusters], "layout": layout}
    summary |= {"silhouette": quality, "label_nmi": agreement}
    yield Finished(str(folder), "stopped" if stop.requested else "completed", summary)


def _grouped(
    corpus: Corpus, vectors: np.ndarray | None, settings: ClusterSettings, stop: StopToken
) -> Part[np.ndarray | None]:
    """Return the group of each row, int16 [n]; ``None`` if stopped."""
    if stop.requested:
        return None
    if settings.method == "kmeans":
        assert vectors is not None
        return (yield from grouping.kmeans(vectors, settings.clusters, seed=settings.seed, stop=stop))
    if settings.method == "lda":
        how = {"passes": settings.lda_passes, "seed": settings.seed}
        return (yield from grouping.lda(corpus.texts, settings.clusters, stop=stop, **how))
    if settings.method == "label":
        return grouping.label(corpus.labels, corpus.classes, settings.clusters, seed=settings.seed)
    return grouping.random(corpus.rows, settings.clusters, seed=settings.seed)


def _sweep(vectors: np.ndarray, settings: ClusterSettings, stop: StopToken) -> Part[dict[int, float]]:
    """Return K -> silhouette of K-means, for every K of figure 3(b) that the rows allow."""
    found: dict[int, float] = {}
    for number in SWEEP:
        if number >= len(vectors):
            break
        assignment = yield from grouping.kmeans(vectors, number, seed=settings.seed, stop=stop)
        if assignment is None:
            break
        quality = silhouette(vectors, assignment, seed=settings.seed)
        if quality is not None:
            found[number] = quality
            yield Metric("silhouette", number, quality, "sweep")
    return found


def _without_empty(assignment: np.ndarray) -> tuple[int, np.ndarray]:
    """Return how many groups have rows, and the assignment with these numbered from 0; -1 stays."""
    used = np.unique(assignment[assignment >= 0])
    return len(used), np.where(assignment < 0, -1, np.searchsorted(used, assignment)).astype(np.int16)
