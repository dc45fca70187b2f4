"""Captions that are burnt into the picture over the chin: they stay where they are while the face moves under them.

Letters that a warped chin carries along would swim. Where they are is found once, while the footage is tracked, and
left out of everything that is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine.face.blend import outline
from rendering.engine.face.points import EYES

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

HEIGHT = 540
"""Rows down to which a picture is reduced, by a whole number."""
EVERY = 3
"""Frames between two looks."""
MOVING = np.array((17, 200, 152, 205, 425, 2))
"""Points of the lower face whose movement is measured, each for what is nearest to it."""
MOVED = 0.02
"""IO that the lower face must have moved for a comparison to say anything."""
PATIENCE = 10
"""Looks after which a face that has not moved is compared with a newer picture."""
STRONG = 60.0
"""Levels per pixel of an edge that may be a letter's: captions are made to be read."""
SAME = 0.3
"""Change of an edge, relative to its strength, up to which it has stayed."""
STAYED = 3
"""Comparisons that an edge must have outlasted."""
FAITHFUL = 0.6
"""Share of the comparisons that found an edge there in which it stayed."""
BOTH_WAYS = 0.2
"""Letters have upright and level strokes: least share of either. The rim of a face or a collar runs one way."""
LINE = 0.12
"""IO across which letters belong to one line."""
MIN_WIDTH = 0.3
MIN_INK = 0.004
"""Least width of a line, IO, and least area of its edges, square IO."""
SIDEWAYS = 0.5
"""IO by which a line is taken to go on to either side, beside the face."""
SOFT = 0.04
"""IO over which the new picture ends beside a caption."""
MARGIN = 0.08
"""IO around the letters that is left alone too: the chin under them may carry them that far."""
INWARDS = 0.9
"""Only this inner share of the lower face is judged: beside it, what stands still is background."""


@dataclass(frozen=True, eq=False)
class _Look:
    """The lower face of one frame, in pixels of the reduced picture."""

    edges: Array
    """(2, h, w) float32: levels per pixel to the right and down."""
    corner: tuple[int, int]
    """Where they begin, x and y."""
    places: Array
    """(m, 2) the points of :data:`MOVING`."""
    polygon: Array
    """(p, 2) the inner part of the lower face."""
    number: int

    def part(self, x: int, y: int, width: int, height: int) -> Array:
        left, top = x - self.corner[0], y - self.corner[1]
        return self.edges[:, top : top + height, left : left + width]


