"""Write the tables of the evidence pages anew from ``benchmarks/results``, each below its comment ``<!-- name -->``.

    python -m benchmarks.evidence

What is not in the results is not in the tables, or stands there as not measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.paper import tables
from benchmarks.paper.experiments import ABLATIONS
from benchmarks.paper.report import markdown
from benchmarks.paper.tables import TARGETS, by_condition, compared_with
from benchmarks.provenance import RESULTS
from benchmarks.speed.cases import CASES
from engine.storage import read_json, write_text

DOCS = Path(__file__).parents[1] / "docs"
PAGES = tuple(DOCS / f"{name}.md" for name in ("evidence", "evidence-details", "evidence-settings", "speed"))

SPEED = {
    "meta-first-order": "meta step, first-order (T5-small's shape, K = 10, m = 4, n = 100)",
    "meta-exact": "meta step, exact (the same shape)",
    "five-seeds": "five seeds of few-shot tuning, bundled backbone",
    "classify": "classifying 10,000 reviews, bundled backbone, against PEFT and `generate`",
    "embed-and-group": "embedding and K-means of 10,000 rows",
    "import": "import of a 1 GB CSV, cleaned and deduplicated, against bare Arrow to Parquet",
}


def speed() -> str:
    """Return the cases of the speed benchmark, ours against a user's."""
    document, rows = read_json(RESULTS / "speed.json"), []
    for device, found in document.items():
        for name in CASES:
            case = found.get(name)
            if case is None:
                rows.append([SPEED[name], device, "not measured", *[""] * 5])
                continue
            share = f"{case['share_of_matrix_rate']:.0%}".replace("%", " %") if "share_of_matrix_rate" in case else ""
            times = [f"{case['ours_seconds']:.1f}", f"{case['theirs_seconds']:.1f}" if "ratio" in case else ""]
            ratio = ["not measured", f"{case['target']:g}"]
            if "ratio" in case:  # an older measurement has the careful user alone
                digits = 3 if abs(case["ratio"] - case["target"]) < 0.01 else 2
                reached = "reached" if case["reached"] else "**missed**"
                ratio = [f"{case['ratio']:.{digits}f}", f"{ratio[1]}, {reached}"]
            careful = f"{case['careful_ratio']:.2f}" if "careful_ratio" in case else ""
            rows.append([SPEED[name], device, *ratio, careful, *times, share])
    if not any(device.startswith("cuda") for device in document):
        rows.append(["all of them", "GPU", "not measured", *[""] * 5])
    head = ["", "device", "ratio", "target", "against a careful user", "ours, s", "theirs, s"]
    return markdown([*head, "share of the matrix rate"], rows)


def suggestions() -> str:
    """Return what suggested and random labels are worth: mean ± standard error over the draws."""
    rows: list[list[str]] = []
    sizes: list[str] = []
    for target, ways in read_json(RESULTS / "suggestions.json")["figures"].items():
        for way, found in ways.items():
            sizes = list(found)
            draws = [100 * np.array(part) for part in found.values()]
            cells = [f"{part.mean():.1f} ± {part.std(ddof=1) / len(part) ** 0.5:.1f}" for part in draws]
            rows.append([TARGETS[target] if way == "suggested" else "", way, *cells])
    return markdown(["target", "texts", *(f"{size} labels" for size in sizes)], rows)


TABLES: dict[str, Callable[[], str]] = {
    "accuracy": lambda: tables.table1("accuracy"),
    "macro-F1": lambda: tables.table1("macro_f1"),
    "recall": lambda: tables.table1("recall of 0", "sst5", "amazon5"),
    "untouched": tables.untouched,
    "plain": tables.plain,
    "own": tables.own,
    "templates": tables.templates,
    "steps": tables.steps,
    "differences": tables.differences,
    "trained anew": tables.trained_anew,
    "small batches": tables.small_batches,
    "better probe": tables.better_probe,
    "counted": tables.counted,
    "table 2": compared_with(["table2"], "sst5", "K-means", {"PPT": "PPT(Y), which has no groups"}),
    "grouped anew": tables.grouped_anew,
    "figure 2": by_condition("figure2", "sst2"),
    "figure 3a": by_condition("figure3a", "sst5"),
    "figure 3b": compared_with(["figure3b"], "sst5", "10", {str(k): f"{k} groups" for k in (3, 6, 10, 20, 30)}),
    "fewer, SST-2": by_condition("fewer", "sst2"),
    "fewer, Amazon-2": by_condition("fewer", "amazon2"),
    "ablations, SST-2": compared_with(ABLATIONS, "sst2", "MetaPT(Y)", {}),
    "ablations, Amazon-2": compared_with(ABLATIONS, "amazon2", "MetaPT(Y)", {}),
    "choose, learning": tables.learning_rates,
    "choose, pseudo-labels": tables.pseudo_label_rates,
    "choose, tuning": tables.tuning_rates,
    "stopping, SST-2": by_condition("stopping", "sst2"),
    "stopping, Amazon-5": by_condition("stopping", "amazon5"),
    "stopping, Sentihood": by_condition("stopping", "sentihood"),
    "suggestions": suggestions,
    "speed": speed,
}


def rewritten(pages: Mapping[str, str]) -> dict[str, str]:
    """Return pages with each table below its comment made anew, wherever it stands; text around them stays."""
    found = dict(pages)
    for name, made in TABLES.items():
        begin = rf"(<!-- {re.escape(name)} -->\n\n)(\|[^\n]*\n)+"
        places = [page for page, text in found.items() for _ in re.finditer(begin, text)]
        if len(places) != 1:
            raise ValueError(f"{' and '.join(found)} have {len(places)} tables below <!-- {name} -->")
        page = places[0]
        found[page] = re.sub(begin, lambda match, made=made: match[1] + made() + "\n", found[page])
    return found


def pages() -> dict[str, str]:
    """Return file name -> text of the evidence pages."""
    return {page.name: page.read_text(encoding="utf-8") for page in PAGES}


def main() -> None:
    """Write the pages."""
    for name, text in rewritten(pages()).items():
        write_text(DOCS / name, text)


if __name__ == "__main__":
    main()
