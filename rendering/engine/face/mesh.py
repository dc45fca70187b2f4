"""The 468-point face mesh on a square crop of the frame, held still while the face stays inside it.

Holding the crop matters: the mesh answers a moved crop with slightly moved points, which would shake the mouth.
Source: "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs" (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, ceil, cos, degrees, floor, hypot, sin
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine.face.detect import Face
from rendering.engine.face.models import Net
from rendering.engine.face.points import EYES

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

MARGIN = 1.5
"""Side of the crop relative to the face's longer side: what the model was trained on."""


SHIFTS = (0, 4, -4)
"""Pixels of the crop, right and down, by which the mesh's looks differ."""
ONE_LOOK = (0,)


@dataclass(frozen=True)
class Crop:
    """A rotated square of the frame, in pixels and radians."""

    cx: float
    cy: float
    side: float
    angle: float

    @classmethod
    def of_face(cls, face: Face) -> Crop:
        """Around a detection."""
        (ax, ay), (bx, by) = face.eyes
        cx, cy = face.centre
        return cls(cx, cy, MARGIN * max(face.w, face.h), atan2(by - ay, bx - ax))

    @classmethod
    def of_points(cls, points: Array) -> Crop:
        """Around mesh ``points`` (468, 3) px, upright along the eye line."""
        left, right = points[EYES[0]], points[EYES[1]]
        angle = atan2(float(right[1] - left[1]), float(right[0] - left[0]))
        turn = np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])
        upright = points[:, :2] @ turn.T
        low, high = upright.min(axis=0), upright.max(axis=0)
        centre = turn.T @ ((low + high) / 2)
        return cls(float(centre[0]), float(centre[1]), MARGIN * float((high - low).max()), angle)

    def fits(self, other: Crop) -> bool:
        """Whether this crop still serves a face whose own crop would be ``other``."""
        moved = hypot(self.cx - other.cx, self.cy - other.cy) / self.side
        turned = abs(degrees(self.angle - other.angle) + 180.0) % 360.0 - 180.0
        return moved < 0.06 and 0.88 < self.side / other.side < 1.14 and abs(turned) < 8.0

    def matrix(self, size: int) -> Array:
        """Frame pixels -> crop pixels, (2, 3) float64; pixel centres are at whole numbers."""
        scale = size / self.side
        c, s = cos(self.angle) * scale, sin(self.angle) * scale
        half = (size - 1) / 2
        return np.array([[c, s, half - c * self.cx - s * self.cy], [-s, c, half + s * self.cx - c * self.cy]])

    def bounds(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The part of a frame of even sides that the crop covers: even x, y, w, h (w or h may be <= 0)."""
        reach = self.side / 2 * (abs(cos(self.angle)) + abs(sin(self.angle))) + 2
        x0, y0 = max(0, floor(self.cx - reach)) & ~1, max(0, floor(self.cy - reach)) & ~1
        x1, y1 = min(width, ceil(self.cx + reach)), min(height, ceil(self.cy + reach))
        return x0, y0, (x1 - x0 + 1) & ~1, (y1 - y0 + 1) & ~1


def cut(frame: Frame, crop: Crop, size: int) -> Array | None:
    """The crop as (size, size, 3) uint8 BGR; None when it lies outside the frame."""
    height, width = frame.y.shape
    box = crop.bounds(width, height)
    if box[2] < 8 or box[3] < 8:
        return None
    x, y = float(box[0]), float(box[1])
    shrink = max(1, int(crop.side / size))
    # Averaging first keeps the linear warp from aliasing.
    bgr = frame.reduced_bgr(box, shrink) if shrink > 1 else frame.bgr(box)
    sx, sy = box[2] / bgr.shape[1], box[3] / bgr.shape[0]
    back = np.array([[sx, 0, x + sx / 2 - 0.5], [0, sy, y + sy / 2 - 0.5], [0, 0, 1]])
    return cv2.warpAffine(bgr, crop.matrix(size) @ back, (size, size), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))


class Mesh:
    """Reads the mesh in a crop of a frame."""

    def __init__(self) -> None:
        self._net = Net("face_landmark.tflite")

    def picture(self, frame: Frame, crop: Crop) -> Array | None:
        """The crop as (192, 192, 3) uint8 BGR; None when it lies outside the frame."""
        return cut(frame, crop, self._net.size)

    def read(self, picture: Array, crop: Crop, shifts: tuple[int, ...] = SHIFTS) -> tuple[Array, float]:
        """Points (468, 3) float32 in frame pixels (z in the same unit, smaller is nearer) and presence 0..1.

        The mean of slightly shifted looks; three have a sixth less jitter than one, and a truer mouth.
        """
        looks, presence = [], 1.0
        size, edge = self._net.size, max(abs(shift) for shift in shifts)
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.float32)
        rgb /= 255.0
        wide = cv2.copyMakeBorder(rgb, edge, edge, edge, edge, cv2.BORDER_CONSTANT)
        for shift in shifts:
            start = edge + shift
            points, logit = self._net(wide[start : start + size, start : start + size])
            looks.append(points.reshape(-1, 3).astype(np.float64) + [shift, shift, 0])
            presence = min(presence, float(1.0 / (1.0 + np.exp(-float(logit.reshape(-1)[0])))))
        local = np.mean(looks, axis=0)
        inverse = cv2.invertAffineTransform(crop.matrix(self._net.size))
        result = np.empty((local.shape[0], 3), np.float32)
        result[:, :2] = local[:, :2] @ inverse[:, :2].T + inverse[:, 2]
        result[:, 2] = local[:, 2] * crop.side / self._net.size
        return result, presence
