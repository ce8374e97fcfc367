"""The annotation stage: fit, calibrate, label, select, and leave everything that is needed to audit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from engine.annotation.annotators import STAGE, Annotator, EmbeddedTexts, SentenceBertAnnotator
from engine.annotation.calibration import fit_temperature, probabilities, reliability
from engine.annotation.domain import domain_scores
from engine.annotation.results import write_audit, write_corpus, write_scores
from engine.annotation.selection import (
    check_classes,
    check_kept,
    class_thresholds,
    domain_bar,
    notices,
    select,
)
from engine.corpus.store import Corpus
from engine.embedding.cache import embed, remember
from engine.embedding.sentence_bert import Encoder
from engine.errors import DataError
from engine.evaluation.metrics import evaluate
from engine.events import Finished, Notice
from engine.settings import AnnotateSettings
from engine.stage import Stage, StopToken
from engine.storage import write_json


def annotate(
    labelled: Corpus,
    unlabelled: Corpus,
    folder: Path,
    settings: AnnotateSettings,
    *,
    encoder: Encoder,
    cache: Path,
    stop: StopToken,
    rows: np.ndarray | None = None,
) -> Stage:
    """Label the texts of one corpus with what another one teaches.

    Writes into ``folder`` a corpus of the rows that are kept, with their confidence, ``audit.csv`` (up to 50 rows a
    class), ``scores.parquet`` (class, confidence and domain score of every unlabelled row, so that thresholds can be
    moved without computing anew) and ``annotation.json`` (what was kept and dropped and why, calibration before and
    after).

    Parameters
    ----------
    rows
        Where each text of ``unlabelled`` stands in the corpus that it was drawn from, int64 [n], if it was;
        ``scores.parquet`` then says so.

    Raises
    ------
    DataError
        If fewer than two classes are labelled, one has fewer than two rows, or nothing is kept.
    SettingsError
        If a threshold is for a class that does not exist.
    """
    classes = labelled.classes
    check_classes(classes, settings)
    _check(labelled)
    labelled_vectors = yield from embed(labelled.texts, encoder, cache, stop=stop, stage=STAGE)
    vectors = None
    if labelled_vectors is not None:
        vectors = yield from embed(unlabelled.texts, encoder, cache, stop=stop, stage=STAGE)
    if labelled_vectors is None or vectors is None:
        yield Finished(str(folder), "stopped")
        return
    taught, asked = EmbeddedTexts(labelled.texts, labelled_vectors), EmbeddedTexts(unlabelled.texts, vectors)
    labels = labelled.labels
    training, held_out = _split(labels, settings)
    annotator, learned = _annotator(settings, folder), taught.take(training)
    logits, held_out_logits, domain = None, None, None
    if (yield from annotator.fit(learned, labels[training], len(classes), stop=stop)):
        held_out_logits = yield from annotator.logits(taught.take(held_out), stop=stop)
        logits = yield from annotator.logits(asked, stop=stop)
    if logits is not None:
        domain = yield from domain_scores(vectors, learned.vectors, labels[training], stop=stop)
    if held_out_logits is None or logits is None or domain is None:
        yield Finished(str(folder), "stopped")
        return

    temperature = fit_temperature(held_out_logits, labels[held_out])
    chances = probabilities(logits, temperature)
    predicted, confidence = chances.argmax(1), chances.max(1)
    bar = domain_bar(domain, settings)
    known = set(labelled.texts)
    already_labelled = np.array([text in known for text in unlabelled.texts], bool)
    chosen = select(
        predicted,
        confidence,
        domain,
        already_labelled,
        classes,
        settings,
        domain_threshold=bar,
    )
    check_kept(chosen, unlabelled)
    write_corpus(folder, labelled, unlabelled, chosen.rows, predicted, confidence)
    remember([unlabelled.texts[row] for row in chosen.rows], vectors[chosen.rows], encoder, cache)
    write_scores(folder, classes, predicted, confidence, domain, already_labelled, rows)
    write_audit(folder, classes, unlabelled, chosen.rows, predicted, confidence, settings)
    kept = np.bincount(predicted[chosen.rows], minlength=len(classes))
    held_out_chances = [probabilities(held_out_logits, value) for value in (1.0, temperature)]
    before, after = (evaluate(some, labels[held_out], classes) for some in held_out_chances)
    correct = held_out_chances[1].argmax(1) == labels[held_out]
    write_json(
        folder / "annotation.json",
        {
            "annotator": settings.annotator,
            "kept": dict(zip(classes, kept.tolist(), strict=True)),
            "dropped": chosen.dropped,
            "temperature": temperature,
            "held_out_rows": len(held_out),
            "held_out_before": before.to_dict(),
            "held_out_after": after.to_dict(),
            "reliability": reliability(held_out_chances[1].max(1), correct),
            "thresholds": dict(zip(classes, class_thresholds(classes, settings).tolist(), strict=True)),
            "domain_threshold": bar,
        },
    )
    annotator.forget()
    for notice in notices(chosen, classes, kept, settings):
        yield Notice(notice, "warning")
    summary: dict[str, Any] = {
        "kept": len(chosen.rows),
        "dropped": unlabelled.rows - len(chosen.rows),
        "held_out_accuracy": after.accuracy,
        "temperature": temperature,
    }
    yield Finished(str(folder), "completed", summary)


def _check(labelled: Corpus) -> None:
    classes = labelled.classes
    counts = np.bincount(labelled.labels[labelled.labels >= 0], minlength=len(classes))
    if len(classes) < 2 or counts.min() < 2:
        raise DataError(
            "An annotator needs at least two classes with two labelled texts each",
            where=labelled.folder,
            remedy="Import more labelled texts, or merge rare classes with a label map.",
        )


def _split(labels: np.ndarray, settings: AnnotateSettings) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out rows, by class where every class has enough of them."""
    rows = np.flatnonzero(labels >= 0)
    _, counts = np.unique(labels[rows], return_counts=True)
    size = max(round(settings.held_out_share * len(rows)), len(counts))
    stratify = labels[rows] if len(rows) - size >= len(counts) else None
    training, held_out = train_test_split(rows, test_size=size, random_state=settings.seed, stratify=stratify)
    for absent in np.setdiff1d(labels[rows], labels[training]):  # a class that nothing is learned of cannot be told
        moved = held_out[labels[held_out] == absent][0]
        training, held_out = np.append(training, moved), held_out[held_out != moved]
    return np.sort(training), np.sort(held_out)


def _annotator(settings: AnnotateSettings, folder: Path) -> Annotator:
    if settings.annotator == "roberta":
        from engine.annotation.roberta import RobertaAnnotator

        return RobertaAnnotator(settings, folder)
    return SentenceBertAnnotator()
