"""What a mouth shows between its lips, in a few numbers: teeth, tongue or dark, so that jumps keep them together."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rendering.engine.face.points import EYES, LIPS_INNER

Array = np.ndarray[Any, Any]

UPPER = (LIPS_INNER[0], *LIPS_INNER[:10:-1], LIPS_INNER[10])
LOWER = LIPS_INNER[:11]
"""The inner contour's halves from the left corner to the right."""
ROWS = (0.2, 0.5, 0.8)
SIZE = 9 * len(ROWS)
OPEN = 0.06
"""Gap between the lips, IO, from which its inside counts in full; in a closed mouth there is nothing to see."""
BLUR = 0.015
"""IO over which light is averaged."""
GREY = 128


def inside(picture: Array, points: Array) -> Array:
    """(27,) uint8: the light on three rows of nine places between the lips, 128 where they are closed.

    ``picture`` (h, w, 3) uint8 BGR, ``points`` (468, 2 or 3) px in it.
    """
    io = float(np.linalg.norm(points[EYES[1]] - points[EYES[0]]))
    upper, lower = points[UPPER, :2][1:-1], points[LOWER, :2][1:-1]
    gap = np.linalg.norm(lower - upper, axis=1)
    places = np.concatenate([upper + row * (lower - upper) for row in ROWS]).astype(np.float32)
    margin = 2 + 3 * BLUR * io
    low, high = np.floor(places.min(axis=0) - margin).astype(int), np.ceil(places.max(axis=0) + margin).astype(int)
    left, top = np.maximum(low, 0)
    mouth = picture[top : max(top + 1, high[1]), left : max(left + 1, high[0])]
    if mouth.size == 0:
        return np.full(SIZE, GREY, np.uint8)
    light = cv2.GaussianBlur(cv2.cvtColor(mouth, cv2.COLOR_BGR2GRAY), (0, 0), max(0.5, BLUR * io)).astype(np.float32)
    at = places - np.array([left, top], np.float32)
    seen = cv2.remap(light, at[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    share = np.tile(np.clip(gap / (OPEN * io), 0, 1), len(ROWS))
    result: Array = np.round(GREY + share * (seen - GREY)).astype(np.uint8)
    return result
