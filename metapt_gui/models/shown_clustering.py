"""What the cluster page shows of a clustering."""

from __future__ import annotations

import html
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from engine.clustering.store import Clustering
from engine.corpus.store import Corpus
from metapt_gui.models.texts import read_texts
from metapt_gui.theme import Theme
from metapt_gui.wording import one_line

NAMED = 20
"""Labels whose colours are explained; more would be a list as long as the page."""


class Shown(NamedTuple):
    """What is shown of a clustering, read beside the event loop."""

    clustering: Clustering
    positions: np.ndarray | None
    labels: np.ndarray
    confidence: np.ndarray | None
    classes: tuple[str, ...]
    texts: pa.ChunkedArray

    def hover(self, row: int) -> str:
        """Return the label and the text of a row, on one line."""
        if not 0 <= row < len(self.texts):
            return ""
        text = one_line(self.texts[row].as_py())
        number = int(self.labels[row])
        head = f"{self.classes[number]}: " if number >= 0 else ""
        return head + text


def read_shown(folder: Path, corpus: Corpus) -> Shown:
    """Read the clustering in ``folder`` with the texts that were grouped; meant for a background thread."""
    clustering = Clustering.open(folder)
    found = read_texts(corpus)
    return Shown(
        clustering,
        None if clustering.projection is None else np.array(clustering.projection),
        corpus.labels,
        corpus.confidence,
        corpus.classes,
        found.texts,
    )


def legend(shown: Shown, theme: Theme) -> str:
    """Return the labels with their colours, as rich text."""
    parts = [_entry(theme, number, name) for number, name in enumerate(shown.classes[:NAMED])]
    if len(shown.classes) > NAMED:
        parts.append(f"and {len(shown.classes) - NAMED} more")
    if (shown.labels < 0).any():
        parts.append(_entry(theme, -1, "no label"))
    return " &nbsp; ".join(parts)


def _entry(theme: Theme, number: int, name: str) -> str:
    return f'<span style="color: {theme.category(number).name()}">■</span>&nbsp;{html.escape(name)}'
