"""The figures themselves: numbers in, one number out. Openings and widths are in IO, times in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rendering.engine.check import correlation
from rendering.engine.voice.visemes import Phoneme

MAX_LAG_S = 0.4
CLOSED_SHARE = 0.2
"""Lips count as closed up to this share of the way from the 1st to the 95th percentile of the footage's own opening.

The tracker never reads 0 on lips that meet. On generated footage, in which every p, b and m is known to close, a share
of .10 finds .76-.80 of the source's own closures and .15 .92-.95; from .20 to .25 all of them are found and no open
sound is taken for closed; from .30 on open sounds are.
"""
MIN_PAUSE_S = 0.4
PAUSE_EDGE_S = 0.2
"""Left out on either side of a pause: the mouth is on its way."""
STILL_BLOCK_S = 0.16
"""See :func:`rest`."""


def r(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two (n,) series where both are known; NaN under ten common values."""
    known = np.isfinite(a) & np.isfinite(b)
    return correlation(a[known], b[known]) if known.sum() >= 10 else float("nan")


def r_within(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Pearson's correlation of two series that come in pieces ((n,), (n,)), each piece less its own mean.

    What was learnt without a piece has its level (posture, a smile) from the others, which lie on the other side of the
    mean: put together, even a mouth that stood still at that level would agree by less than 0.
    """
    parts: list[np.ndarray] = []
    for a, b in pieces:
        known = np.isfinite(a) & np.isfinite(b)
        if known.any():
            parts.append(np.stack([a[known] - a[known].mean(), b[known] - b[known].mean()]))
    both = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return r(both[0], both[1])


class Lag(NamedTuple):
    frames: int
    """Positive: ``made`` is late."""
    r: float


def best_lag(made: np.ndarray, truth: np.ndarray, fps: float) -> Lag:
    """The shift, up to :data:`MAX_LAG_S`, at which ``made`` (n,) agrees best with ``truth`` (n,).

    Shifts nearer to zero win ties; a parabola is not fitted: whole frames are what a picture can be late by.
    """
    reach = min(round(MAX_LAG_S * fps), len(made) // 4)
    lags = sorted(range(-reach, reach + 1), key=abs)
    scores = [np.nan_to_num(r(*_shifted(made, truth, lag)), nan=-1.0) for lag in lags]
    best = int(np.argmax(scores))
    return Lag(lags[best], float(scores[best]))


def _shifted(made: np.ndarray, truth: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Both series where ``made`` read ``lag`` frames later overlaps ``truth``."""
    if lag >= 0:
        return made[lag:], truth[: len(truth) - lag]
    return made[:lag], truth[-lag:]


def leak(made: np.ndarray, own: np.ndarray, given: np.ndarray) -> float:
    """Partial correlation of ``made`` (n,) with ``own`` (n,) given ``given`` (n, k): both less what ``given`` explains.

    ``made``: opening in the result; ``own``: the footage's own opening under those frames; ``given``: the plan, and
    the head's pose, which moves what the tracker reads of any mouth.
    """
    known = np.isfinite(made) & np.isfinite(own) & np.isfinite(given).all(axis=1)
    if known.sum() < 10 + given.shape[1]:
        return float("nan")
    design = np.column_stack([given[known], np.ones(int(known.sum()))])
    both = np.stack([made[known], own[known]], axis=1)
    rest = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    return correlation(rest[:, 0], rest[:, 1])


def tremble(opening: np.ndarray) -> float:
    """Root mean square of the second difference of (n,), IO per frame squared; NaN for fewer than three values."""
    steps = np.diff(opening, 2)
    return float(np.sqrt(np.nanmean(steps**2))) if np.isfinite(steps).any() else float("nan")


def closed_level(opening: np.ndarray) -> float:
    """The opening up to which a presenter's lips count as closed, from the footage's own (N,), see CLOSED_SHARE."""
    low, high = np.nanpercentile(opening, [1, 95])
    return float(low + CLOSED_SHARE * (high - low))


class Rest(NamedTuple):
    """A mouth in pauses."""

    movement: float
    """Standard deviation of the opening within pauses, IO, what the tracker adds taken out; NaN without a pause."""
    seconds: float


def rest(opening: np.ndarray, fps: float, pauses: Sequence[tuple[float, float]]) -> Rest:
    """How much the mouth of ``opening`` (n,) moves within ``pauses`` (start, end in seconds).

    The tracker trembles from frame to frame whatever the mouth does, so that a plain deviation says nothing about a
    small picture. Movement that a viewer sees lasts: each pause is cut into blocks of .16 s, and the variance between
    the blocks' means is what remains after the share that the variance within blocks explains (one-way analysis of
    variance), so that noise adds nothing on average. Pooled over all pauses.
    """
    size = max(2, round(STILL_BLOCK_S * fps))
    between = within = 0.0
    between_n = within_n = frames = 0
    for start, end in inner(pauses):
        piece = opening[int(np.ceil(start * fps)) : int(np.floor(end * fps))]
        blocks = len(piece) // size
        if blocks < 2 or not np.isfinite(piece).all():
            continue
        grid = piece[: blocks * size].reshape(blocks, size).astype(np.float64)
        means = grid.mean(axis=1)
        between += float(((means - means.mean()) ** 2).sum())
        between_n += blocks - 1
        within += float(((grid - means[:, None]) ** 2).sum())
        within_n += blocks * (size - 1)
        frames += blocks * size
    if not between_n:
        return Rest(float("nan"), 0.0)
    variance = between / between_n - within / within_n / size
    return Rest(float(np.sqrt(max(variance, 0.0))), frames / fps)


def inner(pauses: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The middles of those pauses that are long enough to come to rest in."""
    return [
        (start + PAUSE_EDGE_S, end - PAUSE_EDGE_S) for start, end in pauses if end - start >= MIN_PAUSE_S + PAUSE_EDGE_S
    ]


def pauses(active: np.ndarray, rate: float, duration_s: float) -> list[tuple[float, float]]:
    """(start, end) of silence in ``active`` (T,), 1 where there is speech, at ``rate`` per second."""
    quiet = np.concatenate([[False], active[: round(duration_s * rate)] < 0.5, [False]])
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8)))
    return [(float(a) / rate, float(b) / rate) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def shifted(phonemes: Sequence[Phoneme], start_s: float, end_s: float) -> list[Phoneme]:
    """The sounds between ``start_s`` and ``end_s``, on a clock that begins at ``start_s``."""
    return [
        (max(start, start_s) - start_s, min(end, end_s) - start_s, sound)
        for start, end, sound in phonemes
        if end > start_s and start < end_s
    ]
