"""The inside of a mouth that the footage never shows: a dark cavity, a row of teeth and a tongue, painted (tier C)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

CAVITY = np.array([20, 18, 44], np.float32)
"""BGR at a face brightness of 128."""
TEETH = np.array([122, 134, 142], np.float32)
TONGUE = np.array([66, 62, 138], np.float32)
TEETH_HEIGHT = 0.05
"""IO of upper teeth that an open mouth shows at most."""
SCALE = 16


def paint_inside(picture: Array, upper: Array, lower: Array, io: float, brightness: float, *, teeth: float) -> Array:
    """``picture`` (h, w, 3) uint8 BGR with the gap between two lip lines painted.

    ``upper`` and ``lower`` (k, 2) px in the picture, from the left corner to the right one; ``brightness`` of the face
    0..255; ``teeth`` 0..1 how much of a painted upper row is wanted.
    """
    gap = np.linalg.norm(lower - upper, axis=1)
    if gap.max() < 0.006 * io:
        return picture
    light = brightness / 128
    height, width = picture.shape[:2]
    inside = _area(np.concatenate([upper, lower[::-1]]), (height, width))
    alpha = cv2.GaussianBlur(inside, (0, 0), max(0.5, 0.008 * io))
    layer = np.empty((height, width, 3), np.float32)
    layer[:] = CAVITY * light
    middle = len(lower) // 2
    tongue = np.zeros((height, width), np.float32)
    centre = lower[middle]
    axes = (max(1, round(0.17 * io)), max(1, round(0.4 * float(gap[middle]))))
    cv2.ellipse(tongue, (round(float(centre[0])), round(float(centre[1]))), axes, 0, 0, 360, 0.8, -1, cv2.LINE_AA)
    layer += cv2.GaussianBlur(tongue, (0, 0), max(0.8, 0.03 * io))[..., None] * (TONGUE * light - layer)
    if teeth > 0:
        down = (lower - upper) / np.maximum(gap, 1e-6)[:, None]
        reach = np.minimum(0.45 * gap, TEETH_HEIGHT * io)[:, None]
        row = _area(np.concatenate([upper - 0.02 * io * down, (upper + down * reach)[::-1]]), (height, width))
        row = cv2.GaussianBlur(row, (0, 0), max(0.5, 0.012 * io)) * (teeth * min(1.0, float(gap.max()) / (0.06 * io)))
        layer += row[..., None] * (TEETH * light * _fall_off(upper, (height, width)) - layer)
    result = picture + alpha[..., None] * (layer - picture)
    return np.clip(result, 0, 255).astype(np.uint8)


def _area(polygon: Array, size: tuple[int, int]) -> Array:
    mask = np.zeros(size, np.float32)
    cv2.fillPoly(mask, [np.round(polygon * SCALE).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return mask


def _fall_off(line: Array, size: tuple[int, int]) -> Array:
    """(h, w, 1) light on the teeth: full in the middle of the mouth, falling towards its corners."""
    middle, half = line[:, 0].mean(), max(1.0, float(np.ptp(line[:, 0])) / 2)
    u = (np.arange(size[1], dtype=np.float32) - middle) / half
    result: Array = np.clip(1 - 0.75 * u**2, 0.1, 1)[None, :, None].astype(np.float32)
    return result
