"""Where everything goes in each output frame: the face, what gives way to the new mouth, the lent mouth's points.

All of it follows from track and plan alone, so it is worked out for some frames together: a frame by itself costs more
in calls than in arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rendering.engine.face import geometry
from rendering.engine.face.blend import box_around, hull, neck, outline
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import LIPS
from rendering.engine.face.stretch import STRETCHED, cells, least_singular_values, pull, pull_of
from rendering.engine.face.track import Track
from rendering.engine.face.warp import GRID, Warp

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]

TOGETHER = 16
MAX_PULL = 0.85 * STRETCHED
HELD_BACK = (0.6, 0.3, 0.0)
"""Shares of the wanted bend that are tried when a mouth would be stretched after all; with none of it, the skin
around the mouth comes as the lent frame has it, too."""
STILL = 0.25
"""Pixels of movement that are not worth a warp."""

FIXED = np.array((2, 98, 327, 97, 326, 58, 288, 132, 361))
"""Nose base and the sides of the jaw: points that stay where the target frame has them."""
CHIN = (18, 200, 199, 175, 202, 422, 204, 424)
CHEEKS = (206, 426, 50, 280, 205, 425, 187, 411)
JAW = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
AROUND = np.array(CHIN + CHEEKS + JAW)
"""Points that move with the mouth, as :func:`rendering.engine.face.compose.following` learns from the footage."""
MAX_FOLLOW = 0.15
"""IO that a point around the mouth may move."""


class Place(NamedTuple):
    """Where things lie in one output frame."""

    io: float
    """px."""
    moved: Array
    """(468, 2) float32 px: the frame's face, its jaw and cheeks where the new mouth takes them."""
    face: Array
    """Polygon (k, 2) float32 px around what is replaced."""
    throat: Array
    """Polygon (k, 2) float32 px to beyond the jaw."""
    box: Box
    """x, y, w, h px around ``face``."""
    whole: Box
    """The same around both."""
    gives_way: Warp | None
    """What moves the frame's own jaw and throat; None where they stay."""
    target: Array
    """(78, 2) px: where the lender's lips and points around them go."""
    lend: Warp | None
    """What brings the lent mouth there; None where none is lent."""
    least: Array | None
    """(g-1, g-1): the lesser singular values of ``lend``."""
    drawn: Array
    """(40, 2) float64 px: the lips to draw, on the frame's own head."""

    @property
    def inside(self) -> Box:
        """The box within the whole."""
        return self.box[0] - self.whole[0], self.box[1] - self.whole[1], *self.box[2:]


