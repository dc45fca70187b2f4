"""Which footage frame lies under each output frame: the footage as it is, and for longer takes back and forth.

A frame is only ever followed by its neighbour, so nothing can jump; what could be seen is the turning round. It happens
where head and shoulders rest, seldom twice at the same place, and fast gestures are not walked through backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from rendering.engine.face.track import Track

Array = np.ndarray[Any, Any]

MIN_STAGE_S = 3.0
"""A long take is carried by a shot of at least this many seconds, where there is one."""
SPACING_S = 0.24
MAX_TURNS = 48
"""Places where it may turn: the calmest frame of each quarter of a second, or of each 48th of a long stage."""
MIN_LEG = 0.4
"""Shortest way between two turns, as a share of the stage."""
TURN_COST = 1.0
"""Of a turn in which nothing moves; one at the usual speed costs as much again, one at twice that four times."""
SHORT_COST = 1.0
"""Of a way of no length; one as long as the stage costs nothing."""
GESTURE_COST = 0.05
GESTURE = 2.0
"""A frame walked backwards costs for each usual speed that it is faster than this many."""
COVERED_COST = 0.05
"""A frame with something before the mouth."""
REPEAT_COST = 4.0
REPEAT_S = 0.5
FORGET = 0.85
"""Turning again within half a second of an earlier turn costs, less with every turn since."""
REMEMBERED = 12
BEAM = 12
"""Walks kept of those that end within the same second, or the same twentieth of a long stage."""
FAR = 1e6


def walk(track: Track, n_frames: int, fps: float) -> Array:
    """Footage frames (n_frames,) int, one step forwards or backwards at a time, for a take of any length.

    The footage is played through once; where the take outlasts it, the last stretch of one shot that is long enough
    carries the rest. Beam search over the turning points, by the costs above; the same arguments give the same walk.
    """
    if n_frames <= len(track):
        return np.arange(n_frames)
    start, stop = _stage(track, fps)
    if stop - start < 3:
        return np.minimum(np.arange(n_frames), stop - 1)
    return _Stage.of(track, start, stop, fps).walk(n_frames)


def _stage(track: Track, fps: float) -> tuple[int, int]:
    """The last stretch of one shot with a face that lasts long enough, else the longest there is."""
    stretches = track.runs or track.shots
    long = [run for run in stretches if run[1] - run[0] >= MIN_STAGE_S * fps]
    return long[-1] if long else max(stretches, key=lambda run: run[1] - run[0])


def motion(track: Track) -> Array:
    """(N,) float32 restlessness of head (IO per frame) and shoulders (grey levels / 20), over five frames."""
    pose = track.steady.pose[2][:, :2] / np.nanmedian(track.io)
    head = np.linalg.norm(np.diff(pose, axis=0, prepend=pose[:1]), axis=1)
    picture = np.array([0.0, *(cv2.absdiff(a, b).mean() for a, b in pairwise(track.thumbs))]) / 20
    unrest = np.nan_to_num(head, nan=FAR) + picture
    result: Array = np.convolve(np.pad(unrest, 2, mode="edge"), np.ones(5) / 5, mode="valid").astype(np.float32)
    return result


@dataclass(frozen=True, eq=False)
class _Stage:
    """The stretch that is walked back and forth."""

    start: int
    stop: int
    fps: float
    turns: Array
    """(m,) int: frames where it may turn, ascending."""
    unrest: Array
    """(m,) their speed, in usual ones."""
    forwards: Array
    backwards: Array
    """(N + 1,) cost of all frames before this one, walked that way."""

    @classmethod
    def of(cls, track: Track, start: int, stop: int, fps: float) -> _Stage:
        speed = motion(track)
        # Where nothing moves at all, grain is no gesture.
        speed = speed / max(float(np.median(speed[start:stop])), 0.005)
        spacing = max(1, round(SPACING_S * fps), -(-(stop - start) // MAX_TURNS))
        pieces = np.split(np.arange(start, stop), np.arange(spacing, stop - start, spacing))
        turns = np.array([piece[np.argmin(speed[piece])] for piece in pieces])
        covered = COVERED_COST * track.covered
        gestures = GESTURE_COST * np.clip(speed - GESTURE, 0, 20) + covered
        totals = (np.concatenate([[0.0], np.cumsum(cost)]) for cost in (covered, gestures))
        return cls(start, stop, fps, turns, speed[turns], *totals)

    def walk(self, n_frames: int) -> Array:
        """The cheapest walk found, as frames (n_frames,) int."""
        # Walks by when they end: (cost, turning points so far, frames walked).
        period = max(self.fps, (self.stop - self.start) / 20)
        waiting: list[list[tuple[float, tuple[int, ...], int]]] = [[] for _ in range(int(n_frames / period) + 1)]
        finished: list[tuple[float, tuple[int, ...]]] = []
        waiting[0] = [(0.0, (0,), 1)]
        for place, alike in enumerate(waiting):
            waiting[place] = []  # what was walked through is done with
            for cost, points, walked in sorted(alike)[:BEAM]:
                for leg_cost, end in self._legs(points):
                    total, steps = cost + leg_cost, walked + abs(end - points[-1])
                    if steps >= n_frames:
                        finished.append((total, (*points, end)))
                    else:
                        waiting[int(steps / period)].append((total, (*points, end), steps))
        return _steps(min(finished)[1])[:n_frames]

    def _legs(self, points: tuple[int, ...]) -> list[tuple[float, int]]:
        """(cost, end) of every way that may follow the turning ``points`` so far."""
        here, length = points[-1], self.stop - self.start
        up = len(points) % 2 == 1
        way = np.maximum(self.turns - max(here, self.start), 0) if up else np.maximum(here - self.turns, 0)
        may = way >= min(MIN_LEG * length, way.max())
        ends, way = self.turns[may], way[may]
        one_way = self.forwards if up else self.backwards
        cost = np.abs(one_way[ends] - one_way[here]) + SHORT_COST * np.maximum(0, 1 - way / length) ** 2
        cost = cost + TURN_COST * (1 + self.unrest[may] ** 2)
        for since, earlier in enumerate(points[max(1, len(points) - 2 * REMEMBERED) : -1][::-2]):
            near = np.exp(-(((ends - earlier) / (REPEAT_S * self.fps)) ** 2))
            cost = cost + REPEAT_COST * FORGET**since * near
        return [(float(value), int(end)) for value, end in zip(cost, ends, strict=True)]


def _steps(points: tuple[int, ...]) -> Array:
    """Every frame on the way through the turning ``points``."""
    parts = [np.array(points[:1])]
    for before, after in pairwise(points):
        step = 1 if after > before else -1
        parts.append(np.arange(before + step, after + step, step))
    return np.concatenate(parts)
