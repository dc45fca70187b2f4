"""Known sounds and the mouth: what they make of a plan, where lips must meet, and whether they did.

Lips close on p, b, m; the lower lip comes to the teeth on f, v; o, u, w round. Each comes and goes as lips do: over
some 60 ms, held as long as the sound lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rendering.engine.voice.visemes import CLOSURES, LEAD_S, PAUSE, TABLE, Phoneme, closures, mouth, parts, symbols

LIPS_S = 0.028
"""How fast lips come and go: standard deviation of the flanks, seconds."""
HEARD_LIPS_S = 0.037
"""The same of closures that are only heard: when they are is less sure."""
HELD_S = 0.05
"""A closure is held this long at least, or pictures 40 ms apart would miss it."""
TEETH = 0.4
"""Opening of f and v: the share of the way from closed lips to the presenter's usual opening."""
ROUNDED = 0.7
"""How far o, u, w take the mouth from where the plan has it to where the sound would."""
LEAST_POWER = 0.75
"""How far openings are raised at most beside closures: a quarter of the way open becomes .35."""
_EASE_S = 0.04
_BLOCK, _AROUND_BLOCK_S = 500, 3.0
"""Moments at a time, and how far around them sounds count: all sounds of an hour at once would fill the memory."""
_ROUND = -0.6
"""Width targets of the table up to this are rounded sounds."""


def opinion(phonemes: Sequence[Phoneme], times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What known sounds say of the mouth at ``times_s`` (n,): (n, 2) opening and width in the units of
    :func:`.visemes.mouth`, and how far they are known there, (n, 1) 0..1: ``phonemes`` may leave stretches out."""
    times = np.asarray(times_s, np.float64)
    if not phonemes:
        return np.zeros((len(times), 2), np.float32), np.zeros((len(times), 1), np.float32)
    start, end = np.array([piece[:2] for piece in phonemes]).T
    last = np.clip(np.searchsorted(start, times, "right") - 1, 0, len(start) - 1)
    coming = np.minimum(last + 1, len(start) - 1)
    away = np.minimum(np.maximum(times - end[last], start[last] - times), np.abs(start[coming] - times))
    known = np.clip(1 - np.maximum(away, 0) / _EASE_S, 0, 1)
    said = np.zeros((len(times), 2), np.float32)
    for first in range(0, len(times), _BLOCK):
        block = times[first : first + _BLOCK]
        near = slice(*np.searchsorted(start, [block[0] - _AROUND_BLOCK_S, block[-1] + _AROUND_BLOCK_S]))
        if near.start < near.stop:
            said[first : first + _BLOCK] = mouth(phonemes[near], block, rest=PAUSE)
    return said, known[:, None].astype(np.float32)


def articulate(
    shape: np.ndarray,
    times_s: np.ndarray,
    phonemes: Sequence[Phoneme],
    shut: float,
    usual: np.ndarray,
    low: np.ndarray,
    lips_s: float = LIPS_S,
) -> np.ndarray:
    """``shape`` (n, 2), opening and width at ``times_s`` (n,), with what ``phonemes`` demand of the lips.

    ``shut``: opening of closed lips; ``usual``, ``low`` (2,): the presenter's mean and least; all in the unit of
    ``shape``. ``lips_s``: how fast lips meet and part. Only p, b, m, f, v and rounded sounds change anything.
    """
    shape = np.array(shape, np.float64)
    pieces = parts(phonemes)
    rounded = ROUNDED * _near(times_s, [piece[:2] for piece in pieces if piece[2].width <= _ROUND])
    teeth = _near(times_s, [piece[:2] for piece in pieces if piece[2] is TABLE["f"]])
    narrow = usual[1] + 0.75 * (low[1] - usual[1])
    shape[:, 1] += rounded * (np.minimum(shape[:, 1], narrow) - shape[:, 1])
    shape[:, 0] += teeth * (np.minimum(shape[:, 0], shut + TEETH * (usual[0] - shut)) - shape[:, 0])
    shape[:, 0] += closing(phonemes, times_s, lips_s) * (np.minimum(shape[:, 0], shut) - shape[:, 0])
    return shape


def with_heard(phonemes: Sequence[Phoneme], heard: Sequence[tuple[float, float]]) -> list[Phoneme]:
    """``phonemes``, and as "m" the closures ``heard`` (start_s, end_s) where they say nothing.

    A closure is heard while the lips are closed: what they are ahead of a sound by is taken off its beginning.
    """
    if not heard:
        return list(phonemes)
    _, known = opinion(phonemes, np.mean(heard, axis=1))
    free = [
        (min(start + LEAD_S, (start + end) / 2), end, "m")
        for (start, end), share in zip(heard, known[:, 0], strict=True)
        if share == 0
    ]
    return sorted([*phonemes, *free])


def reopened(opening: np.ndarray, wanted: float, weight: np.ndarray, shut: float, wide: float) -> np.ndarray:
    """``opening`` (n,) raised by a power between ``shut`` and ``wide``, both unmoved, to the mean ``wanted`` at most.

    ``weight`` (n,): what counts in the mean. A presenter's usual opening has their closures in it: where closures
    are added, all else has to open farther, the small openings most, or they would pass for closed.
    """
    span = max(wide - shut, 1e-6)
    share = np.clip((opening - shut) / span, 0, 1)

    def mean(power: float) -> float:
        return float(shut + span * np.average(share**power, weights=weight))

    if not weight.any() or mean(1.0) >= wanted:
        return opening
    low, high = LEAST_POWER, 1.0
    for _ in range(12):
        power = (low + high) / 2
        low, high = (power, high) if mean(power) >= wanted else (low, power)
    raised: np.ndarray = shut + span * share**high
    return raised


def closing(phonemes: Sequence[Phoneme], times_s: np.ndarray, lips_s: float = LIPS_S) -> np.ndarray:
    """(n,) 0..1: how far lips are on their way to a closure of ``phonemes`` at ``times_s`` (n,)."""
    return _near(times_s, closures(phonemes), lips_s)


def _near(times_s: np.ndarray, spans: Sequence[tuple[float, float]], lips_s: float = LIPS_S) -> np.ndarray:
    """(n,) 0..1: 1 while lips do what is asked in ``spans``, easing in and out; lips are :data:`.LEAD_S` ahead."""
    times = np.asarray(times_s, np.float64) + LEAD_S
    found = np.zeros(len(times))
    for start, end in spans:
        middle, half = (start + end) / 2, max(end - start, HELD_S) / 2
        here = slice(*np.searchsorted(times, [middle - half - 5 * lips_s, middle + half + 5 * lips_s]))
        away = np.maximum(np.abs(times[here] - middle) - half, 0)
        found[here] = np.maximum(found[here], np.exp(-0.5 * (away / lips_s) ** 2))
    return found


class Closures(NamedTuple):
    """How well lips kept to known sounds: closures met, of how many asked; open sounds shut, of how many asked."""

    hits: int
    asked: int
    false: int
    open_asked: int


SLACK_S = 0.04
"""One frame at 25 a second: lips meet that much before or after the sound of a closure."""
AROUND_S = 0.08
"""Lips that are closed this near a closure or a pause are on their way to or from it."""
_APART = 0.25
"""Sounds whose target opens farther than this keep the lips visibly apart: vowels, glides, l, r, velars."""
_GRID_S = 0.005


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
