"""Stages 8 to 10: the presenter's own mouth, bent to the plan and laid into the frame; the rest stays untouched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendering.engine.face import captions, geometry
from rendering.engine.face.blend import Colour, Mask, box_around, neck, outline
from rendering.engine.face.choose import BENDABLE
from rendering.engine.face.lips import HAND_OPENING, HAND_WIDTH, SIZE, LipSpace, head_turn
from rendering.engine.face.paint import paint_inside
from rendering.engine.face.points import LIPS
from rendering.engine.face.profile import Patches, region
from rendering.engine.face.stretch import STRETCHED, pull
from rendering.engine.face.track import Track
from rendering.engine.face.warp import Warp

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

CHOSEN_SHARE = 0.1
"""How much of the lent mouth's own shape is kept; the plan gives the rest."""
WIDTH_GAIN = 1.4
"""Times the planned width's distance from the middle mouth's that is drawn: a result tracked again shows .7 of what the
corners of a bent mouth were moved by."""
MAX_STRETCH = 0.07
"""IO that a lip point of a lent mouth may be moved; beyond it patches look stretched."""
MAX_BEND = 1.5
"""Times that a lent mouth may be opened wider or closed, both openings counted with :data:`BENDABLE` IO of lips."""
TREMBLE, TREMBLE_FRAMES = 0.015, 1.0
"""IO up to which a change that lasts no longer than this (standard deviation) is trembling, not speech."""
INERTIA = 1.5
"""Frames (standard deviation) by which the skin around a mouth is slower than its lips."""
EASED = 1.0
"""Frames (standard deviation) over which such a bound sets in and lets go."""
MAX_PULL = 0.85 * STRETCHED
HELD_BACK = (0.6, 0.3, 0.0)
"""Shares of the wanted bend that are tried when a mouth would be stretched after all; with none of it, the skin
around the mouth comes as the lent frame has it, too."""
LIP_WINDOW = 5
"""Frames over which lips are smoothed for drawing: with more, a lent mouth keeps quick movements that nobody sees in
its track, and they show as trembling."""
FADE = (1 / 3, 2 / 3)
"""Share of the new mouth in the frames of a cross-fade."""
STILL = 0.25
"""Pixels of movement that are not worth a warp."""
OVERLAP = 0.012
"""IO by which a painted gap reaches over the lower lip's edge."""
EDGE_FRAMES = 3
"""Frames over which the new mouth fades in and out beside frames without a face."""

FIXED = np.array((2, 98, 327, 97, 326, 58, 288, 132, 361))
"""Nose base and the sides of the jaw: points that stay where the target frame has them."""
CHIN = (18, 200, 199, 175, 202, 422, 204, 424)
CHEEKS = (206, 426, 50, 280, 205, 425, 187, 411)
JAW = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
AROUND = np.array(CHIN + CHEEKS + JAW)
"""Points that move with the mouth, as :func:`following` learns from the footage."""
FOLLOW_GAIN = 1.3
"""Makes good what ridge regression on measured points loses."""
MAX_FOLLOW = 0.15
"""IO that a point around the mouth may move."""
INNER_LOWER = np.arange(20, 31)
INNER_UPPER = np.array([20, *range(39, 29, -1)])
"""Places in :data:`LIPS` of the inner contour from the left corner to the right."""


def following(track: Track, codes: Array) -> Array:
    """How the points around the mouth move with it, (8, k, 2) IO per unit of code, in the template's frame.

    Ridge regression of :data:`AROUND` on the codes (N, 8), with the head's turn as a nuisance.
    """
    ok = track.clear & np.isfinite(codes).all(axis=1)
    scale, rotation, shift = (part[ok] for part in track.steady.pose)
    places = geometry.normalise(track.steady.points.of(AROUND)[ok], (scale, rotation, shift))[:, :, :2].reshape(
        int(ok.sum()), -1
    )
    turned = head_turn(track)[ok]
    inputs = np.concatenate([codes[ok], (turned - turned.mean(axis=0)) / 5], axis=1)
    ridge = 0.02 * len(inputs) * np.eye(inputs.shape[1])
    gain = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ (places - places.mean(axis=0)))
    result: Array = FOLLOW_GAIN * gain[: codes.shape[1]].reshape(codes.shape[1], -1, 2)
    return result


