"""Rows drawn at random where all would be too many."""

from __future__ import annotations

import numpy as np


def drawn_rows(rows: int, limit: int, seed: int) -> np.ndarray:
    """Return ``limit`` of the numbers 0..``rows`` - 1, drawn at random and in order; all of them if they are fewer."""
    if rows <= limit:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
