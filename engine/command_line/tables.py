"""Tables that commands print when they are done."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from engine import wording
from engine.corpus.doubtful import plain_map
from engine.corpus.store import Corpus
from engine.evaluation.results import Figures, RunResults, better_probe
from engine.project import Project
from engine.settings import ImportSettings
from engine.storage import read_json

if TYPE_CHECKING:
    from engine.command_line.doctor import Finding

out = Console(highlight=False)
SEEN = (
    "Some of these texts may be those that the prompt was tuned on; the figures are then too good. Import texts of "
    "their own with --as test, or see what metapt tune measured."
)

VALIDATED = (
    "Nothing was set aside to test on. On the validation texts, which tuning has looked at, a prompt's figures are too "
    "good (a probe has learned from the training texts alone):"
)
SPREAD = "mean ± standard deviation over seeds"
SET_ASIDE = (
    "To measure, set labelled texts aside with --test-rows N (test_rows under [tune] in a pipeline file), or import "
    "texts of their own with --as test."
)


def show_findings(findings: Iterable[Finding]) -> None:
    """Print what was found out about this computer."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        table.add_row("ok" if finding.ok else "[red]missing[/red]", finding.subject, finding.found)
    out.print(table)


def show_corpus(corpus: Corpus) -> None:
    """Print how many texts, and the rows of each class."""
    table = Table("class", "label word", "rows")
    for number, name in enumerate(corpus.classes):
        table.add_row(name, corpus.words.get(name, ""), f"{int((corpus.labels == number).sum()):,}")
    out.print(f"{wording.count(corpus.rows, 'texts')} in {corpus.folder}")
    report = corpus.folder / "report.json"
    found = read_json(report) if report.exists() else {}
    if dropped := found.get("dropped"):
        out.print(f"Left out: {', '.join(f'{rows:,} {reason}' for reason, rows in dropped.items())}")
    if broken := found.get("broken"):
        out.print(f"Left out: {broken:,} broken, in {from_here(corpus.folder / 'rejected.jsonl')}", soft_wrap=True)
    if corpus.classes:
        out.print(table)


def show_plain_map(corpus: Corpus, settings: ImportSettings) -> None:
    """Print the options that mend labels which are hardly meant as classes, if there are such."""
    pairs = plain_map(read_json(corpus.folder / "report.json")["classes"], settings)
    if pairs:
        options = " ".join(f"--label-map {shlex.quote(f'{label}={name}')}" for label, name in pairs.items())
        out.print(f"To join them or leave them out, import with {options}", markup=False, soft_wrap=True)


def kept(folder: Path) -> str:
    """Return what is said of the prompt that a tuning keeps: the best seed of its first start, by validation."""
    shown = from_here(folder / "prompt.safetensors")
    return f"Kept for export: {shown} ({RunResults.open(folder).best})"


def from_here(file: Path) -> Path:
    """Return the path of a file from the present folder on, if it is inside of it."""
    path, here = file.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def show_clusters(folder: Path) -> None:
    """Print the groups of a clustering."""
    from engine.clustering.store import Clustering

    table = Table("group", "name", "rows", "terms")
    for group in Clustering.open(folder).clusters:
        table.add_row(str(group.number), group.name, f"{group.size:,}", ", ".join(group.terms[:6]))
    out.print(table)


def show_classes(sentence: str, chances: dict[str, float], as_json: bool) -> None:
    """Print the probability of each class of a sentence."""
    if as_json:
        print(json.dumps({"text": sentence, "probabilities": chances}, ensure_ascii=False))
    else:
        best = max(chances, key=lambda name: chances[name])
        shown = ", ".join(f"{name} {100 * chance:.0f} %" for name, chance in chances.items())
        out.print(f"{best:>12}  ({shown})  {sentence}", markup=False, soft_wrap=True)


def show_comparison(summary: Mapping[str, Figures], project: Project, *, probed: bool) -> None:
    """Print the table of methods, or what validation said if nothing was tested, which prompt is kept, and probes."""
    tuning = project.role("tune")
    validated: dict[str, Figures] = {}
    if summary:
        out.print(comparison_table(summary))
    else:
        for folder in (tuning, project.role("linear-probe")) if probed else (tuning,):
            validated |= RunResults.open(folder).validation_summary
        if validated:
            out.print(VALIDATED, soft_wrap=True)
            out.print(comparison_table(validated, validation=True))
            out.print(SET_ASIDE, markup=False, soft_wrap=True)
        else:
            said = f"Nothing was measured: there are too few labels to hold texts out. {SET_ASIDE}"
            out.print(said, markup=False, soft_wrap=True)
    out.print(kept(tuning), soft_wrap=True)
    if probed:
        files = [str(from_here(file)) for file in sorted(project.role("linear-probe").glob("probe*.safetensors"))]
        out.print(f"Probes, for --prompt of predict and evaluate: {', '.join(files)}", markup=False, soft_wrap=True)
        found = summary or validated
        better = better_probe(RunResults.open(tuning).best, found)
        if better:
            figure = wording.percent(found[better]["accuracy_mean"])
            out.print(f"The {better} was better than that prompt, with {figure}: use that one.", soft_wrap=True)


def comparison_table(summary: Mapping[str, Figures], *, validation: bool = False) -> Table:
    """Return the table of methods, with what always answering the most frequent class would reach below it.

    With ``validation`` the columns say that the figures are those of validation texts.
    """
    figures = [f"{'validation ' if validation else ''}{name}" for name in ("accuracy", "macro-F1")]
    majority = max((found["majority_accuracy"] for found in summary.values()), default=0.0)
    caption = f"{SPREAD}; always answering the most frequent class: {wording.percent(majority)}"
    table = Table("method", *figures, "most predicted class", "seeds", caption=caption, caption_justify="left")
    for method, found in summary.items():
        accuracy = wording.percent(found["accuracy_mean"], found["accuracy_std"])
        macro_f1 = wording.percent(found["macro_f1_mean"], found["macro_f1_std"])
        table.add_row(
            method,
            accuracy,
            macro_f1,
            f"at most {100 * found['largest_predicted_share_max']:.0f} %",
            str(found["seeds"]),
        )
    return table


def show_evaluation(document: dict[str, Any]) -> None:
    """Print accuracy, macro-F1, calibration and the figures of each class."""
    out.print(
        f"accuracy {wording.percent(document['accuracy'])}, macro-F1 {wording.percent(document['macro_f1'])}, "
        f"expected calibration error {wording.percent(document['expected_calibration_error'])}"
    )
    table = Table("class", "precision", "recall", "F1", "texts")
    for name, row in document["per_class"].items():
        shown = [wording.percent(row[key]) for key in ("precision", "recall", "f1")]
        table.add_row(name, *shown, f"{row['support']:,}")
    out.print(table)
