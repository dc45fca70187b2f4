"""Stages 8 to 10: the presenter's own mouth, bent to the plan and laid into the frame; the rest stays untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine.face import geometry
from rendering.engine.face.blend import Colour, Mask, box_around, outline
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.paint import paint_inside
from rendering.engine.face.points import LIPS
from rendering.engine.face.profile import Patches, region
from rendering.engine.face.track import Track
from rendering.engine.face.warp import Warp

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

CHOSEN_SHARE = 0.2
"""How much of the lent mouth's own shape is kept; the plan gives the rest."""
MAX_STRETCH = 0.07
"""IO that a lip point of a lent mouth may be moved; beyond it patches look stretched."""
FADE = (1 / 3, 2 / 3)
"""Share of the new mouth in the two frames of a cross-fade."""
EDGE_FRAMES = 3
"""Frames over which the new mouth fades in and out beside frames without a face."""

FIXED = np.array((2, 98, 327, 97, 326, 50, 280, 205, 425, 187, 411, 58, 288, 172, 397, 136, 365, 149, 378, 152))
"""Nose base, cheeks and jaw: points that stay where the target frame has them."""
SOFT = {18: 0.95, 200: 0.75, 199: 0.45, 175: 0.2, 202: 0.6, 422: 0.6, 206: 0.3, 426: 0.3}
"""Points between lips and outline, and how far they follow the lent mouth."""
SOFT_POINTS = np.array(list(SOFT))
SOFT_SHARE = np.array(list(SOFT.values()))[:, None]
IS_CHIN = np.array([point not in (206, 426) for point in SOFT])[:, None]
CHIN_SHARE = 0.7
"""How far the chin follows the lower lip."""
LOWEST = int(np.flatnonzero(LIPS == 17)[0])
INNER_LOWER = np.arange(20, 31)
INNER_UPPER = np.array([20, *range(39, 29, -1)])
"""Places in :data:`LIPS` of the inner contour from the left corner to the right."""


def shape(plan: Array, lent: Array, lips: LipSpace) -> Array:
    """Codes (n, 8) to draw: mostly the plan, partly the lent mouths, never farther from them than they stretch."""
    width = min(7, len(lent) - (len(lent) + 1) % 2)
    smoothed = geometry.smooth(lent, [(0, len(lent))], width)
    wanted = CHOSEN_SHARE * smoothed + (1 - CHOSEN_SHARE) * plan
    reach = np.linalg.norm(lips.decode(wanted) - lips.decode(lent), axis=2).max(axis=1)
    share = np.minimum(1.0, MAX_STRETCH / np.maximum(reach, 1e-9))
    result: Array = (lent + share[:, None] * (wanted - lent)).astype(np.float32)
    return result


def jumps(chosen: Array) -> Array:
    """(n,) bool: the lent mouth does not follow on from the one before."""
    result: Array = np.concatenate([[False], np.diff(chosen) != 1])
    return result


def fade_in_out(ok: Array) -> Array:
    """(n,) float32 0..1: weight of the new mouth, falling to 0 beside frames that keep their own."""
    away = np.where(ok, EDGE_FRAMES + 1, 0).astype(float)
    for t in range(1, len(ok)):
        away[t] = min(away[t], away[t - 1] + 1)
    for t in range(len(ok) - 2, -1, -1):
        away[t] = min(away[t], away[t + 1] + 1)
    result: Array = np.clip(away / (EDGE_FRAMES + 1), 0, 1).astype(np.float32)
    return result


