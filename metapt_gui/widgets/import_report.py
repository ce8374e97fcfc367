"""What an import read, kept and set aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QSplitter, QWidget

from engine.errors import StorageError, storage_errors
from engine.storage import read_json
from metapt_gui import wording
from metapt_gui.theme import GRID
from metapt_gui.widgets.charts import BarChart, Histogram
from metapt_gui.widgets.dialogs import TableDialog
from metapt_gui.widgets.pieces import Card, Figure, button, enable

DUPLICATES = ("duplicate", "duplicate with another label")
SHORT = ("empty", "too short")
BROKEN_SHOWN = 500
COLUMNS = ("file", "line", "why", "how it begins")


def report_of(folder: Path) -> tuple[dict[str, Any], str]:
    """Return what an import counted, and a warning if it was stopped; nothing if that is gone."""
    try:
        report, result = read_json(folder / "report.json"), read_json(folder / "result.json")
    except StorageError:
        return {}, ""
    if result.get("outcome") != "stopped":
        return report, ""
    part = f"only its first part, {wording.count(report['kept'], 'texts')}, is in the project"
    return report, f"The import was stopped: {part}. Import again to read all."


class ReportCharts(QSplitter):
    """The lengths of the texts that were kept, and how many each class has."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.lengths = Histogram("Length of texts", "characters", "texts")
        self.classes = BarChart("Texts per class", "texts")
        self.lengths.set_placeholder("How long the texts are will be drawn here, once they are imported.")
        self.classes.set_placeholder("How many texts each class has will be drawn here, once they are imported.")
        self.addWidget(self.lengths)
        self.addWidget(self.classes)

    def show_report(self, report: Mapping[str, Any]) -> None:
        """Show the report of an import (``report.json``); an empty one is none."""
        lengths, classes = report.get("lengths", {"edges": [], "counts": []}), report.get("classes", {})
        edges = lengths["edges"]
        self.lengths.set_counts([*edges, 2 * edges[-1]] if edges else [], lengths["counts"])
        self.classes.set_bars(list(classes), list(classes.values()), list(range(len(classes))))


class ImportReport(Card):
    """Counts by reason, live or from a report."""

    broken_asked = Signal()

    def __init__(self) -> None:
        super().__init__("What was read")
        self.figures = {
            "kept": Figure("kept", "Texts that are in the project now."),
            "duplicate": Figure("duplicate", "Texts that were there before, word for word."),
            "empty": Figure("empty or short", "Rows without enough text."),
            "other": Figure(
                "without a class", "Rows whose label is missing or maps to no class, or not in the sample."
            ),
            "broken": Figure(
                "broken", "Rows that could not be read: wrong bytes, too many columns, never closed quotes."
            ),
        }
        grid = QGridLayout()
        grid.setSpacing(GRID)
        for number, figure in enumerate(self.figures.values()):
            grid.addWidget(figure, number // 3, number % 3)
        self.show_broken = button(
            "Show broken rows …", "See each broken row and why it was set aside.", self.broken_asked.emit
        )
        self.box.addLayout(grid)
        self.box.addWidget(self.show_broken)

    def show_counts(self, counts: Mapping[str, int]) -> None:
        """Show counts by reason: ``kept``, ``broken``, and those of the report's ``dropped``."""
        sums = {"kept": counts.get("kept", 0), "broken": counts.get("broken", 0)}
        sums["duplicate"] = sum(counts.get(name, 0) for name in DUPLICATES)
        sums["empty"] = sum(counts.get(name, 0) for name in SHORT)
        sums["other"] = sum(
            count for name, count in counts.items() if name not in ("kept", "broken", *DUPLICATES, *SHORT)
        )
        for name, figure in self.figures.items():
            figure.set(f"{sums[name]:,}")

    def show_report(self, report: Mapping[str, Any]) -> None:
        """Show the report of an import (``report.json``); an empty one is none."""
        if report:
            self.show_counts({"kept": report["kept"], "broken": report["broken"], **report["dropped"]})
        else:
            for figure in self.figures.values():
                figure.set("–")

    def enable_broken(self, some: bool) -> None:
        """Let broken rows be looked at if there are some, of the import or of the files that are chosen."""
        enable(self.show_broken, "" if some else "No row was broken.")


def show_broken_beginning(parent: QWidget, preview: Mapping[str, Any]) -> None:
    """Show the rows that an import would set aside among those of a preview, in a dialog."""
    rows = [(preview["source"], f"{row['line']:,}", row["reason"], row["excerpt"]) for row in preview["broken"]]
    note = f"Of the first {len(preview['rows']) + len(rows):,} rows these cannot be read; an import sets them aside."
    TableDialog(parent, "Broken rows", COLUMNS, rows, note).open()


def show_broken_rows(parent: QWidget, path: Path) -> None:
    """Show the rows that an import set aside (``rejected.jsonl``) in a dialog.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    rows = []
    with storage_errors(path), open(path, encoding="utf-8") as stream:
        for line, _ in zip(stream, range(BROKEN_SHOWN), strict=False):
            item = json.loads(line)
            rows.append((item["source"], f"{item['line']:,}", item["reason"], item["excerpt"]))
    note = f"Rows that were set aside, at most the first {BROKEN_SHOWN}. All others are imported."
    TableDialog(parent, "Broken rows", COLUMNS, rows, note).open()
