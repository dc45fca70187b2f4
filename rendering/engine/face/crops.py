"""A square of the face, upright and steady: fixed to the clip's own template and carried by the head's smoothed pose.

A box that is found anew in every frame trembles, and what is drawn in it trembles with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine.face import geometry
from rendering.engine.face.blend import box_around
from rendering.engine.face.track import Track

if TYPE_CHECKING:
    from rendering.engine.media.frame import Box, Frame

Array = np.ndarray[Any, Any]

EDGE = 1 / 32
"""Share of the crop over which its edge fades out."""


class Crops:
    """The same place of the face in every frame. Crop pixels are (x, y) 0..size - 1, centres at whole numbers."""

    def __init__(self, track: Track, middle: Array, sides: Array, size: int) -> None:
        """``middle`` (3,) and ``sides`` (2,) IO in the template's frame: what the crop shows; ``size``: its pixels."""
        self.size = size
        self._steady, self._middle, self._sides = track.steady, middle, sides
        ramp = np.clip((np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / (EDGE * size), 0, 1)
        self._edge = np.outer(ramp, ramp).astype(np.float32)

    def matrix(self, index: int) -> Array:
        """(2, 3) float64: crop pixels to pixels of footage frame ``index``."""
        scale, rotation, shift = self._steady.pose_of(index)
        centre = geometry.project(self._middle[None, None], (scale, rotation, shift))[0, 0, :2]
        roll = np.radians(geometry.angles(rotation)[2][0])
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        linear = float(scale[0]) * turn * (self._sides / self.size)
        return np.column_stack([linear, centre - linear @ np.full(2, (self.size - 1) / 2)])

    def cut(self, frame: Frame, index: int) -> Array:
        """The crop of ``frame``, footage frame ``index``, (size, size, 3) u8 BGR; beyond the edge, the edge goes on."""
        matrix = self.matrix(index)
        corners = (self.size - 1) * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
        box = box_around(corners @ matrix[:, :2].T + matrix[:, 2])
        picture = frame.bgr(box)
        # Averaged before it is sampled: a face of 400 pixels would lose three of four.
        shrink = max(1, int(np.linalg.norm(matrix[:, :2], axis=0).min()))
        size = np.array([max(1, box[2] // shrink), max(1, box[3] // shrink)])
        if shrink > 1:
            picture = cv2.resize(picture, size.tolist(), interpolation=cv2.INTER_AREA)
        fit = size / np.array(box[2:])
        local = matrix * fit[:, None]
        local[:, 2] = (matrix[:, 2] - box[:2] + 0.5) * fit - 0.5
        cut: Array = cv2.warpAffine(
            picture,
            local,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return cut

    def lay(self, drawn: Array, index: int, box: Box) -> tuple[Array, Array]:
        """``drawn`` (size, size, 3) u8 or float32 where it belongs in ``box`` of footage frame ``index``, (h, w, 3);
        and how far the crop covers each pixel, (h, w) float32 0..1."""
        back = cv2.invertAffineTransform(self.matrix(index))
        back[:, 2] += back[:, :2] @ np.array(box[:2], float)
        flags, size = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, (box[2], box[3])
        picture = cv2.warpAffine(drawn, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        covered = cv2.warpAffine(self._edge, back, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return picture, covered
