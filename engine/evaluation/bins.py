"""Bins of confidence, by which calibration is measured and drawn (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np

BINS = 15


def bin_of(confidence: np.ndarray) -> np.ndarray:
    """Return the number of the bin, of equal bins (a, b] from 0 to 1, that each confidence is in, int64 [n]."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
