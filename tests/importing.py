"""Files of texts for tests, and corpora that are read from them."""

from __future__ import annotations

import csv
from pathlib import Path

from engine.corpus.importing import import_corpus
from engine.corpus.store import Corpus
from engine.events import Finished
from engine.settings import ImportSettings
from engine.stage import StopToken

ROWS = [("The soup was cold", "1"), ("Lovely, warm bread", "5"), ("It was a table", "3")]


def read(path: Path | str, folder: Path, **options) -> Corpus:
    """Import a file, or what a pattern finds, with settings."""
    events = list(import_corpus([path], folder, ImportSettings(**options), stop=StopToken()))
    assert isinstance(events[-1], Finished)
    return Corpus.open(folder)


def write(path: Path, delimiter: str = ",", rows=ROWS) -> Path:
    """Write a CSV of reviews with stars."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerows([("review", "stars"), *rows])
    return path
