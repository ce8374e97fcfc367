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
from engine.words import is_rating

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

    The class of the same name, where all classes of the target have one. But ratings on other scales are taken from
    worst to best, as are the target's classes in their order: five stars become two classes as 0, 0, none, 1, 1. Other
    names have no order, and nothing says whether *hardware* is *login* or *delivery*: they have no class.
    """
    ratings = all(map(is_rating, source))
    if set(source) == set(target) or (set(target) < set(source) and not ratings):
        return np.array([list(target).index(name) if name in target else -1 for name in source])
    if not ratings:
        return np.full(len(source), -1)
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
    Without rows to test on, another one that learns from the training rows alone is measured on the validation rows.

    With ``source`` a second probe also sees the labelled source, if its classes have a meaning for the target: its
    rows, mapped onto the target's classes by `source_classes_on_target`, are added to those of the draw. Of a source of
    more than 20,000 such rows that many are drawn at random, the same for all seeds and some of every class. It stays
    as ``probe-with-source.safetensors``.

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
    held_out = not len(test) and all(len(draw.validation) for _, draw in draws)
    if not len(test):
        free = int((labels >= 0).sum()) - max(len(draw.training) + len(draw.validation) for _, draw in draws)
        more = f"set some of {free:,} others aside as test rows" if free > 1 else "label more"
        text = "how good the probe is cannot be measured"
        if held_out:
            text = "the figures are of probes that learned from the training texts alone, on the validation texts"
        yield Notice(
            f"No labelled texts are left to test on: {text}. To measure, {more}, or test on a file.", "warning"
        )
    extra: tuple[np.ndarray, np.ndarray] | None = None
    taken = source_classes_on_target(source.classes, classes) if source is not None else np.empty(0, np.int64)
    if source is not None and (taken >= 0).any():
        source_vectors = yield from embed(source.texts, encoder, cache, stop=stop)
        if source_vectors is None:
            yield Finished(str(folder), "stopped")
            return
        if set(source.classes) != set(classes):
            pairs = [f"{name} as {classes[n]}" for name, n in zip(source.classes, taken, strict=True) if n >= 0]
            how = "order" if all(map(is_rating, source.classes)) else "name"
            yield Notice(f"The probe that sees the source takes its classes by their {how}: {', '.join(pairs)}.")
        mapped = np.append(taken, -1)[source.labels]
        usable = int((mapped >= 0).sum())
        drawn = rows_of_every_class(mapped, SOURCE_ROWS, np.random.default_rng(0), least=LEAST_OF_A_CLASS)
        extra = (source_vectors[drawn], mapped[drawn])
        if len(drawn) < usable:
            yield Notice(
                f"The probe that sees the source learns from {len(drawn):,} of its {usable:,} labelled texts, drawn at "
                "random: all of them would take too long."
            )
    elif source is not None and source.classes:
        yield Notice(
            f"There is no probe that sees the source, too: its classes ({', '.join(source.classes)}) are not those of "
            f"the task ({', '.join(classes)}). Where some mean the same, give them the same name."
        )
    results: dict[str, list[Evaluation]] = {PROBE: []} if extra is None else {PROBE: [], PROBE_WITH_SOURCE: []}
    best: dict[str, tuple[float, Probe]] = {}
    meter = ProgressMeter(STAGE, len(draws), "seeds")
    for done, (seed, draw) in enumerate(draws, 1):
        rows = np.concatenate([draw.training, draw.validation])
        for name, found in results.items():
            added = extra if name == PROBE_WITH_SOURCE else None
            fit = _fit(vectors[rows], labels[rows], added, len(classes), seed)
            training = {"method": name, "seed": seed, "rows": len(rows), "source_rows": len(added[1]) if added else 0}
            probe = Probe(fit.weights, fit.bias, tuple(classes), encoder.name, encoder.identity, training=training)
            if len(test):
                evaluation = evaluate(probe.probabilities(vectors[test]), labels[test], classes)
                found.append(evaluation)
                metrics = {"test_accuracy": evaluation.accuracy, "test_macro_f1": evaluation.macro_f1}
                probe = replace(probe, metrics=metrics)
            elif held_out:
                half = _fit(vectors[draw.training], labels[draw.training], added, len(classes), seed)
                chances = replace(probe, weights=half.weights, bias=half.bias).probabilities(vectors[draw.validation])
                found.append(evaluate(chances, labels[draw.validation], classes))
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
    tested = {} if held_out else summary
    RunResults(
        summary=tested,
        validation_summary=summary if held_out else {},
        measured_on="validation" if held_out else "test",
        evaluations=evaluations,
    ).save(folder)
    yield Finished(str(folder), "completed", {"summary": tested})


def _fit(
    vectors: np.ndarray, labels: np.ndarray, added: tuple[np.ndarray, np.ndarray] | None, classes: int, seed: int
) -> Fit:
    """Fit a probe on rows of the target, and on vectors and labels of a source if there are any."""
    if added is None:
        return linear_probe(vectors, labels, classes, seed=seed)
    vectors, labels = np.concatenate([vectors, added[0]]), np.concatenate([labels, added[1]])
    return linear_probe(vectors, labels, classes, seed=seed, folds=3)
