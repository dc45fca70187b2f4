"""Thin-plate splines on a coarse grid: smooth warps that pass through pairs of points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

GRID = 20
_MIDDLES = np.stack(np.meshgrid(*[(np.arange(GRID) + 0.5) / GRID] * 2), axis=-1).reshape(-1, 2)
"""Nodes lie on the middles of equal cells, so that enlarging the grid interpolates between them exactly."""
_STEP = 128
_NO_SECOND_MAP = np.empty(0, np.float32)
STIFFNESS = 1e-4
"""Regularisation: keeps nearly coinciding points from tearing the picture."""


def spline(knots: Array, values: Array, at: Array) -> Array:
    """The thin-plate spline through ``knots`` (k, 2) -> ``values`` (k, d), evaluated at ``at`` (m, 2).

    Knots should span about one unit. Source: Bookstein, "Principal Warps", PAMI 1989.
    """
    k = len(knots)
    system = np.zeros((k + 3, k + 3))
    system[:k, :k] = _kernel(knots, knots) + STIFFNESS * np.eye(k)
    system[:k, k] = system[k, :k] = 1.0
    system[:k, k + 1 :] = knots
    system[k + 1 :, :k] = knots.T
    solved = np.linalg.solve(system, np.concatenate([values, np.zeros((3, values.shape[1]))]))
    result: Array = _kernel(at, knots) @ solved[:k] + solved[k] + at @ solved[k + 1 :]
    return result


def _kernel(a: Array, b: Array) -> Array:
    """r^2 log r for all pairs, (n, m)."""
    squared = 2 * a @ b.T
    np.subtract((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1), squared, out=squared)
    np.maximum(squared, 1e-12, out=squared)
    result: Array = cv2.log(squared)
    result *= squared
    result *= 0.5
    return result


class Warp:
    """Where each pixel of a box of the target is found in a source picture."""

    def __init__(self, box: tuple[int, int, int, int], target: Array, source: Array) -> None:
        """``target`` and ``source`` (k, 2) px: corresponding points of the frame and of the source frame."""
        x, y, w, h = box
        unit = float(max(w, h))
        origin = np.array([x, y], float)
        nodes = _MIDDLES * [w, h] - 0.5
        shifts = spline((target - origin) / unit, (source - target) / unit, nodes / unit) * unit
        self._size = (w, h)
        self.shift = shifts.reshape(GRID, GRID, 2).astype(np.float32)
        self._origin = origin

    def __call__(self, picture: Array, corner: tuple[int, int], fine: tuple[int, int, int, int] | None = None) -> Array:
        """The box filled from ``picture``, whose top left pixel lies at ``corner`` of the source frame.

        ``fine``: x, y, w, h in the frame of a part that keeps its detail best, by a window three times as dear.
        """
        w, h = self._size
        nodes = self.shift + (self._origin - corner).astype(np.float32)
        shift = cv2.add(cv2.resize(nodes, (w, h), interpolation=cv2.INTER_LINEAR), _places(h, w))
        planes = [plane.astype(np.uint16) for plane in cv2.split(picture)]
        drawn = _remapped(planes, shift, cv2.INTER_CUBIC)
        if fine is None:
            return drawn
        left, top = (max(0, int(fine[axis] - self._origin[axis])) for axis in range(2))
        right, bottom = (int(fine[axis] + fine[axis + 2] - self._origin[axis]) for axis in range(2))
        part = shift[top:bottom, left:right]
        if part.size:
            drawn[top:bottom, left:right] = _remapped(planes, part, cv2.INTER_LANCZOS4)
        return drawn


def _places(height: int, width: int) -> Array:
    """(height, width, 2) float32: x and y of every pixel."""
    result: Array = _corner(-(-height // _STEP), -(-width // _STEP))[:height, :width]
    return result


@lru_cache(maxsize=4)
def _corner(rows: int, columns: int) -> Array:
    """Enough places for a box: it is seldom as large as the frame before's, often as many steps."""
    y, x = np.indices((rows * _STEP, columns * _STEP), np.float32)
    return np.stack([x, y], axis=-1)


def _remapped(planes: Sequence[Array], shift: Array, window: int) -> Array:
    """``planes`` (h, w) uint16 at the places ``shift`` (H, W, 2) float32, together (H, W, 3) uint8.

    OpenCV reads wide windows of a single plane of 16 bits in half the time that it takes for bytes in threes.
    """
    drawn = [cv2.remap(each, shift, _NO_SECOND_MAP, window, borderMode=cv2.BORDER_REPLICATE) for each in planes]
    return cv2.convertScaleAbs(cv2.merge(drawn))
