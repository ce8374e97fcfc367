"""The four ways to group texts into meta tasks (section 4.2, table 2): K-means, LDA, at random, by label."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from engine.clustering.sample import drawn_rows
from engine.clustering.terms import term_analyzer
from engine.errors import DataError
from engine.events import Metric
from engine.stage import Part, ProgressMeter, StopToken

FIT_ROWS = 50_000
"""K-means and LDA learn their groups from at most this many rows, drawn at random; the others are assigned to them."""

_SEEDING_ROWS = 5_000  # among all 50,000, choosing 100 starting points would take over two seconds in one call
_KMEANS_SLICE = 5
_KMEANS_ITERATIONS = 300
_ASSIGN_ROWS = 8_192
_LDA_ROWS = 256


def kmeans(vectors: np.ndarray, clusters: int, *, seed: int, stop: StopToken) -> Part[np.ndarray | None]:
    """Group vectors by K-means (k-means++, then Lloyd's iterations until they converge).

    On vectors of length one, the squared Euclidean distance is twice the cosine distance.

    Parameters
    ----------
    vectors
        float32 [n, d], n >= ``clusters``; may be a memory map.
    clusters
        K.

    Returns
    -------
    numpy.ndarray or None
        Number of the nearest centre of each row, int16 [n]; ``None`` if stopped.
    """
    learned = np.asarray(vectors[drawn_rows(len(vectors), FIT_ROWS, seed)], np.float32)
    meter = ProgressMeter("cluster", None, "iterations")
    yield meter.at(0, f"K-means: choosing {clusters} starting points")
    candidates = learned[drawn_rows(len(learned), _SEEDING_ROWS, seed)]
    centres, _ = kmeans_plusplus(candidates, clusters, random_state=seed)
    done = 0
    yield meter.at(done, f"K-means: {clusters} groups")
    # Slices of a fixed length, so that the result does not depend on the speed of the machine.
    while done < _KMEANS_ITERATIONS:
        if stop.requested:
            return None
        model = KMeans(clusters, init=centres, n_init=1, max_iter=_KMEANS_SLICE)
        with warnings.catch_warnings():
            # Fewer distinct texts than groups: whoever called drops the empty groups and says so.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(learned)
        centres = model.cluster_centers_
        done += model.n_iter_
        yield meter.at(done, f"K-means: {clusters} groups")
        yield Metric("inertia", done, float(model.inertia_) / len(learned), f"K={clusters}")
        if model.n_iter_ < _KMEANS_SLICE:
            break
    assignment = np.empty(len(vectors), np.int16)
    for start in range(0, len(vectors), _ASSIGN_ROWS):
        if stop.requested:
            return None
        part = slice(start, start + _ASSIGN_ROWS)
        assignment[part] = model.predict(np.asarray(vectors[part], np.float32))
        yield meter.at(done, "K-means: finding the nearest group of each text")
    return assignment


def lda(texts: Sequence[str], topics: int, *, passes: int, seed: int, stop: StopToken) -> Part[np.ndarray | None]:
    """Group texts by their main topic (online LDA, Hoffman, Blei and Bach, 2010; gensim).

    Texts without any known word go to the largest topic.

    Returns
    -------
    numpy.ndarray or None
        Topic of each text, int16 [n]; ``None`` if stopped.

    Raises
    ------
    DataError
        If the texts have no word in common to build topics from.
    """
    from gensim.corpora import Dictionary
    from gensim.models.ldamodel import LdaModel, LdaState

    learned = drawn_rows(len(texts), FIT_ROWS, seed)
    np.random.default_rng(seed).shuffle(learned)  # a corpus is often sorted, by label for instance
    terms = term_analyzer()
    dictionary = Dictionary()
    meter = ProgressMeter("cluster", len(learned) * (1 + passes) + len(texts), "rows")
    done = 0

    def chunks(rows: np.ndarray) -> list[np.ndarray]:
        return [rows[start : start + _LDA_ROWS] for start in range(0, len(rows), _LDA_ROWS)]

    for rows in chunks(learned):
        dictionary.add_documents([terms(texts[row]) for row in rows])
        done += len(rows)
        if done % (8 * _LDA_ROWS) == 0:
            yield meter.at(done, "LDA: collecting words")
            if stop.requested:
                return None
    dictionary.filter_extremes(no_below=2 if len(learned) < 1_000 else 5, no_above=0.5, keep_n=20_000)
    if not dictionary:
        raise DataError(
            "LDA finds no topics: no word occurs in several texts, but not in most of them",
            remedy="Choose K-means, or import more texts.",
        )
    dictionary.compactify()

    # What LdaModel(corpus, passes=...) does, chunk by chunk so that it can be stopped; `update` cannot be cut into
    # slices, because it takes the rows of every further call for new ones.
    model = LdaModel(id2word=dictionary, num_topics=topics, random_state=seed)
    model.state.numdocs = len(learned)
    for pass_ in range(passes):
        for rows in chunks(learned):
            state = LdaState(model.eta, model.state.sstats.shape, model.dtype)
            model.do_estep([dictionary.doc2bow(terms(texts[row])) for row in rows], state)
            rate = (model.offset + pass_ + model.num_updates / min(len(learned), _LDA_ROWS)) ** -model.decay
            model.do_mstep(rate, state, pass_ > 0)
            done += len(rows)
            yield meter.at(done, f"LDA: pass {pass_ + 1} of {passes}")
            if stop.requested:
                return None

    assignment = np.empty(len(texts), np.int16)
    known = np.empty(len(texts), bool)
    for rows in chunks(np.arange(len(texts))):
        words = [dictionary.doc2bow(terms(texts[row])) for row in rows]
        assignment[rows] = model.inference(words)[0].argmax(1)
        known[rows] = [bool(found) for found in words]
        done += len(rows)
        yield meter.at(done, "LDA: finding the topic of each text")
        if stop.requested:
            return None
    if not known.all():
        assignment[~known] = np.bincount(assignment[known], minlength=topics).argmax()
    return assignment


def random(rows: int, clusters: int, *, seed: int) -> np.ndarray:
    """Group rows at random into groups whose sizes differ by one at most; int16 [rows]."""
    return (np.random.default_rng(seed).permutation(rows) % clusters).astype(np.int16)


def label(labels: np.ndarray, classes: Sequence[str], clusters: int, *, seed: int) -> np.ndarray:
    """Group rows by class; with K above the number of classes, split the classes at random.

    The largest parts are split first, so that groups are of similar size. Rows without a label get -1.

    Parameters
    ----------
    labels
        Class number of each row, int64 [n]; -1 where there is none.
    classes
        Names of the classes.

    Returns
    -------
    numpy.ndarray
        int16 [n]; the groups of a class are neighbours.

    Raises
    ------
    DataError
        If there are no labels, more classes than groups, or fewer labelled rows than groups.
    """
    present, sizes = np.unique(labels[labels >= 0], return_counts=True)
    if not len(present):
        raise DataError(
            "None of the texts has a label to group them by",
            remedy="Choose another method, or import a label column first.",
        )
    if len(present) > clusters:
        names = ", ".join(classes[number] for number in present[:6]) + (", ..." if len(present) > 6 else "")
        raise DataError(
            f"{len(present)} classes ({names}) cannot be put into {clusters} groups by label",
            remedy=f"Choose {len(present)} groups or more, or another method.",
        )
    if sizes.sum() < clusters:
        raise DataError(
            f"There are {sizes.sum():,} labelled texts for {clusters} groups", remedy="Choose fewer groups."
        )
    parts = np.ones(len(present), np.int64)
    while parts.sum() < clusters:
        # A class cannot have more parts than rows: its parts then hold one row, the smallest size there is.
        parts[(sizes / parts).argmax()] += 1
    assignment = np.full(len(labels), -1, np.int16)
    generator = np.random.default_rng(seed)
    for number, first, count in zip(present, np.cumsum(parts) - parts, parts, strict=True):
        rows = np.flatnonzero(labels == number)
        assignment[rows] = first + generator.permutation(len(rows)) % count
    return assignment
