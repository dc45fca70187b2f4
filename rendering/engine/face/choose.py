"""Which of the presenter's own frames lend their mouths (stage 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rendering.engine.errors import EngineError
from rendering.engine.face.inside import GREY
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import LIPS
from rendering.engine.face.profile import library_frames
from rendering.engine.face.track import Track

Array = np.ndarray[Any, Any]

CANDIDATES = 80
CONTINUED = 24
"""Best paths whose next frames are candidates too."""
JUMP_COST = 3.0
CALM_JUMP = 1.0
"""Share by which a jump costs more where it shows most: in an open mouth that hardly moves."""
SLOW = 0.015
"""IO per frame up to which an opening moves slowly."""
OPEN = 0.06
"""IO from which a mouth shows what is inside."""
BEND_COST, BENDABLE = 4.0, 0.03
"""Cost of the squared logarithm of (opening + BENDABLE IO) / (the same of the plan): a closed mouth pulled open shows
it long before its lips have gone far."""
WIDTH_COST = 400.0
"""Cost of a squared IO of width: it moves little of the lips, but a round mouth is told from a spread one by it."""
INSIDE_COST = 8.0
"""Cost of a jump's mean squared change of light inside the mouth, 1 being half the range."""
POSE_COST = 0.05 / 25
"""Cost per square degree between the lent mouth's pose and the target's."""
TURNED, TURN_COST = 7.0, 0.05
"""Degrees that a head may be turned away from the lent mouth's before each further one costs steeply."""
SPEED_COST = 400.0
CALM = 0.03
"""Speed (IO per frame) up to which a mouth is sharp; a faster one costs unless the target moves as fast."""
DULL_COST = 0.5
SHOT_COST = 2.0
MAX_LIBRARY = 6000
"""Frames searched at most; a longer library is thinned evenly."""
AT_ONCE = 128
"""Output frames compared with the library together."""
MIN_FITTED = 10


