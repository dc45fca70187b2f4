"""What the mouth does for each speech sound: a rule table and Gaussian dominance over time.

The targets follow the classic viseme classes (vowel height and rounding, labial closure, labiodental, sibilant); each
sound pulls the mouth towards its target around its own middle, as strongly as its dominance (Cohen and Massaro 1993).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

Phoneme = tuple[float, float, str]
"""Start and end in seconds, and the sound in IPA ("" for silence)."""


@dataclass(frozen=True)
class Viseme:
    """Target ``opening`` 0 (lips closed) .. 1 (wide open), ``width`` -1 (rounded) .. 1 (spread), and how strongly
    each is asked for."""

    opening: float
    width: float
    opening_pull: float = 1.0
    width_pull: float = 1.0


REST = Viseme(0.0, 0.0, 0.8, 0.5)
PAUSE = Viseme(0.15, 0.0, 0.2, 0.3)
"""A living speaker's silence: the lips rarely meet, breath is taken, the next sound is already formed."""
_NEUTRAL = Viseme(0.28, 0.05, 0.35, 0.2)

_CLASSES: tuple[tuple[str, Viseme], ...] = (
    ("aɑɐæʌ", Viseme(1.00, 0.15, 1.0, 0.6)),
    ("ɛ", Viseme(0.72, 0.45, 1.0, 0.8)),
    ("ɜɞɘ", Viseme(0.55, -0.05, 0.9, 0.6)),
    ("e", Viseme(0.52, 0.60, 1.0, 0.9)),
    ("ɪ", Viseme(0.40, 0.50, 0.9, 0.8)),
    ("iɨ", Viseme(0.28, 0.85, 1.0, 1.0)),
    ("ə", Viseme(0.42, 0.00, 0.6, 0.4)),
    ("ɔɒ", Viseme(0.78, -0.45, 1.0, 0.9)),
    ("oɵ", Viseme(0.50, -0.75, 1.0, 1.0)),
    ("uʊɯ", Viseme(0.22, -0.95, 1.0, 1.1)),
    ("yʏ", Viseme(0.20, -0.80, 1.0, 1.1)),
    ("øœ", Viseme(0.42, -0.60, 1.0, 1.0)),
    ("pbmɓɱ", Viseme(0.00, 0.00, 6.0, 0.15)),
    ("fv", Viseme(0.07, 0.20, 2.5, 0.5)),
    ("ɸβ", Viseme(0.08, -0.30, 2.0, 0.5)),
    ("wʍɥ", Viseme(0.14, -0.95, 1.6, 1.3)),
    ("ʃʒɕʑʂʐ", Viseme(0.22, -0.35, 1.1, 0.8)),
    ("ɹɻɚɝ", Viseme(0.30, -0.40, 0.8, 0.6)),
    ("szθðɬ", Viseme(0.16, 0.25, 1.1, 0.5)),
    ("tdnɾɳɲʈɖ", Viseme(0.22, 0.15, 0.7, 0.3)),
    ("lɫɭʎr", Viseme(0.32, 0.10, 0.6, 0.3)),
    ("j", Viseme(0.26, 0.55, 0.9, 0.7)),
    ("kɡgŋqɢxɣχʁhɦħʔcɟç", Viseme(0.32, 0.05, 0.45, 0.15)),
)
TABLE: dict[str, Viseme] = {symbol: viseme for symbols, viseme in _CLASSES for symbol in symbols}
VOWELS = frozenset("aɑɐæʌɛɜɞɘeɪiɨəɔɒoɵuʊɯyʏøœɚɝ")
CLOSURES = frozenset("pbm")
"""Sounds for which the lips must meet."""

LEAD_S = 0.02
"""Lips move this much ahead of the sound they make."""
_FIRST_OF_GLIDE = 0.6
"""Share of a diphthong's time that belongs to its first vowel."""
_STRESS = 1.15
_REACH_S = (0.06, 0.08)
"""How far a sound that is only probable pulls at opening and width."""
_MOST_PULL = 3.0
"""What is only probable may close the lips half as firmly as what is known."""


def symbols(sound: str) -> list[str]:
    """The IPA letters of one phoneme event that the table knows: accents, length and stress marks left out."""
    bare = unicodedata.normalize("NFD", sound)
    return [letter for letter in bare if letter in TABLE]


