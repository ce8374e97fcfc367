"""What each cluster is about, and how good a clustering is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.metrics import normalized_mutual_info_score, silhouette_score
from sklearn.preprocessing import normalize

from engine.clustering.sample import drawn_rows
from engine.clustering.store import Cluster
from engine.clustering.terms import term_analyzer
from engine.stage import Part, ProgressMeter

DESCRIBED_TEXTS = 20_000
"""Terms are counted in at most this many texts, the same number of each cluster."""

SILHOUETTE_ROWS = 2_000
TERMS = 10
CENTRAL_ROWS = 10
ONE_CLASS = 0.9
"""A cluster of which at least this share has one label is as good as of one class."""
_NAME_TERMS = 3
_SLICE_TEXTS = 500
_SLICE_ROWS = 8_192


def describe(
    texts: Sequence[str],
    labels: np.ndarray,
    classes: Sequence[str],
    assignment: np.ndarray,
    vectors: np.ndarray | None,
    *,
    seed: int,
) -> Part[list[Cluster]]:
    """Return the description of each cluster.

    Parameters
    ----------
    texts
        n texts.
    labels, classes
        Class number of each row, int64 [n], -1 where there is none; names of the classes.
    assignment
        Cluster of each row, int16 [n], numbered from 0 without gaps; -1: in none.
    vectors
        float32 [n, d]; ``None``: no row is more central than another.
    """
    clusters = int(assignment.max()) + 1
    terms = yield from _top_terms(texts, assignment, clusters, seed)
    central: list[tuple[int, ...]] = [()] * clusters
    if vectors is not None:
        central = yield from _central_rows(vectors, assignment, clusters)
    described = []
    for number in range(clusters):
        members = labels[assignment == number]
        counts = np.bincount(members[members >= 0], minlength=len(classes)).tolist()
        name = ", ".join(terms[number][:_NAME_TERMS]) or f"Group {number + 1}"
        described.append(
            Cluster(number, name, len(members), dict(zip(classes, counts, strict=True)), terms[number], central[number])
        )
    return described


def same_as_classes(clusters: Sequence[Cluster]) -> str:
    """Return a warning if most labelled texts are in clusters as good as of one class; empty if not, or there is one.

    A meta task of one class is solved by always giving that class: adapting to it teaches nothing that tells classes
    apart.
    """
    labelled = [cluster.labels for cluster in clusters if any(cluster.labels.values())]
    alike = [labels for labels in labelled if max(labels.values()) >= ONE_CLASS * sum(labels.values())]
    several = len({name for labels in labelled for name, count in labels.items() if count}) > 1
    whole = sum(sum(labels.values()) for labels in labelled)
    if not several or 2 * sum(sum(labels.values()) for labels in alike) < whole:
        return ""
    return (
        f"In {len(alike)} of {len(clusters)} groups nearly all texts have the same label. To adapt to such a group "
        "is to give one answer, and teaches little about telling classes apart. Groups at random mix the classes."
    )


def silhouette(vectors: np.ndarray, assignment: np.ndarray, *, seed: int) -> float | None:
    """Return the mean silhouette (Rousseeuw, 1987) by cosine distance of a sample of at most 2,000 rows, -1 to 1.

    ``None`` if the sample has fewer than two clusters, or no two rows in any.
    """
    rows = np.flatnonzero(assignment >= 0)
    rows = rows[drawn_rows(len(rows), SILHOUETTE_ROWS, seed)]
    if not 2 <= len(np.unique(assignment[rows])) < len(rows):
        return None
    return float(silhouette_score(np.asarray(vectors[rows], np.float32), assignment[rows], metric="cosine"))


def label_nmi(labels: np.ndarray, assignment: np.ndarray) -> float | None:
    """Return the normalised mutual information of clusters and labels, 0 to 1; ``None`` if no row has both."""
    both = (labels >= 0) & (assignment >= 0)
    return float(normalized_mutual_info_score(labels[both], assignment[both])) if both.any() else None


def _top_terms(texts: Sequence[str], assignment: np.ndarray, clusters: int, seed: int) -> Part[list[tuple[str, ...]]]:
    """Return the most telling terms of each cluster, the best first.

    A term counts by p log(p / q), where p is the share of texts of the cluster that it occurs in and q the mean of
    these shares over all clusters: its part in what sets the cluster apart from the corpus (Tomokiyo and Hurst, 2003).
    Class-based TF-IDF (Grootendorst, 2022) called nearly every cluster of reviews "food, good, great": such words
    occur everywhere, but so often that a low inverse frequency does not outweigh it. A term must occur in two texts of
    the cluster at least.
    """
    analyze = term_analyzer()
    limit = max(50, DESCRIBED_TEXTS // clusters)
    meter = ProgressMeter("cluster", clusters, "groups")
    shares: list[dict[str, float]] = []
    for number in range(clusters):
        rows = np.flatnonzero(assignment == number)
        rows = rows[drawn_rows(len(rows), limit, seed)]
        found: Counter[str] = Counter()
        for start in range(0, len(rows), _SLICE_TEXTS):
            yield meter.at(number, "Finding the words of each group")
            for row in rows[start : start + _SLICE_TEXTS]:
                found.update(set(analyze(texts[row])))
        shares.append({term: count / len(rows) for term, count in found.items() if count > 1})
    yield meter.at(clusters, "Finding the words of each group")
    if not any(shares):
        return [()] * clusters
    vectorizer = DictVectorizer(dtype=np.float64)
    table = vectorizer.fit_transform(shares).tocsr()
    names = vectorizer.get_feature_names_out()
    everywhere = np.asarray(table.mean(0)).ravel()
    terms = []
    for number in range(clusters):
        row = table[[number]]
        score = row.data * np.log(row.data / everywhere[row.indices])
        best = np.lexsort((-row.data, -score))  # a single cluster diverges from nothing: its frequent words then
        terms.append(tuple(str(names[row.indices[place]]) for place in best[:TERMS] if score[place] >= 0))
    return terms


def _central_rows(vectors: np.ndarray, assignment: np.ndarray, clusters: int) -> Part[list[tuple[int, ...]]]:
    """Return the rows of each cluster that are nearest to its mean by cosine, the nearest first."""
    parts = [slice(start, start + _SLICE_ROWS) for start in range(0, len(vectors), _SLICE_ROWS)]
    meter = ProgressMeter("cluster", 2 * len(vectors), "rows")
    means = np.zeros((clusters, vectors.shape[1]))
    for part in parts:
        for number in np.unique(assignment[part][assignment[part] >= 0]):
            means[number] += vectors[part][assignment[part] == number].sum(0)
        yield meter.at(min(part.stop, len(vectors)), "Finding the middle of each group")
    means = normalize(means)
    nearness = np.empty(len(vectors))
    for part in parts:
        nearness[part] = np.einsum("nd,nd->n", normalize(vectors[part]), means[assignment[part]])
        yield meter.at(len(vectors) + min(part.stop, len(vectors)), "Finding the texts nearest to it")
    central = []
    for number in range(clusters):
        rows = np.flatnonzero(assignment == number)
        central.append(tuple(rows[np.argsort(-nearness[rows], kind="stable")[:CENTRAL_ROWS]].tolist()))
    return central
