"""Annotate a few texts, taught by a few, to see within seconds what an annotation would be like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.annotation.stage import annotate
from engine.corpus.drawing import rows_of_every_class
from engine.corpus.store import SCHEMA, Corpus, describe
from engine.corpus.writing import writing_corpus
from engine.embedding.sentence_bert import Encoder
from engine.settings import AnnotateSettings
from engine.stage import Stage, StopToken

TAUGHT_PER_TEXT, LEAST_TAUGHT, LEAST_OF_A_CLASS = 25, 200, 2


def dry_run(
    labelled: Corpus,
    unlabelled: Corpus,
    folder: Path,
    settings: AnnotateSettings,
    *,
    sample: int,
    encoder: Encoder,
    cache: Path,
    stop: StopToken,
) -> Stage:
    """Label ``sample`` random texts and keep them all; see `engine.annotation.stage.annotate` for what it leaves.

    The annotator learns from at most 25 labelled rows a text (at least 200). The two small corpora are left in
    ``folder/labelled`` and ``folder/unlabelled``, and ``scores.parquet`` has a column ``row`` with the row in
    ``unlabelled``.
    """
    random = np.random.default_rng(settings.seed)
    rows = np.sort(random.permutation(unlabelled.rows)[:sample])
    wanted = max(LEAST_TAUGHT, TAUGHT_PER_TEXT * sample)
    taught = rows_of_every_class(labelled.labels, wanted, random, least=LEAST_OF_A_CLASS)
    everything = {"confidence": 0.0, "class_confidence": {}, "out_of_domain_share": 0.0, "balance": False}
    yield from annotate(
        _part(labelled, taught, folder / "labelled"),
        _part(unlabelled, rows, folder / "unlabelled"),
        folder,
        settings.model_copy(update={**everything, "maximum_rows": None}),
        encoder=encoder,
        cache=cache,
        stop=stop,
        rows=rows,
    )


def _part(corpus: Corpus, rows: np.ndarray, folder: Path) -> Corpus:
    """Write the rows ``rows`` of a corpus, ascending int64, as a corpus of their own."""
    parts, start = [], 0
    for batch in corpus.batches(columns=SCHEMA.names):
        mine = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
        parts.append(batch.take(pa.array(mine)))
        start += batch.num_rows
    with writing_corpus(folder, SCHEMA) as writer:
        writer.write(pa.Table.from_batches(parts, SCHEMA))
    return describe(folder, corpus.classes, len(rows), writer.content_hash, corpus.words)
