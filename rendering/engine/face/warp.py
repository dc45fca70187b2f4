"""Thin-plate splines on a coarse grid: smooth warps that pass through pairs of points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from rendering.engine.media.planes import Planes

Array = np.ndarray[Any, Any]

GRID = 20
_MIDDLES = np.stack(np.meshgrid(*[(np.arange(GRID) + 0.5) / GRID] * 2), axis=-1).reshape(-1, 2)
"""Nodes lie on the middles of equal cells, so that enlarging the grid interpolates between them exactly."""
_STEP = 128
_NO_SECOND_MAP = np.empty(0, np.float32)
STIFFNESS = 1e-4
"""Regularisation: keeps nearly coinciding points from tearing the picture."""


def spline(knots: Array, values: Array, at: Array) -> Array:
    """The thin-plate splines through ``knots`` (..., k, 2) -> ``values`` (..., k, d), evaluated at ``at`` (..., m, 2).

    Knots should span about one unit. Source: Bookstein, "Principal Warps", PAMI 1989.
    """
    *several, k, _ = knots.shape
    system = np.zeros((*several, k + 3, k + 3))
    system[..., :k, :k] = _kernel(knots, knots) / 2 + STIFFNESS * np.eye(k)
    system[..., :k, k] = system[..., k, :k] = 1.0
    system[..., :k, k + 1 :] = knots
    system[..., k + 1 :, :k] = knots.swapaxes(-1, -2)
    wanted = np.zeros((*several, k + 3, values.shape[-1]))
    wanted[..., :k, :] = values
    solved = np.linalg.solve(system, wanted)
    flat = solved[..., k, None, :] + at @ solved[..., k + 1 :, :]
    # Single precision is a thousandth of a pixel here, and three times as fast.
    bent = _kernel(at.astype(np.float32), knots.astype(np.float32)) @ (solved[..., :k, :] / 2).astype(np.float32)
    result: Array = flat + bent
    return result


def _kernel(a: Array, b: Array) -> Array:
    """2 r^2 log r for all pairs of (..., n, 2) and (..., m, 2): (..., n, m)."""
    squared, down = (a[..., :, None, axis] - b[..., None, :, axis] for axis in range(2))
    squared *= squared
    down *= down
    squared += down
    np.maximum(squared, 1e-12, out=squared)
    result: Array = cv2.log(squared.reshape(-1, squared.shape[-1])).reshape(squared.shape)
    result *= squared
    return result


class Warp:
    """Where each pixel of a box of the target is found in a source picture."""

    def __init__(self, box: tuple[int, int, int, int], shift: Array) -> None:
        """``shift`` (g, g, 2) float32 px: how far from itself the middle of each of g x g equal cells is found."""
        self._origin, self._size = np.array(box[:2], float), box[2:]
        self.shift = shift

    @classmethod
    def several(cls, boxes: Sequence[tuple[int, int, int, int]], target: Array, source: Array) -> list[Warp]:
        """For each of n boxes, ``target`` and ``source`` (n, k, 2) px: corresponding points of frame and source."""
        placed = np.array(boxes, float)
        unit = placed[:, 2:].max(axis=1)[:, None, None]
        nodes = (_MIDDLES * placed[:, None, 2:] - 0.5) / unit
        shifts = spline((target - placed[:, None, :2]) / unit, (source - target) / unit, nodes) * unit
        shaped = shifts.reshape(-1, GRID, GRID, 2).astype(np.float32)
        return [cls(box, shift) for box, shift in zip(boxes, shaped, strict=True)]

    def __call__(
        self, picture: Planes, corner: tuple[int, int], fine: tuple[int, int, int, int] | None = None
    ) -> Planes:
        """The box filled from ``picture``, whose top left pixel lies at ``corner`` of the source frame.

        ``fine``: x, y, w, h in the frame of a part whose luma keeps its detail best, by a window three times as dear.
        Sides and corners of both are even.
        """
        w, h = self._size
        nodes = self.shift + (self._origin - corner).astype(np.float32)
        shift = _enlarged(nodes, w, h)
        source = picture.y.astype(np.uint16)
        left, top, right, bottom = (0, 0, 0, 0) if fine is None else self._within(fine)
        luma = np.empty((h, w), np.uint16)
        for part in (np.s_[:top], np.s_[bottom:], np.s_[top:bottom, :left], np.s_[top:bottom, right:]):
            _remap(source, shift[part], cv2.INTER_CUBIC, luma[part])
        inside = np.s_[top:bottom, left:right]
        _remap(source, shift[inside], cv2.INTER_LANCZOS4, luma[inside])
        half = _enlarged(nodes / 2, w // 2, h // 2)
        chroma = np.empty((2, h // 2, w // 2), np.uint16)
        for plane, drawn in zip((picture.u, picture.v), chroma, strict=True):
            _remap(plane.astype(np.uint16), half, cv2.INTER_CUBIC, drawn)
        return Planes(*(cv2.convertScaleAbs(drawn) for drawn in (luma, *chroma)))

    def _within(self, fine: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what the box holds of ``fine``, counted from the box's corner."""
        x, y = (int(each) for each in self._origin)
        w, h = self._size
        left, top = min(max(0, fine[0] - x), w), min(max(0, fine[1] - y), h)
        return left, top, min(max(left, fine[0] + fine[2] - x), w), min(max(top, fine[1] + fine[3] - y), h)


def _enlarged(nodes: Array, width: int, height: int) -> Array:
    """(height, width, 2) float32: where each pixel is found, from how far away the ``nodes`` (g, g, 2) px are."""
    shift = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(shift, _places(height, width), dst=shift)


def _places(height: int, width: int) -> Array:
    """(height, width, 2) float32: x and y of every pixel."""
    result: Array = _corner(-(-height // _STEP), -(-width // _STEP))[:height, :width]
    return result


@lru_cache(maxsize=4)
def _corner(rows: int, columns: int) -> Array:
    """Enough places for a box: it is seldom as large as the frame before's, often as many steps."""
    y, x = np.indices((rows * _STEP, columns * _STEP), np.float32)
    return np.stack([x, y], axis=-1)


def _remap(plane: Array, shift: Array, window: int, into: Array) -> None:
    """``plane`` (h, w) uint16 at the places ``shift`` (H, W, 2) float32, ``into`` (H, W) uint16.

    OpenCV reads wide windows of 16 bits in half the time that it takes for bytes in threes.
    """
    if into.size:
        cv2.remap(plane, shift, _NO_SECOND_MAP, window, dst=into, borderMode=cv2.BORDER_REPLICATE)
