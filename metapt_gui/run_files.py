"""What a run left in its folder, for the eyes: its curves and how it ended. Meant for a background thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import StorageError
from engine.events import Metric, from_json
from engine.jobs import MetaTrainJob, PretrainJob, TuneJob
from engine.jobs.record import RunRecord, ending
from metapt_gui.widgets.run_history import RunLine

Curves = dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]


def read_curves(folder: Path) -> Curves:
    """Return (name, group) -> steps and values; where a run was resumed, the later values count."""
    points: dict[tuple[str, str], dict[int, float]] = {}
    with contextlib.suppress(OSError), open(folder / "events.jsonl", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                event = from_json(line)
                if isinstance(event, Metric):
                    step = int(np.int64(event.step))
                    points.setdefault((event.name, event.group), {})[step] = float(event.value)
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                continue  # the last line of a run that was killed may be half a line
    found: Curves = {}
    for key, values in points.items():
        steps = np.array(sorted(values), np.int64)
        found[key] = (steps, np.array([values[int(step)] for step in steps]))
    return found


def describe_runs(folders: list[Path], notes: dict[str, str], used: Collection[str] = ()) -> list[RunLine]:
    """Return a line about each run that learned or tuned a prompt; those ``used`` are marked."""
    lines = []
    for folder in folders:
        with contextlib.suppress(StorageError):  # a damaged run
            lines.append(replace(_describe(folder, notes), used=folder.name in used))
    return lines


def _describe(folder: Path, notes: dict[str, str]) -> RunLine:
    job, end = RunRecord.open(folder).job, ending(folder)
    done = end.summary.get("steps")
    size = f"{done:,} of {job.settings.steps:,}" if isinstance(job, MetaTrainJob) and isinstance(done, int) else ""
    if isinstance(job, PretrainJob):
        size = "PPT"
    if isinstance(job, TuneJob):
        size = f"{job.tune.training_rows} + {job.tune.validation_rows}"
    started = time.strftime("%d %b %H:%M", time.localtime((folder / "job.json").stat().st_mtime))
    return RunLine(folder.name, started, end.outcome, size, end.figure, notes.get(folder.name, ""))
