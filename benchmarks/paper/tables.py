"""The tables of the evidence pages that ``paper.json`` has the figures of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from benchmarks.paper.data import TEST_ROWS
from benchmarks.paper.experiments import TUNED
from benchmarks.paper.report import Figures, difference, joined, markdown, paired, spread, values
from benchmarks.provenance import RESULTS
from engine.evaluation.results import ALONE
from engine.storage import read_json

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
OWN = {
    "MetaPT(own)": "MetaPT(own), groups by K-means",
    "MetaPT(own), random groups": "MetaPT(own), groups at random",
    "PPT(own)": "PPT(own)",
    **{name: METHODS[name] for name in ("PT", "PT, vocabulary", "FT", "Sentence-BERT probe")},
    ALONE: ALONE,
}
"""What has no labelled source, but the target's other texts."""
TOPICS = {"agnews": "AG News", "bbc": "BBC"}
"""Targets that ask for topics -> whose news they are."""
TEMPLATES = ("It was ___.", "This is about ___.")
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


def own() -> str:
    """Return what starts are worth that learned from the target's other texts, with labels that the draw taught."""
    found = _topics("own")
    if not found:
        return NOT_MEASURED
    figures = [found[name]["40 + 40"] | found[name]["no labels"] for name in found]
    lines = [spread(figures, OWN, "accuracy", [f"topics of {TOPICS[name]}" for name in found])]
    learned = [name for name in OWN if "(own)" in name]
    for one, other in product(learned, ("PT, vocabulary", "Sentence-BERT probe")):
        cells = [difference(each, one, other) for each in figures]
        lines.append("| " + " | ".join([f"{OWN[one]} - {OWN[other]}", *cells]) + " |")
    return "\n".join(lines)


def templates() -> str:
    """Return what two templates make of a question of topics, and how far the second is ahead."""
    found = _topics("templates")
    if not found:
        return NOT_MEASURED
    columns = [each for asked in found.values() for each in asked.values()]
    names = {name: METHODS.get(name, name) for name in columns[0]}
    head = [f"{TOPICS[name]}: {template}" for name in found for template in TEMPLATES]
    lines = [spread(columns, names, "accuracy", head)]
    for name in ("PT", "PT, vocabulary"):
        cells = []
        for first, second in (asked.values() for asked in found.values()):
            cells += ["", difference({"one": second[name], "other": first[name]}, "one", "other")]
        lines.append("| " + " | ".join([f"{METHODS[name]}: the second - the first", *cells]) + " |")
    return "\n".join(lines)


def _topics(experiment: str) -> dict[str, dict[str, Figures]]:
    """Return target -> condition -> figures of the targets that ask for topics, as far as they were measured."""
    found = read_json(RESULTS / "paper.json").get(experiment, {})
    return {name: found[name]["figures"] for name in TOPICS if name in found}


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


def small_batches() -> str:
    """Return PPT in batches of four with a training for each seed, and how far the others with one are ahead of it."""
    own, anew = _of("small-batches", "40 + 40"), _anew()
    if not own:
        return NOT_MEASURED
    name = "PPT(Y), batches of 4"
    shown = {name: name, **{other: f"{METHODS[other]}, trained anew" for other in ANEW}}
    all_three = [found | anew[target] for target, found in own.items()]
    lines = [spread(all_three, shown, "accuracy", [TARGETS[target] for target in own])]
    for other in ANEW:
        cells = [difference(anew[target] | found, other, name) for target, found in own.items()]
        lines.append("| " + " | ".join([f"{METHODS[other]}, trained anew - {name}", *cells]) + " |")
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
        return _behind(figures, first, names)

    return made


def _behind(figures: Figures, first: str, names: Mapping[str, str]) -> str:
    rows = []
    for method, runs in figures.items():
        part = 100 * values(runs, "accuracy")
        ahead = difference(figures, first, method) if method != first else ""
        rows.append([names.get(method, method), f"{part.mean():.1f} ± {part.std(ddof=1):.1f}", ahead])
    return markdown(["", "accuracy", f"behind {names.get(first, first)} by, points"], rows)


def grouped_anew() -> str:
    """Return accuracy of ways of grouping with a training of its own for each seed, and how far behind K-means."""
    found, anew = _of("grouped-anew", "40 + 40").get("sst5"), _anew().get("sst5")
    if found is None or anew is None:
        return NOT_MEASURED
    figures = {"K-means": anew["MetaPT(Y)"], **found, "PPT(Y), which has no groups": anew["PPT(Y)"]}
    return _behind(figures, "K-means", {})


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
    """Return what ``choose`` and its kin found of each way of learning, all tuned at the same rate."""
    return _chosen(["choose", "choose-batches", "choose-tasks"], lambda found: found["tuned at 0.03"])


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


def _table1() -> dict[str, Figures]:
    found = joined(read_json(RESULTS / "paper.json"))["table 1"]
    return {target: found[target]["figures"]["40 + 40"] for target in TARGETS if target in found}


def _anew() -> dict[str, Figures]:
    return _of("trained-anew", "40 + 40")


def _of(experiment: str, condition: str) -> dict[str, Figures]:
    document = read_json(RESULTS / "paper.json").get(experiment, {})
    return {target: document[target]["figures"][condition] for target in TARGETS if target in document}
