"""What the network sees of a frame: a square of the face that moves with the head alone, a hole in it, and the mouth
that is wanted there.

Nothing here may tell the frame's own mouth: square and hole are rigid, fixed to the clip's own template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rendering.engine.face import geometry
from rendering.engine.face.blend import CHEEKS, JAW_INSIDE, NOSE_BASE
from rendering.engine.face.compose import LIP_WINDOW
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import JAW, LIPS_OUTER
from rendering.engine.face.profile import library_frames
from rendering.engine.face.square import Square
from rendering.engine.face.track import Track

Array = np.ndarray[Any, Any]

SIDE = 1.6
"""IO that the square is wide and high."""
SIZES = (128, 192, 256, 384)
NATIVE = 0.95
"""Share of the footage's own resolution that is enough."""
PADDING = 16
"""One part in so many of the square's side by which training crops are wider all around, to be shifted."""
WINDOW = 5
"""Frames of the mouth's movement that the network is told."""
DEGREES, SCALES = 10.0, 0.25
"""Head turn and logarithm of the size that count as one in the condition."""
CONDITION = WINDOW * 8 + 3
MAPS = 3
HOLE_POINTS = np.array((*NOSE_BASE, *CHEEKS, *JAW_INSIDE))
WIDEST = 99
"""Percentile of the way of a jaw point that the hole has room for."""
HOLE_MARGIN = 0.05
"""IO by which the hole is wider than the widest mouth and jaw."""
HOLE_FRAMES = 400
_FINE = 4
"""Bits of a fraction of a pixel in which polygons are drawn."""


def size_for(track: Track) -> int:
    """Pixels a side that lose nothing of this footage: the least of :data:`SIZES` that suffices, else the largest."""
    wanted = NATIVE * SIDE * float(np.nanmedian(track.io))
    return next((size for size in SIZES if size >= wanted), SIZES[-1])


def rigid_hole(track: Track) -> Array:
    """(k, 3) float64 IO in the template's frame: the outline of nose base, cheeks and jaw at their widest."""
    seen = np.flatnonzero(track.clear)
    seen = seen[:: max(1, len(seen) // HOLE_FRAMES)]
    pose = tuple(part[seen] for part in track.steady.pose)
    places = geometry.normalise(track.points[seen][:, HOLE_POINTS], (pose[0], pose[1], pose[2]))
    middle = np.median(places, axis=0)
    centre = middle[: len(NOSE_BASE), :2].mean(axis=0)
    away = middle[:, :2] - centre
    reach = np.linalg.norm(away, axis=1)
    ways = ((places[:, :, :2] - centre) * (away / reach[:, None])).sum(axis=2)
    wide = np.maximum(np.percentile(ways, WIDEST, axis=0), reach) + HOLE_MARGIN
    wide[: len(NOSE_BASE)] = reach[: len(NOSE_BASE)]  # the nose stays the frame's own
    flat = (centre + away * (wide / reach)[:, None]).astype(np.float32)
    corners = cv2.convexHull(flat, returnPoints=False)[:, 0]
    return np.column_stack([flat, middle[:, 2]])[corners]


@dataclass(frozen=True, eq=False)
class Wanted:
    """The mouth that is wanted in one square, in its pixels: x and y, centres at whole numbers."""

    hole: Array
    """(k, 2) float32: the outline of what is redrawn."""
    lips: Array
    """(40, 2) float32, in the order of ``points.LIPS``."""
    jaw: Array
    """(21, 2) float32: the face's lower outline from ear to ear."""

    def maps(self, size: int) -> Array:
        """(4, size, size) float32 0..1, edges smoothed: hole, inside of the mouth, lips with it, lower face."""
        outer = len(LIPS_OUTER)
        areas = (self.hole, self.lips[outer:], self.lips[:outer], self.jaw)
        return np.stack([_filled(area, size) for area in areas])


def _filled(polygon: Array, size: int) -> Array:
    # OpenCV's own smooth edge is a pixel too wide: closed lips would stand open.
    finer = 4 if size < 256 else 2
    picture = np.zeros((finer * size, finer * size), np.uint8)
    placed = finer * (polygon + 0.5) - 0.5
    cv2.fillPoly(picture, [np.round(placed * (1 << _FINE)).astype(np.int32)], 255, cv2.LINE_8, _FINE)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)


class Crops(Square):
    """The same square of the face in every frame of a track."""

    def __init__(self, track: Track, lips: LipSpace, size: int, padding: int = 0) -> None:
        """``size``: pixels for :data:`SIDE` IO; ``padding``: more of them all around."""
        self._hole = rigid_hole(track)
        middle = (self._hole.min(axis=0) + self._hole.max(axis=0)) / 2
        super().__init__(track, middle, SIDE / size, size + 2 * padding, fine=True)
        self.padding, self.pixels_per_io = padding, size / SIDE
        self._track, self._lips = track, lips
        self._turned = head_turn(track)
        known = np.flatnonzero(track.clear)
        self._usual = np.array([*np.median(self._turned[known], axis=0), np.log(np.median(track.io[known]))])

    def wanted(self, code: Array, index: int, jaw: Array | None = None) -> Wanted:
        """The mouth ``code`` (8,) on the head of footage frame ``index``.

        ``jaw`` (21, 2): where the frame's lower outline is to be, px of the frame; None leaves it where it is.
        """
        steady = self._track.steady
        pose = steady.pose_of(index)
        hole = geometry.project(self._hole[None], pose)[0, :, :2]
        lips = self._lips.placed(code[None], self._turned[index : index + 1], pose)[0]
        jaw = steady.points[index][JAW, :2] if jaw is None else jaw
        return Wanted(*(self.into(points, index) for points in (hole, lips, jaw)))

    def condition(self, codes: Array, index: int) -> Array:
        """(43,) float32: ``codes`` (5, 8) of the frames around, and yaw, pitch and size of the head, all about 1."""
        turn = (self._turned[index] - self._usual[:2]) / DEGREES
        size = (np.log(float(self._track.io[index])) - self._usual[2]) / SCALES
        return np.concatenate([codes.ravel(), turn, [size]]).astype(np.float32)

    def own_codes(self) -> Array:
        """(N, 8) float32: the mouth that each frame shows, as the network is told it; NaN where none was followed."""
        return self._lips.encode(self._track, LIP_WINDOW)

    def within(self, index: int) -> bool:
        """Whether the hole of footage frame ``index`` lies within the picture."""
        hole = geometry.project(self._hole[None], self._track.steady.pose_of(index))[0, :, :2]
        return bool((hole >= 0).all() and (hole <= np.array(self._track.size) - 1).all())


def usable_frames(track: Track, crops: Crops) -> Array:
    """(N,) bool: frames to learn from: those that may lend a mouth, with the whole hole within the picture."""
    usable = library_frames(track)
    usable[usable] = [crops.within(int(index)) for index in np.flatnonzero(usable)]
    return usable


def windows(codes: Array, runs: list[tuple[int, int]]) -> Array:
    """(n, 5, 8) float32: the codes (n, 8) around each frame; a run's first and last go on beyond it."""
    around = np.arange(WINDOW) - WINDOW // 2
    at = np.arange(len(codes))[:, None] + np.zeros(WINDOW, int)
    for start, stop in runs:
        at[start:stop] = np.clip(np.arange(start, stop)[:, None] + around, start, stop - 1)
    result: Array = codes[at].astype(np.float32)
    return result