class Composer:
    """Lays mouths into frames, one after another. Make one for each render."""

    def __init__(
        self, track: Track, lips: LipSpace, patches: Patches | None, *, order: Array, plan: Array, chosen: Array | None
    ) -> None:
        """``order`` (n,): footage frame shown at each output frame; ``plan`` (n, 8); ``chosen`` (n,): frame that lends
        its mouth, from :func:`choose`. Without ``patches`` each frame's own mouth is bent and painted (tier C)."""
        self._track, self._lips, self._patches = track, lips, patches
        self._order = np.asarray(order, int)
        self._chosen = self._order if chosen is None or patches is None else np.asarray(chosen, int)
        self._mouths = track.lips(7)
        lent = np.nan_to_num(lips.encode_shapes(self._mouths[:, :, :2]))
        self._lent = lent
        self._shape = plan if patches is None else shape(plan, lent[self._chosen], lips)
        self._weight = fade_in_out(track.ok[self._order])
        self._jump = jumps(self._chosen) if patches is not None else np.zeros(len(self._order), bool)
        self._colour = Colour()
        self._old: tuple[int, Colour] | None = None

    def compose(self, frame: Frame, t: int) -> bool:
        """Lay the mouth of output frame ``t`` into ``frame`` (footage frame ``order[t]``), in place.

        Frames in order. False when the frame keeps its own pixels.
        """
        index = int(self._order[t])
        if self._weight[t] <= 0:
            self._colour, self._old = Colour(), None
            return False
        points = self._track.steady.points[index]
        polygon = outline(points)
        box = box_around(polygon)
        mask = Mask(polygon, box, float(self._track.io[index]))
        own = frame.bgr(box)
        if self._jump[t]:
            self._old, self._colour = (int(self._chosen[t - 1]), self._colour), Colour()
        if self._patches is None:
            picture = self._bent(frame, box, t)
        else:
            picture = self._colour(self._lend(int(self._chosen[t]), t, box), own, mask)
            picture = self._cross_fade(picture, own, mask, box, t)
        frame.blend(box, picture, mask.full() * self._weight[t])
        return True

    def _lend(self, lender: int, t: int, box: tuple[int, int, int, int]) -> Array:
        """The box filled with the mouth of frame ``lender``, bent to the shape of output frame ``t``."""
        assert self._patches is not None  # noqa: S101  (only called where there are patches)
        source = self._track.steady.points[lender][:, :2]
        target, moved = self._destination(lender, t)
        warp = Warp(box, target, source[moved])
        return warp(self._patches.read(lender), self._patches.box(lender)[:2])

    def _destination(self, lender: int, t: int) -> tuple[Array, Array]:
        """Where points of the lender go, (k, 2) px in output frame ``t``, and which points (k,) they are."""
        steady, index = self._track.steady, int(self._order[t])
        pose = tuple(part[index : index + 1] for part in steady.pose)
        lender_pose = tuple(part[lender : lender + 1] for part in steady.pose)
        moving = np.concatenate([LIPS, SOFT_POINTS])
        normal = geometry.normalise(steady.points[lender : lender + 1, moving], lender_pose)
        change = self._lips.decode(self._shape[t : t + 1])[0] - self._lips.decode(self._lent[lender : lender + 1])[0]
        normal[0, : len(LIPS), :2] += change
        normal[0, len(LIPS) :, :2] += CHIN_SHARE * change[LOWEST] * IS_CHIN
        placed = geometry.project(normal, pose)[0, :, :2]
        own = steady.points[index][:, :2]
        soft = own[SOFT_POINTS] + SOFT_SHARE * (placed[len(LIPS) :] - own[SOFT_POINTS])
        target = np.concatenate([placed[: len(LIPS)], soft, own[FIXED]])
        return target, np.concatenate([moving, FIXED])

    def _cross_fade(self, picture: Array, own: Array, mask: Mask, box: tuple[int, int, int, int], t: int) -> Array:
        """At a jump, the mouth that was shown before goes on for two frames and fades out."""
        if self._old is None:
            return picture
        lender, colour = self._old
        lender = lender + 1 if self._continues(lender) else lender
        step = 0 if self._jump[t] else 1
        self._old = (lender, colour) if step == 0 else None
        old = colour(self._lend(lender, t, box), own, mask)
        return cv2.addWeighted(picture, FADE[step], old, 1 - FADE[step], 0)

    def _continues(self, lender: int) -> bool:
        """Whether the footage goes on after frame ``lender``."""
        return any(start <= lender < stop - 1 for start, stop in self._track.runs)

    def _bent(self, frame: Frame, box: tuple[int, int, int, int], t: int) -> Array:
        """Tier C: the frame's own mouth bent to the plan; what opens between the lips is painted."""
        index, io = int(self._order[t]), float(self._track.io[self._order[t]])
        target, moved = self._destination(index, t)
        points = self._track.steady.points[index][:, :2]
        wide = region(self._track.steady.points[index])
        source = frame.bgr(wide)
        bent = Warp(box, target, points[moved])(source, wide[:2])
        inner_lower, inner_upper = target[INNER_LOWER] - box[:2], target[INNER_UPPER] - box[:2]
        own_gap = points[LIPS[INNER_LOWER]] - points[LIPS[INNER_UPPER]]
        start = inner_upper + own_gap  # what the footage shows between the lips stays with the upper lip
        down = np.maximum((inner_lower - start)[:, 1:], 0)
        floor = start + np.concatenate([np.zeros_like(down), down], axis=1)
        teeth = float(np.clip(1 - np.linalg.norm(own_gap, axis=1).max() / (0.04 * io), 0, 1))
        return paint_inside(bent, start, floor, io, float(bent.mean()), teeth=teeth)
