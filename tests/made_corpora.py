"""Corpora as an import leaves them, of texts that a test makes up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from engine.corpus.store import SCHEMA, Corpus, describe
from engine.corpus.writing import writing_corpus


def corpus_of(folder: Path, texts: list[str], labels: list[str | None], classes: Sequence[str] = ()) -> Corpus:
    """Write a corpus of ``texts``; without ``classes`` it has those of its labels, by their names."""
    rows = {"text": texts, "label": labels, "source": ["x"] * len(texts), "row": list(range(1, len(texts) + 1))}
    with writing_corpus(folder, SCHEMA) as writer:
        writer.write(pa.table(rows, schema=SCHEMA))
    names = list(classes or sorted({label for label in labels if label}))
    return describe(folder, names, len(texts), f"{folder.name} {hash(tuple(texts))}", dict.fromkeys(names, "x"))
