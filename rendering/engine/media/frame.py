"""One picture in planes. Work happens on small boxes in BGR; everything else stays as it was decoded."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np

from rendering.engine.media.colour import from_bgr_matrix, planes_to_bgr, to_bgr_matrix
from rendering.engine.media.planes import Planes, halved
from rendering.engine.media.probe import VideoInfo

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels; may reach over the picture's edge."""


class Frame:
    """A picture in 8-bit 4:2:0 planes.

    ``y`` (H, W) u8; ``u`` and ``v`` (H/2, W/2) u8: views into the picture that the encoder takes.
    """

    __slots__ = ("_from_bgr", "_to_bgr", "index", "picture", "u", "v", "y")

    def __init__(self, picture: av.VideoFrame, index: int, info: VideoInfo) -> None:
        """``picture`` is a yuv420p picture of ``info``'s size whose planes nobody else uses."""
        self.picture = picture
        self.index = index
        self.y, self.u, self.v = plane_views(picture)
        self._to_bgr = to_bgr_matrix(info.colour, info.height)
        self._from_bgr = from_bgr_matrix(info.colour, info.height)

    def copy(self, info: VideoInfo) -> Frame:
        """The same picture in planes of its own."""
        return Frame(copied(self.y, self.u, self.v), self.index, info)

    def matrices(self) -> np.ndarray:
        """(2, 3, 4) float64: affine from (y, u, v, 1) to (b, g, r), and from (b, g, r, 1) to (y, u, v)."""
        return np.stack([self._to_bgr, self._from_bgr])

    def bgr(self, box: Box) -> np.ndarray:
        """The box as (h, w, 3) u8 BGR; beyond the picture's edge the edge is repeated."""
        x, y, width, height = box
        left, top, right, bottom = self._inside(box)
        if right <= left or bottom <= top:
            return np.zeros((height, width, 3), np.uint8)
        rows, columns = slice(top, bottom), slice(left, right)
        half_rows, half_columns = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        inner = planes_to_bgr(
            self.y[rows, columns], self.u[half_rows, half_columns], self.v[half_rows, half_columns], self._to_bgr
        )
        before_y, before_x = max(0, top - y), max(0, left - x)
        after_y, after_x = max(0, y + height - bottom), max(0, x + width - right)
        if before_x or before_y or after_x or after_y:
            inner = cv2.copyMakeBorder(inner, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE)
        skip_y, skip_x = max(0, y - top), max(0, x - left)
        return np.ascontiguousarray(inner[skip_y : skip_y + height, skip_x : skip_x + width])

    def planes(self, box: Box) -> Planes:
        """A copy of the even-aligned box in planes; beyond the picture's edge the edge is repeated."""
        x, y, width, height = box
        left, top, right, bottom = self._inside(box)
        if right <= left or bottom <= top:
            return Planes(*(np.zeros((height >> half, width >> half), np.uint8) for half in (0, 1, 1)))
        cut = self._whole().part(left, top, right - left, bottom - top)
        beyond = (top - y, y + height - bottom, left - x, x + width - right)
        if not any(beyond):
            return cut.copy()
        luma, chroma = (_bordered(*(side >> half for side in beyond)) for half in (0, 1))
        return Planes(luma(cut.y), chroma(cut.u), chroma(cut.v))

    def in_planes(self, bgr: np.ndarray) -> Planes:
        """``bgr`` (h, w, 3) u8, of even sides, in planes of this picture's colours."""
        return Planes.of_bgr(bgr, self._from_bgr)

    def in_bgr(self, planes: Planes) -> np.ndarray:
        """``planes`` of this picture's colours as (h, w, 3) u8 BGR."""
        return planes.bgr(self._to_bgr)

    def _whole(self) -> Planes:
        return Planes(self.y, self.u, self.v)

    def reduced_bgr(self, box: Box, shrink: int) -> np.ndarray:
        """A box within the picture at 1/``shrink`` of its size, (h // shrink, w // shrink, 3) u8 BGR.

        ``box`` must be even-aligned. The planes are reduced before they are converted.
        """
        left, top, width, height = box
        luma = self.y[top : top + height, left : left + width]
        half = np.s_[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
        size = (max(1, width // shrink), max(1, height // shrink))
        y, u, v = (
            cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (luma, self.u[half], self.v[half])
        )
        return planes_to_bgr(y, u, v, self._to_bgr)

    def small_bgr(self, height: int) -> np.ndarray:
        """The whole picture at ``height`` rows (never enlarged), (height, w, 3) u8 BGR."""
        rows = min(height, self.y.shape[0])
        size = (max(2, round(self.y.shape[1] * rows / self.y.shape[0])), rows)
        small_y = cv2.resize(self.y, size, interpolation=cv2.INTER_AREA)
        return planes_to_bgr(small_y, self.u, self.v, self._to_bgr)

    def blend(self, box: Box, bgr: np.ndarray, alpha: np.ndarray) -> None:
        """Lay ``bgr`` (h, w, 3) u8 over the box with ``alpha`` (h, w) float32 0..1, in Y'CbCr.

        Luma samples with alpha 0 keep their byte, and so do chroma samples that any such pixel uses.
        """
        x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
        bgr, alpha = bgr[y : y + height, x : x + width], alpha[y : y + height, x : x + width]
        x, y = box[0] + x, box[1] + y
        left, top, right, bottom = self._inside((x, y, width, height))
        if width == 0 or right <= left or bottom <= top:
            return
        shape = (bottom - top, right - left)
        new = np.zeros((*shape, 3), np.uint8)
        weight = np.zeros(shape, np.float32)
        # The box widened to even edges: the added rows and columns have alpha 0.
        from_y, from_x = max(0, top - y), max(0, left - x)
        to_y, to_x = max(0, y - top), max(0, x - left)
        part = np.s_[from_y : from_y + shape[0] - to_y, from_x : from_x + shape[1] - to_x]
        rows, columns = bgr[part].shape[:2]
        new[to_y : to_y + rows, to_x : to_x + columns] = bgr[part]
        weight[to_y : to_y + rows, to_x : to_x + columns] = alpha[part]
        self._mix_in(left, top, Planes.of_bgr(new, self._from_bgr), weight)

    def lay(self, box: Box, planes: Planes, alpha: np.ndarray) -> None:
        """The same with ``planes`` over an even-aligned box."""
        x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
        left, top, right, bottom = self._inside((box[0] + x, box[1] + y, width, height))
        if width == 0 or right <= left or bottom <= top:
            return
        x, y = left - box[0], top - box[1]
        weight = np.ascontiguousarray(alpha[y : y + bottom - top, x : x + right - left])
        self._mix_in(left, top, planes.part(x, y, right - left, bottom - top), weight)

    def _mix_in(self, left: int, top: int, new: Planes, weight: np.ndarray) -> None:
        """Mix ``new`` into the planes with ``weight`` (h, w) float32; the corner is even."""
        half = halved(weight)
        # All four pixels that share a chroma sample must count: their mean is 255 then, and only then.
        half[halved(cv2.compare(weight, 0, cv2.CMP_GT)) < 255] = 0
        mine = self._whole().part(left, top, *weight.shape[::-1])
        for plane, other, share in zip(mine, new, (weight, half, half), strict=True):
            # Bytes whose share is 0 come out as they went in.
            other, old = np.ascontiguousarray(other), np.ascontiguousarray(plane)
            plane[...] = cv2.blendLinear(other, old, share, 1 - share)

    def _inside(self, box: Box) -> tuple[int, int, int, int]:
        """left, top, right, bottom of the box within the picture, widened to even numbers."""
        x, y, width, height = box
        picture_height, picture_width = self.y.shape
        left, top = max(0, x) // 2 * 2, max(0, y) // 2 * 2
        right, bottom = (min(picture_width, x + width) + 1) // 2 * 2, (min(picture_height, y + height) + 1) // 2 * 2
        return left, top, right, bottom


def _bordered(above: int, below: int, left: int, right: int) -> Callable[[np.ndarray], np.ndarray]:
    """What repeats a plane's edges by so many samples."""
    return lambda plane: cv2.copyMakeBorder(plane, above, below, left, right, cv2.BORDER_REPLICATE)


def plane_views(picture: av.VideoFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Writable (H, W), (H/2, W/2), (H/2, W/2) u8 views of a yuv420p picture."""
    views = []
    for plane in picture.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * plane.height].reshape(
            plane.height, plane.line_size
        )
        views.append(rows[:, : plane.width])
    return views[0], views[1], views[2]


def copied(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> av.VideoFrame:
    """A fresh yuv420p picture holding copies of these planes, cut to even sides."""
    height, width = y.shape[0] // 2 * 2, y.shape[1] // 2 * 2
    picture = av.VideoFrame(width, height, "yuv420p")
    for target, source in zip(plane_views(picture), (y, u, v), strict=True):
        target[...] = source[: target.shape[0], : target.shape[1]]
    return picture


def stamp(frame: Frame, info: VideoInfo, number: int) -> av.VideoFrame:
    """The frame's picture as the encoder wants it: shown as number ``number``, of any type, tagged with its colour."""
    picture = frame.picture
    picture.pts = number
    picture.time_base = Fraction(1) / info.fps
    picture.pict_type = av.video.frame.PictureType.NONE
    picture.colorspace = info.colour.space
    picture.color_range = info.colour.range
    picture.color_primaries = info.colour.primaries
    picture.color_trc = info.colour.transfer
    return picture