@dataclass(frozen=True, eq=False)
class Library:
    """Frames whose mouths may be reused, in footage order."""

    frames: Array
    """(L,) int: frame numbers."""
    codes: Array
    """(L, 8) float32 mouth codes."""
    pose: Array
    """(L, 2) float32: yaw and pitch in degrees."""
    speed: Array
    """(L,) float32: how fast the mouth moves through the picture, IO per frame; fast ones are smeared."""
    shot: Array
    """(L,) int: which shot of the footage a frame belongs to."""
    dull: Array
    """(L,) float32: how much less sharp (natural logarithm) than mouths as open usually are; 0 for sharp ones."""
    inside: Array
    """(L, 27) float32 -1..1: light between the lips (:mod:`rendering.engine.face.inside`)."""
    lips: LipSpace
    successor: Array
    """(L,) int: place in this library of the next frame, or -1 where footage breaks off."""

    @classmethod
    def of(cls, track: Track, lips: LipSpace, inside: Array | None = None) -> Library:
        """The usable frames of ``track``. ``inside`` (N, 27) uint8: what each frame's mouth shows, if known."""
        usable = np.flatnonzero(library_frames(track))
        if len(usable) > MAX_LIBRARY:  # whole stretches are dropped, so that neighbours stay neighbours
            stretch = np.arange(len(usable)) // 60
            keep = np.unique(np.linspace(0, stretch[-1], MAX_LIBRARY // 60).astype(int))
            usable = usable[np.isin(stretch, keep)]
        place = {int(frame): index for index, frame in enumerate(usable)}
        first = {start for start, _ in track.shots}
        successor = [-1 if frame + 1 in first else place.get(int(frame) + 1, -1) for frame in usable]
        shown = np.zeros((len(usable), 1)) if inside is None else inside[usable].astype(np.float32) / GREY - 1
        return cls(
            usable,
            lips.encode(track, 7)[usable],
            head_turn(track)[usable],
            speed(track)[usable],
            shot_of(track)[usable],
            _dull(track.blur[usable], track.opening[usable]),
            shown.astype(np.float32),
            lips,
            np.array(successor, int),
        )

    def features(self, codes: Array) -> Array:
        """(n, 10) float32 of codes (n, 8), a unit apart costs 1: each number by how much it shows, bend, width."""
        gap, wide = np.split(self.lips.opening_width(codes), 2, axis=1)
        bend = np.sqrt(BEND_COST) * np.log(np.maximum(gap, 0) + BENDABLE)
        weighted = codes * np.sqrt(self.lips.weights / codes.shape[1])
        return np.concatenate([weighted, bend, np.sqrt(WIDTH_COST) * wide], axis=1).astype(np.float32)


def _dull(blur: Array, opening: Array) -> Array:
    """How far ``blur`` (L,), a log variance, lies under its straight line over ``opening`` (L,); never negative."""
    if len(blur) < MIN_FITTED:
        return np.zeros(len(blur), np.float32)
    line = np.polyfit(opening, blur, 1)
    return np.maximum(0, np.polyval(line, opening) - blur).astype(np.float32)


def speed(track: Track) -> Array:
    """(N,) float32: how far the lips move in the picture from frame to frame, IO; NaN without a face."""
    places = track.steady.points.of(LIPS)[:, :, :2].mean(axis=1) / np.nanmedian(track.io)
    result = np.full(len(track), np.nan, np.float32)
    for start, stop in track.runs:
        result[start:stop] = (
            np.linalg.norm(np.gradient(places[start:stop], axis=0), axis=1) if stop - start > 1 else 0.0
        )
    return result


def shot_of(track: Track) -> Array:
    """(N,) int: the number of each frame's shot."""
    return np.repeat(np.arange(len(track.shots)), [stop - start for start, stop in track.shots])


def choose(
    plan: Array,
    target_pose: Array,
    library: Library,
    target_speed: Array | None = None,
    target_shot: Array | None = None,
) -> Array:
    """Frames (n,) int whose mouths follow ``plan`` (n, 8), drawn under ``target_pose`` (n, 2: yaw, pitch in degrees).

    Least cost over time (Viterbi): distance of shape and bend (:meth:`Library.features`), pose distance, a cost for
    smeared mouths where the target is calm (``target_speed`` (n,) IO per frame), for dull ones and for mouths of
    another shot (``target_shot`` (n,)); and for every jump a fixed cost, higher where it shows, plus the distance
    between what would have come next and what comes instead, the light inside the mouth included.
    """
    if not len(library.frames):
        raise EngineError("no_face", "no frame is good enough to lend its mouth")
    n, count = len(plan), len(library.frames)
    codes, wanted = library.features(library.codes), library.features(plan)
    seen = np.concatenate([codes, np.sqrt(INSIDE_COST / library.inside.shape[1]) * library.inside], axis=1)
    size = (seen**2).sum(axis=1)
    jump = _jump_costs(library.lips.opening_width(plan)[:, 0])
    k, more = min(CANDIDATES, count), min(CONTINUED, count)
    following = np.where(library.successor >= 0, library.successor, np.arange(count))
    chosen = np.empty((n, k + more), np.int16)
    back = np.zeros((n, k + more), np.uint8)
    total = np.zeros(k + more, np.float32)
    for t in range(n):
        if t % AT_ONCE == 0:
            part = slice(t, t + AT_ONCE)
            distance = _squared_distances(wanted[part], codes)
        cost = distance[t % AT_ONCE] + _costs_besides(library, target_pose, target_speed, target_shot, t)
        near = np.argpartition(cost, k - 1)[:k]
        if t == 0:
            chosen[0] = np.concatenate([near, near[:more]])
            total = cost[chosen[0]]
            continue
        before = chosen[t - 1]
        # In a long library what comes next is rarely among the nearest: what the best paths lead to is looked at too.
        now = chosen[t] = np.concatenate([near, following[before[np.argpartition(total, more - 1)[:more]]]])
        after = following[before]
        step = size[after][:, None] + (size[now] + jump[t]) - 2 * seen[after] @ seen[now].T
        step[library.successor[before][:, None] == now[None]] = 0.0
        step += total[:, None]
        back[t] = step.argmin(axis=0)
        total = step[back[t], np.arange(k + more)] + cost[now]
    path = np.empty(n, int)
    best = int(total.argmin())
    for t in range(n - 1, -1, -1):
        path[t] = chosen[t, best]
        best = back[t, best]
    result: Array = library.frames[path]
    return result


def _squared_distances(a: Array, b: Array) -> Array:
    """(n, m) of (n, d) and (m, d)."""
    result: Array = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return result


def _jump_costs(opening: Array) -> Array:
    """(n,) float32: what a jump costs by itself where the plan's ``opening`` (n,) is this, IO."""
    moves = np.abs(np.gradient(opening)) if len(opening) > 1 else np.zeros(len(opening))
    shows = np.clip(opening / OPEN, 0, 1) * np.exp(-((moves / SLOW) ** 2))
    result: Array = (JUMP_COST * (1 + CALM_JUMP * shows)).astype(np.float32)
    return result


def _costs_besides(
    library: Library, target_pose: Array, target_speed: Array | None, target_shot: Array | None, t: int
) -> Array:
    """(L,) float32: what lending each mouth to output frame ``t`` costs, whatever its shape."""
    cost: Array = DULL_COST * library.dull**2
    if np.isfinite(target_pose[t]).all():
        away = ((library.pose - target_pose[t]) ** 2).sum(axis=1)
        cost = cost + POSE_COST * away + TURN_COST * np.maximum(0, np.sqrt(away) - TURNED) ** 2
    if target_speed is not None and np.isfinite(target_speed[t]):
        cost += SPEED_COST * np.maximum(0, library.speed - np.maximum(target_speed[t], CALM)) ** 2
    if target_shot is not None:  # another camera, light, or even another person
        cost += SHOT_COST * (library.shot != target_shot[t])
    return cost
