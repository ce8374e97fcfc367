"""Choose anew which pseudo-labelled texts are kept, from the scores of an earlier run and a person's corrections."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.annotation.results import write_audit, write_corpus, write_scores
from engine.annotation.selection import (
    Scores,
    Selection,
    check_classes,
    check_kept,
    class_thresholds,
    domain_bar,
    notices,
    read_scores,
    select,
)
from engine.corpus.store import Corpus
from engine.errors import DataError
from engine.events import Finished, Notice, Progress
from engine.settings import AnnotateSettings
from engine.stage import Stage, StopToken
from engine.storage import read_json, write_json

STAGE = "select"
REJECTED = ""
"""What an edit says of a row that shall not be used."""
BY_HAND = "rejected by hand"


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
        If an edit fits no row or class, the scores are of other texts, or nothing is kept.
    SettingsError
        If a threshold is for a class that does not exist.
    """
    classes = labelled.classes
    check_classes(classes, settings)
    scores, before = read_scores(annotated / "scores.parquet", classes), read_json(annotated / "annotation.json")
    if len(scores.predicted) != unlabelled.rows:
        raise DataError("The scores are of other texts", where=annotated, remedy="Pseudo-label again.")
    yield Progress(STAGE, 0, unlabelled.rows, "rows", message="Choosing")
    if stop.requested:
        yield Finished(str(folder), "stopped")
        return
    for row, name in edits.items():
        if not 0 <= row < unlabelled.rows or name not in (*classes, REJECTED):
            raise DataError(
                f"Row {row + 1} cannot be labelled '{name}'", where=unlabelled.folder, remedy="Undo that correction."
            )
    given = np.array(sorted(row for row, name in edits.items() if name != REJECTED), np.int64)
    rejected = np.array(sorted(row for row, name in edits.items() if name == REJECTED), np.int64)
    bar = domain_bar(scores.domain, settings)
    # The person decided about the edited rows: only the others take part in the selection.
    others = np.delete(np.arange(unlabelled.rows), list(edits))
    undecided = Scores(*(column[others] for column in scores))
    among = select(*undecided, classes, settings, domain_threshold=bar)
    dropped = dict(among.dropped)
    if len(rejected):
        counts = np.bincount(scores.predicted[rejected], minlength=len(classes)).tolist()
        dropped[BY_HAND] = dict(zip(classes, counts, strict=True))
    chosen = Selection(others[among.rows], dropped)
    predicted, confidence = scores.predicted.copy(), scores.confidence.copy()
    if not len(given):
        check_kept(chosen, unlabelled)
    for row in given:
        predicted[row], confidence[row] = classes.index(edits[int(row)]), 1.0
    rows = np.union1d(chosen.rows, given)
    kept = np.bincount(predicted[rows], minlength=len(classes))
    write_corpus(folder, labelled, unlabelled, rows, predicted, confidence)
    write_scores(folder, classes, *scores)
    write_audit(folder, classes, unlabelled, rows, predicted, confidence, settings, decided=edits)
    write_json(
        folder / "annotation.json",
        {
            **before,
            "kept": dict(zip(classes, kept.tolist(), strict=True)),
            "dropped": chosen.dropped,
            "edits": len(edits),
            "thresholds": dict(zip(classes, class_thresholds(classes, settings).tolist(), strict=True)),
            "domain_threshold": bar,
        },
    )
    for notice in notices(chosen, classes, kept, settings):
        yield Notice(notice, "warning")
    summary = {"kept": len(rows), "dropped": unlabelled.rows - len(rows), "edits": len(edits)}
    yield Finished(str(folder), "completed", summary)
