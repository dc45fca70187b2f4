"""A square picture of a face that moves with the head alone: cut out for a network, laid back where it was.

Its place is fixed to the clip's own template and follows the steady pose; a detector's box would tremble.
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
"""Share of the square over which its edge fades out."""
ROUNDING = 1e-6
"""Share of a length by which its two ways of being worked out may differ."""


class Square:
    """The same place of the face in every frame. Its pixels are (x, y) from 0, centres at whole numbers."""

    def __init__(self, track: Track, middle: Array, unit: Array | float, size: int, *, fine: bool = False) -> None:
        """``middle`` (3,) IO in the template's frame; ``unit``: IO that a pixel is wide and high, or (2,) of them;
        ``size``: pixels a side; ``fine``: cut by a cubic window instead of a linear one."""
        self.size = size
        self._steady, self._middle = track.steady, middle
        self._unit, self.fine = unit, fine
        ramp = np.clip((np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / (EDGE * size), 0, 1)
        self.edge: Array = np.outer(ramp, ramp).astype(np.float32)
        """(size, size) 0..1: how much counts of each pixel that is laid back."""

    def matrix(self, index: int) -> Array:
        """(2, 3) float64: pixels of the square to pixels of footage frame ``index``."""
        scale, rotation, shift = self._steady.pose_of(index)
        centre = geometry.project(self._middle[None, None], (scale, rotation, shift))[0, 0, :2]
        roll = np.radians(geometry.angles(rotation)[2][0])
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        linear = float(scale[0]) * turn * self._unit
        return np.column_stack([linear, centre - linear @ np.full(2, (self.size - 1) / 2)])

    def shrink(self, index: int) -> int:
        """Pixels of footage frame ``index``, along either side, that are averaged before it is sampled: a face of 400
        pixels would lose three of four."""
        return max(1, int(np.linalg.norm(self.matrix(index)[:, :2], axis=0).min()))

    def shrinks(self) -> range:
        """All that :meth:`shrink` may say of this track."""
        pixels = self._steady.pose[0] * np.min(self._unit)
        low, high = np.nanmin(pixels) * (1 - ROUNDING), np.nanmax(pixels) * (1 + ROUNDING)
        return range(max(1, int(low)), max(1, int(high)) + 1)

    def into(self, points: Array, index: int) -> Array:
        """Points (k, 2) px of footage frame ``index`` in pixels of the square, float32."""
        back = cv2.invertAffineTransform(self.matrix(index))
        result: Array = (points @ back[:, :2].T + back[:, 2]).astype(np.float32)
        return result

    def cut(self, frame: Frame, index: int) -> Array:
        """The square of ``frame``, footage frame ``index``, (size, size, 3) u8 BGR; beyond the picture its edge goes
        on."""
        box = self.box(index)
        return self.cut_box(frame.bgr(box), box, index)

    def box(self, index: int) -> Box:
        """The part of footage frame ``index`` that the square lies in."""
        matrix = self.matrix(index)
        corners = (self.size - 1) * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
        return box_around(corners @ matrix[:, :2].T + matrix[:, 2])

    def cut_box(self, picture: Array, box: Box, index: int) -> Array:
        """The square out of ``picture`` (h, w, 3) u8, which covers ``box`` of footage frame ``index``."""
        matrix = self.matrix(index)
        shrink = self.shrink(index)
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
            flags=(cv2.INTER_CUBIC if self.fine else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return cut

    def lay(self, drawn: Array, index: int, box: Box) -> tuple[Array, Array]:
        """``drawn`` (size, size, 3) where it belongs in ``box`` of footage frame ``index``, (h, w, 3) of its type; and
        how far the square covers each pixel, (h, w) float32 0..1."""
        flags, back = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, self._back(index, box)
        picture = cv2.warpAffine(drawn, back, box[2:], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return picture, self.covered(index, box)

    def covered(self, index: int, box: Box) -> Array:
        """How far the square covers each pixel of ``box`` of footage frame ``index``, (h, w) float32 0..1."""
        return self.laid(self.edge, index, box)

    def laid(self, shares: Array, index: int, box: Box) -> Array:
        """``shares`` (size, size) float32 where they belong in ``box`` of footage frame ``index``, (h, w); 0 beyond."""
        back = self._back(index, box)
        return cv2.warpAffine(shares, back, box[2:], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def _back(self, index: int, box: Box) -> Array:
        """(2, 3): pixels of ``box`` to pixels of the square."""
        back: Array = cv2.invertAffineTransform(self.matrix(index))
        back[:, 2] += back[:, :2] @ np.array(box[:2], float)
        return back
