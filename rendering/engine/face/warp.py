"""Thin-plate splines on a coarse grid: smooth warps that pass through pairs of points."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

GRID = 20
_MIDDLES = np.stack(np.meshgrid(*[(np.arange(GRID) + 0.5) / GRID] * 2), axis=-1).reshape(-1, 2)
"""Nodes lie on the middles of equal cells, so that enlarging the grid interpolates between them exactly."""
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
        shift: Array = cv2.resize(self.shift, (w, h), interpolation=cv2.INTER_LINEAR)
        shift[..., 0] += np.arange(w, dtype=np.float32) + np.float32(self._origin[0] - corner[0])
        shift[..., 1] += (np.arange(h, dtype=np.float32) + np.float32(self._origin[1] - corner[1]))[:, None]
        drawn = cv2.remap(picture, shift, _NO_SECOND_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        if fine is None:
            return drawn
        left, top = (max(0, int(fine[axis] - self._origin[axis])) for axis in range(2))
        right, bottom = (int(fine[axis] + fine[axis + 2] - self._origin[axis]) for axis in range(2))
        part = shift[top:bottom, left:right]
        if part.size:
            drawn[top:bottom, left:right] = cv2.remap(
                picture, part, _NO_SECOND_MAP, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE
            )
        return drawn
