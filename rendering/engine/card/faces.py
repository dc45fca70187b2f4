"""The faces of some frames, brought to a device in arrays of one shape, and what comes back laid into the frames.

Of each frame travels a square region around its face, and nothing else; of what comes back, the mouth's box is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine.face.blend import SMALL

if TYPE_CHECKING:
    from rendering.engine.face.blend import Mask
    from rendering.engine.media.frame import Box, Frame
    from rendering.engine.media.planes import Planes

Array = np.ndarray[Any, Any]

ROUNDED = 4
"""Pixels that even corners may cost a region."""
STEP = 64
"""Pixels by which regions grow: few shapes are ever new."""


class Region:
    """A square of a frame, (side, side) px at even ``x`` and ``y``; may reach over the frame's edge, which goes on."""

    def __init__(self, x: int, y: int, side: int) -> None:
        self.x, self.y, self.side = x, y, side

    @classmethod
    def around(cls, boxes: list[Box], side: int) -> Region:
        """With all of ``boxes`` about its middle; ``side`` from :func:`side_for`, of their extent or more."""
        left, top = (min(box[axis] for box in boxes) for axis in (0, 1))
        right, bottom = (max(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
        if max(right - left, bottom - top) + ROUNDED > side:
            raise ValueError(f"a face of {right - left} x {bottom - top} pixels in a region of {side}")
        return cls((left + right - side) // 2 & ~1, (top + bottom - side) // 2 & ~1, side)

    def planes(self, frame: Frame) -> tuple[Array, Array]:
        """(side, side) u8 of ``frame``, and (2, side / 2, side / 2) u8."""
        half = self.x // 2, self.y // 2, self.side // 2
        chroma = np.stack([_cut(plane, *half) for plane in (frame.u, frame.v)])
        return _cut(frame.y, self.x, self.y, self.side), chroma

    def put_back(self, frame: Frame, box: Box, y: Array, chroma: Array) -> None:
        """Copy the part of the planes (side, side) and (2, side / 2, side / 2) that lies in ``box`` into ``frame``."""
        for plane, new, fine in ((frame.y, y, 1), (frame.u, chroma[0], 2), (frame.v, chroma[1], 2)):
            left, top = max(0, box[0] // fine), max(0, box[1] // fine)
            right = min(plane.shape[1], -(-(box[0] + box[2]) // fine))
            bottom = min(plane.shape[0], -(-(box[1] + box[3]) // fine))
            if left < right and top < bottom:
                x, y0 = self.x // fine, self.y // fine
                plane[top:bottom, left:right] = new[top - y0 : bottom - y0, left - x : right - x]

    def filled(self, picture: Array, box: Box) -> Array:
        """``picture`` (h, w, ...) of ``box`` as (side, side, ...); around it, its edge goes on."""
        left, top = box[0] - self.x, box[1] - self.y
        around = (top, self.side - top - box[3], left, self.side - left - box[2])
        return cv2.copyMakeBorder(picture, *around, cv2.BORDER_REPLICATE)

    def filled_planes(self, planes: Planes, box: Box) -> tuple[Array, Array]:
        """``planes`` of ``box``, even-aligned, as (side, side) and (2, side / 2, side / 2) u8; their edges go on."""
        half = Region(self.x // 2, self.y // 2, self.side // 2)
        smaller = (box[0] // 2, box[1] // 2, box[2] // 2, box[3] // 2)
        return self.filled(planes.y, box), np.stack([half.filled(plane, smaller) for plane in planes[1:]])

    def inside(self, box: Box) -> Array:
        """(4,) float32: ``box`` from the region's corner."""
        return np.array([box[0] - self.x, box[1] - self.y, *box[2:]], np.float32)

    def from_frame(self, matrix: Array) -> Array:
        """``matrix`` (2, 3) to pixels of the frame, as one to pixels of the region, float32."""
        result = matrix.astype(np.float32)
        result[:, 2] = matrix[:, 2] - (self.x, self.y)
        return result

    def into(self, matrix: Array) -> Array:
        """(2, 3) float32: the way back from pixels of the region, of ``matrix`` (2, 3) to pixels of the frame."""
        local = matrix.astype(np.float64).copy()
        local[:, 2] -= (self.x, self.y)
        return cv2.invertAffineTransform(local).astype(np.float32)

    def mask(self, mask: Mask | None, box: Box) -> tuple[Array, Array]:
        """What :meth:`Mask.full` enlarges over ``box``, (96, 96) float32, and the matrix (2, 3) float32 from pixels of
        the region to its own; nothing at all of None."""
        small, matrix = np.zeros((SMALL, SMALL), np.float32), np.zeros((2, 3), np.float32)
        if mask is not None:
            width, height = mask.small_size
            edges = (0, SMALL - height, 0, SMALL - width)
            small = cv2.copyMakeBorder(mask.small, *edges, cv2.BORDER_REPLICATE)
            for axis, (ours, theirs) in enumerate(zip(mask.small_size, box[2:], strict=True)):
                shrink = ours / theirs
                matrix[axis, axis] = shrink
                matrix[axis, 2] = (0.5 - self.inside(box)[axis]) * shrink - 0.5
        return small, matrix


def _cut(plane: Array, x: int, y: int, side: int) -> Array:
    height, width = plane.shape
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + side), min(height, y + side)
    if left >= right or top >= bottom:
        return np.zeros((side, side), np.uint8)
    around = (top - y, y + side - bottom, left - x, x + side - right)
    return cv2.copyMakeBorder(plane[top:bottom, left:right], *around, cv2.BORDER_REPLICATE)


def side_for(extent: float) -> int:
    """Pixels a side of regions that hold faces of ``extent`` pixels."""
    return STEP * (-(-(int(extent) + ROUNDED) // STEP))