def shape(plan: Array, lent: Array, lips: LipSpace, gain: float = WIDTH_GAIN) -> Array:
    """Codes (n, 8) to draw: mostly the plan, partly the lent mouths, never farther from them than they stretch.

    ``gain``: see :data:`WIDTH_GAIN`.
    """
    width = min(7, len(lent) - (len(lent) + 1) % 2)
    smoothed = geometry.smooth(lent, [(0, len(lent))], width)
    wanted = calmed(CHOSEN_SHARE * smoothed + (1 - CHOSEN_SHARE) * _spread(plan, lips, gain), lips)
    # The plan is led towards what can be reached, a little before and after too: a bound by itself would shake it.
    held_back = gaussian_filter1d(_within_reach(wanted, lent, lips) - wanted, EASED, axis=0)
    return _within_reach(wanted + held_back, lent, lips).astype(np.float32)


def _spread(codes: Array, lips: LipSpace, gain: float) -> Array:
    """``codes`` (n, 8) with ``gain`` times the width's distance from the footage's middle mouth."""
    width = lips.opening_width(codes)[:, 1] - lips.opening_width(np.zeros((1, SIZE)))[0, 1]
    spread = codes + (gain - 1) * width[:, None] * lips.from_measures[1]
    result: Array = np.clip(spread, np.minimum(codes, lips.low), np.maximum(codes, lips.high))
    return result


def calmed(codes: Array, lips: LipSpace) -> Array:
    """``codes`` (n, 8) without what trembles by less than :data:`TREMBLE`; a closure or a quick vowel stays."""
    detail = codes - gaussian_filter1d(codes, TREMBLE_FRAMES, axis=0)
    size = np.linalg.norm(lips.decode(detail) - lips.mean, axis=2).max(axis=1)
    result: Array = codes - np.exp(-((size / TREMBLE) ** 2))[:, None] * detail
    return result


def _within_reach(wanted: Array, lent: Array, lips: LipSpace) -> Array:
    """``wanted`` (n, 8) moved straight towards ``lent`` (n, 8) as far as the bounds ask."""
    reach = np.linalg.norm(lips.decode(wanted) - lips.decode(lent), axis=2).max(axis=1)
    gap, has = (np.maximum(lips.opening_width(codes)[:, 0], 0) + BENDABLE for codes in (wanted, lent))
    may = np.clip(gap, has / MAX_BEND, has * MAX_BEND)
    share = np.minimum(MAX_STRETCH / np.maximum(reach, 1e-9), (may - has) / np.where(gap == has, 1e-9, gap - has))
    share = np.where(may == gap, MAX_STRETCH / np.maximum(reach, 1e-9), share)
    result: Array = lent + np.minimum(1.0, share)[:, None] * (wanted - lent)
    return result


def by_hand(track: Track) -> Array:
    """What :func:`following` would learn, for footage whose mouth never opens: the chin's part of the general modes."""
    drop = np.zeros((SIZE, len(AROUND), 2))
    depth = np.clip((track.template[AROUND, 1] - track.template[17, 1]) / 0.25 + 0.5, 0, 1)
    side = np.clip(1 - np.abs(track.template[AROUND, 0]) / 0.6, 0, 1) ** 0.5
    drop[0, :, 1], drop[1, :, 1] = 0.45 * HAND_OPENING * depth * side, -0.15 * HAND_WIDTH * depth * side
    return drop


def jumps(chosen: Array) -> Array:
    """(n,) bool: the lent mouth does not follow on from the one before."""
    result: Array = np.concatenate([[False], np.diff(chosen) != 1])
    return result


def fade_in_out(ok: Array, frames: int = EDGE_FRAMES) -> Array:
    """(n,) float32 0..1: weight of the new mouth, falling to 0 over ``frames`` beside those that keep their own."""
    away = np.where(ok, frames + 1, 0).astype(float)
    for t in range(1, len(ok)):
        away[t] = min(away[t], away[t - 1] + 1)
    for t in range(len(ok) - 2, -1, -1):
        away[t] = min(away[t], away[t + 1] + 1)
    result: Array = np.clip(away / (frames + 1), 0, 1).astype(np.float32)
    return result


