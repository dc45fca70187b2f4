"""When a new mouth comes and goes, and when the one before a jump fades out: all of it is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

FADE = (1 / 3, 2 / 3)
"""Share of the new mouth in the frames of a cross-fade."""
EDGE_FRAMES = 3
"""Frames over which the new mouth fades in and out beside frames without a face."""


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


def fading(chosen: Array, weight: Array, jump: Array, goes_on: Callable[[int], bool]) -> list[tuple[int, int] | None]:
    """For each of n output frames the frame whose mouth goes on there for a little and fades out, and at which place of
    :data:`FADE`; None where none does.

    ``chosen`` (n,): frames that lend; ``weight`` (n,): 0 where none is laid; ``jump`` (n,) bool; ``goes_on``: whether
    the footage does after a frame.
    """
    result: list[tuple[int, int] | None] = []
    old: tuple[int, int] | None = None
    for t in range(len(chosen)):
        if weight[t] <= 0:
            old = None
        elif jump[t]:
            old = int(chosen[t - 1]), 0
        elif old is not None:
            old = (old[0], old[1] + 1) if old[1] + 1 < len(FADE) else None
        if old is not None and goes_on(old[0]):
            old = old[0] + 1, old[1]
        result.append(old)
    return result
