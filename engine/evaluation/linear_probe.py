"""What a practitioner would otherwise pick: logistic regression on Sentence-BERT vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from engine.corpus.drawing import Draw, rows_of_every_class
from engine.corpus.store import Corpus
from engine.embedding.cache import embed
from engine.embedding.sentence_bert import Encoder
from engine.evaluation.metrics import evaluate, summarise
from engine.evaluation.probe_file import Probe, save_probe
from engine.evaluation.results import PROBE, PROBE_FILES, PROBE_WITH_SOURCE, Evaluation, RunResults
from engine.events import Finished, Notice
from engine.stage import ProgressMeter, Stage, StopToken

STAGE = "linear-probe"
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
SOURCE_ROWS, LEAST_OF_A_CLASS = 20_000, 50
"""So many rows of a source are learned from; more would take hours that nothing can interrupt."""
NEVER = -1e4
"""Bias of a class without training rows: its probability is 0 in float32."""


class Fit(NamedTuple):
    """Weights [C, d] and bias [C], float32, and the mean log likelihood in cross-validation (-inf without one)."""

    weights: np.ndarray
    bias: np.ndarray
    score: float


def linear_probe(vectors: np.ndarray, labels: np.ndarray, classes: int, *, seed: int, folds: int = 5) -> Fit:
    """Fit logistic regression, its regularisation chosen by cross-validation.

    Parameters
    ----------
    vectors, labels
        Training rows, float32 [n, d], and their classes, int64 [n].
    classes
        C; a class without training rows gets probability 0.
    folds
        Fewer are taken when a class has fewer rows; with a single row of a class the strength is 1.
    """
    present, counts = np.unique(labels, return_counts=True)
    weights = np.zeros((classes, vectors.shape[1]), np.float32)
    bias = np.full(classes, NEVER, np.float32)
    if len(present) == 1:
        bias[present[0]] = 0
        return Fit(weights, bias, -np.inf)
    model, score = LogisticRegression(max_iter=1000), -np.inf
    if counts.min() >= 2:
        split = StratifiedKFold(min(folds, int(counts.min())), shuffle=True, random_state=seed)
        search = GridSearchCV(model, {"C": STRENGTHS}, cv=split, scoring="neg_log_loss").fit(vectors, labels)
        model, score = search.best_estimator_, float(search.best_score_)
    else:
        model.fit(vectors, labels)
    two = len(present) == 2  # of two classes only the second has numbers
    weights[present] = np.concatenate([np.zeros_like(model.coef_), model.coef_]) if two else model.coef_
    bias[present] = np.append(0, model.intercept_) if two else model.intercept_
    return Fit(weights, bias, score)


def source_classes_on_target(source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    """Return the target's class for each source class, -1 for none; int64 [source].

    The class of the same name, where all have one. Else both are taken as ratings from worst to best, in their order:
    five stars become two classes as 0, 0, none, 1, 1.
    """
    if set(source) == set(target):
        return np.array([list(target).index(name) for name in source])
    places = (np.arange(len(source)) + 0.5) / len(source) * len(target)
    mapped = np.floor(places).astype(np.int64)
    on_border = np.isclose(places, np.round(places))  # the middle of an odd scale belongs to neither half
    mapped[on_border] = -1
    return mapped


def probe_target(
    texts: Sequence[str],
    labels: np.ndarray,
    classes: Sequence[str],
    draws: Sequence[tuple[int, Draw]],
    test: np.ndarray,
    folder: Path,
    *,
    source: Corpus | None,
    encoder: Encoder,
    cache: Path,
    stop: StopToken,
) -> Stage:
    """Fit a probe on each draw (training and validation rows together) and test it; writes ``folder/results.json``.

    The probe of the seed with the best cross-validation stays as ``probe.safetensors``, to be used and taken away.

    With ``source`` a second probe also sees the labelled source: its rows, mapped onto the target's classes by
    `source_classes_on_target`, are added to those of the draw. Of a source of more than 20,000 such rows that many are
    drawn at random, the same for all seeds and some of every class. It stays as ``probe-with-source.safetensors``.

    Parameters
    ----------
    texts, labels, classes
        The target task: texts [n], classes of the rows int64 [n], names of the classes.
    draws, test
        Rows of each seed, and rows to test on.
    """
    vectors = yield from embed(texts, encoder, cache, stop=stop)
    if vectors is None:
        yield Finished(str(folder), "stopped")
        return
    if not len(test):
        free = int((labels >= 0).sum()) - max(len(draw.training) + len(draw.validation) for _, draw in draws)
        more = f"Set some of {free:,} others aside as test rows" if free > 0 else "Label more"
        text = f"No labelled texts are left to test on: how good the probe is cannot be measured. {more}, or test on a "
        yield Notice(f"{text}file.", "warning")
    extra: tuple[np.ndarray, np.ndarray] | None = None
    if source is not None and source.classes:
        source_vectors = yield from embed(source.texts, encoder, cache, stop=stop)
        if source_vectors is None:
            yield Finished(str(folder), "stopped")
            return
        taken = source_classes_on_target(source.classes, classes)
        if set(source.classes) != set(classes):
            pairs = [
                f"{name} as {classes[number]}"
                for name, number in zip(source.classes, taken, strict=True)
                if number >= 0
            ]
            yield Notice(f"The probe that sees the source takes its classes by their order: {', '.join(pairs)}.")
        mapped = np.append(taken, -1)[source.labels]
        usable = int((mapped >= 0).sum())
        drawn = rows_of_every_class(mapped, SOURCE_ROWS, np.random.default_rng(0), least=LEAST_OF_A_CLASS)
        extra = (source_vectors[drawn], mapped[drawn])
        if len(drawn) < usable:
            yield Notice(
                f"The probe that sees the source learns from {len(drawn):,} of its {usable:,} labelled texts, drawn at "
                "random: all of them would take too long."
            )
    results: dict[str, list[Evaluation]] = {PROBE: []} if extra is None else {PROBE: [], PROBE_WITH_SOURCE: []}
    best: dict[str, tuple[float, Probe]] = {}
    meter = ProgressMeter(STAGE, len(draws), "seeds")
    for done, (seed, draw) in enumerate(draws, 1):
        rows = np.concatenate([draw.training, draw.validation])
        learned = {PROBE: (vectors[rows], labels[rows])}
        if extra is not None:
            learned[PROBE_WITH_SOURCE] = (
                np.concatenate([vectors[rows], extra[0]]),
                np.concatenate([labels[rows], extra[1]]),
            )
        for name, (read, known) in learned.items():
            fit = linear_probe(read, known, len(classes), seed=seed, folds=5 if name == PROBE else 3)
            training = {"method": name, "seed": seed, "rows": len(rows), "source_rows": len(read) - len(rows)}
            probe = Probe(fit.weights, fit.bias, tuple(classes), encoder.name, encoder.identity, training=training)
            if len(test):
                evaluation = evaluate(probe.probabilities(vectors[test]), labels[test], classes)
                results[name].append(evaluation)
                metrics = {"test_accuracy": evaluation.accuracy, "test_macro_f1": evaluation.macro_f1}
                probe = replace(probe, metrics=metrics)
            if name not in best or fit.score > best[name][0]:
                best[name] = (fit.score, probe)
        yield meter.at(done)
        if stop.requested:
            yield Finished(str(folder), "stopped")
            return
    for name, (_, probe) in best.items():
        save_probe(probe, folder / PROBE_FILES[name])
    summary = {name: summarise(evaluations) for name, evaluations in results.items() if evaluations}
    evaluations = {
        f"{name} seed {seed}": evaluation
        for name, found in results.items()
        for (seed, _), evaluation in zip(draws, found, strict=False)
    }
    RunResults(summary=summary, evaluations=evaluations).save(folder)
    yield Finished(str(folder), "completed", {"summary": summary})
