"""Labels that a person gave to texts as they were imported before: by text, since rows are others each time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.corpus.store import Corpus, parquet_errors
from engine.errors import MetaPTError


def earlier_labels(runs: Path, labelled: Mapping[str, Mapping[int, str]]) -> list[dict[str, str]]:
    """Return text -> class for each corpus, in the order of ``labelled``; what is gone or damaged is left out.

    Parameters
    ----------
    runs
        Folder of the project's runs, which the corpora are among.
    labelled
        Content hash -> row -> class.
    """
    if not labelled:
        return []
    corpora: dict[str, Corpus] = {}
    for folder in sorted(runs.glob("*-import")):
        with contextlib.suppress(MetaPTError):
            corpus = Corpus.open(folder)
            corpora[corpus.content_hash] = corpus
    found = []
    for content, labels in labelled.items():
        if content in corpora:
            with contextlib.suppress(MetaPTError), parquet_errors(corpora[content].path):
                texts = pq.read_table(corpora[content].path, columns=["text"]).column("text")
                found.append({texts[row].as_py(): name for row, name in labels.items() if 0 <= row < len(texts)})
    return found


def carried_over(texts: pa.ChunkedArray, earlier: Sequence[Mapping[str, str]]) -> tuple[dict[int, str], int]:
    """Return row -> class of the texts that have an earlier label, and how many labelled texts of the last are gone.

    Of a text that was labelled in several imports the last label counts, which ``earlier`` has first.
    """
    known = {text: name for labels in reversed(earlier) for text, name in labels.items()}
    if not known:
        return {}, 0
    names = list(known)
    places = pc.index_in(texts, pa.array(names, texts.type)).to_numpy()  # of 300,000 texts none becomes Python
    rows = np.flatnonzero(~np.isnan(places))
    found = {int(row): names[int(places[row])] for row in rows}
    gone = len(earlier[0].keys() - set(found.values()))
    return {row: known[text] for row, text in found.items()}, gone
