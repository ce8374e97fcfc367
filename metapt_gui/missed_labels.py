"""Labels that were left out of an import because nobody had seen them when the classes were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metapt_gui import wording

SHARE = 0.01
"""Nothing is said of so small a share of the labelled texts."""
NAMED = 10
UNMAPPED = "label not in the map"
"""Reason in the report of an import."""


def perhaps_missed(report: Mapping[str, Any], shown: Mapping[str, int], label_map: Mapping[str, str]) -> bool:
    """Whether an import left out more texts than those whose label stood in the table without a class.

    Parameters
    ----------
    report
        Of the import.
    shown
        Label -> count, as the table had them.
    label_map
        Label -> class, as the import had it.
    """
    meant = sum(count for value, count in shown.items() if value not in label_map)
    dropped = report["dropped"].get(UNMAPPED, 0)
    return bool(label_map) and dropped - meant > SHARE * (report["kept"] + dropped)


def missed(values: Mapping[str, int], shown: Mapping[str, int], label_map: Mapping[str, str]) -> dict[str, int]:
    """Return the labels among ``values`` (all of them, with counts) that were not in the table; few texts are none."""
    found = {value: count for value, count in values.items() if value not in shown and value not in label_map}
    return found if sum(found.values()) > SHARE * sum(values.values()) else {}


def sentence(found: Mapping[str, int], values: Mapping[str, int]) -> str:
    """Say how many labelled texts were left out, and which labels they have."""
    left, total = sum(found.values()), sum(values.values())
    common = sorted(found, key=lambda value: found[value], reverse=True)
    named = ", ".join(f"{value} ({found[value]:,})" for value in common[:NAMED])
    more = f" and {len(common) - NAMED:,} more" if len(common) > NAMED else ""
    return (
        f"{left:,} of {total:,} labelled texts ({wording.percent(left / total)}) were left out, because their labels "
        f"have no class: {named}{more}. Give them a class in the table, and import again."
    )
