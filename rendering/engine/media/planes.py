"""A box of a picture in 8-bit 4:2:0: mouths are drawn as the decoder gives pictures and the encoder takes them.

A sample of ``u`` and ``v`` lies in the middle of the four pixels that share it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from rendering.engine.media.colour import planes_to_bgr

Array = np.ndarray[Any, Any]


class Planes(NamedTuple):
    """``y`` (h, w) u8, ``u`` and ``v`` (h/2, w/2) u8; h and w are even."""

    y: Array
    u: Array
    v: Array

    @classmethod
    def of_bgr(cls, picture: Array, matrix: Array) -> Planes:
        """``picture`` (h, w, 3) u8, both sides even; ``matrix`` (3, 4) from BGR to Y'CbCr."""
        luma, *chroma = cv2.split(cv2.transform(picture, matrix))
        # Plane by plane: OpenCV averages two channels at once ten times as slowly.
        return cls(luma, *(halved(plane) for plane in chroma))

    def bgr(self, matrix: Array) -> Array:
        """(h, w, 3) u8; ``matrix`` (3, 4) from Y'CbCr to BGR."""
        return planes_to_bgr(self.y, self.u, self.v, matrix)

    def part(self, x: int, y: int, width: int, height: int) -> Planes:
        """Views of an even-aligned box within."""
        half = np.s_[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
        return Planes(self.y[y : y + height, x : x + width], self.u[half], self.v[half])

    def copy(self) -> Planes:
        return Planes(*(plane.copy() for plane in self))

    def fill(self, other: Planes) -> None:
        """Take over the samples of ``other``, which has the same size."""
        for plane, new in zip(self, other, strict=True):
            plane[...] = new

    def mixed(self, other: Planes, share: Array) -> Planes:
        """This with ``share`` (h, w) float32 0..1, the rest ``other``, of the same size."""
        half = halved(share)
        return Planes(
            *(
                cv2.blendLinear(mine, theirs, part, 1 - part)
                for mine, theirs, part in zip(self, other, (share, half, half), strict=True)
            )
        )

    def faded(self, other: Planes, share: float) -> Planes:
        """The same with one ``share`` for all of it."""
        return Planes(*(cv2.addWeighted(a, share, b, 1 - share, 0) for a, b in zip(self, other, strict=True)))

    def plus(self, offset: Array) -> Planes:
        """With ``offset`` (h', w', 3) float32 levels of y, u and v added, enlarged to the planes."""
        return Planes(
            *(
                cv2.add(plane, cv2.resize(part, plane.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=cv2.CV_8U)
                for plane, part in zip(self, cv2.split(offset), strict=True)
            )
        )

    def small(self, size: tuple[int, int]) -> Array:
        """All three at ``size`` (width, height), (h', w', 3) float32."""
        luma = self.y
        if luma.shape[1] >= 2 * size[0]:  # halving is a fast path, and the same average
            luma = halved(luma)
        return cv2.merge(
            [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (luma, self.u, self.v)]
        ).astype(np.float32)


def halved(plane: Array) -> Array:
    """(h, w) of even sides -> (h/2, w/2): the mean of every four."""
    return cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)
