"""Many points as a picture: one write a point instead of one symbol a point."""

from __future__ import annotations

import numpy as np

DISC = tuple((y, x) for y in range(-2, 3) for x in range(-2, 3) if x * x + y * y <= 5)
CROSS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
DOT = ((0, 0),)
PART = 32_768
"""Points at a time: their arrays stay in the cache. Those of a million points would be fetched from the system anew for
every picture, which took three times as long as the painting."""


def rasterise(
    positions: np.ndarray,
    colours: np.ndarray,
    view: tuple[float, float, float, float],
    size: tuple[int, int],
    stamp: tuple[tuple[int, int], ...],
) -> np.ndarray:
    """Paint points.

    Parameters
    ----------
    positions
        float32 [n, 2]; NaN is not painted. Later points lie over earlier ones.
    colours
        Colour of each point, uint32 [n], bytes R, G, B, A.
    view
        Left, bottom, width and height of what is seen, in the units of the positions.
    size
        Width and height of the picture in pixels.
    stamp
        Pixels (y, x) that a point covers, from its middle.

    Returns
    -------
    ndarray
        uint8 [height, width, 4]; row 0 is the bottom. Transparent where there is no point.
    """
    left, bottom, across, up = view
    width, height = size
    margin = max(max(abs(y), abs(x)) for y, x in stamp)
    picture = np.zeros((height + 2 * margin, width + 2 * margin), np.uint32)
    flat = picture.reshape(-1)
    with np.errstate(invalid="ignore"):
        for begin in range(0, len(positions), PART):
            part, paint = positions[begin : begin + PART], colours[begin : begin + PART]
            column = (part[:, 0] - np.float32(left)) * np.float32(width / across)
            row = (part[:, 1] - np.float32(bottom)) * np.float32(height / up)
            seen = np.flatnonzero((column >= 0) & (column < width) & (row >= 0) & (row < height))
            if len(seen) < len(part):
                column, row, paint = column[seen], row[seen], paint[seen]
            place = (row.astype(np.int32) + margin) * picture.shape[1] + column.astype(np.int32) + margin
            for y, x in stamp:
                flat[place + (y * picture.shape[1] + x)] = paint
    inner = np.ascontiguousarray(picture[margin : margin + height, margin : margin + width])
    return inner.view(np.uint8).reshape(height, width, 4)
