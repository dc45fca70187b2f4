"""The detail that the lent mouth lends to the drawn one: coarser between the lips of a network that is dull."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rendering.engine.card.pictures import GAUSSIAN_REACH

Array = np.ndarray[Any, Any]

FINE, FINE_INSIDE = 0.02, 0.03
"""IO (standard deviation) under which detail is the lent mouth's; and, of a dull network, between the lips: eight
numbers do not tell teeth from tongue, and what it draws there is the mean of both."""
DULL = 0.8
"""Share of the film's detail (``Figures.middle``) under which a network is dull. One that is not knows better than the
lent mouth where the teeth are."""
INSIDE_EDGE = 0.01
"""IO (standard deviation) over which one gives way to the other."""


def coarse(picture: Array, inside: Array | None, io: float) -> Array:
    """``picture`` (h, w, 3) float32 without its detail; ``inside`` (h, w) float32 0..1: how far each pixel lies between
    the lips of a dull network, None: that of another; ``io`` in its pixels."""
    result: Array = cv2.GaussianBlur(picture, (0, 0), FINE * io)
    if inside is None:
        return result
    x, y, width, height = cv2.boundingRect((inside > 0).astype(np.uint8))
    if width:
        reach = int(np.ceil(GAUSSIAN_REACH * FINE_INSIDE * io)) + 1  # farther away nothing counts
        top, left = max(0, y - reach), max(0, x - reach)
        around = picture[top : y + height + reach, left : x + width + reach]
        coarser = cv2.GaussianBlur(around, (0, 0), FINE_INSIDE * io)[y - top :, x - left :]
        part, share = result[y : y + height, x : x + width], inside[y : y + height, x : x + width, None]
        part += share * (coarser[:height, :width] - part)
    return result
