"""What a practitioner would otherwise pick: logistic regression on Sentence-BERT vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from engine.corpus.drawing import rows_of_every_class
from engine.corpus.store import Corpus
from engine.embedding.cache import embed
from engine.embedding.sentence_bert import Encoder
from engine.evaluation.metrics import Evaluation, evaluate, summarise
from engine.events import Finished, Notice
from engine.stage import ProgressMeter, Stage, StopToken
from engine.storage import write_json
from engine.training.examples import Draw

STAGE = "linear-probe"
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
SOURCE_ROWS, LEAST_OF_A_CLASS = 20_000, 50
"""So many rows of a source are learned from; more would take hours that nothing can interrupt."""
ALONE, WITH_SOURCE = "Sentence-BERT probe", "Sentence-BERT probe + source"


def linear_probe(
    vectors: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int, *, seed: int, folds: int = 5
) -> np.ndarray:
    """Fit logistic regression, its regularisation chosen by cross-validation, and return probabilities.

    Parameters
    ----------
    vectors, labels
        Training rows, float32 [n, d], and their classes, int64 [n].
    test
        float32 [m, d].
    classes
        C; a class without training rows gets probability 0.
    folds
        Fewer are taken when a class has fewer rows; with a single row of a class C is 1.

    Returns
    -------
    ndarray
        float32 [m, C].
    """
    present, counts = np.unique(labels, return_counts=True)
    probabilities = np.zeros((len(test), classes), np.float32)
    if len(present) == 1:
        probabilities[:, present[0]] = 1
        return probabilities
    model = LogisticRegression(max_iter=1000)
    if counts.min() >= 2:
        split = StratifiedKFold(min(folds, int(counts.min())), shuffle=True, random_state=seed)
        model = GridSearchCV(model, {"C": STRENGTHS}, cv=split, scoring="neg_log_loss")
    probabilities[:, present] = model.fit(vectors, labels).predict_proba(test)
    return probabilities


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

    With ``source`` a second probe also sees the labelled source: its rows, mapped onto the target's classes by
    `source_classes_on_target`, are added to those of the draw. Of a source of more than 20,000 such rows that many are
    drawn at random, the same for all seeds and some of every class.

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
        text = f"No labelled texts are left to test on: the probe is left out. {more}, or test on a file."
        yield Notice(text, "warning")
        write_json(folder / "results.json", {"summary": {}, "evaluations": {}})
        yield Finished(str(folder), "completed", {"summary": {}})
        return
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
    results: dict[str, list[Evaluation]] = {name: [] for name in (ALONE, WITH_SOURCE)[: 1 if extra is None else 2]}
    meter = ProgressMeter(STAGE, len(draws), "seeds")
    for done, (seed, draw) in enumerate(draws, 1):
        rows = np.concatenate([draw.training, draw.validation])
        chances = linear_probe(vectors[rows], labels[rows], vectors[test], len(classes), seed=seed)
        results[ALONE].append(evaluate(chances, labels[test], classes))
        if extra is not None:
            both = np.concatenate([vectors[rows], extra[0]]), np.concatenate([labels[rows], extra[1]])
            chances = linear_probe(*both, vectors[test], len(classes), seed=seed, folds=3)
            results[WITH_SOURCE].append(evaluate(chances, labels[test], classes))
        yield meter.at(done)
        if stop.requested:
            yield Finished(str(folder), "stopped")
            return
    summary = {name: summarise(evaluations) for name, evaluations in results.items()}
    evaluations = {
        f"{name} seed {seed}": evaluation.to_dict()
        for name, found in results.items()
        for (seed, _), evaluation in zip(draws, found, strict=True)
    }
    write_json(folder / "results.json", {"summary": summary, "evaluations": evaluations})
    yield Finished(str(folder), "completed", {"summary": summary})
