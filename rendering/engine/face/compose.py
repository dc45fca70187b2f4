"""Stages 8 to 10: the presenter's own mouth, bent to the plan and laid into the frame; the rest stays untouched."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendering.engine.face import captions, geometry
from rendering.engine.face.blend import Colour, Mask, box_around, gap, hull
from rendering.engine.face.choose import BENDABLE
from rendering.engine.face.fades import FADE, fade_in_out, fading, jumps
from rendering.engine.face.lips import HAND_OPENING, HAND_WIDTH, SIZE, LipSpace, head_turn
from rendering.engine.face.paint import paint_inside
from rendering.engine.face.places import AROUND, FIXED, TOGETHER, Box, Place, Places
from rendering.engine.face.points import LIPS
from rendering.engine.face.profile import Patches, region
from rendering.engine.face.track import Track
from rendering.engine.face.warp import Warp
from rendering.engine.media.planes import Planes
from rendering.engine.pipeline import Helpers

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
LIP_WINDOW = 5
"""Frames over which lips are smoothed for drawing: with more, a lent mouth keeps quick movements that nobody sees in
its track, and they show as trembling."""
KEPT_BYTES = 40 << 20
"""Patches kept as they are drawn from: of a take's mouths six in ten have been lent before."""
OVERLAP = 0.012
"""IO by which a painted gap reaches over the lower lip's edge."""

FOLLOW_GAIN = 1.3
"""Makes good what ridge regression on measured points loses."""
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


@dataclass(frozen=True, eq=False)
class _Bare:
    """A mouth before its colour is brought to the frame's own, which hangs on the frame before."""

    place: Place
    own: Planes
    mask: Mask
    ground: Planes
    lent: Planes
    gap: Array
    """See :func:`blend.gap`."""
    old: tuple[Planes, Array] | None
    """Both of the mouth that was shown before a jump."""