@dataclass(frozen=True, eq=False)
class Begun:
    """A mouth that is ready to be laid into its frame."""

    moved: Array
    """(468, 2) float32 px: the frame's face, its jaw and cheeks where the new mouth takes them."""
    box: tuple[int, int, int, int]
    """x, y, w, h in the frame: what :attr:`picture` covers."""
    whole: tuple[int, int, int, int]
    """The same with the throat: what :attr:`canvas` covers."""
    inside: tuple[slice, slice]
    """Where ``box`` lies in ``canvas``."""
    canvas: Array
    """(h, w, 3) uint8 BGR of ``whole``: the frame's own picture, which has given way to the new jaw."""
    own: Array
    """(h, w, 3) uint8 BGR: a copy of its part in ``box``."""
    mask: Mask
    """Share of the new picture within ``box``."""
    throat: Array | None
    """Polygon (k, 2) px of what has given way beside the box; None where nothing has."""
    picture: Array
    """(h, w, 3) uint8 BGR of ``box``: the lent mouth, bent to its shape, in the frame's colours."""
    lenders: frozenset[int]
    """Frames whose mouths are in it."""


class Composer:
    """Lays mouths into frames, one after another. Make one for each render."""

    def __init__(
        self,
        track: Track,
        lips: LipSpace,
        patches: Patches | None,
        *,
        order: Array,
        plan: Array,
        chosen: Array | None,
        gain: float = WIDTH_GAIN,
    ) -> None:
        """``order`` (n,): footage frame shown at each output frame; ``plan`` (n, 8); ``chosen`` (n,): frame that lends
        its mouth, from :func:`choose`. Without ``patches`` each frame's own mouth is bent and painted (tier C).
        ``gain`` on the width: see :func:`shape`."""
        self._track, self._lips, self._patches = track, lips, patches
        self._order = np.asarray(order, int)
        self._chosen = self._order if chosen is None or patches is None else np.asarray(chosen, int)
        self._lent = lent = np.nan_to_num(lips.encode(track, LIP_WINDOW))
        self._lip_points: Array = geometry.project(track.lips(LIP_WINDOW), track.steady.pose).astype(np.float32)
        self._turned = head_turn(track)
        self._shape = plan if patches is None else shape(plan, lent[self._chosen], lips, gain)
        self._follow = following(track, lent) if not lips.hand_made else by_hand(track)
        moved = self._shape - lent[self._order]
        self._jaw = gaussian_filter1d(moved, INERTIA, axis=0) if INERTIA else moved
        self._weight = fade_in_out(track.clear[self._order])
        self._jump = jumps(self._chosen) if patches is not None else np.zeros(len(self._order), bool)
        # A mouth that rests open shows teeth of its own; painted ones would be a second row.
        self._teeth = float(np.clip(1.5 - np.nanmedian(track.opening) / 0.04, 0, 1))
        self._captions = captions.corners(track.captions)
        self._colour = Colour()
        self._old: tuple[int, Colour, int] | None = None
        # What the steps of one frame ask for more than once.
        self._placed: tuple[int, Array] = (-1, np.empty(0))
        self._sent: tuple[tuple[int, int, float], Array] = ((-1, -1, 0.0), np.empty(0))
        self.stretch: Array = np.full(len(self._order), np.nan, np.float32)
        """(n,) times its own size at which each drawn mouth is stretched most (:func:`pull`); NaN until drawn, and
        where nothing was lent."""

    def _points(self, index: int) -> Array:
        """(468, 3) float32 px of footage frame ``index``: steady points, but lips that follow the track closely."""
        points = self._track.steady.points[index].copy()
        points[LIPS] = self._lip_points[index]
        return points

    def compose(self, frame: Frame, t: int) -> bool:
        """Lay the mouth of output frame ``t`` into ``frame`` (footage frame ``order[t]``), in place.

        Frames in order. False when the frame keeps its own pixels.
        """
        begun = self.begin(frame, t)
        if begun is None:
            return False
        self.finish(frame, t, begun, begun.picture)
        return True

    def begin(self, frame: Frame, t: int) -> Begun | None:
        """What :meth:`compose` would lay into ``frame``, and where; None when the frame keeps its own pixels.

        Frames in order. ``frame`` stays as it is.
        """
        index = int(self._order[t])
        if self._weight[t] <= 0:
            self._colour, self._old = Colour(), None
            return None
        points, io = self._track.steady.points[index][:, :2], float(self._track.io[index])
        moved = points.copy()
        moved[AROUND] = self._around(t)
        face, throat = outline(moved), neck(points, io)
        box, whole = box_around(face), box_around(np.concatenate([face, throat]))
        canvas = frame.bgr(whole)
        gives_way = bool(np.abs(moved - points).max() > STILL)
        if gives_way:
            canvas = self._give_way(canvas, points, moved, whole, io)
        x, y = box[0] - whole[0], box[1] - whole[1]
        inside = np.s_[y : y + box[3], x : x + box[2]]
        own, mask = np.ascontiguousarray(canvas[inside]), Mask(face, box, io, self._core(t))
        if self._jump[t]:
            self._old, self._colour = (int(self._chosen[t - 1]), self._colour, 0), Colour()
        if self._patches is None:
            picture = self._bent(frame, box, t)
        else:
            picture = self._colour(self._lend(int(self._chosen[t]), t, box), own, mask)
            picture = self._cross_fade(picture, own, mask, box, t)
        lenders = frozenset({int(self._chosen[t])} | ({self._old[0]} if self._old else set()))
        return Begun(moved, box, whole, inside, canvas, own, mask, throat if gives_way else None, picture, lenders)

    def finish(self, frame: Frame, t: int, begun: Begun, picture: Array) -> None:
        """Lay ``picture`` (h, w, 3) uint8 over ``begun.box`` of ``frame``, with what gives way to it around."""
        canvas, inner = begun.canvas, begun.mask.full()
        throat, beside_captions, weight = self.around(t, begun)
        alpha = np.zeros(canvas.shape[:2], np.float32) if throat is None else throat.full()
        canvas[begun.inside] = cv2.blendLinear(picture, begun.own, inner, 1 - inner)
        alpha[begun.inside] = np.maximum(alpha[begun.inside], inner)
        if beside_captions is not None:
            alpha *= beside_captions
        frame.blend(begun.whole, canvas, alpha * np.float32(weight))

    def around(self, t: int, begun: Begun) -> tuple[Mask | None, Array | None, float]:
        """What else counts in laying the mouth of output frame ``t``, over ``begun.whole``: the mask of what gives way
        beside it, None where nothing does; (h, w) float32 0 or 1, what captions leave, None where there are none; and
        the share of all of it, less beside frames that keep their own."""
        io = float(self._track.io[int(self._order[t])])
        throat = None if begun.throat is None else Mask(begun.throat, begun.whole, io)
        keep = self._beside_captions(t, begun.lenders, begun.whole, io) if len(self._captions) else None
        return throat, keep, float(self._weight[t])

    def share(self, t: int, begun: Begun) -> Array:
        """(h, w) float32 0..1 over ``begun.box``: how much captions, and frames without a face beside it,
        leave of the mouth of output frame ``t``."""
        share = np.full((begun.box[3], begun.box[2]), self._weight[t], np.float32)
        if len(self._captions):
            share *= self._beside_captions(t, begun.lenders, begun.box, float(self._track.io[int(self._order[t])]))
        return share

    def _beside_captions(self, t: int, lenders: frozenset[int], box: tuple[int, int, int, int], io: float) -> Array:
        """(h, w) float32 over the box: 0 where this frame, or a frame that lends, has a caption, else 1."""
        here = self._track.steady.points[int(self._order[t])][FIXED, :2]
        there = [
            captions.carried(self._captions, self._track.steady.points[lender][FIXED, :2], here)
            for lender in sorted(lenders)
        ]
        return captions.beside(np.concatenate([self._captions, *there]), box, io)

    def _core(self, t: int) -> tuple[Array, ...]:
        """Outlines that the new picture has to cover: the drawn lips and the frame's own."""
        if self._patches is None:
            return ()
        index = int(self._order[t])
        drawn = self._lips.placed(self._shape[t], self._turned[index], self._track.steady.pose_of(index))
        own = self._lip_points[index][:, :2]
        return tuple(cv2.convexHull(lip.astype(np.float32))[:, 0] for lip in (drawn, own))

    def _around(self, t: int) -> Array:
        """Where the points around the mouth go in output frame ``t``, (k, 2) px: its own, moved with the mouth."""
        index = int(self._order[t])
        steady = self._track.steady
        if self._placed[0] == t:
            return self._placed[1]
        change = np.tensordot(self._jaw[t], self._follow, axes=1)
        change *= np.minimum(1, MAX_FOLLOW / np.maximum(np.linalg.norm(change, axis=1), 1e-9))[:, None]
        scale, rotation, _ = (part[index] for part in steady.pose)
        result: Array = steady.points[index][AROUND, :2] + scale * change @ rotation[:2, :2].T
        self._placed = (t, result)
        return result

    def _give_way(self, own: Array, points: Array, moved: Array, box: tuple[int, int, int, int], io: float) -> Array:
        """The frame's own picture in the box with jaw and cheeks where the new mouth takes them."""
        held = np.concatenate([points[FIXED], neck(points, io)])
        target, source = np.concatenate([moved[AROUND], held]), np.concatenate([points[AROUND], held])
        return Warp(box, target, source)(own, box[:2])

    def _lend(self, lender: int, t: int, box: tuple[int, int, int, int]) -> Array:
        """The box filled with the mouth of frame ``lender``, bent to the shape of output frame ``t``."""
        assert self._patches is not None  # noqa: S101  (only called where there are patches)
        scale = float(self._track.io[lender] / self._track.io[self._order[t]])
        source = self._points(lender)[:, :2]
        for share in (1.0, *HELD_BACK):
            target, moved = self._destination(lender, t, share)
            warp = Warp(box, target, source[moved])
            stretch = pull(warp.shift, box, scale, target[: len(LIPS)])
            if stretch <= MAX_PULL:
                break
        self.stretch[t] = np.fmax(self.stretch[t], stretch)
        return warp(self._patches.read(lender), self._patches.box(lender)[:2], box_around(target[: len(LIPS)]))

    def _destination(self, lender: int, t: int, share: float = 1.0) -> tuple[Array, Array]:
        """Where points of the lender go, (k, 2) px in output frame ``t``, and which points (k,) they are.

        ``share`` of the way from the lender's own shape to the wanted one.
        """
        moved = np.concatenate([LIPS, AROUND, FIXED])
        if self._sent[0] == (lender, t, share):
            return self._sent[1], moved
        steady, index = self._track.steady, int(self._order[t])
        normal = geometry.normalise(self._lip_points[lender : lender + 1], steady.pose_of(lender))
        normal[0, :, :2] += self._lips.decode(share * (self._shape[t] - self._lent[lender])) - self._lips.mean
        normal[0, :, :2] += share * np.tensordot(self._turned[index] - self._turned[lender], self._lips.turn, axes=1)
        placed = geometry.project(normal, steady.pose_of(index))[0, :, :2]
        if share == 0:
            return np.concatenate([placed, steady.points[index][FIXED, :2]]), np.concatenate([LIPS, FIXED])
        target = np.concatenate([placed, self._around(t), steady.points[index][FIXED, :2]])
        self._sent = ((lender, t, share), target)
        return target, moved

    def _cross_fade(self, picture: Array, own: Array, mask: Mask, box: tuple[int, int, int, int], t: int) -> Array:
        """At a jump, the mouth that was shown before goes on for a few frames and fades out."""
        if self._old is None:
            return picture
        lender, colour, step = self._old
        lender = lender + 1 if self._continues(lender) else lender
        self._old = (lender, colour, step + 1) if step + 1 < len(FADE) else None
        old = colour(self._lend(lender, t, box), own, mask)
        if step == 0:
            picture = self._colour.lead_on(picture, old, mask)
        return cv2.addWeighted(picture, FADE[step], old, 1 - FADE[step], 0)

    def _continues(self, lender: int) -> bool:
        """Whether the footage goes on after frame ``lender``."""
        return any(start <= lender < stop - 1 for start, stop in self._track.runs)

    def _bent(self, frame: Frame, box: tuple[int, int, int, int], t: int) -> Array:
        """Tier C: the frame's own mouth bent to the plan; what opens between the lips is painted."""
        index, io = int(self._order[t]), float(self._track.io[self._order[t]])
        target, moved = self._destination(index, t)
        points = self._points(index)
        source = points[moved, :2]
        upper, lower = target[INNER_UPPER], target[INNER_LOWER]
        own_gap = source[INNER_LOWER] - source[INNER_UPPER]
        down = self._track.steady.pose[1][index][:2, 1]
        # What the footage shows between the lips, teeth perhaps, stays with the upper lip; the new gap opens below it.
        ceiling = upper + own_gap
        drop = np.maximum((lower - ceiling) @ down, 0)
        kept = drop > 0.003 * io
        warp = Warp(box, np.concatenate([target, ceiling[kept]]), np.concatenate([source, source[INNER_LOWER][kept]]))
        wide = region(points)
        bent = warp(frame.bgr(wide), wide[:2])
        floor = ceiling + np.where(kept, drop + OVERLAP * io, drop)[:, None] * down
        return paint_inside(bent, ceiling - box[:2], floor - box[:2], io, float(bent.mean()), teeth=self._teeth)
