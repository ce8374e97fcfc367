"""The table of methods side by side, for a terminal and for a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

COLUMNS = ("method", "accuracy", "macro-F1", "most predicted class", "seeds")


def comparison_rows(summary: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return a row of strings for each method of method -> summary over seeds; figures are per cent."""
    return [
        (
            method,
            _figure(figures["accuracy_mean"], figures["accuracy_std"]),
            _figure(figures["macro_f1_mean"], figures["macro_f1_std"]),
            f"at most {100 * figures['largest_predicted_share_max']:.0f} %",
            str(figures["seeds"]),
        )
        for method, figures in summary.items()
    ]


def comparison_table(summary: Mapping[str, Mapping[str, Any]], *, validation: bool = False) -> Table:
    """Return the table for a terminal, with what always answering the most frequent class would reach below it.

    With ``validation`` the columns say that the figures are those of validation texts.
    """
    method, *figures, predicted, seeds = COLUMNS
    if validation:
        figures = [f"validation {name}" for name in figures]
    table = Table(method, *figures, predicted, seeds, caption=_majority(summary), caption_justify="left")
    for row in comparison_rows(summary):
        table.add_row(*row)
    return table


def _figure(mean: float, deviation: float | None) -> str:
    return f"{100 * mean:.1f}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "") + " %"


def _majority(summary: Mapping[str, Mapping[str, Any]]) -> str:
    share = max((figures["majority_accuracy"] for figures in summary.values()), default=0.0)
    return f"mean ± standard deviation over seeds; always answering the most frequent class: {100 * share:.1f} %"
