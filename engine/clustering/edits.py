"""What a person changes of the clusters before they become meta tasks: names, which take part, which are one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClusterEdit:
    """The changes of one cluster.

    Attributes
    ----------
    name
        The person's name for it; ``None`` keeps the one made of its top terms.
    included
        Whether meta-training uses it.
    merged_into
        The cluster that it became a part of.
    """

    name: str | None = None
    included: bool = True
    merged_into: int | None = None


def task_fields(edits: Mapping[int, ClusterEdit]) -> dict[str, Any]:
    """Return the fields ``exclude``, ``merge`` and ``names`` of a `MetaTrainJob` for the edits of its clustering."""
    merged: dict[int, list[int]] = {}
    for number, edit in sorted(edits.items()):
        if edit.merged_into is not None:
            merged.setdefault(edit.merged_into, [edit.merged_into]).append(number)
    return {
        "exclude": [number for number, edit in sorted(edits.items()) if not edit.included],
        "merge": list(merged.values()),
        "names": {number: edit.name for number, edit in sorted(edits.items()) if edit.name is not None},
    }
