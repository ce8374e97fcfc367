"""What a person changes of the clusters before they become meta tasks: names, which take part, which are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from engine.clustering.store import Cluster

TERMS, CENTRAL_ROWS = 10, 5
"""So many of its telling words, and of its central texts, are told of a group."""


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


@dataclass(frozen=True)
class Group:
    """The clusters ``parts``, which are one after a person's edits; ``number`` is that of the one they became."""

    number: int
    name: str
    included: bool
    parts: tuple[Cluster, ...]

    @property
    def members(self) -> list[int]:
        """Numbers of the clusters."""
        return [part.number for part in self.parts]

    @property
    def size(self) -> int:
        """Number of rows."""
        return sum(part.size for part in self.parts)

    @property
    def labels(self) -> Counter[str]:
        """Rows of each class."""
        counts = Counter[str]()
        for part in self.parts:
            counts.update(part.labels)
        return counts

    @property
    def terms(self) -> list[str]:
        """The most telling words, those of all clusters in turn."""
        return list(chain(*zip(*(part.terms for part in self.parts), strict=False)))[:TERMS]

    @property
    def central_rows(self) -> list[int]:
        """The most central rows, those of all clusters in turn."""
        return list(chain(*zip(*(part.central_rows for part in self.parts), strict=False)))[:CENTRAL_ROWS]


def groups_of(
    clusters: Sequence[Cluster], exclude: Sequence[int], merge: Sequence[Sequence[int]], names: Mapping[int, str]
) -> list[Group]:
    """Return the groups that clusters make with what `task_fields` returns; what is excluded is joined to nothing."""
    into = {number: merged[0] for merged in merge for number in merged if number not in exclude}
    parts: dict[int, list[Cluster]] = {}
    for cluster in clusters:
        parts.setdefault(into.get(cluster.number, cluster.number), []).append(cluster)
    return [
        Group(
            number,
            names.get(number) or " + ".join(names.get(part.number) or part.name for part in joined),
            number not in exclude,
            tuple(joined),
        )
        for number, joined in parts.items()
    ]
