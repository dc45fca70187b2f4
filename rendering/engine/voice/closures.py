"""Where lips meet on p, b and m although nobody told: by the recogniser, and by a small net where that hears nothing.

The recogniser was made from people; clear synthetic voices and other languages leave it in doubt. The net has learnt
from such voices alone (:mod:`.closures_train`), and is believed only where it is sure: real speech rarely makes it so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from rendering.engine.voice.base import FRAME_S, Weights, halve, layers, read_curve
from rendering.engine.voice.features import HOP_S
from rendering.engine.voice.phones import COLUMNS

CHANNELS = 32
DILATIONS = (1, 2, 4)
WEIGHTS = Path(__file__).with_name("closures.npz")
HEARD = 0.4
"""Probability of p, b and m together from which lips close."""
SURE = 0.7
"""The net's, from which they do."""
_SOUNDS = [COLUMNS[name] for name in ("P", "B", "M")]


@dataclass(frozen=True)
class ClosureModel:
    """83 -> 32 channels, three residual layers (kernel 3, dilations 1 2 4), 32 -> 1.

    ``weights``: ``in.w`` (32, 83), ``in.b``, ``k.w`` (32, 32, 3), ``k.b`` for k in 0..2, ``out.w`` (1, 32), ``out.b``.
    """

    weights: Weights

    def chance(self, frames: np.ndarray) -> np.ndarray:
        """(t, 83) of :func:`.base.halve` -> (t,) float32 0..1: how likely p, b or m is being said."""
        answer = layers(frames, self.weights) @ self.weights["out.w"].T + self.weights["out.b"]
        chance: np.ndarray = 1 / (1 + np.exp(-answer[:, 0]))
        return chance.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write as .npz in half precision (about 30 KB)."""
        np.savez(path, **{name: value.astype(np.float16) for name, value in self.weights.items()})  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def load_closures(path: Path = WEIGHTS) -> ClosureModel:
    """Read a model; the committed one by default."""
    with np.load(path, allow_pickle=False) as stored:
        return ClosureModel({name: stored[name].astype(np.float32) for name in stored.files})


def heard_closures(heard: np.ndarray, soft: np.ndarray) -> list[tuple[float, float]]:
    """Spans (start_s, end_s) in which lips meet, by ``heard`` (T, 83) of :func:`.base.hear` and ``soft`` (T, 40) of
    :class:`.phones.Phones`."""
    if not len(heard):
        return []
    times = np.arange(len(heard)) * HOP_S
    sure = read_curve(load_closures().chance(halve(heard))[:, None], times)[:, 0] > SURE
    return spans((soft[:, _SOUNDS].sum(1) > HEARD) | sure, HOP_S)


def spans(where: np.ndarray, step_s: float) -> list[tuple[float, float]]:
    """``where`` (n,) bool, every ``step_s`` -> beginnings and ends in seconds of what is true without a break."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int))) * step_s
    return [(float(start), float(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def scores(chance: np.ndarray, closed: np.ndarray) -> tuple[int, int, int]:
    """Of ``chance`` (t,) and the truth ``closed`` (t,) bool, both at 50 Hz: closures that are heard, give or take a
    frame; of how many; closures heard where there is none within .08 s."""
    sure = chance > SURE
    asked, found = spans(closed, FRAME_S), spans(sure, FRAME_S)
    met = sum(any(a < end + FRAME_S and b > start - FRAME_S for a, b in found) for start, end in asked)
    wrong = sum(not any(a < end + 0.08 and b > start - 0.08 for start, end in asked) for a, b in found)
    return met, len(asked), wrong
