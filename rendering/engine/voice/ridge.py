"""Ridge regression from the sounds around a moment to the presenter's mouth, with blocked cross-validation.

Its input are the recogniser's shares of sounds: they mean the same in every voice and behind every microphone, so that
what one presenter's mouth does for them can be asked of another voice. They do so on mel bands in the presenter's own
voice alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import gaussian_filter1d

from rendering.engine.voice.features import HOP_S, at_times
from rendering.engine.voice.pauses import activity
from rendering.engine.voice.phones import recognise

PENALTY = 10.0
"""In mean squared lengths of a moment: so many frames of evidence, spread over all directions, for a mouth at rest."""
MAX_FRAMES = 45_000
"""Half an hour at 25 frames a second; longer footage is thinned evenly."""
FOLDS = 5
_GAP_S = 0.4
"""Beside a held-out block, left out of learning: its frames share sound with the block's."""
_AROUND_S = np.linspace(-0.2, 0.2, 11)
_AROUND_WEIGHT = np.exp(-0.5 * (_AROUND_S / 0.08) ** 2).astype(np.float32)
_SMOOTH_S = 0.02
_PIECE = 3000


def listen(audio16k: np.ndarray) -> np.ndarray:
    """``audio16k`` (n,) float32 -> (T, 40) float32 at 100 Hz: the shares of sounds, mean 0 and variance 1 over speech.

    Scaled by this sound alone: what a voice or a microphone adds to every frame is gone.
    """
    shares = gaussian_filter1d(recognise(audio16k).shares, _SMOOTH_S / HOP_S, axis=0)
    speaking = activity(audio16k)[: len(shares)] > 0.5
    speech = shares[: len(speaking)][speaking] if speaking.sum() > 50 else shares
    mean, spread = speech.mean(0), np.maximum(speech.std(0), 1e-3)
    shares -= mean
    shares /= spread
    result: np.ndarray = np.clip(shares, -8, 8, out=shares)
    return result


def moments(heard: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """What is heard around each of ``times_s`` (n,): 11 instants over +-200 ms, the far ones weigh less. (n, 440)."""
    around = np.asarray(times_s, np.float64)[:, None] + _AROUND_S[None]
    weighed = at_times(heard, around.reshape(-1)) * np.tile(_AROUND_WEIGHT, len(around))[:, None]
    return weighed.reshape(len(around), _AROUND_S.size * heard.shape[1])


@dataclass(frozen=True, eq=False)
class Ridge:
    """``weights`` (440, k) and ``mean`` (k,), float32."""

    weights: np.ndarray
    mean: np.ndarray

    def predict(self, heard: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        """What :func:`listen` gave, at ``times_s`` (n,) -> (n, k) float32; in pieces, an hour would not fit."""
        starts = range(0, len(times_s), _PIECE)
        parts = [moments(heard, times_s[start : start + _PIECE]) @ self.weights + self.mean for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.mean)), np.float32)


def learn(heard: np.ndarray, times_s: np.ndarray, target: np.ndarray) -> tuple[Ridge, np.ndarray]:
    """``heard`` of :func:`listen`, ``target`` (n, k) at ``times_s`` (n,): the regression, and (n, k) held-out answers.

    A frame's held-out answer comes from a regression that never saw the fifth of the footage that the frame lies in.
    Sums are kept, not frames: memory does not grow with the footage.
    """
    width = len(_AROUND_S) * heard.shape[1]
    tests = blocks(len(times_s))
    folds = [_Sums(width, target.shape[1]) for _ in tests]
    for sums, (start, stop) in zip(folds, tests, strict=True):
        for piece in range(start, stop, _PIECE):
            rows = slice(piece, min(stop, piece + _PIECE))
            sums.add(moments(heard, times_s[rows]), target[rows])
    total = _Sums(width, target.shape[1])
    for sums in folds:
        total.take(sums)
    held_out = np.zeros(target.shape, np.float32)
    for sums, (start, stop) in zip(folds, tests, strict=True):
        near = (np.abs(times_s - times_s[start]) < _GAP_S) | (np.abs(times_s - times_s[max(start, stop - 1)]) < _GAP_S)
        near[start:stop] = False
        rest = _Sums(width, target.shape[1])
        rest.take(total)
        rest.take(sums, -1)
        rest.add(moments(heard, times_s[near]), target[near], -1)
        held_out[start:stop] = rest.solve().predict(heard, times_s[start:stop])
    return total.solve(), held_out


def blocks(n: int) -> list[tuple[int, int]]:
    """(start, stop) of the contiguous fifths of ``n`` frames."""
    return [(int(start), int(stop)) for start, stop in pairwise(np.linspace(0, n, FOLDS + 1).astype(int))]


def block_scores(answers: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pearson's r per column, averaged over the blocks (a slow drift between blocks is neither merit nor fault)."""
    scores = []
    for start, stop in blocks(len(truth)):
        a = answers[start:stop] - answers[start:stop].mean(0)
        b = truth[start:stop] - truth[start:stop].mean(0)
        scores.append((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0) + 1e-12))
    return np.mean(scores, axis=0)


class _Sums:
    """All that a ridge regression needs of its frames."""

    def __init__(self, width: int, columns: int) -> None:
        self.count = 0.0
        self.sound, self.mouth = np.zeros(width), np.zeros(columns)
        self.squares, self.products = np.zeros((width, width)), np.zeros((width, columns))

    def add(self, around: np.ndarray, target: np.ndarray, sign: int = 1) -> None:
        self.count += sign * len(around)
        self.sound += sign * around.sum(0, dtype=np.float64)
        self.mouth += sign * target.sum(0)
        self.squares += sign * (around.T @ around)
        self.products += sign * (around.T @ target.astype(np.float32))

    def take(self, other: _Sums, sign: int = 1) -> None:
        self.count += sign * other.count
        self.sound += sign * other.sound
        self.mouth += sign * other.mouth
        self.squares += sign * other.squares
        self.products += sign * other.products

    def solve(self) -> Ridge:
        sound, mouth = self.sound / self.count, self.mouth / self.count
        spread = self.squares - self.count * np.outer(sound, sound)
        penalty = PENALTY * np.trace(self.squares) / self.count
        factor = cho_factor(spread + penalty * np.eye(len(spread)), check_finite=False)
        weights = cho_solve(factor, self.products - self.count * np.outer(sound, mouth), check_finite=False)
        return Ridge(weights.astype(np.float32), (mouth - sound @ weights).astype(np.float32))
