"""Squares and the mouths wanted in them, made into what the network is fed.

Each is varied a little, so that no frame is learnt by heart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from rendering.engine.neural.crops import WINDOW, Wanted
from rendering.engine.neural.footage import Lessons

Array = np.ndarray[Any, Any]

SHAPE_NOISE = 0.05
"""Standard deviations of each number by which the wanted mouth is wrong: what the tracker is."""
HOLE_SCALE, HOLE_SHIFT = (0.98, 1.08), 0.015
"""The hole's size, and the share of the square's side by which it moves."""
JAW_NOISE = 0.006
"""Share of the side by which the lower outline moves up or down."""
GAIN, TINT = 0.06, 0.02
LENT_TINT = 0.01
"""Light changes, and what the lent picture's colour is off by."""
BLURRED, DROPPED = 0.15, 0.3
"""Share of the squares whose surroundings are blurred, and of those that are lent nothing."""
INSIDE = 4
"""Which of what the network sees is the map of the wanted mouth's inside."""


class Batch(NamedTuple):
    """Float32, pictures 0..1 in blue, green, red."""

    seen: Array
    """(n, 10, s, s): surroundings, hole, three maps, lent picture."""
    condition: Array
    """(n, 43)."""
    truth: Array
    """(n, 3, s, s)."""


@dataclass(frozen=True)
class _Change:
    """How one square is varied; nothing by default."""

    shift: tuple[int, int] = (0, 0)
    noise: Array | None = None
    hole_scale: float = 1.0
    hole_shift: tuple[float, float] = (0.0, 0.0)
    jaw: float = 0.0
    colour: tuple[Array, Array] | None = None
    lent_tint: Array | None = None
    blur: float = 0.0
    dropped: bool = False


class Batches:
    """Batches of a film's lessons. What step ``k`` is taught depends on the seed and on ``k`` alone."""

    def __init__(self, lessons: Lessons, *, seed: int, size: int) -> None:
        """``size``: squares in a batch, an even number."""
        self._lessons, self._seed, self._size = lessons, seed, size
        self.taught, self.held_out = (np.flatnonzero(part) for part in (~lessons.held_out, lessons.held_out))
        followed = np.diff(lessons.frames, append=-1) == 1
        followed[:-1] &= ~lessons.held_out[:-1] & ~lessons.held_out[1:]
        self._pairs = np.flatnonzero(followed & ~lessons.held_out)

    def at(self, step: int) -> tuple[Batch, bool]:
        """The batch of step ``step``, and whether its second half follows on from its first frame by frame."""
        random = np.random.default_rng((self._seed, step))
        pairs = bool(step % 2) and len(self._pairs) > 0
        if not pairs:
            places = random.choice(self.taught, self._size)
            return self._made(places, [self._change(random) for _ in places]), False
        first = random.choice(self._pairs, self._size // 2)
        changes = [self._change(random) for _ in first]
        return self._made(np.concatenate([first, first + 1]), changes * 2), True

    def plain(self, places: Array) -> Batch:
        """Some squares (n,) as they are."""
        return self._made(places, [_Change()] * len(places))

    def _change(self, random: np.random.Generator) -> _Change:
        padding, side = self._lessons.padding, self._lessons.size
        dx, dy = (int(way) for way in random.integers(-padding, padding + 1, 2))
        hole_x, hole_y = random.uniform(-HOLE_SHIFT, HOLE_SHIFT, 2) * side
        gain = 1 + random.normal(0, GAIN) + random.normal(0, TINT, 3)
        return _Change(
            shift=(dx, dy),
            noise=random.normal(0, SHAPE_NOISE, 8).astype(np.float32),
            hole_scale=float(random.uniform(*HOLE_SCALE)),
            hole_shift=(float(hole_x), float(hole_y)),
            jaw=float(random.uniform(-JAW_NOISE, JAW_NOISE) * side),
            colour=(gain.astype(np.float32), random.normal(0, TINT, 3).astype(np.float32)),
            lent_tint=random.normal(0, LENT_TINT, 3).astype(np.float32),
            blur=float(random.uniform(0.5, 1.5)) if random.random() < BLURRED else 0.0,
            dropped=bool(random.random() < DROPPED),
        )

    def _made(self, places: Array, changes: list[_Change]) -> Batch:
        parts = [self._square(int(place), change) for place, change in zip(places, changes, strict=True)]
        return Batch(*(np.stack(each) for each in zip(*parts, strict=True)))

    def _square(self, place: int, change: _Change) -> tuple[Array, Array, Array]:
        lessons = self._lessons
        left, top = (lessons.padding + way for way in change.shift)
        window = np.s_[top : top + lessons.size, left : left + lessons.size]
        truth = lessons.pictures[place][window].astype(np.float32) / np.float32(255)
        lent = lessons.lent[place][window].astype(np.float32) / np.float32(255)
        there = (lent.max(axis=2, keepdims=True) > 0).astype(np.float32)
        if change.colour is not None:
            gain, offset = change.colour
            truth, lent = (np.clip(gain * part + offset, 0, 1) for part in (truth, lent))
        if change.lent_tint is not None:
            lent = np.clip(lent + change.lent_tint, 0, 1)
        lent = lent * (0 if change.dropped else there)
        condition, wanted = lessons.conditions[place], lessons.wanted[place]
        lips = wanted.lips
        if change.noise is not None:
            condition = condition.copy()
            condition[: WINDOW * 8] += np.tile(change.noise, WINDOW)
            lips = lips + np.tensordot(change.noise, lessons.modes, axes=1)
        middle = wanted.hole.mean(axis=0)
        hole = middle + change.hole_scale * (wanted.hole - middle) + np.array(change.hole_shift, np.float32)
        corner = np.array([left, top], np.float32)
        moved = Wanted(hole - corner, lips - corner, wanted.jaw + np.array([0, change.jaw], np.float32) - corner)
        around = cv2.GaussianBlur(truth, (0, 0), change.blur) if change.blur else truth
        return fed(around, moved.maps(lessons.size), lent), condition, truth.transpose(2, 0, 1)


def fed(around: Array, maps: Array, lent: Array) -> Array:
    """(10, s, s) float32 of the surroundings and the lent picture (s, s, 3), 0..1, and ``maps`` (4, s, s)."""
    context = around.transpose(2, 0, 1) * (1 - maps[:1])
    return np.concatenate([context, maps, lent.transpose(2, 0, 1)]).astype(np.float32)
