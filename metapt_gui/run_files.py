"""What a run left in its folder, for the eyes: its curves and how it ended. Meant for a background thread."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import MetaPTError
from engine.events import Metric, from_json
from engine.storage import read_json
from metapt_gui import wording
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


def describe_runs(folders: list[Path], notes: dict[str, str], used: str = "") -> list[RunLine]:
    """Return a line about each run of meta-training; the one ``used`` is marked."""
    lines = []
    for folder in folders:
        with contextlib.suppress(MetaPTError, AttributeError, LookupError, TypeError, ValueError):  # a damaged run
            lines.append(replace(_describe(folder, notes), used=folder.name == used))
    return lines


def _describe(folder: Path, notes: dict[str, str]) -> RunLine:
    result = read_json(folder / "result.json") if (folder / "result.json").exists() else {}
    job = read_json(folder / "job.json")
    summary = result.get("summary", {})
    state = result.get("outcome") or ("failed" if result.get("event") == "Failed" else "interrupted")
    best = summary.get("validation_accuracy")
    steps = f"{summary['steps']:,} of {job['settings']['steps']:,}" if "steps" in summary else ""
    started = time.strftime("%d %b %H:%M", time.localtime((folder / "job.json").stat().st_mtime))
    shown = wording.percent(best) if best is not None else ""
    return RunLine(folder.name, started, str(state), steps, shown, notes.get(folder.name, ""))
