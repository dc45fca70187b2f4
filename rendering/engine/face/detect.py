"""Finding faces: BlazeFace through LiteRT, with our own anchors, decoding and non-maximum suppression.

Sources: "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (2019) and the anchor layout of MediaPipe's
``ssd_anchors_calculator``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rendering.engine.face.models import Net

Array = np.ndarray[Any, Any]

MIN_SCORE = 0.5
MAX_OVERLAP = 0.3


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the picture it was found in."""

    x: float
    y: float
    w: float
    h: float
    score: float
    eyes: tuple[tuple[float, float], tuple[float, float]]
    """Left and right eye as the viewer sees them."""

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    def scaled(self, factor: float, dx: float = 0.0, dy: float = 0.0) -> Face:
        """The same face in a picture ``factor`` times as large, moved by ``dx, dy`` pixels of that picture."""
        (ax, ay), (bx, by) = self.eyes
        eyes = ((ax * factor + dx, ay * factor + dy), (bx * factor + dx, by * factor + dy))
        return Face(self.x * factor + dx, self.y * factor + dy, self.w * factor, self.h * factor, self.score, eyes)


def anchors(size: int, strides: tuple[int, ...]) -> Array:
    """Anchor centres (n, 2) in 0..1: two per cell and layer, layers of one stride side by side."""
    centres = []
    for stride in dict.fromkeys(strides):
        cells = size // stride
        line = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, 2 * strides.count(stride), axis=0))
    return np.concatenate(centres).astype(np.float32)


class BlazeFace:
    """One of the two square BlazeFace models."""

    def __init__(self, name: str, strides: tuple[int, ...]) -> None:
        self._net = Net(name)
        self._anchors = anchors(self._net.size, strides)

    def __call__(self, bgr: Array) -> list[Face]:
        """Faces in ``bgr`` (h, w, 3) uint8, best first."""
        size, (height, width) = self._net.size, bgr.shape[:2]
        scale = size / max(height, width)
        inner = cv2.resize(
            bgr, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
        left, top = (size - inner.shape[1]) // 2, (size - inner.shape[0]) // 2
        boxed = np.zeros((size, size, 3), np.uint8)
        boxed[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        raw, logits = self._net(boxed[:, :, ::-1].astype(np.float32) / 127.5 - 1.0)
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits.reshape(-1), -80.0, 80.0)))
        keep = np.flatnonzero(scores > MIN_SCORE)
        if not keep.size:
            return []
        values = raw.reshape(-1, 8, 2)[keep] / size
        values[:, 0] += self._anchors[keep]
        values[:, 2:] += self._anchors[keep, None]
        values = (values * size - [left, top]) / scale
        values[:, 1] += np.array([left, top]) / scale  # a size, not a place: undo the shift
        return [_face(row, float(score)) for row, score in _suppress(values, scores[keep])]


def _face(values: Array, score: float) -> Face:
    (cx, cy), (w, h) = values[0], values[1]
    eyes = ((float(values[2, 0]), float(values[2, 1])), (float(values[3, 0]), float(values[3, 1])))
    return Face(float(cx - w / 2), float(cy - h / 2), float(w), float(h), score, eyes)


def _overlap(a: Array, b: Array) -> Array:
    """Intersection over union of box ``a`` (2, 2: centre, size) with boxes ``b`` (n, 2, 2)."""
    low = np.maximum(a[0] - a[1] / 2, b[:, 0] - b[:, 1] / 2)
    high = np.minimum(a[0] + a[1] / 2, b[:, 0] + b[:, 1] / 2)
    inter = np.prod(np.clip(high - low, 0, None), axis=1)
    result: Array = inter / (np.prod(a[1]) + np.prod(b[:, 1], axis=1) - inter + 1e-9)
    return result


def _suppress(values: Array, scores: Array) -> Iterator[tuple[Array, float]]:
    """Weighted non-maximum suppression: overlapping answers are averaged by their scores."""
    order = np.argsort(-scores)
    while order.size:
        best = order[0]
        same = _overlap(values[best, :2], values[order, :2]) > MAX_OVERLAP
        same[0] = True
        group = order[same]
        weights = scores[group] / scores[group].sum()
        yield np.tensordot(weights, values[group], axes=1), float(scores[best])
        order = order[~same]


class Detector:
    """The short-range model first, the finer one when it finds nothing, then overlapping tiles for small faces."""

    def __init__(self) -> None:
        self._near = BlazeFace("face_detection_short_range.tflite", (8, 16, 16, 16))
        self._far = BlazeFace("face_detection_back.tflite", (16, 32, 32, 32))

    def __call__(self, bgr: Array, *, thorough: bool = False) -> list[Face]:
        """Faces in ``bgr`` (h, w, 3) uint8; ``thorough`` always runs the finer model and, if need be, tiles."""
        faces = [] if thorough else self._near(bgr)
        faces = faces or self._far(bgr)
        return faces or (self._tiles(bgr) if thorough else [])

    def _tiles(self, bgr: Array) -> list[Face]:
        height, width = bgr.shape[:2]
        side = max(64, round(0.55 * min(height, width)))
        found: list[Face] = []
        for top in _starts(height, side):
            for left in _starts(width, side):
                tile = bgr[top : top + side, left : left + side]
                found += [face.scaled(1.0, left, top) for face in self._near(tile)]
        return sorted(found, key=lambda face: -face.score)


def _starts(length: int, side: int) -> list[int]:
    """Starts of overlapping stretches of ``side`` that cover ``length``."""
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (0.7 * side))) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]
