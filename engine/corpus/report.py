"""What an import has read, kept and dropped, and why."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np

from engine.corpus.rows import Broken
from engine.corpus.sources import Source
from engine.events import Metric

REJECTED_ON_DISK = 10_000
EXAMPLES = 5
COUNTS_SECONDS = 0.25
LENGTH_EDGES = (0, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


@dataclass
class Report:
    """What was read, kept and dropped, and why.

    ``guessed`` has the text columns that nobody named, with the sources that were read so.
    """

    read: int = 0
    kept: int = 0
    broken: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    sources: list[dict[str, Any]] = field(default_factory=list)
    guessed: dict[str, list[str]] = field(default_factory=dict)
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(len(LENGTH_EDGES), np.int64))
    _told: dict[str, int] = field(default_factory=dict)
    _told_at: float = -math.inf

    def counts(self, *, at_once: bool = False) -> Iterator[Metric]:
        """Yield a `Metric` ``rows`` for each of ``kept``, ``broken`` and the reasons whose count is new.

        That is at most some four times a second; ``at_once`` does not wait, and yields all of them.
        """
        now = time.monotonic()
        if not at_once and now - self._told_at < COUNTS_SECONDS:
            return
        self._told_at = now
        counts = {"kept": self.kept, "broken": self.broken, **self.dropped}
        for reason, count in counts.items():
            if at_once or count != self._told.get(reason):
                yield Metric("rows", self.read, count, reason)
        self._told = counts

    def drop(self, reason: str, example: str) -> None:
        """Count a row that is not kept."""
        self.dropped[reason] += 1
        self._show(reason, example)

    def _show(self, reason: str, example: str) -> None:
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(example[:200])

    def set_aside(self, row: Broken, source: Source, rejected: TextIO) -> None:
        """Count a row that cannot be used, and write down where it is and why."""
        self.broken += 1
        self._show("broken", f"{source.name}, line {row.line:,}: {row.reason}")
        if self.broken <= REJECTED_ON_DISK:
            record = {"source": source.name, "line": row.line, "reason": row.reason, "excerpt": row.excerpt}
            rejected.write(json.dumps(record) + "\n")
