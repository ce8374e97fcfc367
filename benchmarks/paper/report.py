"""What the figures say: tables, and differences that are paired over the seeds."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

COMPARED = (
    ("MetaPT(Y)", "PPT(Y)"),
    ("MetaPT", "PPT"),
    ("MetaPT(Y)", "PT"),
    ("PPT(Y)", "PT"),
    ("MetaPT(Y)", "Sentence-BERT probe + source"),
)

Document = Mapping[str, Any]
"""Experiment -> target -> {"figures": condition -> method -> seed -> figures, ...}, as in the results file."""


Figures = Mapping[str, Mapping[str, Any]]
"""Method -> seed -> figures."""
RECALL = "recall of "
TABLE1 = ("table1", "baselines", "pseudo", "setfit", "ppt")
"""Experiments whose rows stand in one table."""


def joined(document: Document, experiments: Sequence[str] = TABLE1, name: str = "table 1") -> dict[str, Any]:
    """Return the methods of several experiments as one experiment."""
    targets: dict[str, Any] = {}
    for experiment in experiments:
        for target, condition, method, runs in rows_of(document, experiment):
            entry = targets.setdefault(target, {"figures": {}})
            entry["figures"].setdefault(condition, {})[method] = runs
    return {name: targets}


def values(runs: Mapping[str, Mapping[str, Any]], name: str) -> np.ndarray:
    """Return the figure ``name`` of every seed that has it; ``recall of 0`` is that of the class ``0``."""
    if name.startswith(RECALL):
        runs = {seed: run.get("recall", {}) for seed, run in runs.items()}
        name = name.removeprefix(RECALL)
    return np.array([run[name] for run in runs.values() if name in run], float)


def paired(one: Mapping[str, Any], other: Mapping[str, Any], name: str = "accuracy") -> tuple[float, float] | None:
    """Return the mean difference over the seeds that both have and the half width of its 95 % interval (Student's t).

    ``None`` with fewer than two seeds.
    """
    both = sorted(set(one) & set(other))
    if len(both) < 2:
        return None
    differences = np.array([one[seed][name] - other[seed][name] for seed in both])
    width = stats.t.ppf(0.975, len(both) - 1) * differences.std(ddof=1) / np.sqrt(len(both))
    return float(differences.mean()), float(width)


def rows_of(document: Document, experiment: str) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Yield target, condition, method, seed -> figures."""
    for target, entry in document.get(experiment, {}).items():
        for condition, methods in entry["figures"].items():
            for method, runs in methods.items():
                yield target, condition, method, runs


def table(document: Document, experiment: str, name: str = "accuracy", scale: float = 100) -> str:
    """Return Markdown: methods down, targets and conditions across, mean ± sample deviation of ``scale`` x figure."""
    cells: dict[str, dict[str, str]] = {}
    columns: dict[str, None] = {}
    found = list(rows_of(document, experiment))
    several = {target: len({condition for t, condition, *_ in found if t == target}) > 1 for target, *_ in found}
    for target, condition, method, runs in found:
        column = f"{target}, {condition}" if several[target] else target
        figures = scale * values(runs, name)
        if len(figures):
            columns[column] = None
            spread = f" ± {figures.std(ddof=1):.1f}" if len(figures) > 1 else ""
            cells.setdefault(method, {})[column] = f"{figures.mean():.1f}{spread}"
    lines = ["| |" + "".join(f" {column} |" for column in columns), "|---|" + "---|" * len(columns)]
    lines += [
        f"| {method} |" + "".join(f" {row.get(column, '')} |" for column in columns) for method, row in cells.items()
    ]
    return "\n".join(lines)


def differences(document: Document, experiment: str) -> str:
    """Return Markdown: paired differences in points and their 95 % intervals, the ones that are none in brackets."""
    lines = ["| target | difference | points (95 % interval) |", "|---|---|---|"]
    for target, entry in document.get(experiment, {}).items():
        for condition, methods in entry["figures"].items():
            for one, other in COMPARED:
                if one in methods and other in methods:
                    found = paired(methods[one], methods[other])
                    if found is not None:
                        text = f"{100 * found[0]:+.1f} ± {100 * found[1]:.1f}"
                        told = text if abs(found[0]) > found[1] else f"({text})"
                        lines.append(f"| {target}, {condition} | {one} - {other} | {told} |")
    return "\n".join(lines)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def spread(figures: Sequence[Figures], methods: Mapping[str, str], name: str, head: Sequence[str]) -> str:
    """Return mean ± sample deviation of ``name``, a column each of ``figures``; the best mean of a column is bold."""
    cells: dict[tuple[str, int], tuple[str, str]] = {}
    for column, found in enumerate(figures):
        for method in methods:
            if method in found:
                part = 100 * values(found[method], name)
                deviation = f" ± {part.std(ddof=1):.1f}" if len(part) > 1 else ""
                cells[method, column] = f"{part.mean():.1f}", f"{part.mean():.1f}{deviation}"
    best = [max((float(cells[m, c][0]) for m, c in cells if c == column), default=0) for column in range(len(figures))]

    def cell(method: str, column: int) -> str:
        mean, text = cells.get((method, column), ("", ""))
        return f"**{text}**" if mean and float(mean) == best[column] else text

    shown = [method for method in methods if any((method, column) in cells for column in range(len(figures)))]
    rows = ([methods[method], *(cell(method, column) for column in range(len(figures)))] for method in shown)
    return markdown(["", *head], rows)


def difference(figures: Figures, one: str, other: str) -> str:
    """Return the paired difference of two methods in points, in brackets if it may be chance; empty without one."""
    both = paired(figures[one], figures[other]) if one in figures and other in figures else None
    text = "" if both is None else f"{100 * both[0]:+.1f} ± {100 * both[1]:.1f}"
    return text if both is None or abs(both[0]) > both[1] else f"({text})"


def write_csv(document: Document, path: Path) -> None:
    """Write one row a seed: what the tables and plots are made of."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["experiment", "target", "condition", "method", "seed", "accuracy", "macro_f1", "best_step"])
        for experiment in document:
            for target, condition, method, runs in rows_of(document, experiment):
                for seed, run in runs.items():
                    step = run.get("best_step", "")
                    writer.writerow(
                        [experiment, target, condition, method, seed, run["accuracy"], run["macro_f1"], step]
                    )