@dataclass(frozen=True, eq=False)
class Begun:
    """A mouth that is ready to be laid into its frame."""

    place: Place
    own: Planes
    """A copy of its part in the box."""
    mask: Mask
    """Share of the new picture within the box."""
    lent: Planes
    """Of the box: the lent mouth, bent to its shape, in the frame's colours."""
    lenders: frozenset[int]
    """Frames whose mouths are in it."""
    ground: Planes
    """Of the whole: the frame's own picture, which has given way to the new jaw."""
    frame: Frame

    @property
    def box(self) -> Box:
        """x, y, w, h in the frame: what :attr:`picture` covers."""
        return self.place.box

    @property
    def whole(self) -> Box:
        """The same with the throat: what :attr:`ground` covers."""
        return self.place.whole

    @property
    def moved(self) -> Array:
        """(468, 2) float32 px: the frame's face, its jaw and cheeks where the new mouth takes them."""
        return self.place.moved

    @property
    def picture(self) -> Array:
        """:attr:`lent` as (h, w, 3) uint8 BGR."""
        return self.frame.in_bgr(self.lent)


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
        helpers: Helpers | None = None,
    ) -> None:
        """``order`` (n,): footage frame shown at each output frame; ``plan`` (n, 8); ``chosen`` (n,): frame that lends
        its mouth, from :func:`choose`. Without ``patches`` each frame's own mouth is bent and painted (tier C).
        ``gain`` on the width: see :func:`shape`; ``helpers``: what :meth:`begin_all` spreads over."""
        self._track, self._patches = track, patches
        self._order = np.asarray(order, int)
        self._chosen = self._order if chosen is None or patches is None else np.asarray(chosen, int)
        lent = np.nan_to_num(lips.encode(track, LIP_WINDOW))
        self._lip_points: Array = geometry.project(track.lips(LIP_WINDOW), track.steady.pose).astype(np.float32)
        wanted = plan if patches is None else shape(plan, lent[self._chosen], lips, gain)
        self._places = Places(
            track,
            lips,
            self._lip_points,
            lent,
            order=self._order,
            chosen=None if patches is None else self._chosen,
            wanted=wanted,
            jaw=gaussian_filter1d(wanted - lent[self._order], INERTIA, axis=0),
            follow=following(track, lent) if not lips.hand_made else by_hand(track),
        )
        self._weight = fade_in_out(track.clear[self._order])
        self._jump = jumps(self._chosen) if patches is not None else np.zeros(len(self._order), bool)
        # A mouth that rests open shows teeth of its own; painted ones would be a second row.
        self._teeth = float(np.clip(1.5 - np.nanmedian(track.opening) / 0.04, 0, 1))
        self._captions = captions.corners(track.captions)
        self._colour = Colour()
        self._old: Colour | None = None
        self._fading = fading(self._chosen, self._weight, self._jump, self._continues)
        self._kept: OrderedDict[int, Planes] = OrderedDict()
        self._keeping = Lock()
        self._blocks: dict[int, Future[dict[int, Place]]] = {}
        self._helpers = helpers
        self.stretch: Array = np.full(len(self._order), np.nan, np.float32)
        """(n,) times its own size at which each drawn mouth is stretched most (:mod:`.stretch`); NaN until drawn, and
        where nothing was lent."""

    def compose(self, frame: Frame, t: int) -> bool:
        """Lay the mouth of output frame ``t`` into ``frame`` (footage frame ``order[t]``), in place.

        Frames in order. False when the frame keeps its own pixels.
        """
        begun = self.begin(frame, t)
        if begun is None:
            return False
        self.finish(frame, t, begun)
        return True

    def begin(self, frame: Frame, t: int) -> Begun | None:
        """What :meth:`compose` would lay into ``frame``, and where; None when the frame keeps its own pixels.

        Frames in order. ``frame`` stays as it is.
        """
        return self._coloured(frame, t, self._bare(frame, t, self._places[t]) if self._weight[t] > 0 else None)

    def begin_all(self, frames: Sequence[Frame], first: int) -> list[Begun | None]:
        """:meth:`begin` of output frames ``first``, ``first + 1`` ...: ``frames``, several at once where there are
        helpers; the same."""
        if not self._helpers:
            return [self.begin(frame, t) for t, frame in enumerate(frames, first)]
        asked: list[Future[_Bare] | None] = []
        for t, frame in enumerate(frames, first):
            block = t - t % TOGETHER
            if block not in self._blocks:
                self._blocks = {kept: one for kept, one in self._blocks.items() if kept >= first - TOGETHER}
                self._blocks[block] = self._helpers.submit(self._places.worked_out, block)
            drawn = self._weight[t] > 0
            asked.append(self._helpers.submit(self._helped, frame, t, self._blocks[block]) if drawn else None)
        numbered = enumerate(zip(frames, asked, strict=True), first)
        return [self._coloured(frame, t, None if bare is None else bare.result()) for t, (frame, bare) in numbered]

    def _helped(self, frame: Frame, t: int, block: Future[dict[int, Place]]) -> _Bare:
        # A block is asked for before those who wait for it.
        return self._bare(frame, t, block.result()[t])

    def _bare(self, frame: Frame, t: int, place: Place) -> _Bare:
        """All of :meth:`begin` that hangs on nothing before: in any order, from any thread."""
        ground = frame.planes(place.whole)
        if place.gives_way is not None:
            ground = place.gives_way(ground, place.whole[:2])
        own, mask = ground.part(*place.inside).copy(), self._mask(t, place)
        if self._patches is None:
            return _Bare(place, own, mask, ground, frame.in_planes(self._bent(frame, t, place)), np.zeros(0), None)
        lent, fades = self._lend(frame, int(self._chosen[t]), t, place), self._fading[t]
        old = None
        if fades is not None:
            before = self._lend(frame, fades[0], t, place)
            old = before, gap(before, own, mask)
        return _Bare(place, own, mask, ground, lent, gap(lent, own, mask), old)

    def _coloured(self, frame: Frame, t: int, bare: _Bare | None) -> Begun | None:
        """The rest of it; frames in order."""
        if bare is None:
            self._colour, self._old = Colour(), None
            return None
        if self._jump[t]:
            self._old, self._colour = self._colour, Colour()
        lent, fades = bare.lent, self._fading[t]
        lenders = {int(self._chosen[t])}
        if self._patches is not None:
            lent = self._colour.corrected(lent, bare.gap, bare.mask)
        if bare.old is not None and self._old is not None and fades is not None:
            lender, step = fades
            lent = self._cross_fade(lent, self._old.corrected(*bare.old, bare.mask), bare.mask, step)
            lenders |= {lender} if step + 1 < len(FADE) else set()
        return Begun(bare.place, bare.own, bare.mask, lent, frozenset(lenders), bare.ground, frame)

    def finish(self, frame: Frame, t: int, begun: Begun, picture: Array | None = None) -> None:
        """Lay ``picture`` (h, w, 3) uint8 BGR, or the lent mouth, over ``begun.box`` of ``frame``, with what gives way
        to it around."""
        ground, inner = begun.ground, begun.mask.full()
        throat, beside_captions, weight = self.around(t, begun)
        alpha = np.zeros(ground.y.shape, np.float32) if throat is None else throat.full()
        x, y, width, height = begun.place.inside
        inside = np.s_[y : y + height, x : x + width]
        np.maximum(alpha[inside], inner, out=alpha[inside])
        if beside_captions is not None:
            alpha *= beside_captions
        alpha *= np.float32(weight)
        drawn = begun.lent if picture is None else frame.in_planes(picture)
        ground.part(x, y, width, height).fill(drawn.mixed(begun.own, inner))
        frame.lay(begun.whole, ground, alpha)

    def around(self, t: int, begun: Begun) -> tuple[Mask | None, Array | None, float]:
        """What else counts in laying the mouth of output frame ``t``, over ``begun.whole``: the mask of what gives way
        beside it, None where nothing does; (h, w) float32 0 or 1, what captions leave, None where there are none; and
        the share of all of it, less beside frames that keep their own."""
        place = begun.place
        throat = None if place.gives_way is None else Mask(place.throat, place.whole, place.io)
        keep = self._beside_captions(t, begun.lenders, place.whole, place.io) if len(self._captions) else None
        return throat, keep, float(self._weight[t])

    def _mask(self, t: int, place: Place) -> Mask:
        """The mask of output frame ``t``; it covers the drawn lips and the frame's own."""
        if self._patches is None:
            return Mask(place.face, place.box, place.io)
        own = self._lip_points[int(self._order[t])][:, :2]
        return Mask(place.face, place.box, place.io, (hull(place.drawn), hull(own)))

    def share(self, t: int, begun: Begun) -> Array:
        """(h, w) float32 0..1 over ``begun.box``: how much captions, and frames without a face beside it,
        leave of the mouth of output frame ``t``."""
        share = np.full((begun.box[3], begun.box[2]), self._weight[t], np.float32)
        if len(self._captions):
            share *= self._beside_captions(t, begun.lenders, begun.box, begun.place.io)
        return share

    def _beside_captions(self, t: int, lenders: frozenset[int], box: tuple[int, int, int, int], io: float) -> Array:
        """(h, w) float32 over the box: 0 where this frame, or a frame that lends, has a caption, else 1."""
        here = self._track.steady.points[int(self._order[t])][FIXED, :2]
        there = [
            captions.carried(self._captions, self._track.steady.points[lender][FIXED, :2], here)
            for lender in sorted(lenders)
        ]
        return captions.beside(np.concatenate([self._captions, *there]), box, io)

    def _lend(self, frame: Frame, lender: int, t: int, place: Place) -> Planes:
        """The box filled with the mouth of frame ``lender``, bent to the shape of output frame ``t``."""
        lips, warp, stretch = self._places.lending(lender, t, place)
        self.stretch[t] = np.fmax(self.stretch[t], stretch)
        patch, corner = self._patch(frame, lender)
        return warp(patch, corner, box_around(lips))

    def _patch(self, frame: Frame, lender: int) -> tuple[Planes, tuple[int, int]]:
        """The patch of footage frame ``lender`` and where its corner lies in it."""
        assert self._patches is not None  # noqa: S101  (only called where there are patches)
        with self._keeping:
            patch = self._kept.pop(lender, None)
        if patch is None:
            patch = frame.in_planes(self._patches.read(lender))
        with self._keeping:
            self._kept[lender] = patch
            if len(self._kept) * patch.y.size * 3 // 2 > KEPT_BYTES:
                self._kept.popitem(last=False)
        return patch, self._patches.box(lender)[:2]

    def _cross_fade(self, lent: Planes, old: Planes, mask: Mask, step: int) -> Planes:
        """At a jump, the mouth that was shown before goes on for a few frames and fades out."""
        if step == 0:
            lent = self._colour.lead_on(lent, old, mask)
        return lent.faded(old, FADE[step])

    def _continues(self, lender: int) -> bool:
        """Whether the footage goes on after frame ``lender``."""
        return any(start <= lender < stop - 1 for start, stop in self._track.runs)

    def _bent(self, frame: Frame, t: int, place: Place) -> Array:
        """Tier C: the frame's own mouth bent to the plan, (h, w, 3) uint8 BGR; what opens between the lips is
        painted."""
        index = int(self._order[t])
        io, box, target = place.io, place.box, place.target
        points = self._track.steady.points[index].copy()
        points[LIPS] = self._lip_points[index]
        source = points[np.concatenate([LIPS, AROUND, FIXED]), :2]
        upper, lower = target[INNER_UPPER], target[INNER_LOWER]
        own_gap = source[INNER_LOWER] - source[INNER_UPPER]
        down = self._track.steady.pose[1][index][:2, 1]
        # What the footage shows between the lips, teeth perhaps, stays with the upper lip; the new gap opens below it.
        ceiling = upper + own_gap
        drop = np.maximum((lower - ceiling) @ down, 0)
        kept = drop > 0.003 * io
        target, source = np.concatenate([target, ceiling[kept]]), np.concatenate([source, source[INNER_LOWER][kept]])
        warp = Warp.several([box], target[None], source[None])[0]
        wide = region(points)
        bent = frame.in_bgr(warp(frame.planes(wide), wide[:2]))
        floor = ceiling + np.where(kept, drop + OVERLAP * io, drop)[:, None] * down
        return paint_inside(bent, ceiling - box[:2], floor - box[:2], io, float(bent.mean()), teeth=self._teeth)
