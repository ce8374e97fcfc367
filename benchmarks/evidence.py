"""Write the tables of the evidence pages anew from ``benchmarks/results``, each below its comment ``<!-- name -->``.

    python -m benchmarks.evidence

What is not in the results is not in the tables, or stands there as not measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.data import TEST_ROWS
from benchmarks.paper.experiments import ABLATIONS, TUNED
from benchmarks.paper.report import Figures, difference, joined, markdown, paired, spread, values
from benchmarks.speed.cases import CASES
from engine.evaluation.results import ALONE
from engine.storage import read_json, write_text

HERE = Path(__file__).parent
RESULTS, DOCS = HERE / "results", HERE.parent / "docs"
PAGES = tuple(DOCS / f"{name}.md" for name in ("evidence", "evidence-details", "evidence-settings", "speed"))

TARGETS = {
    "amazon2": "Amazon-2",
    "amazon5": "Amazon-5",
    "sst2": "SST-2",
    "sst5": "SST-5",
    "sentihood": "Sentihood",
    "semeval16_laptop": "SemEval laptops",
    "semeval16_rest": "SemEval restaurants",
}
METHODS = {
    "MetaPT(Y)": "MetaPT(Y)",
    "PPT(Y)": "PPT(Y)",
    "MetaPT": "MetaPT, pseudo-labels",
    "PPT": "PPT, pseudo-labels",
    "PT": "PT, random",
    "PT, vocabulary": "PT, word vectors",
    "FT": "FT",
    "SetFit": "SetFit",
    "Sentence-BERT probe": "Sentence-BERT probe",
    "Sentence-BERT probe + source": "Sentence-BERT probe + source",
}
PAIRS = (
    ("MetaPT(Y)", "PPT(Y)"),
    ("MetaPT(Y)", "PT"),
    ("MetaPT(Y)", "PT, vocabulary"),
    ("PPT(Y)", "PT"),
    ("MetaPT", "PPT"),
    ("MetaPT", "PT"),
    ("MetaPT(Y)", "PPT"),
    ("MetaPT(Y)", "Sentence-BERT probe"),
    ("MetaPT(Y)", "Sentence-BERT probe + source"),
    ("MetaPT(Y)", "SetFit"),
)
LEARNED, ANEW = ("MetaPT(Y)", "PPT(Y)", "MetaPT", "PPT"), ("MetaPT(Y)", "PPT(Y)")
"""Starts that learned from other texts, and those of which each seed has a training of its own."""
NOT_MEASURED = markdown(["", "accuracy"], [["not measured", ""]])
AFTER = ("PT", "PT, vocabulary", "FT", "MetaPT(Y)", "PPT(Y)")
"""What 80 labels make of the backbone and of prompts, as far as it is compared with the backbone alone."""
COUNTED = (
    ("MetaPT(Y)", "PPT(Y)"),
    ("MetaPT(Y)", "PPT"),
    ("MetaPT", "MetaPT(Y)"),
    ("MetaPT", "PPT"),
    ("MetaPT(Y)", "PT"),
    ("PPT(Y)", "PT"),
    ("MetaPT", "PT"),
    ("PPT", "PT"),
)
SPEED = {
    "meta-first-order": "meta step, first-order (T5-small's shape, K = 10, m = 4, n = 100)",
    "meta-exact": "meta step, exact (the same shape)",
    "five-seeds": "five seeds of few-shot tuning, bundled backbone",
    "classify": "classifying 10,000 reviews, bundled backbone, against PEFT and `generate`",
    "embed-and-group": "embedding and K-means of 10,000 rows",
    "import": "import of a 1 GB CSV, cleaned and deduplicated, against bare Arrow to Parquet",
}


def table1(name: str, *targets: str) -> str:
    """Return table 1 for accuracy, say, of all targets or of some; below accuracy stands the most frequent class."""
    found = _table1()
    targets = targets or tuple(found)
    table = spread([found[target] for target in targets], METHODS, name, [TARGETS[target] for target in targets])
    if name != "accuracy":
        return table
    shares = [f"{100 * read_json(TEST_ROWS)[target]['most_frequent']:.1f}" for target in targets]
    return "\n".join([table, "| " + " | ".join(["always the most frequent class", *shares]) + " |"])


def untouched() -> str:
    """Return what is there before any label, and how far what tuning makes of it is ahead of the backbone alone."""
    shared, before = _table1(), _of("untouched", "no labels")
    if not before:
        return NOT_MEASURED
    first = [ALONE, *ANEW]
    names = {name: name if name == ALONE else f"{METHODS[name]}, not tuned" for name in first}
    tuned = {target: shared[target] | _anew().get(target, {}) for target in before}
    known = [before[target] | {f"{name}, tuned": tuned[target][name] for name in AFTER} for target in before]
    cells = {**names, **{f"{name}, tuned": f"{METHODS[name]}, 80 labels" for name in AFTER}}
    lines = [spread(known, cells, "accuracy", [TARGETS[target] for target in before])]
    for name in AFTER:
        row = []
        for target in before:
            (alone,) = before[target][ALONE].values()
            runs = tuned[target][name]
            row.append(difference({name: runs, ALONE: dict.fromkeys(runs, alone)}, name, ALONE))
        lines.append("| " + " | ".join([f"{METHODS[name]}, 80 labels - {ALONE}", *row]) + " |")
    return "\n".join(lines)


def plain() -> str:
    """Return starts that learned nothing, tuned at a rate of their own, and how far the learned ones are ahead."""
    own, shared, anew = _of("plain", "40 + 40"), _table1(), _anew()
    if not own:
        return NOT_MEASURED
    lines = [spread(list(own.values()), METHODS, "accuracy", [TARGETS[target] for target in own])]
    for one in ANEW:
        for other in ("PT", "PT, vocabulary"):
            cells = [difference({**shared[name], **anew.get(name, {}), **own[name]}, one, other) for name in own]
            lines.append("| " + " | ".join([f"{METHODS[one]}, trained anew - {METHODS[other]}", *cells]) + " |")
    return "\n".join(lines)


def steps() -> str:
    """Return the step of the best validation of each prompt, a median over the seeds of each target."""
    found = _table1()
    rows = []
    for method, name in METHODS.items():
        runs = [[run.get("best_step") for run in found[target].get(method, {}).values()] for target in found]
        if any(step is not None for part in runs for step in part):
            rows.append([name, *("" if not part else f"{np.median(part):.0f}" for part in runs)])
    return markdown(["", *(TARGETS[target] for target in found)], rows)


def differences() -> str:
    """Return the differences in accuracy, paired over the seeds; what may be chance is in brackets."""
    found, rows = _table1(), []
    for one, other in PAIRS:
        cells = [difference(figures, one, other) for figures in found.values()]
        if any(cells):
            rows.append([f"{METHODS[one]} - {METHODS[other]}", *cells])
    return markdown(["", *(TARGETS[target] for target in found)], rows)


def trained_anew() -> str:
    """Return accuracy with a training of its own for each seed, and the differences, also from the rest of table 1."""
    own, shared = _anew(), _table1()
    if not own:
        return NOT_MEASURED
    head = [TARGETS[target] for target in own]
    lines = [spread(list(own.values()), {name: METHODS[name] for name in ANEW}, "accuracy", head)]
    for one, other in PAIRS:
        if one in ANEW and other not in ("MetaPT", "PPT"):
            cells = [difference({**shared[target], **found}, one, other) for target, found in own.items()]
            lines.append("| " + " | ".join([f"{METHODS[one]} - {METHODS[other]}", *cells]) + " |")
    return "\n".join(lines)


def better_probe() -> str:
    """Return how far the learned starts are ahead of the better of the two probes of each target."""
    shared, anew = _table1(), _anew()
    rows = [["the better probe", *(_better_probe(found).removeprefix("Sentence-BERT ") for found in shared.values())]]
    for method in LEARNED:
        cells = [difference(found, method, _better_probe(found)) for found in shared.values()]
        rows.append([f"{METHODS[method]} - the better probe", *cells])
    for method in ANEW:
        cells = [difference(shared[name] | anew.get(name, {}), method, _better_probe(shared[name])) for name in shared]
        rows.append([f"{METHODS[method]}, trained anew - the better probe", *cells])
    return markdown(["", *(TARGETS[target] for target in shared)], rows)


def _better_probe(found: Figures) -> str:
    probes = [name for name in found if name.startswith("Sentence-BERT probe")]
    return max(probes, key=lambda name: values(found[name], "accuracy").mean())


def counted() -> str:
    """Return on how many targets one method is ahead of another: in its mean, beyond chance, and in its deviation."""
    shared, anew = _table1(), _anew()
    pairs = [(METHODS[one], one, other, shared) for one, other in COUNTED]
    fresh = {target: shared[target] | anew.get(target, {}) for target in shared}
    pairs += [(f"{METHODS[one]}, trained anew", one, other, fresh) for one, other in COUNTED if one in ANEW]
    rows = []
    for name, one, other, figures in pairs:
        both = [(found[one], found[other]) for found in figures.values() if one in found and other in found]
        accuracy = [[100 * values(runs, "accuracy") for runs in pair] for pair in both]
        signs = [paired(*pair) for pair in both]
        known = [sign for sign in signs if sign is not None and abs(sign[0]) > sign[1]]
        against = f"{METHODS[other]}, trained anew" if name.endswith("anew") and other in ANEW else METHODS[other]
        counts = (
            sum(mine.mean() > theirs.mean() for mine, theirs in accuracy),
            sum(sign[0] > 0 for sign in known),
            sum(sign[0] < 0 for sign in known),
            sum(mine.std(ddof=1) < theirs.std(ddof=1) for mine, theirs in accuracy),
        )
        rows.append([f"{name} against {against}", *(f"{count} of {len(both)}" for count in counts)])
    head = ("", "higher mean", "ahead beyond chance", "behind beyond chance", "smaller deviation")
    return markdown(head, rows)


def compared_with(experiments: Iterable[str], target: str, first: str, names: Mapping[str, str]) -> Callable[[], str]:
    """Return what makes the table of one condition, or of one method: accuracy, and how far behind ``first``."""

    def made() -> str:
        document = read_json(RESULTS / "paper.json")
        figures: dict[str, Any] = {}
        for entry in (document.get(experiment, {}).get(target) for experiment in experiments):
            conditions = entry["figures"] if entry else {}
            if len(conditions) > 1:  # of one method each
                figures |= {at: next(iter(found.values())) for at, found in conditions.items()}
            for alone in conditions.values() if len(conditions) == 1 else ():
                figures |= {method: runs for method, runs in alone.items() if method not in figures}
        if not figures:
            return NOT_MEASURED
        rows = []
        for method, runs in figures.items():
            part = 100 * values(runs, "accuracy")
            ahead = difference(figures, first, method) if method != first else ""
            rows.append([names.get(method, method), f"{part.mean():.1f} ± {part.std(ddof=1):.1f}", ahead])
        return markdown(["", "accuracy", f"behind {names.get(first, first)} by, points"], rows)

    return made


def by_condition(experiment: str, target: str) -> Callable[[], str]:
    """Return what makes the table of an experiment on one target: its methods, and their differences, by condition."""

    def made() -> str:
        entry = read_json(RESULTS / "paper.json").get(experiment, {}).get(target)
        if entry is None:
            return NOT_MEASURED
        figures = entry["figures"]
        methods = {method: METHODS.get(method, method) for found in figures.values() for method in found}
        found = list(figures.values())
        lines = [spread(found, methods, "accuracy", list(figures))]
        for one, other in PAIRS:
            cells = [difference(each, one, other) for each in found]
            if any(cells):
                lines.append("| " + " | ".join([f"{METHODS[one]} - {METHODS[other]}", *cells]) + " |")
        return "\n".join(lines)

    return made


def learning_rates() -> str:
    """Return what ``choose`` and ``choose-batches`` found of each way of learning, all tuned at the same rate."""
    return _chosen(["choose", "choose-batches"], lambda found: found["tuned at 0.03"])


def pseudo_label_rates() -> str:
    """Return what ``choose-pseudo`` found of learning from pseudo-labelled text."""
    return _chosen(["choose-pseudo"], lambda found: found["tuned at 0.03"])


def tuning_rates() -> str:
    """Return what ``choose`` and ``choose-plain`` found of tuning some starts, and the model, at several rates."""

    def rates(found: Mapping[str, Figures]) -> Figures:
        cells = [(method, at, runs) for at, methods in found.items() for method, runs in methods.items()]
        few = {
            at if method == "FT" else f"{method}, {at}": runs for method, at, runs in cells if method in (*TUNED, "PT")
        }
        return dict(sorted(few.items()))

    return _chosen(["choose", "choose-plain"], rates)


def _chosen(experiments: Sequence[str], part: Callable[[Mapping[str, Figures]], Figures]) -> str:
    document = read_json(RESULTS / "paper.json")
    columns: dict[str, dict[str, Any]] = {}
    for found in (document.get(experiment, {}) for experiment in experiments):
        for target in (target for target in TARGETS if target in found):
            columns.setdefault(TARGETS[target], {}).update(part(found[target]["figures"]))
    if not columns:
        return NOT_MEASURED
    methods = {method: method for figures in columns.values() for method in figures}
    return spread(list(columns.values()), methods, "accuracy", list(columns))


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
    "accuracy": lambda: table1("accuracy"),
    "macro-F1": lambda: table1("macro_f1"),
    "recall": lambda: table1("recall of 0", "sst5", "amazon5"),
    "untouched": untouched,
    "plain": plain,
    "steps": steps,
    "differences": differences,
    "trained anew": trained_anew,
    "better probe": better_probe,
    "counted": counted,
    "table 2": compared_with(["table2"], "sst5", "K-means", {"PPT": "PPT(Y), which has no groups"}),
    "figure 2": by_condition("figure2", "sst2"),
    "figure 3a": by_condition("figure3a", "sst5"),
    "figure 3b": compared_with(["figure3b"], "sst5", "10", {str(k): f"{k} groups" for k in (3, 6, 10, 20, 30)}),
    "fewer, SST-2": by_condition("fewer", "sst2"),
    "fewer, Amazon-2": by_condition("fewer", "amazon2"),
    "ablations, SST-2": compared_with(ABLATIONS, "sst2", "MetaPT(Y)", {}),
    "ablations, Amazon-2": compared_with(ABLATIONS, "amazon2", "MetaPT(Y)", {}),
    "choose, learning": learning_rates,
    "choose, pseudo-labels": pseudo_label_rates,
    "choose, tuning": tuning_rates,
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


def _table1() -> dict[str, Figures]:
    found = joined(read_json(RESULTS / "paper.json"))["table 1"]
    return {target: found[target]["figures"]["40 + 40"] for target in TARGETS if target in found}


def _anew() -> dict[str, Figures]:
    return _of("trained-anew", "40 + 40")


def _of(experiment: str, condition: str) -> dict[str, Figures]:
    document = read_json(RESULTS / "paper.json").get(experiment, {})
    return {target: document[target]["figures"][condition] for target in TARGETS if target in document}


def pages() -> dict[str, str]:
    """Return file name -> text of the evidence pages."""
    return {page.name: page.read_text(encoding="utf-8") for page in PAGES}


def main() -> None:
    """Write the pages."""
    for name, text in rewritten(pages()).items():
        write_text(DOCS / name, text)


if __name__ == "__main__":
    main()