class Places:
    """The places of all output frames, asked for in order."""

    def __init__(
        self,
        track: Track,
        lips: LipSpace,
        lip_points: Array,
        lent: Array,
        *,
        order: Array,
        chosen: Array | None,
        wanted: Array,
        jaw: Array,
        follow: Array,
    ) -> None:
        """``lip_points`` (N, 40, 3) px and ``lent`` (N, 8) of the footage; ``order``, ``chosen`` (n,) footage frames
        shown and lending, the latter None where nothing is lent; ``wanted`` (n, 8) to be drawn; ``jaw`` (n, 8) by which
        the jaw moves, as ``follow`` (8, k, 2) IO in the template's frame has it."""
        self._track, self._lips, self._lip_points, self._lent = track, lips, lip_points, lent
        self._order, self._chosen, self._wanted = order, chosen, wanted
        self._jaw, self._follow = jaw, follow.reshape(len(follow), -1)
        self._turned = head_turn(track)
        self._block: dict[int, Place] = {}

    def __getitem__(self, t: int) -> Place:
        """The place of output frame ``t``, in which the face was followed."""
        if t not in self._block:
            self._block = self.worked_out(t - t % TOGETHER)
        return self._block[t]

    def worked_out(self, first: int) -> dict[int, Place]:
        """Those of the :data:`TOGETHER` output frames from ``first`` on in which the face was followed. From any
        thread."""
        ts = np.arange(first, min(first + TOGETHER, len(self._order)))
        return self._worked_out(ts[self._track.ok[self._order[ts]]])

    def lending(self, lender: int, t: int, place: Place) -> tuple[Array, Warp, float]:
        """How the mouth of frame ``lender`` comes into output frame ``t``, at its ``place``: where its lips go, (40, 2)
        px, the warp and how many times its own size it is stretched to (:func:`pull`). From any thread."""
        scale = float(self._track.io[lender] / place.io)
        if self._chosen is not None and self._chosen[t] == lender and place.lend and place.least is not None:
            target, warp = place.target, place.lend
            stretch = pull_of(place.least, place.box, scale, target[: len(LIPS)])
        else:
            target, warp = self._alone(lender, t, place, 1.0)
            stretch = pull(warp.shift, place.box, scale, target[: len(LIPS)])
        for share in HELD_BACK:
            if stretch <= MAX_PULL:
                break
            target, warp = self._alone(lender, t, place, share)
            stretch = pull(warp.shift, place.box, scale, target[: len(LIPS)])
        return target[: len(LIPS)], warp, stretch

    def _alone(self, lender: int, t: int, place: Place, share: float) -> tuple[Array, Warp]:
        around = place.moved[None, AROUND]
        target, source = self._destinations(np.array([lender]), np.array([t]), place.moved[None], around, share)
        if share == 0:
            kept = np.r_[: len(LIPS), -len(FIXED) : 0]
            target, source = target[:, kept], source[:, kept]
        return target[0], Warp.several([place.box], target, source)[0]

    def _worked_out(self, ts: Array) -> dict[int, Place]:
        if not len(ts):
            return {}
        index = self._order[ts]
        points = np.stack([self._track.steady.points[i][:, :2] for i in index.tolist()])
        io = self._track.io[index]
        moved = points.copy()
        moved[:, AROUND] = around = self._around(ts, points)
        faces, throats = [outline(each) for each in moved], neck(points, io)
        necks = [hull(each) for each in throats]
        boxes = [box_around(face) for face in faces]
        wholes = [box_around(np.concatenate(both)) for both in zip(faces, necks, strict=True)]
        held = np.concatenate([points[:, FIXED], throats], axis=1)
        giving = Warp.several(
            wholes, np.concatenate([around, held], axis=1), np.concatenate([points[:, AROUND], held], axis=1)
        )
        gives_way = np.abs(moved - points).max(axis=(1, 2)) > STILL
        lenders = index if self._chosen is None else self._chosen[ts]
        target, source = self._destinations(lenders, ts, points, around, 1.0)
        lend: Sequence[Warp | None] = [None] * len(ts)
        least: Array | Sequence[None] = [None] * len(ts)
        if self._chosen is not None:
            lend = lent = Warp.several(boxes, target, source)
            least = least_singular_values(np.stack([warp.shift for warp in lent]), cells(GRID, np.array(boxes)))
        drawn = self._lips.placed(self._wanted[ts], self._turned[index], self._poses(index))
        return {
            int(t): Place(
                float(io[k]),
                moved[k],
                faces[k],
                necks[k],
                boxes[k],
                wholes[k],
                giving[k] if gives_way[k] else None,
                target[k],
                lend[k],
                least[k],
                drawn[k],
            )
            for k, t in enumerate(ts)
        }

    def _poses(self, frames: Array) -> tuple[Array, Array, Array]:
        scale, rotation, shift = (part[frames] for part in self._track.steady.pose)
        return scale, rotation, shift

    def _around(self, ts: Array, points: Array) -> Array:
        """Where the points around the mouth go, (m, k, 2) px: the frames' own, ``points``, moved with the mouth."""
        change = (self._jaw[ts] @ self._follow).reshape(len(ts), -1, 2)
        change *= np.minimum(1, MAX_FOLLOW / np.maximum(np.linalg.norm(change, axis=2), 1e-9))[:, :, None]
        scale, rotation, _ = self._poses(self._order[ts])
        result: Array = points[:, AROUND] + scale[:, None, None] * (change @ rotation[:, :2, :2].swapaxes(1, 2))
        return result

    def _destinations(
        self, lenders: Array, ts: Array, points: Array, around: Array, share: float
    ) -> tuple[Array, Array]:
        """Where lips, points around them and fixed ones go in the output frames ``ts``, and where the ``lenders`` have
        them, both (m, 78, 2) px; ``points`` (m, 468, 2) px of the frames, ``around`` (m, k, 2) px as moved.

        ``share`` of the way from the lender's own shape to the wanted one.
        """
        steady, index = self._track.steady, self._order[ts]
        own = self._lip_points[lenders]
        normal = geometry.normalise(own, self._poses(lenders))
        normal[:, :, :2] += self._lips.decode(share * (self._wanted[ts] - self._lent[lenders])) - self._lips.mean
        turn = self._turned[index] - self._turned[lenders]
        normal[:, :, :2] += share * np.tensordot(turn, self._lips.turn, axes=1)
        placed = geometry.project(normal, self._poses(index))[:, :, :2]
        target = np.concatenate([placed, around, points[:, FIXED]], axis=1)
        beside = np.stack([steady.points[i][np.concatenate([AROUND, FIXED]), :2] for i in lenders.tolist()])
        return target, np.concatenate([own[:, :, :2], beside], axis=1)
