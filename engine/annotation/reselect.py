"""Choose anew which pseudo-labelled texts are kept, from the scores of an earlier run and a person's corrections."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.annotation.results import histograms, write_audit, write_corpus, write_scores
from engine.annotation.selection import check_kept, class_thresholds, domain_bar, notices, read_scores, select
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.events import Finished, Notice, Progress
from engine.settings import AnnotateSettings
from engine.stage import Stage, StopToken
from engine.storage import read_json, write_json

STAGE = "select"
REJECTED = ""
"""What an edit says of a row that shall not be used."""


def reselect(
    annotated: Path,
    labelled: Corpus,
    unlabelled: Corpus,
    folder: Path,
    settings: AnnotateSettings,
    *,
    edits: Mapping[int, str],
    stop: StopToken,
) -> Stage:
    """Select with other thresholds; leaves the same files as `engine.annotation.stage.annotate`.

    Parameters
    ----------
    annotated
        Folder of the earlier run, of either stage.
    edits
        Row of ``unlabelled`` -> class, or ``""`` for a row that is rejected. A row with a class is kept whatever its
        confidence, as certain, and beside the balance.

    Raises
    ------
    DataError
        If an edit fits no row or class, or nothing is kept.
    """
    classes = labelled.classes
    scores, before = read_scores(annotated / "scores.parquet", classes), read_json(annotated / "annotation.json")
    if len(scores.predicted) != unlabelled.rows:
        raise DataError("The scores are of other texts", where=annotated, remedy="Pseudo-label again.")
    yield Progress(STAGE, 0, unlabelled.rows, "rows", message="Choosing")
    predicted, confidence = scores.predicted.copy(), scores.confidence.copy()
    excluded = scores.already_labelled.copy()
    for row, name in edits.items():
        if not 0 <= row < unlabelled.rows or name not in (*classes, REJECTED):
            raise DataError(f"Row {row + 1} cannot be labelled '{name}'", where=unlabelled.folder)
        excluded[row] = True  # the person decided: it does not take part in the selection
    bar = domain_bar(scores.domain, settings)
    chosen = select(predicted, confidence, scores.domain, excluded, classes, settings, domain_threshold=bar)
    given = np.array(sorted(row for row, name in edits.items() if name != REJECTED), np.int64)
    if not len(given):
        check_kept(chosen, unlabelled)
    for row in given:
        predicted[row], confidence[row] = classes.index(edits[int(row)]), 1.0
    rows = np.union1d(chosen.rows, given)
    kept = np.bincount(predicted[rows], minlength=len(classes))
    write_corpus(folder, labelled, unlabelled, rows, predicted, confidence)
    write_scores(folder, classes, *scores)
    write_audit(folder, classes, unlabelled, rows, predicted, confidence, settings)
    write_json(
        folder / "annotation.json",
        {
            **before,
            "kept": dict(zip(classes, kept.tolist(), strict=True)),
            "dropped": chosen.dropped,
            "edits": len(edits),
            "thresholds": dict(zip(classes, class_thresholds(classes, settings).tolist(), strict=True)),
            "domain_threshold": bar,
            "histograms": histograms(classes, scores.predicted, scores.confidence),
        },
    )
    for notice in notices(chosen, classes, kept, settings):
        yield Notice(notice, "warning")
    summary = {"kept": len(rows), "dropped": unlabelled.rows - len(rows), "edits": len(edits)}
    yield Finished(str(folder), "completed", summary)
