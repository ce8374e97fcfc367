"""What annotation leaves behind: a corpus of the kept rows, the scores of all, and a sample to look at."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.corpus.spreadsheet import plain_cell
from engine.corpus.store import ANNOTATED_SCHEMA, Corpus, describe, parquet_errors
from engine.corpus.writing import writing_corpus
from engine.settings import AnnotateSettings
from engine.storage import replacing

AUDITED = 50


def write_corpus(
    folder: Path,
    labelled: Corpus,
    unlabelled: Corpus,
    rows: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
) -> None:
    """Write the rows that are kept as a corpus."""
    with parquet_errors(unlabelled.path):
        table = pq.read_table(unlabelled.path, columns=["text", "source", "row"]).take(pa.array(rows))
    names = pa.array([labelled.classes[number] for number in predicted[rows]], pa.string())
    columns = [table.column("text"), names, table.column("source"), table.column("row")]
    columns.append(pa.array(confidence[rows], pa.float32()))
    with writing_corpus(folder, ANNOTATED_SCHEMA) as writer:
        writer.write(pa.table(columns, schema=ANNOTATED_SCHEMA))
    describe(folder, labelled.classes, len(rows), writer.content_hash, labelled.words)


def write_scores(
    folder: Path,
    classes: Sequence[str],
    predicted: np.ndarray,
    confidence: np.ndarray,
    domain: np.ndarray,
    already_labelled: np.ndarray,
    rows: np.ndarray | None = None,
) -> None:
    """Write class, confidence and domain score of every row, so that thresholds can be moved without computing anew.

    ``rows`` (int64 [n]) says where each row stands in the corpus that a part was taken from, if it was.
    """
    columns = {
        "label": pa.array([classes[number] for number in predicted], pa.string()),
        "confidence": pa.array(confidence),
        "domain": pa.array(domain),
        "already_labelled": pa.array(already_labelled),
    }
    if rows is not None:
        columns["row"] = pa.array(rows)
    table = pa.table(columns)
    with replacing(folder / "scores.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_audit(
    folder: Path,
    classes: Sequence[str],
    unlabelled: Corpus,
    rows: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    settings: AnnotateSettings,
    *,
    decided: Collection[int] = (),
) -> None:
    """The rows that a person decided about, and a random sample of the other kept ones of each class, to look at."""
    undecided = np.setdiff1d(rows, list(decided))
    random = np.random.default_rng([settings.seed, 1])
    with replacing(folder / "audit.csv") as temporary, open(temporary, "w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream)
        writer.writerow(["row", "label", "confidence", "text"])
        samples = [random.permutation(undecided[predicted[undecided] == number]) for number in range(len(classes))]
        for row in itertools.chain(sorted(decided), *(np.sort(sample[:AUDITED]) for sample in samples)):
            name, text = plain_cell(classes[predicted[row]]), plain_cell(unlabelled.texts[row])
            writer.writerow([int(row), name, f"{confidence[row]:.3f}", text])
