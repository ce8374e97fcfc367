"""Texts in the plane (figure 4): PCA at once, then t-SNE whose iterations can be watched and stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from openTSNE.nearest_neighbors import KNNIndex
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from engine.clustering.sample import drawn_rows
from engine.events import Event, Metric, Points, read_only
from engine.settings import ClusterSettings
from engine.stage import Part, ProgressMeter, StopToken

if TYPE_CHECKING:
    from openTSNE import TSNEEmbedding
    from openTSNE.tsne import PartialTSNEEmbedding

FIRST_ROWS = 2_000
"""The first picture is a PCA fitted on so many rows; the others are added to it as they are embedded."""

COMPONENTS = 50
"""t-SNE looks for neighbours among so many principal components."""

_PART_ROWS = 8_192
_NEIGHBOUR_ROWS = 1_000
_PLACED_ROWS = 5_000
_PLACING_ITERATIONS = 100
_SLICE_SECONDS = 0.5
_SLICE_ITERATIONS = 50
_TSNE_ROWS = 10
"""With fewer rows there is nothing that t-SNE could show."""


class FirstPicture:
    """Shows rows as they are embedded: give it to `engine.embedding.cache.embed` as ``observe``.

    Parameters
    ----------
    rows
        How many rows there will be.
    """

    def __init__(self, rows: int) -> None:
        self._needed = min(rows, FIRST_ROWS)
        self._pca: PCA | None = None
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, rows: np.ndarray, vectors: np.ndarray) -> Iterator[Event]:
        """Take rows, int64 [m], and their vectors, float32 [m, d]; yield `Points` of kind ``"pca"``."""
        self._waiting.append((rows, vectors))
        if self._pca is None:
            if sum(len(part) for part, _ in self._waiting) < self._needed:
                return
            self._pca = _fitted(np.concatenate([part for _, part in self._waiting]), 2)
        for part, values in self._waiting:
            yield Points("pca", read_only(part), read_only(self._pca.transform(values).astype(np.float32)))
        self._waiting.clear()


def principal_components(vectors: np.ndarray, assignment: np.ndarray, settings: ClusterSettings) -> Part[np.ndarray]:
    """Return the first principal components of all rows, float32 [n, c], c <= 50; the first two are a picture.

    They are fitted on at most ``settings.projection_rows`` rows. Streams `Points` of kind ``"pca"`` with clusters.
    """
    meter = ProgressMeter("cluster", len(vectors), "rows")
    yield meter.at(0, "Laying out the texts by PCA")
    drawn = drawn_rows(len(vectors), settings.projection_rows, settings.seed)
    pca = _fitted(np.asarray(vectors[drawn], np.float32), COMPONENTS)
    reduced = np.empty((len(vectors), pca.n_components_), np.float32)
    for start in range(0, len(vectors), _PART_ROWS):
        part = np.arange(start, min(start + _PART_ROWS, len(vectors)))
        reduced[part] = pca.transform(np.asarray(vectors[part], np.float32))
        yield meter.at(int(part[-1]) + 1, "Laying out the texts by PCA")
        yield _points("pca", part, reduced[part, :2], assignment)
    return reduced


def tsne(
    reduced: np.ndarray, assignment: np.ndarray, settings: ClusterSettings, *, stop: StopToken
) -> Part[np.ndarray | None]:
    """Lay rows out by t-SNE (van der Maaten and Hinton, 2008; openTSNE).

    At most ``settings.projection_rows`` rows, drawn at random, are optimised from their PCA positions, a third of the
    iterations with early exaggeration; the others are placed among them one by one (Poličar et al., 2019). Streams
    `Points` of kind ``"tsne"`` and `Metric` ``"kl_divergence"``.

    Parameters
    ----------
    reduced
        float32 [n, c], of `principal_components`.
    assignment
        Cluster of each row, int16 [n], for the points.

    Returns
    -------
    numpy.ndarray or None
        float32 [n, 2]. After a stop, what the iterations have come to if all rows take part in them, else ``None``:
        some rows have no place yet.
    """
    drawn = drawn_rows(len(reduced), settings.projection_rows, settings.seed)
    if len(drawn) < _TSNE_ROWS:
        return reduced[:, :2].copy()
    embedding = yield from _prepared(reduced[drawn], settings, stop)
    if embedding is None:
        return None
    early = settings.tsne_iterations // 3
    meter = ProgressMeter("cluster", settings.tsne_iterations, "iterations")
    phases = ((0, early, 12.0, 0.5), (early, settings.tsne_iterations - early, 1.0, 0.8))
    for before, iterations, exaggeration, momentum in phases:
        for done in _optimised(embedding, iterations, stop, exaggeration=exaggeration, momentum=momentum):
            yield meter.at(before + done, f"t-SNE of {len(drawn):,} texts")
            yield Metric("kl_divergence", before + done, float(embedding.kl_divergence))
            yield _points("tsne", drawn, _plain(embedding), assignment)
    if len(drawn) == len(reduced):
        return _plain(embedding)
    if stop.requested:
        return None
    return (yield from _placed(embedding, reduced, drawn, assignment, stop))


def _prepared(data: np.ndarray, settings: ClusterSettings, stop: StopToken) -> Part[TSNEEmbedding | None]:
    """Find the neighbours of all rows, and start them at their PCA positions."""
    from openTSNE import TSNEEmbedding, initialization
    from openTSNE.affinity import PerplexityBasedNN

    perplexity = min(settings.perplexity, (len(data) - 1) / 3)
    count = int(3 * perplexity)
    index = NearestNeighbors(algorithm="brute").fit(data)
    neighbours = np.empty((len(data), count), np.int64)
    distances = np.empty((len(data), count))
    meter = ProgressMeter("cluster", len(data), "rows")
    for start in range(0, len(data), _NEIGHBOUR_ROWS):
        yield meter.at(start, "Finding the neighbours of each text")
        if stop.requested:
            return None
        part = slice(start, start + _NEIGHBOUR_ROWS)
        far, which = index.kneighbors(data[part], count + 1)
        distances[part], neighbours[part] = far[:, 1:], which[:, 1:]  # the nearest is the row itself
    affinities = PerplexityBasedNN(knn_index=_Neighbours(index, neighbours, distances), perplexity=perplexity)
    yield meter.at(len(data), "Finding the neighbours of each text")
    if data[:, 0].std() > 0:
        start_positions = initialization.rescale(data[:, :2].astype(np.float64))
    else:  # all texts are the same
        start_positions = initialization.random(len(data), 2, random_state=settings.seed)
    return TSNEEmbedding(
        start_positions,
        affinities,
        random_state=settings.seed,
        negative_gradient_method="auto",
        learning_rate="auto",
        theta=0.5,
        dof=1,
        n_interpolation_points=3,
        min_num_intervals=50,
        ints_in_interval=1,
    )


def _placed(
    embedding: TSNEEmbedding, reduced: np.ndarray, drawn: np.ndarray, assignment: np.ndarray, stop: StopToken
) -> Part[np.ndarray | None]:
    """Do what `TSNEEmbedding.transform` does to the rows that are not drawn, in slices; ``None`` if stopped."""
    embedding -= (embedding.max(0) + embedding.min(0)) / 2  # as `transform` does: now, or it would move what is shown
    positions = np.empty((len(reduced), 2), np.float32)
    positions[drawn] = _plain(embedding)
    yield _points("tsne", drawn, positions[drawn], assignment)
    rest = np.setdiff1d(np.arange(len(reduced)), drawn)
    meter = ProgressMeter("cluster", len(rest), "rows")
    for first in range(0, len(rest), _PLACED_ROWS):
        rows = rest[first : first + _PLACED_ROWS]
        partial = embedding.prepare_partial(reduced[rows], initialization="median", k=25, perplexity=5)
        how: dict[str, Any] = {"learning_rate": 0.1, "max_grad_norm": 0.25, "max_step_norm": None}
        for done in _optimised(partial, _PLACING_ITERATIONS, stop, exaggeration=1.5, momentum=0.8, **how):
            yield meter.at(first + len(rows) * done // _PLACING_ITERATIONS, "Placing the other texts among them")
        if stop.requested:
            return None
        positions[rows] = _plain(partial)
        yield _points("tsne", rows, positions[rows], assignment)
    return positions


def _optimised(
    positions: TSNEEmbedding | PartialTSNEEmbedding, iterations: int, stop: StopToken, **how: Any
) -> Iterator[int]:
    """Optimise in slices of about half a second, and yield after each how many iterations are done.

    The optimiser keeps its momentum between calls: the slices change nothing but when the positions can be seen.
    """
    done, count = 0, 1
    while done < iterations and not stop.requested:
        began = time.monotonic()
        count = min(count, iterations - done)
        positions.optimize(count, inplace=True, **how)
        done += count
        affordable = int(count * _SLICE_SECONDS / max(time.monotonic() - began, 1e-3))
        count = max(1, min(_SLICE_ITERATIONS, 2 * count, affordable))
        yield done


class _Neighbours(KNNIndex):
    """Neighbours that were found in slices; openTSNE's own indexes find all of them in one call."""

    def __init__(self, index: NearestNeighbors, neighbours: np.ndarray, distances: np.ndarray) -> None:
        self.index, self._found = index, (neighbours, distances)
        self.n_samples, self.k = neighbours.shape

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        return self._found

    def query(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, neighbours = self.index.kneighbors(query, k)
        return neighbours, distances


def _fitted(vectors: np.ndarray, components: int) -> PCA:
    return PCA(min(components, *vectors.shape), svd_solver="covariance_eigh").fit(vectors)


def _plain(positions: np.ndarray) -> np.ndarray:
    return np.array(positions, np.float32)


def _points(kind: Literal["pca", "tsne"], rows: np.ndarray, positions: np.ndarray, assignment: np.ndarray) -> Points:
    return Points(kind, read_only(rows), read_only(positions), read_only(assignment[rows]))