def parts(phonemes: Iterable[Phoneme], rest: Viseme = REST) -> list[tuple[float, float, Viseme]]:
    """(start_s, end_s, viseme) with diphthongs and affricates split over their event's time."""
    found: list[tuple[float, float, Viseme]] = []
    for start, end, sound in phonemes:
        letters = symbols(sound)
        if not sound or end <= start:
            viseme = rest if end - start > 0.03 else _NEUTRAL
            found.append((start, end, viseme))
            continue
        targets = [TABLE[letter] for letter in letters] or [_NEUTRAL]
        if "ˈ" in sound and letters and letters[0] in VOWELS:
            first = targets[0]
            targets[0] = Viseme(min(1.15, first.opening * _STRESS), first.width, first.opening_pull, first.width_pull)
        cuts = np.linspace(start, end, len(targets) + 1)
        if len(targets) == 2:
            cuts[1] = start + _FIRST_OF_GLIDE * (end - start)
        found += [(float(a), float(b), target) for a, b, target in zip(cuts[:-1], cuts[1:], targets, strict=True)]
    return found


def mouth(
    phonemes: Sequence[Phoneme], times_s: np.ndarray, *, lead_s: float = LEAD_S, rest: Viseme = REST
) -> np.ndarray:
    """Where the mouth is at ``times_s`` (n,): (n, 2) float32, opening 0..~1.1 and width -1..1.

    ``lead_s``: lips move ahead of the sound they make. ``rest``: what silence asks for.
    """
    times = np.asarray(times_s, np.float64)
    if not phonemes:
        return np.zeros((len(times), 2), np.float32)
    pieces = parts(phonemes, rest)
    start = np.array([piece[0] for piece in pieces])
    end = np.array([piece[1] for piece in pieces])
    middle, spread = (start + end) / 2 - lead_s, 0.42 * (end - start) + 0.018
    # Silence before and after the text holds the mouth at rest however far away it is.
    middle = np.concatenate([[start[0] - 0.12], middle, [end[-1] + 0.12]])
    spread = np.concatenate([[0.05], spread, [0.05]])
    visemes = [rest, *(piece[2] for piece in pieces), rest]
    clock = np.clip(times, start[0] - 0.2, end[-1] + 0.2)
    bell = np.exp(-0.5 * ((clock[:, None] - middle[None]) / spread[None]) ** 2) + 1e-9
    columns = []
    for target, pull in (("opening", "opening_pull"), ("width", "width_pull")):
        goal = np.array([getattr(viseme, target) for viseme in visemes])
        weight = bell * np.array([getattr(viseme, pull) for viseme in visemes])
        columns.append((weight * goal).sum(1) / weight.sum(1))
    return np.stack(columns, 1).astype(np.float32)


def probable_mouth(chances: np.ndarray, sounds: Sequence[str], *, rate: float = 100.0) -> np.ndarray:
    """Where the mouth is when each sound is only probable: (T, 2) float32 at ``rate`` Hz, as of :func:`mouth`.

    ``chances`` (T, n) the probability of each of ``sounds`` ("" for silence) in each frame.
    """
    pulls = [[TABLE[letter] for letter in symbols(sound)] or [PAUSE] for sound in sounds]
    columns = []
    for target, pull, reach_s in zip(("opening", "width"), ("opening_pull", "width_pull"), _REACH_S, strict=True):
        goal = np.array([np.mean([getattr(part, target) for part in parts]) for parts in pulls])
        weight = np.array([np.mean([min(getattr(part, pull), _MOST_PULL) for part in parts]) for parts in pulls])
        asked = gaussian_filter1d(chances @ np.stack([weight * goal, weight], 1), reach_s * rate, axis=0)
        columns.append(asked[:, 0] / asked[:, 1])
    ahead = np.minimum(np.arange(len(chances)) + round(LEAD_S * rate), len(chances) - 1)
    return np.stack(columns, 1)[ahead].astype(np.float32)


def closures(phonemes: Iterable[Phoneme]) -> list[tuple[float, float]]:
    """Spans (start_s, end_s) in which the lips must meet: p, b and m."""
    return [(start, end) for start, end, sound in phonemes if end > start and CLOSURES & set(symbols(sound)[:1])]
