"""Texts and labels of a corpus as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq

from engine.corpus.store import Corpus, parquet_errors
from metapt_gui.earlier_labels import carried_over, earlier_labels


@dataclass(frozen=True)
class Texts:
    """Texts and labels of a corpus in memory, as Arrow columns: only what is shown becomes Python.

    ``carried`` has what a person labelled when the same texts were imported before: row -> class. ``gone`` is how many
    texts were labelled then and are not there any more.
    """

    corpus: Corpus
    texts: pa.ChunkedArray
    labels: pa.ChunkedArray
    carried: Mapping[int, str]
    gone: int


def read_texts(corpus: Corpus, labelled: Mapping[str, Mapping[int, str]] = MappingProxyType({})) -> Texts:
    """Read the columns of a corpus, and which texts of others are ``labelled``; meant for a background thread."""
    with parquet_errors(corpus.path):
        table = pq.read_table(corpus.path, columns=["text", "label"])
    texts = table.column("text")
    carried, gone = carried_over(texts, earlier_labels(corpus.folder.parent, labelled))
    return Texts(corpus, texts, table.column("label"), carried, gone)
