"""Which of the presenter's own frames lend their mouths (stage 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rendering.engine.errors import EngineError
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import LIPS
from rendering.engine.face.profile import library_frames
from rendering.engine.face.track import Track

Array = np.ndarray[Any, Any]

CANDIDATES = 80
CONTINUED = 24
"""Best paths whose next frames are candidates too."""
JUMP_COST = 1.5
POSE_COST = 0.05 / 25
"""Cost per square degree between the lent mouth's pose and the target's."""
SPEED_COST = 400.0
CALM = 0.03
"""Speed (IO per frame) up to which a mouth is sharp; a faster one costs unless the target moves as fast."""
SHOT_COST = 1.0
MAX_LIBRARY = 6000
"""Frames searched at most; a longer library is thinned evenly."""


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
    weights: Array
    """(8,) float32: how much each number of a code shows."""
    successor: Array
    """(L,) int: place in this library of the next frame, or -1 where footage breaks off."""

    @classmethod
    def of(cls, track: Track, lips: LipSpace) -> Library:
        """The usable frames of ``track``."""
        usable = np.flatnonzero(library_frames(track))
        if len(usable) > MAX_LIBRARY:  # whole stretches are dropped, so that neighbours stay neighbours
            stretch = np.arange(len(usable)) // 60
            keep = np.unique(np.linspace(0, stretch[-1], MAX_LIBRARY // 60).astype(int))
            usable = usable[np.isin(stretch, keep)]
        place = {int(frame): index for index, frame in enumerate(usable)}
        first = {start for start, _ in track.shots}
        successor = [-1 if frame + 1 in first else place.get(int(frame) + 1, -1) for frame in usable]
        return cls(
            usable,
            lips.encode(track, 7)[usable],
            head_turn(track)[usable],
            speed(track)[usable],
            shot_of(track)[usable],
            lips.weights,
            np.array(successor, int),
        )


def speed(track: Track) -> Array:
    """(N,) float32: how far the lips move in the picture from frame to frame, IO; NaN without a face."""
    places = track.steady.points[:, LIPS, :2].mean(axis=1) / np.nanmedian(track.io)
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

    Least cost over time: shape distance ``|code - plan|^2 / 8``, each number weighted by how much it shows, plus pose
    distance, a cost for smeared mouths where the target is calm (``target_speed`` (n,) IO per frame) and for mouths of
    another shot (``target_shot`` (n,)), and for every jump a fixed cost plus the distance between what would have come
    next and what comes instead.
    """
    if not len(library.frames):
        raise EngineError("no_face", "no frame is good enough to lend its mouth")
    n, count = len(plan), len(library.frames)
    weight = np.sqrt(library.weights)
    codes, wanted = library.codes * weight, plan * weight
    k, more = min(CANDIDATES, count), min(CONTINUED, count)
    following = np.where(library.successor >= 0, library.successor, np.arange(count))
    chosen = np.empty((n, k + more), int)
    back = np.zeros((n, k + more), int)
    total = np.zeros(k + more)
    for t in range(n):
        cost = ((codes - wanted[t]) ** 2).sum(axis=1) / plan.shape[1]
        if np.isfinite(target_pose[t]).all():
            cost = cost + POSE_COST * ((library.pose - target_pose[t]) ** 2).sum(axis=1)
        if target_speed is not None and np.isfinite(target_speed[t]):
            cost = cost + SPEED_COST * np.maximum(0, library.speed - np.maximum(target_speed[t], CALM)) ** 2
        if target_shot is not None:  # another camera, light, or even another person
            cost = cost + SHOT_COST * (library.shot != target_shot[t])
        near = np.argpartition(cost, k - 1)[:k]
        if t == 0:
            chosen[0] = np.concatenate([near, near[:more]])
            total = cost[chosen[0]]
            continue
        before = chosen[t - 1]
        # In a long library what comes next is rarely among the nearest: what the best paths lead to is looked at too.
        now = chosen[t] = np.concatenate([near, following[before[np.argpartition(total, more - 1)[:more]]]])
        gap = codes[following[before]][:, None] - codes[now][None]
        step = (gap**2).sum(axis=2) / plan.shape[1] + JUMP_COST
        step[library.successor[before][:, None] == now[None]] = 0.0
        reach = total[:, None] + step
        back[t] = reach.argmin(axis=0)
        total = reach[back[t], np.arange(k + more)] + cost[now]
    path = np.empty(n, int)
    best = int(total.argmin())
    for t in range(n - 1, -1, -1):
        path[t] = chosen[t, best]
        best = back[t, best]
    result: Array = library.frames[path]
    return result
