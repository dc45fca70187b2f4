"""A presenter's mouth in eight numbers: principal components of the pose-normalised lip points."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rendering.engine.face import geometry
from rendering.engine.face.points import LIPS
from rendering.engine.face.track import Track, opening_width

Array = np.ndarray[Any, Any]

SIZE = 8
"""Numbers that describe a mouth."""
HAND_OPENING, HAND_WIDTH = 0.05, 0.03
"""IO per unit of the hand-made modes: what a talking mouth's standard deviations usually are."""
MAX_FIT_FRAMES = 20_000
MAX_TURN = 0.012
"""IO per degree that a turning head is believed to move a lip point, opening and width apart: long footage shows .003,
short footage of people who nod while they talk up to .019, which is their speech and not their head."""
DAMPING = 0.1
"""Square degrees of head motion under which its influence on the lips is not trusted."""


@dataclass(frozen=True, eq=False)
class LipSpace:
    """Lip shapes as ``mean + code @ modes``; a code has one unit of standard deviation per dimension."""

    mean: Array
    """(40, 2) float32 IO, in the template's frontal frame: the middle of the footage's mouths."""
    modes: Array
    """(8, 40, 2) float32 IO per unit of code."""
    depth: Array
    """(40,) float32 IO: how deep each lip point usually lies."""
    turn: Array
    """(2, 40, 2) float32 IO per degree of yaw and pitch: how the mesh moves the lips of a turning head, opening and
    width left alone. Codes are free of it, or half of a shape's smaller numbers would be head motion."""
    pose: Array
    """(2,) float32: yaw and pitch, in degrees, at which ``turn`` vanishes."""
    low: Array
    high: Array
    """(8,) float32: the footage's 1st and 99th percentile of each number."""
    from_measures: Array
    """(3, 8) float32: the usual code of a mouth, affine in (opening, width, 1)."""
    hand_made: bool
    """Whether the modes are the two general ones, for footage whose mouth never opens."""

    @classmethod
    def fit(cls, track: Track) -> LipSpace:
        """Principal components of the followed frames."""
        step = max(1, int(track.clear.sum()) // MAX_FIT_FRAMES)
        lips, turned = track.lips()[track.clear][::step], head_turn(track)[track.clear][::step]
        turn, pose = _turn(lips[:, :, :2], turned)
        lips[:, :, :2] -= np.tensordot(turned - pose, turn, axes=1)
        flat = lips[:, :, :2].reshape(len(lips), -1).astype(np.float64)
        mean = flat.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(flat.T))
        spread = np.sqrt(np.clip(values[::-1][:SIZE], 1e-10, None))
        modes = vectors[:, ::-1][:, :SIZE].T * spread[:, None]
        # Which way an eigenvector points is arbitrary: let the first numbers grow with the opening.
        codes = (flat - mean) @ np.linalg.pinv(modes)
        measures = np.stack([*opening_width(lips), np.ones(len(lips))], axis=1)
        sign = np.where(codes.T @ (measures[:, 0] - measures[:, 0].mean()) < 0, -1.0, 1.0)
        codes, modes = codes * sign, modes * sign[:, None]
        from_measures = np.linalg.lstsq(measures, codes, rcond=None)[0]
        low, high = np.percentile(codes, [1, 99], axis=0)
        return cls._of(mean.reshape(-1, 2), modes.reshape(SIZE, -1, 2), np.median(lips[:, :, 2], axis=0),
                       turn, pose, low, high, from_measures, False)  # fmt: skip

    @classmethod
    def from_hand(cls, track: Track) -> LipSpace:
        """The two general modes, opening and width, around this face's own resting mouth.

        Per unit of opening, with u = x / x of the corner and b = 1 - u^2: upper lip dy -.10 b + .20 u^2, lower lip
        dy .89 b + .20 u^2. Per unit of width: dx .5 u, upper dy -.13 b - .32 u^2, lower dy -.22 b - .32 u^2.
        """
        rest = np.median(track.lips()[track.clear], axis=0)
        middle, half = rest[:, 0].mean(), np.abs(rest[:, 0] - rest[:, 0].mean()).max()
        u = (rest[:, 0] - middle) / half
        b = 1 - u**2
        lower = _is_lower()
        modes = np.zeros((SIZE, len(LIPS), 2))
        modes[0, :, 1] = HAND_OPENING * (np.where(lower, 0.89, -0.10) * b + 0.20 * u**2)
        modes[1, :, 0] = HAND_WIDTH * 0.5 * u
        modes[1, :, 1] = HAND_WIDTH * (np.where(lower, -0.22, -0.13) * b - 0.32 * u**2)
        low, high = np.zeros(SIZE), np.zeros(SIZE)
        low[:2], high[:2] = (0.0, -1.5), (3.0, 1.5)
        gap, wide = (float(value[0]) for value in opening_width(rest[None]))
        from_measures = np.zeros((3, SIZE))
        from_measures[0, 0], from_measures[2, 0] = 1 / HAND_OPENING, -gap / HAND_OPENING
        from_measures[1, 1], from_measures[2, 1] = 1 / HAND_WIDTH, -wide / HAND_WIDTH
        return cls._of(
            rest[:, :2], modes, rest[:, 2], np.zeros((2, len(LIPS), 2)), np.zeros(2), low, high, from_measures, True
        )

    @classmethod
    def _of(cls, *values: Any) -> LipSpace:
        arrays = [np.asarray(value, np.float32) for value in values[:-1]]
        return cls(*arrays, hand_made=bool(values[-1]))  # type: ignore[arg-type, misc]

    def encode(self, track: Track, window: int = 5) -> Array:
        """(N, 8) float32 codes of the mouths smoothed over ``window`` frames; NaN where the face was not followed."""
        return self.encode_shapes(track.lips(window)[:, :, :2], head_turn(track))

    def encode_shapes(self, shapes: Array, pose: Array) -> Array:
        """Codes (n, 8) of lip shapes (n, 40, 2) in IO, seen under ``pose`` (n, 2: yaw and pitch in degrees)."""
        shapes = shapes - np.tensordot(pose - self.pose, self.turn, axes=1)
        result: Array = ((shapes - self.mean).reshape(len(shapes), -1) @ self._inverse).astype(np.float32)
        return result

    def decode(self, codes: Array) -> Array:
        """Lip points (n, 40, 2) in IO of codes (n, 8)."""
        result: Array = self.mean + np.tensordot(codes, self.modes, axes=1)
        return result

    def placed(self, codes: Array, turned: Array, pose: tuple[Array, Array, Array]) -> Array:
        """Lip points (n, 40, 2) px of mouths ``codes`` (n, 8) on heads turned by ``turned`` (n, 2: yaw and pitch in
        degrees), whose ``pose`` is scale (n,), rotation (n, 3, 3) and shift (n, 3)."""
        flat = self.decode(codes) + np.tensordot(turned - self.pose, self.turn, axes=1)
        depth = np.broadcast_to(self.depth[None, :, None], (len(flat), len(self.depth), 1))
        result: Array = geometry.project(np.concatenate([flat, depth], axis=2), pose)[:, :, :2]
        return result

    def opening_width(self, codes: Array) -> Array:
        """Inner-lip opening and width, (n, 2) IO, of codes (n, 8)."""
        return np.stack(opening_width(self.decode(codes)), axis=1)

    def of_measures(self, measures: Array) -> Array:
        """The usual codes (n, 8) of mouths with this opening and width, (n, 2) IO."""
        result: Array = np.column_stack([measures, np.ones(len(measures))]) @ self.from_measures
        return result.astype(np.float32)

    @cached_property
    def weights(self) -> Array:
        """(8,) share of the visible movement that each number carries; they sum to 8."""
        size = (self.modes.astype(np.float64) ** 2).sum(axis=(1, 2))
        result: Array = (size / size.sum() * SIZE).astype(np.float32)
        return result

    @cached_property
    def _inverse(self) -> Array:
        return np.linalg.pinv(self.modes.reshape(SIZE, -1).astype(np.float64))

    def save(self, path: Path) -> None:
        """Write as .npz."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> LipSpace:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls._of(*(stored[field.name] for field in fields(cls)))


def head_turn(track: Track) -> Array:
    """(N, 2) float32: yaw and pitch in degrees, smoothed."""
    return geometry.smooth(np.stack([track.yaw, track.pitch], axis=1), track.runs, 7)


def _turn(shapes: Array, pose: Array) -> tuple[Array, Array]:
    """Least-squares ``turn`` and its neutral ``pose`` for shapes (n, 40, 2), damped where the head hardly turns."""
    middle = np.median(pose, axis=0)
    away = np.clip(pose - middle, -40, 40)
    flat = shapes.reshape(len(shapes), -1)
    damping = DAMPING * len(shapes) * np.eye(2)
    turn = np.linalg.solve(away.T @ away + damping, away.T @ (flat - flat.mean(axis=0)))
    turn = _without_measures(turn.reshape(2, -1, 2), np.median(shapes, axis=0))
    turn *= np.minimum(1, MAX_TURN / np.maximum(np.abs(turn).max(axis=(1, 2)), 1e-9))[:, None, None]
    return turn, middle


def _without_measures(turn: Array, usual: Array) -> Array:
    """``turn`` (2, 40, 2) without what would open or widen the ``usual`` mouth (40, 2).

    People nod with their words: what a regression takes for the head's influence on opening and width is mostly their
    speech, and drawn under another take it would be the own mouth showing through.
    """
    small = 1e-3
    shifts = small * np.eye(usual.size).reshape(-1, *usual.shape)
    moved = np.stack(opening_width(usual + shifts)) - np.concatenate(opening_width(usual[None]))[:, None]
    directions = np.linalg.qr(moved.T / small)[0]
    flat = turn.reshape(len(turn), -1)
    result: Array = (flat - flat @ directions @ directions.T).reshape(turn.shape)
    return result


def _is_lower() -> Array:
    """(40,) bool: points of the lower lip. Both contours run along the lower lip first; corners count as upper."""
    place = np.arange(len(LIPS)) % (len(LIPS) // 2)
    result: Array = (place > 0) & (place < 10)
    return result
