"""What the page of pseudo-labels shows of an annotation, read from the folder of its run."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.annotation.selection import LiveCounts, live_counts
from engine.corpus.spreadsheet import text_of_cell
from engine.corpus.store import Corpus
from engine.errors import MetaPTError
from engine.jobs.record import RunRecord
from engine.storage import read_json
from metapt_gui.earlier_labels import earlier_labels
from metapt_gui.models.audit_model import Audited

AUDIT = "audit "
"""How the names begin under which decisions about pseudo-labels are kept among the labels."""


class Annotated(NamedTuple):
    """What is shown of an annotation.

    ``subject`` names the texts that were labelled among those that a person decides about; empty if they are gone.
    ``decided`` has what was decided about the same texts when they were imported before: row -> decision.
    """

    folder: Path
    classes: tuple[str, ...]
    facts: dict[str, Any]
    counts: LiveCounts
    audit: list[Audited]
    subject: str
    decided: dict[int, str]


def read_annotated(folder: Path, earlier: Mapping[str, Mapping[int, str]]) -> Annotated:
    """Read the annotation in ``folder``; meant for a background thread.

    ``earlier`` has the decisions about other imports: content hash -> row -> decision.
    """
    facts = read_json(folder / "annotation.json")
    classes = tuple(facts["thresholds"])
    with open(folder / "audit.csv", newline="", encoding="utf-8-sig") as stream:
        audit = [
            Audited(int(row["row"]), text_of_cell(row["label"]), float(row["confidence"]), text_of_cell(row["text"]))
            for row in csv.DictReader(stream)
        ]
    counts = live_counts(folder / "scores.parquet", facts, classes)
    return Annotated(folder, classes, facts, counts, audit, audited_texts(folder), _decided_before(folder, earlier))


def _decided_before(folder: Path, earlier: Mapping[str, Mapping[int, str]]) -> dict[int, str]:
    found = earlier_labels(folder.parent, earlier)
    known = {text: decision for labels in reversed(found) for text, decision in labels.items()}
    if not known:
        return {}
    unlabelled = Corpus.open(RunRecord.open(folder).input("unlabelled"))
    return {row: known[text] for row, text in enumerate(unlabelled.texts) if text in known}


def audited_texts(folder: Path) -> str:
    """Name the texts that were labelled by their content: rows of texts that were imported later are others."""
    try:
        return f"{AUDIT}{Corpus.open(RunRecord.open(folder).input('unlabelled')).content_hash}"
    except MetaPTError:
        return ""
