"""Which texts share a pass through the backbone."""

from __future__ import annotations

import numpy as np

from engine.prompting.template import BUCKET

PASS_TOKENS = 256
"""What beginning another pass costs on a CPU, in tokens that could have been computed instead."""


def length_groups(lengths: np.ndarray, *, pass_tokens: int = PASS_TOKENS) -> list[np.ndarray]:
    """Split texts into groups of like length so that the padded tokens and the passes together cost least.

    A CPU computes padding like text, so a mixed batch is cheaper in several passes. (A GPU that waits for the next
    kernel is not: there, everything is one pass.)

    Parameters
    ----------
    lengths
        Tokens of each text, int64 [B], B > 0.
    pass_tokens
        Cost of a pass in tokens.

    Returns
    -------
    list of ndarray
        Places in ``lengths``, int64, shortest texts first; every place is in exactly one group.
    """
    order = np.argsort(lengths, kind="stable")
    padded = -(-lengths[order] // BUCKET) * BUCKET
    widths, starts = np.unique(padded, return_index=True)
    ends = [*starts[1:].tolist(), len(order)]
    # Dynamic programming over the widths: cost[i] is that of the texts of the first i widths.
    cost, first = [0.0], [0]
    for number, (width, end) in enumerate(zip(widths.tolist(), ends, strict=True)):
        choices = [cost[begin] + (end - int(starts[begin])) * width + pass_tokens for begin in range(number + 1)]
        best = int(np.argmin(choices))
        cost.append(choices[best])
        first.append(best)
    groups: list[np.ndarray] = []
    at = len(widths)
    while at:
        groups.append(order[starts[first[at]] : ends[at - 1]])
        at = first[at]
    return groups[::-1]
