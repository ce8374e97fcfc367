"""Corpora as an import leaves them, of texts that a test makes up, and their groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.clustering.store import Cluster, save
from engine.corpus.store import SCHEMA, Corpus, describe
from engine.corpus.writing import writing_corpus


def corpus_of(
    folder: Path,
    texts: list[str],
    labels: list[str | None],
    classes: Sequence[str] = (),
    words: dict[str, str] | None = None,
) -> Corpus:
    """Write a corpus of ``texts``; without ``classes`` it has those of its labels, by their names."""
    rows = {"text": texts, "label": labels, "source": ["x"] * len(texts), "row": list(range(1, len(texts) + 1))}
    with writing_corpus(folder, SCHEMA) as writer:
        writer.write(pa.table(rows, schema=SCHEMA))
    names = list(classes or sorted({label for label in labels if label}))
    words = dict.fromkeys(names, "x") if words is None else words
    return describe(folder, names, len(texts), f"{folder.name} {hash(tuple(texts))}", words)


def clustering_of(folder: Path, corpus: Corpus, assignment: np.ndarray) -> Path:
    """Write a clustering of a corpus with groups called ``group 0``, ``group 1``, ..."""
    sizes = np.bincount(assignment).tolist()
    groups = [Cluster(number, f"group {number}", size, {}, (), ()) for number, size in enumerate(sizes)]
    facts = {"method": "random", "settings": {}, "content_hash": corpus.content_hash}
    save(folder, assignment, None, groups, {**facts, "silhouette": None, "label_nmi": None, "sweep": {}})
    return folder
