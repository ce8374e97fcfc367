"""Parts of a computation side by side, each in a thread of its own with its own share of the cores.

A processor that puts all its cores to one small product after another lets them wait for each other at the end of each.
Parts that do not need each other, such as the tasks of a meta step or the texts of a batch, do better with a core each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch

Result = TypeVar("Result")

LEAST_TOKENS = 128
"""A part with fewer is not worth a thread: Python's own work for it is done one part after another."""

_here = threading.local()


def side_by_side(
    device: torch.device,
    work: Callable[[slice], Result],
    tokens: Sequence[int] | np.ndarray,
    *,
    at_a_time: int | None = None,
) -> list[Result]:
    """Do ``work`` on consecutive parts of a number of things, on a processor side by side.

    Gradients are recorded in each part as the work itself says (``torch.no_grad`` outside does not reach it).

    Parameters
    ----------
    device
        Where it computes; anything but a processor takes all things as one part.
    work
        Takes a slice of the things.
    tokens
        How much each thing costs, int [n], n > 0; parts are made to cost about the same.
    at_a_time
        Things whose parts may be worked on at once; ``None``: all.

    Returns
    -------
    list
        What ``work`` returned for each part, in order.

    Raises
    ------
    BaseException
        What the first part that failed raised, when all parts have ended.
    """
    costs, count = np.asarray(tokens), at_a_time or len(tokens)
    results: list[Result] = []
    for start in range(0, len(costs), count):
        borders = start + _borders(device, costs[start : start + count])
        results += _at_once(work, [slice(*ends) for ends in pairwise(borders.tolist())])
    return results


def _at_once(work: Callable[[slice], Result], parts: Sequence[slice]) -> list[Result]:
    if len(parts) == 1:
        return [work(parts[0])]
    threads = torch.get_num_threads()
    share = threads // len(parts)
    futures = [_pool(threads).submit(_alone, share, work, part) for part in parts]
    wait(futures)  # whoever tries again after a failure needs the memory of all of them
    torch.set_num_threads(threads)  # what the pool's threads were told is what new threads begin with
    return [future.result() for future in futures]


def _borders(device: torch.device, tokens: np.ndarray) -> np.ndarray:
    many = 1
    if device.type == "cpu" and not getattr(_here, "inside", False):
        many = max(1, min(torch.get_num_threads(), len(tokens), int(tokens.sum()) // LEAST_TOKENS))
    reached = np.cumsum(tokens)
    inner = np.searchsorted(reached, reached[-1] * np.arange(1, many) / many, side="left") + 1
    return np.unique([0, *inner, len(tokens)])


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, "side by side")


def _alone(threads: int, work: Callable[[slice], Result], part: slice) -> Result:
    """Do ``work`` in a thread of the pool, with a share of the cores."""
    _here.inside = True
    torch.set_num_threads(threads)
    return work(part)
