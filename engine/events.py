"""What every stage streams: small frozen dataclasses, never tensors.

An event crosses the pipe from the engine process to the window or the command line, is written as one JSON line into
the run's ``events.jsonl``, and is printed by ``--json``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """How far a stage is.

    Parameters
    ----------
    stage
        Name of the stage, e.g. ``"cluster"``.
    done, total
        Amount of work done and, if known, in all, in ``unit``.
    unit
        Plural noun: ``"rows"``, ``"steps"``.
    rate
        Units per second, smoothed; ``None`` until it is known.
    seconds_left
        Estimated seconds until ``total``; ``None`` until it is known.
    message
        What is being done, in the user's words.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "steps"
    rate: float | None = None
    seconds_left: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Metric(Event):
    """A point of a curve: ``value`` of ``name`` at ``step``; ``group`` (task, seed) tells curves of a name apart."""

    name: str
    step: int
    value: float
    group: str = ""


@dataclass(frozen=True, slots=True)
class Points(Event):
    """Positions of rows in the plane.

    Parameters
    ----------
    kind
        ``"pca"`` or ``"tsne"``.
    rows
        Row numbers in the corpus, int64 [n].
    positions
        Coordinates, float32 [n, 2], read-only.
    clusters
        Cluster of each row, int16 [n], or ``None`` while there is none.
    """

    kind: Literal["pca", "tsne"]
    rows: np.ndarray
    positions: np.ndarray
    clusters: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """A sentence for the person that is not an error."""

    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True, slots=True)
class Checkpointed(Event):
    """The stage can be resumed from ``path``, where it stood after ``step``."""

    path: str
    step: int


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The stage is over and its results are in ``path``.

    ``outcome`` is ``"completed"``, or ``"stopped"`` when the person asked to stop and keep the best so far.
    ``summary`` is a small JSON-able mapping of what came out.
    """

    path: str
    outcome: Literal["completed", "stopped"] = "completed"
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The stage ended with an error: ``what``, ``where``, ``remedy`` for the person, ``details`` for a report."""

    error: str
    what: str
    where: str | None = None
    remedy: str | None = None
    details: str = ""


EVENT_TYPES: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (Progress, Metric, Points, Notice, Checkpointed, Finished, Failed)
}


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a contiguous copy of ``array`` that cannot be written to."""
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


def to_json(event: Event) -> str:
    """Return ``event`` as one line of JSON with an ``event`` key; arrays become lists, numbers stay finite or null."""
    record: dict[str, Any] = {"event": type(event).__name__}
    for item in dataclasses.fields(event):
        value = getattr(event, item.name)
        record[item.name] = value.tolist() if isinstance(value, np.ndarray) else value
    return json.dumps(_finite(record), allow_nan=False)


def from_json(line: str) -> Event:
    """Return the event that `to_json` wrote.

    Raises
    ------
    ValueError
        If the line is not JSON or names no event.
    """
    record = json.loads(line)
    if not isinstance(record, dict) or record.get("event") not in EVENT_TYPES:
        raise ValueError(f"not an event: {line[:80]!r}")
    kind = EVENT_TYPES[record.pop("event")]
    if kind is Points:
        record["rows"] = read_only(np.asarray(record["rows"], np.int64))
        record["positions"] = read_only(np.asarray(record["positions"], np.float32))
        if record["clusters"] is not None:
            record["clusters"] = read_only(np.asarray(record["clusters"], np.int16))
    if kind is Metric and record["value"] is None:
        record["value"] = float("nan")
    return kind(**record)


def _finite(value: Any) -> Any:
    """Replace what JSON cannot say (NaN, infinities, NumPy scalars)."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