class CaptionFinder:
    """Watches for edges that stay while the face around them moves."""

    def __init__(self) -> None:
        self._seen = 0
        self._before: _Look | None = None
        self._present = self._stayed = self._upright = np.zeros((0, 0), np.float32)
        self._step = 1
        self._io: list[float] = []

    def add(self, frame: Frame, points: Array | None) -> None:
        """Take the next frame; ``points`` (468, 3) px, None without a face."""
        self._seen += 1
        if points is None or self._seen % EVERY != 1:
            return
        if not self._present.size:
            self._step = max(1, frame.y.shape[0] // HEIGHT)
            shape = tuple(side // self._step for side in frame.y.shape)
            self._present, self._stayed, self._upright = (np.zeros(shape, np.float32) for _ in range(3))
        io = float(np.linalg.norm(points[EYES[1]] - points[EYES[0]])) / self._step
        look = self._look(frame.y, points)
        if look is None:
            return
        self._io.append(io)
        if self._before is not None:
            moved = np.linalg.norm(look.places - self._before.places, axis=1)
            enough = max(1.0, MOVED * io)
            if np.median(moved) >= enough:
                self._compare(self._before, look, moved >= enough)
            elif look.number - self._before.number < PATIENCE * EVERY:
                return
        self._before = look

    def _look(self, y: Array, points: Array) -> _Look | None:
        """None where the face is not within the picture."""
        face = outline(points) / self._step
        rows, columns = self._present.shape
        left, top = np.maximum(np.floor(face.min(axis=0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(face.max(axis=0)).astype(int), [columns, rows])
        if right - left < 8 or bottom - top < 8:
            return None
        step = self._step
        luma = np.ascontiguousarray(y[top * step : bottom * step, left * step : right * step])
        luma = cv2.resize(luma, (int(right - left), int(bottom - top)), interpolation=cv2.INTER_AREA)
        edges = np.stack([cv2.Sobel(luma, cv2.CV_32F, *way, scale=0.25) for way in ((1, 0), (0, 1))])
        middle = face.mean(axis=0)
        polygon = middle + INWARDS * (face - middle)
        return _Look(edges, (int(left), int(top)), points[MOVING, :2] / step, polygon, self._seen)

    def _compare(self, before: _Look, now: _Look, moved: Array) -> None:
        """Count which edges stayed; ``moved`` (6,) bool: near which of :data:`MOVING` the face did move.

        A jaw moves without the nose above it, whose edges then stay where they are and are no letters.
        """
        where = np.ones(self._present.shape, np.uint8)
        for look in (before, now):
            inside = np.zeros_like(where)
            cv2.fillPoly(inside, [np.round(look.polygon).astype(np.int32)], 1)
            where &= inside
        x, y, width, height = cv2.boundingRect(where)
        part = np.s_[y : y + height, x : x + width]
        rows, columns = np.mgrid[part]
        away = [np.hypot(columns - place[0], rows - place[1]) for place in now.places]
        where[part] &= moved[np.argmin(away, axis=0)]
        old, new = before.part(x, y, width, height), now.part(x, y, width, height)
        strength = np.hypot(old[0], old[1])
        strong = (strength > STRONG) & (where[part] > 0)
        stayed = strong & (np.hypot(*(new - old)) < SAME * strength)
        self._present[part] += strong
        self._stayed[part] += stayed
        self._upright[part] += stayed & (np.abs(old[0]) > np.abs(old[1]))

    def boxes(self) -> Array:
        """(k, 4) float32 x, y, w, h px of the frame: lines of text over the lower face, with their margin."""
        lasting = (self._stayed >= STAYED) & (self._stayed >= FAITHFUL * self._present)
        if not lasting.any():
            return np.zeros((0, 4), np.float32)
        io = float(np.median(self._io))
        reach = max(3, round(LINE * io)) | 1
        joined = cv2.morphologyEx(lasting.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((max(3, reach // 2), reach)))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
        found = []
        for label in range(1, count):
            ink = lasting & (labels == label)
            upright = float((self._upright[ink] > 0.5 * self._stayed[ink]).mean()) if ink.any() else 0.0
            x, y, width, height = stats[label, :4]
            if width >= MIN_WIDTH * io and ink.sum() >= MIN_INK * io**2 and BOTH_WAYS < upright < 1 - BOTH_WAYS:
                beside, above = SIDEWAYS * io, MARGIN * io
                found.append((x - beside, y - above, width + 2 * beside, height + 2 * above))
        return np.array(found, np.float32).reshape(-1, 4) * np.float32(self._step)


def beside(quads: Array, box: tuple[int, int, int, int], io: float) -> Array:
    """(h, w) float32 over ``box`` (x, y, w, h px): 0 within the ``quads`` (k, 4, 2) px, softly 1 beside them."""
    kept = np.zeros((box[3], box[2]), np.uint8)
    for quad in quads:
        cv2.fillConvexPoly(kept, np.round(quad - [box[0], box[1]]).astype(np.int32), 1)
    away = cv2.distanceTransform(1 - kept, cv2.DIST_L2, 3)
    result: Array = np.clip(away / max(1.0, SOFT * io), 0, 1).astype(np.float32)
    return result


def corners(boxes: Array) -> Array:
    """Boxes (k, 4) as quads (k, 4, 2), clockwise."""
    x, y, w, h = boxes.T
    return np.stack([np.stack([x, y], 1), np.stack([x + w, y], 1), np.stack([x + w, y + h], 1), np.stack([x, y + h], 1)], 1)  # fmt: skip  # noqa: E501


def carried(quads: Array, source: Array, target: Array) -> Array:
    """``quads`` (k, 4, 2) px taken along by a face whose points (n, 2) px went from ``source`` to ``target``."""
    matrix, *_ = np.linalg.lstsq(np.column_stack([source, np.ones(len(source))]), target, rcond=None)
    result: Array = quads @ matrix[:2] + matrix[2]
    return result
