"""Known sounds and the mouth: where lips must meet, and whether they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rendering.engine.voice.visemes import CLOSURES, TABLE, Phoneme, symbols


class Closures(NamedTuple):
    """How well lips kept to known sounds: closures met, of how many asked; open sounds shut, of how many asked."""

    hits: int
    asked: int
    false: int
    open_asked: int


SHUT_SHARE = 0.1
"""Share of a presenter's range of opening within which the lips count as closed; see :func:`shut_level`."""
SLACK_S = 0.04
"""One frame at 25 a second: lips meet that much before or after the sound of a closure."""
AROUND_S = 0.08
"""Lips that are closed this near a closure or a pause are on their way to or from it."""
_APART = 0.25
"""Sounds whose target opens farther than this keep the lips visibly apart: vowels, glides, l, r, velars."""
_GRID_S = 0.005


def shut_level(opening: np.ndarray) -> float:
    """The opening up to which a presenter's lips count as closed, in the unit of ``opening`` (N,), their own frames.

    A tenth of the way from the 1st to the 95th percentile. The mesh never reads 0 on lips that meet: on real
    presenters .004 to .022 IO. Where a word recogniser told the sounds, 16 of 21 of their own closures lay under it.
    """
    low, high = np.percentile(opening[np.isfinite(opening)], [1, 95])
    return float(low + SHUT_SHARE * (high - low))


def closures_met(opening: np.ndarray, times_s: np.ndarray, phonemes: Sequence[Phoneme], shut_level: float) -> Closures:
    """Whether lips of ``opening`` (n,) at ``times_s`` (n,) are closed where ``phonemes`` say so, and only there.

    Closed: ``opening <= shut_level`` (any unit), read between frames on a line. A hit: a p, b or m during which,
    give or take :data:`SLACK_S`, the lips are closed at one moment at least. A false closure: a sound that keeps the
    lips apart (opening target over .25 in :data:`TABLE`) during which they are closed at a moment that is farther than
    :data:`AROUND_S` from every p, b and m and from every pause. Such sounds without such a moment are not asked, nor is
    anything where the opening is unknown (NaN) or that lies outside ``times_s``.
    """
    known = np.isfinite(opening)
    times = np.asarray(times_s, np.float64)
    hits = asked = false = open_asked = 0
    if known.sum() < 2:
        return Closures(0, 0, 0, 0)
    frame_s = float(np.median(np.diff(times)))
    spans = [(start, end) for start, end, sound in phonemes if not sound or CLOSURES & set(symbols(sound)[:1])]
    shut_start, shut_end = (np.array(side) for side in zip(*spans, strict=True)) if spans else (np.zeros(0),) * 2

    def seen(start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
        moments = np.arange(start, end + _GRID_S / 2, _GRID_S)
        nearest = np.clip(np.searchsorted(times, moments - frame_s / 2), 0, len(times) - 1)
        moments = moments[known[nearest] & (np.abs(times[nearest] - moments) <= frame_s)]
        return moments, np.interp(moments, times[known], np.asarray(opening, np.float64)[known])

    for start, end, sound in phonemes:
        letters = symbols(sound)
        if end <= start or not letters:
            continue
        if letters[0] in CLOSURES:
            _, gaps = seen(start - SLACK_S, end + SLACK_S)
            asked += len(gaps) > 0
            hits += bool((gaps <= shut_level).any())
        elif min(TABLE[letter].opening for letter in letters) > _APART:
            moments, gaps = seen(start, end)
            near = (moments[:, None] > shut_start - AROUND_S) & (moments[:, None] < shut_end + AROUND_S)
            free = ~near.any(axis=1)
            open_asked += bool(free.any())
            false += bool((gaps[free] <= shut_level).any())
    return Closures(hits, asked, false, open_asked)
