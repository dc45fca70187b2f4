"""How far a warp pulls a picture out of shape: the detector of stretched patches, from the warp's own Jacobian."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

STRETCHED = 2.0
"""A mouth of which a twentieth is drawn at more than this many times its own size looks stretched (docs/engine.md)."""
BESIDE = 1.3
"""The lips' outline is widened by this about its middle: skin beside a mouth shows a pull as well as the lips do."""
SHARE = 95
"""Percentile of the mouth's cells: one cell in the very corner of a mouth is not seen."""
LEAST = 0.02
"""Singular value at which a picture counts as torn or turned inside out; smaller ones are not told apart."""


def least_singular_values(shift: Array, cell: tuple[float, float] | Array) -> Array:
    """The lesser singular value (..., g-1, g-1) of a map's Jacobian between the nodes that it is given on.

    ``shift`` (..., g, g, 2) float32 px: where each node is found in the source, less where it is; ``cell`` (..., 2) px:
    distance of the nodes along x and y. 1 keeps lengths, 1/2 draws the source twice as large in one direction; negative
    where the picture is turned inside out.
    """
    across, along = np.moveaxis(np.asarray(cell, shift.dtype), -1, 0)[..., None, None, None]
    right = (shift[..., 1:, :] - shift[..., :-1, :]) / across
    down = (shift[..., 1:, :, :] - shift[..., :-1, :, :]) / along
    right = (right[..., 1:, :, :] + right[..., :-1, :, :]) / 2 + [1, 0]
    down = (down[..., 1:, :] + down[..., :-1, :]) / 2 + [0, 1]
    a, c, b, d = right[..., 0], right[..., 1], down[..., 0], down[..., 1]
    # A 2 x 2 matrix is a rotation and a mirrored one: its singular values are these lengths' sum and difference.
    result: Array = (np.hypot(a + d, c - b) - np.hypot(a - d, c + b)) / 2
    return result


def cells(grid: int, boxes: Array) -> Array:
    """(..., 2) px: width and height of each of ``grid`` x ``grid`` equal cells of ``boxes`` (..., 4), x, y, w, h."""
    result: Array = np.asarray(boxes)[..., 2:] / grid
    return result


def pull(shift: Array, box: tuple[int, int, int, int], scale: float, lips: Array) -> float:
    """How many times its own size a mouth is drawn where it is stretched most: 1 and a little, or 2 and ugly.

    ``shift`` (g, g, 2) px: the warp of the box x, y, w, h on the middles of g x g equal cells; ``scale``: source pixels
    per pixel of the frame, the two faces being of different size; ``lips`` (k, 2) px: the drawn mouth's outline.
    """
    return pull_of(least_singular_values(shift, cells(len(shift), np.array(box))), box, scale, lips)


def pull_of(least: Array, box: tuple[int, int, int, int], scale: float, lips: Array) -> float:
    """The same, given the warp's ``least`` (g-1, g-1) of :func:`least_singular_values`."""
    x, y, w, h = box
    grid = len(least) + 1
    middle = lips.mean(axis=0)
    around = cv2.convexHull((middle + BESIDE * (lips - middle)).astype(np.float32))[:, 0]
    # The cells between nodes: cell 0 lies between the middles of the first two.
    places = (around - [x, y] + 0.5) * (grid / np.array([w, h])) - 1
    inside = np.zeros((grid - 1, grid - 1), np.uint8)
    cv2.fillPoly(inside, [np.round(places * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    least = least[inside > 0] / scale
    if not len(least):
        return 1.0
    least.sort()
    # What np.percentile gives, without a tenth of a millisecond of its preparations.
    place = (len(least) - 1) * (1 - SHARE / 100)
    low, high = least[int(place)], least[min(int(place) + 1, len(least) - 1)]
    return float(1 / max(low + (high - low) * (place - int(place)), LEAST))
