"""What a run left in its folder, for the eyes: its curves and how it ended. Meant for a background thread."""

from __future__ import annotations

import contextlib
import time
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
    with contextlib.suppress(OSError), open(folder / "events.jsonl", encoding="utf-8") as stream:
        for line in stream:
            try:
                event = from_json(line)
            except (ValueError, TypeError, KeyError):
                continue  # the last line of a run that was killed may be half a line
            if isinstance(event, Metric):
                points.setdefault((event.name, event.group), {})[event.step] = event.value
    found: Curves = {}
    for key, values in points.items():
        steps = np.array(sorted(values), np.int64)
        found[key] = (steps, np.array([values[int(step)] for step in steps]))
    return found


def describe_runs(folders: list[Path], notes: dict[str, str]) -> list[RunLine]:
    """Return a line about each run of meta-training."""
    lines = []
    for folder in folders:
        try:
            result = read_json(folder / "result.json") if (folder / "result.json").exists() else {}
            job = read_json(folder / "job.json")
        except MetaPTError:
            continue
        summary = result.get("summary", {})
        state = result.get("outcome") or ("failed" if result.get("event") == "Failed" else "interrupted")
        best = summary.get("validation_accuracy")
        steps = f"{summary['steps']:,} of {job['settings']['steps']:,}" if "steps" in summary else ""
        started = time.strftime("%d %b %H:%M", time.localtime((folder / "job.json").stat().st_mtime))
        lines.append(
            RunLine(
                folder.name,
                started,
                state,
                steps,
                wording.percent(best) if best is not None else "",
                notes.get(folder.name, ""),
            )
        )
    return lines
