"""The paper's figures as PNG; needs matplotlib (``pip install -e .[benchmarks]``)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.paper.report import rows_of, values

AXES = {
    "figure2": ("examples to train on (and as many to validate)", True),
    "figure3a": ("rows of the labelled source", True),
    "figure3b": ("groups, K", False),
}


def curves(document: Mapping[str, Any], experiment: str, path: Path) -> None:
    """Draw accuracy over the conditions of ``experiment``, a line a method, bars of one sample deviation."""
    label, logarithmic = AXES[experiment]
    lines: dict[str, list[tuple[float, float, float]]] = {}
    targets: dict[str, None] = {}
    for target, condition, method, runs in rows_of(document, experiment):
        figures = 100 * values(runs, "accuracy")
        spread = float(figures.std(ddof=1)) if len(figures) > 1 else 0.0
        lines.setdefault(f"{method}, {target}", []).append((float(condition), float(figures.mean()), spread))
        targets[target] = None
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, points in lines.items():
        axes.errorbar(*np.array(sorted(points)).T, marker="o", capsize=3, label=name)
    if logarithmic:
        axes.set_xscale("log")
    ticks = sorted({point[0] for points in lines.values() for point in points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel=label, ylabel="accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def scatters(points: Mapping[int, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Draw t-SNE maps side by side: K -> coordinates [n, 2] and groups [n]; the same numbers go into a CSV."""
    figure, axes = plt.subplots(1, len(points), figsize=(4 * len(points), 4), layout="constrained", squeeze=False)
    with open(path.with_suffix(".csv"), "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["K", "x", "y", "group"])
        for place, (number, (where, groups)) in zip(axes[0], points.items(), strict=True):
            place.scatter(where[:, 0], where[:, 1], c=groups, cmap="tab20", s=2, linewidths=0)
            place.set(title=f"K = {number}", xticks=[], yticks=[])
            writer.writerows(
                (number, f"{x:.3f}", f"{y:.3f}", int(group)) for (x, y), group in zip(where, groups, strict=True)
            )
    figure.savefig(path, dpi=120)
    plt.close(figure)
