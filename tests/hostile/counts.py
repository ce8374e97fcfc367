"""How many hostile inputs every reader gets: the one place that says so."""

from __future__ import annotations

import math

CI = 200
"""Inputs a reader in every run of the tests."""
SOAK_IN_ALL = 100_000
"""At least so many inputs in a run with ``-m soak``."""
SOAK_FLOOR = 2_000
"""No reader gets fewer than this in such a run; what is left goes to the cheap ones."""
ROUNDS = 20
"""Such a run goes round all readers so many times, so that one that is cut off has tried every reader."""
SECONDS = 5.0
"""No input may take longer."""
MEGABYTES = 400
"""No input may make the process grow by more, at its peak."""
LEAK_MEGABYTES = 200
"""Nor may all inputs of a reader together, from the first tenth of them to the last."""


def soak_counts(costs: dict[str, float]) -> dict[str, int]:
    """Return reader -> inputs of a long run, `SOAK_IN_ALL` together; the cheaper a reader, the more it gets.

    Parameters
    ----------
    costs
        Reader -> rough seconds an input.
    """
    counts = dict.fromkeys(costs, SOAK_FLOOR)
    left = SOAK_IN_ALL - sum(counts.values())
    weights = {name: 1 / max(cost, 1e-3) for name, cost in costs.items()}
    for name, weight in weights.items():
        counts[name] += math.ceil(left * weight / sum(weights.values()))
    return counts
