"""When a known text is said: its phones on the clock of the take, whoever speaks.

The text is synthesised, and the synthesised speech, whose phones are known, is warped onto the take (dynamic time
warping; Sakoe and Chiba 1978) by what both sound like: cepstra, and the recogniser's phone probabilities, which do not
depend on the speaker. Stretches in which the two do not sound alike are not followed and get no phones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import dct
from scipy.ndimage import gaussian_filter1d

from rendering.engine.contract import TEXT_FOLLOWED
from rendering.engine.errors import EngineError
from rendering.engine.voice.features import BANDS, HOP_S, log_mel
from rendering.engine.voice.pauses import activity
from rendering.engine.voice.phones import recognise
from rendering.engine.voice.speak import Speech, speak
from rendering.engine.voice.visemes import Phoneme

VARIANT = "m3"
USUAL_RATE, SLOWEST, FASTEST = 160, 100, 320
"""Words a minute."""
PHONES_SHARE, CEPSTRA_SHARE = 1.0, 0.5
"""Weights of the squared distances of standardised log phone probabilities and of standardised cepstra."""
_LEAST = 3e-3
"""Probability under which a phone is not heard at all."""
PACE = (48, 350)
"""Words a minute outside which nobody reads: a text that would have to be said so is not what the take says."""
MAX_LETTERS_S = 40.0
"""Letters that nobody says in a second: what a longer text has more than that cannot be in the take."""
ALIKE = 0.05
"""How much nearer the take must be to the text than to the text's words in reverse order, 1 being the distance of two
unrelated moments: what is said reached .06 to .30 over three seconds, wrong texts -.11 to .04."""
_JUDGED_S = 1.5
"""Half-width of the bell over which likeness is judged."""
_PIECE, _KEPT_PART = 4000, 2500
"""Frames of the take that are searched at a time, and of them kept: the rest only shows the way."""
_REACH = 1.6
"""Length of synthesised speech searched for a piece, relative to the piece."""
# Costs; 1 is the distance of two moments that have nothing to do with each other.
_STAY, _SKIP = 0.03, (0.0, 0.015, 0.08)
"""Per frame, of standing still in the synthesised speech, and of moving on by one, two or three frames."""
_QUIET, _TALKING = 0.005, 1.0
"""Per frame that the take spends between two words, silent or talking."""
_OVER_PAUSE = 0.08
"""Of passing over a pause that the text has and the take has not."""
_UNSAID = 0.03
"""Per frame of synthesised speech that the end of the take leaves unsaid."""
_LATE_START = 0.08
"""Per frame of synthesised speech that a piece of the take begins after where it should."""
_PAUSE_S = 0.05


@dataclass(frozen=True)
class Alignment:
    """What is said when. Seconds of the take.

    ``phonemes``: (start, end, IPA; "" for a pause), in order, of the followed stretches alone. ``words``: likewise, as
    written. ``spans``: the stretches that follow the text. ``followed``: share of the take's speech within them, 0..1.
    ``readable``: whether there is a voice that reads the text; without one nothing is known of it.
    """

    phonemes: tuple[Phoneme, ...]
    words: tuple[Phoneme, ...]
    spans: tuple[tuple[float, float], ...]
    followed: float
    readable: bool = True

    @property
    def trusted(self) -> bool:
        """Whether the take says the text; otherwise there are no phones."""
        return self.followed >= TEXT_FOLLOWED


def align(audio16k: np.ndarray, text: str, language: str) -> Alignment:
    """Find ``text`` in ``audio16k`` (n,) float32 mono at 16 kHz. ``language``: as for :class:`.speak.Sentence`.

    A text that is not said, in whole or in part, is no error: see :attr:`Alignment.followed`. Neither is one that
    cannot be spoken (empty, or in a language without a voice). Deterministic. Some 5 s of CPU per minute of sound.
    """
    nothing = Alignment((), (), (), 0.0)
    talking = activity(audio16k) > 0.5
    if not text.strip():
        return replace(nothing, readable=False)
    if talking.sum() * HOP_S < _PAUSE_S:
        return nothing
    try:
        said = _at_the_pace_of(talking, text[: round(MAX_LETTERS_S * len(talking) * HOP_S) + 200], language)
    except EngineError as error:
        return replace(nothing, readable=error.code != "no_voice")
    if said is None:
        return nothing
    take, spoken = _on_one_scale(_Sound.of(audio16k), _Sound.of(said.audio))
    path = _warp(take, spoken, _Places.of(said, len(spoken)))
    other, between = _in_reverse(spoken, said)
    nearer = distance(take, other, _warp(take, other, between)) - distance(take, spoken, path)
    alike = nearer >= ALIKE
    followed = float(alike[take.talking].mean()) if take.talking.any() else 0.0
    if followed < TEXT_FOLLOWED:
        return Alignment((), (), (), followed)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], alike, [False]]).astype(int)))
    spans = tuple((float(a) * HOP_S, float(b) * HOP_S) for a, b in zip(edges[::2], edges[1::2], strict=True))
    clock = _Clock(path)
    return Alignment(clock.events(said.phonemes, spans), clock.events(said.words, spans), spans, followed)


def _at_the_pace_of(talking: np.ndarray, text: str, language: str) -> Speech | None:
    """``text`` spoken about as fast as the take, whose ``talking`` (T,) frames are known; None: nobody reads so."""
    usual = speak(text, language, variant=VARIANT, words_per_minute=USUAL_RATE)
    ratio = (activity(usual.audio) > 0.5).sum() / talking.sum()
    if not PACE[0] <= USUAL_RATE * ratio <= PACE[1]:
        return None
    rate = int(np.clip(USUAL_RATE * ratio, SLOWEST, FASTEST))
    return speak(text, language, variant=VARIANT, words_per_minute=rate)


@dataclass(frozen=True, eq=False)
class _Sound:
    """``heard`` (T, d) float32: squared distances between rows say how unlike two moments sound."""

    heard: np.ndarray
    talking: np.ndarray

    def __len__(self) -> int:
        return len(self.heard)

    @classmethod
    def of(cls, audio16k: np.ndarray) -> _Sound:
        bands, talking = log_mel(audio16k), activity(audio16k) > 0.5
        talking = talking if talking.sum() > 20 else np.ones(len(talking), bool)
        cepstra = _standard(dct(bands[:, :BANDS], norm="ortho", axis=1)[:, 1:13], talking)
        slopes = _standard(np.gradient(gaussian_filter1d(cepstra, 1.0, axis=0), axis=0), talking)
        loud = np.maximum((bands[:, BANDS] - np.percentile(bands[talking, BANDS], 95)) / 4, -2)
        phones = np.log(gaussian_filter1d(recognise(audio16k).soft, 1.5, axis=0) + _LEAST)
        size = min(len(phones), len(cepstra))
        phones = _standard(phones[:size], talking[:size])
        weighed = np.concatenate(
            [
                np.sqrt(CEPSTRA_SHARE / 12) * np.hstack([cepstra, 0.7 * slopes])[:size],
                np.sqrt(CEPSTRA_SHARE / 2) * loud[:size, None],
                np.sqrt(PHONES_SHARE / phones.shape[1]) * phones,
            ],
            axis=1,
        )
        return cls(weighed.astype(np.float32), talking[:size])


def _on_one_scale(take: _Sound, spoken: _Sound) -> tuple[_Sound, _Sound]:
    """The two scaled so that the mean squared distance of any two moments of their speech is 1."""
    a, b = take.heard[take.talking], spoken.heard[spoken.talking]
    unrelated = float((a**2).sum(1).mean() + (b**2).sum(1).mean() - 2 * a.mean(0) @ b.mean(0))
    scale = np.float32(1 / np.sqrt(max(unrelated, 1e-6)))
    return _Sound(take.heard * scale, take.talking), _Sound(spoken.heard * scale, spoken.talking)


def _standard(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return (values - values[where].mean(0)) / (values[where].std(0) + 1e-3)


@dataclass(frozen=True, eq=False)
class _Places:
    """``word_ends``: last frames of words, at which a take may pause. ``pauses``: (frame before, frame after)."""

    word_ends: np.ndarray
    pauses: np.ndarray

    @classmethod
    def of(cls, said: Speech, frames: int) -> _Places:
        # The synthesiser's words and sounds begin some milliseconds apart: a word ends where a sound does.
        sounds = np.array([end for _, end, _ in said.phonemes] or [0.0])
        snapped = np.array([sounds[np.abs(sounds - end).argmin()] for _, end, _ in said.words])
        ends = np.unique(np.clip(np.round(snapped / HOP_S).astype(int) - 1, 0, frames - 1))
        pauses = [
            (max(round(start / HOP_S) - 1, 0), min(round(end / HOP_S), frames - 1))
            for start, end, sound in said.phonemes
            if not sound and end - start > 0.03
        ]
        return cls(ends, np.array(pauses, int).reshape(-1, 2))

    def within(self, start: int, stop: int) -> _Places:
        ends = self.word_ends[(self.word_ends >= start) & (self.word_ends < stop)] - start
        inside = (self.pauses[:, 0] >= start) & (self.pauses[:, 1] < stop)
        return _Places(ends, self.pauses[inside] - start)


def _warp(take: _Sound, spoken: _Sound, places: _Places) -> np.ndarray:
    """The frame of ``spoken`` that each frame of ``take`` says, (T,) int, never falling; piece by piece."""
    path = np.zeros(len(take), int)
    done, at = 0, 0
    while done < len(take):
        stop = min(done + _PIECE, len(take))
        last = stop == len(take)
        end = min(len(spoken), at + round(_REACH * (stop - done)) + 200)
        piece = _search(take, slice(done, stop), spoken, slice(at, end), places.within(at, end), last)
        kept = stop if last else done + _KEPT_PART
        path[done:kept] = at + piece[: kept - done]
        done, at = kept, int(path[kept - 1])
    return path


def _search(take: _Sound, now: slice, spoken: _Sound, window: slice, places: _Places, last: bool) -> np.ndarray:
    """The cheapest path of ``take[now]`` through ``spoken[window]``: places in the window, (n,) int."""
    rows, columns = take.heard[now], spoken.heard[window]
    pausing = np.where(take.talking[now], _TALKING, _QUIET).astype(np.float32)
    n, m = len(rows), len(columns)
    stay = np.full(m, _STAY, np.float32)
    stay[places.word_ends] = 0.0
    leave, enter = places.pauses.T
    step = np.zeros((n, m), np.uint8)
    length = (columns**2).sum(1)
    total = np.zeros(0, np.float32)
    for first in range(0, n, 200):
        block = rows[first : first + 200]
        cost = np.maximum((block**2).sum(1)[:, None] + length - 2 * block @ columns.T, 0)
        cost[:, places.word_ends] = np.minimum(cost[:, places.word_ends], pausing[first : first + 200, None])
        for t, here in enumerate(cost, first):
            if t == 0:
                total = here + np.float32(_LATE_START) * np.arange(m, dtype=np.float32)
                continue
            best, how = total + stay, step[t]
            for move, extra in enumerate(_SKIP, 1):
                come = total[:-move] + np.float32(extra)
                better = come < best[move:]
                best[move:][better], how[move:][better] = come[better], move
            over = total[leave] + np.float32(_OVER_PAUSE)
            better = over < best[enter]
            best[enter[better]], how[enter[better]] = over[better], len(_SKIP) + 1
            total = best + here
    if last:
        total = total + np.float32(_UNSAID) * np.arange(m, dtype=np.float32)[::-1]
    before = dict(zip(enter.tolist(), leave.tolist(), strict=True))
    path = np.empty(n, int)
    place = int(total.argmin())
    for t in range(n - 1, -1, -1):
        path[t] = place
        move = int(step[t, place])
        place = before[place] if move > len(_SKIP) else place - move
    return path


def _in_reverse(spoken: _Sound, said: Speech) -> tuple[_Sound, _Places]:
    """The words of ``said`` in reverse order: the same voice and sounds, but another text."""
    words = [(round(start / HOP_S), min(round(end / HOP_S), len(spoken))) for start, end, _ in said.words[::-1]]
    order = np.concatenate([np.arange(start, end) for start, end in words])
    ends = np.cumsum([max(end - start, 0) for start, end in words]) - 1
    return _Sound(spoken.heard[order], spoken.talking[order]), _Places(np.unique(ends), np.zeros((0, 2), int))


def distance(take: _Sound, spoken: _Sound, path: np.ndarray) -> np.ndarray:
    """(T,) float32: mean distance along ``path`` in the speech around each frame; 0 is the same, 1 unrelated."""
    apart = ((take.heard - spoken.heard[path]) ** 2).sum(1)
    weight = gaussian_filter1d(take.talking.astype(np.float64), _JUDGED_S / HOP_S) + 1e-6
    near = gaussian_filter1d(np.where(take.talking, apart, 0.0), _JUDGED_S / HOP_S) / weight
    return near.astype(np.float32)


class _Clock:
    """Times of the synthesised speech on the clock of the take."""

    def __init__(self, path: np.ndarray) -> None:
        self._place, self._frame = np.unique(path, return_index=True)

    def _begin(self, frame: int) -> float:
        """When the take comes to ``frame`` of the synthesised speech, or past it."""
        at = min(int(np.searchsorted(self._place, frame)), len(self._frame) - 1)
        return float(self._frame[at]) * HOP_S

    def _end(self, frame: int) -> float:
        """When the take has said ``frame``; a word waits in its last frame, and that waiting is a pause."""
        at = max(int(np.searchsorted(self._place, frame, "right")) - 1, 0)
        return float(self._frame[at] + 1) * HOP_S

    def events(
        self, events: list[tuple[float, float, str]], spans: tuple[tuple[float, float], ...]
    ) -> tuple[Phoneme, ...]:
        """``events`` whose middle lies in ``spans``, with a pause where the take makes one."""
        found: list[Phoneme] = []
        for start, end, name in events:
            first, last = round(start / HOP_S), max(round(end / HOP_S) - 1, round(start / HOP_S))
            begin, stop = self._begin(first), self._end(last)
            middle = (begin + stop) / 2
            if stop <= begin or not any(early <= middle < late for early, late in spans):
                continue
            if found and begin - found[-1][1] < _PAUSE_S:
                found[-1] = (found[-1][0], max(begin, found[-1][0]), found[-1][2])
            elif found:
                found.append((found[-1][1], begin, ""))
            found.append((begin, stop, name))
        return tuple(found)
