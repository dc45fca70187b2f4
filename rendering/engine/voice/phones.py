"""Which sounds are spoken, by anybody: a phone recogniser that needs neither the text nor the language.

The acoustic model is pocketsphinx's (:mod:`acoustic`). It was made for English; other languages come out as the nearest
English sounds, which is near enough to see a mouth by. Every frame keeps the probability of every sound.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from threading import Lock

import numpy as np
from threadpoolctl import ThreadpoolController

from rendering.engine.voice.acoustic import STATES, AcousticModel, load_acoustic_model
from rendering.engine.voice.cepstra import cepstra, mel_power, streams, without_noise
from rendering.engine.voice.features import HOP, HOP_S, RATE, loudest
from rendering.engine.voice.pauses import activity
from rendering.engine.voice.visemes import Phoneme

IPA: dict[str, str] = {
    "SIL": "", "AA": "ɑ", "AE": "æ", "AH": "ə", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d",
    "DH": "ð", "EH": "ɛ", "ER": "ɚ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ",
    "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s",
    "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""The recogniser's names, in the order of the columns of ``Phones.soft``, and what they sound like. English AH is a
schwa far more often than the vowel of "cup"."""
COLUMNS = {name: column for column, name in enumerate(IPA)}

WARPS = (0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12, 1.16)
"""Vocal tract lengths tried; the one under which the sound is likeliest is kept."""
_WARP_FRAMES, _WARP_LOOKS = 2000, 500
"""The length is chosen by about so many looks at the first speaking frames, but every second frame of a short sound."""
_ROUNDS, _LEAST_LOOKS = 8, 30
"""The looks are taken in so many rounds; from so many of them on, a length may drop out."""
_BEHIND = 3.0
"""Standard errors of the mean difference by which a length that drops out is behind the best one."""
_SHARPNESS = 0.2
"""Power applied to the likelihoods: neighbouring frames and streams are far from independent."""
_DECISIVE = 3.0
"""How much sharper the likelihoods are where one sequence has to be named."""
_LONGEST_S = 30.0
"""A piece searched at a time; cut in the quietest place, so that an hour of sound needs little more than its result."""
_KEPT, _KEPT_FRAMES = 3, 60_000
"""Sounds that are remembered, and how much of them: ten minutes, 20 MB. The last one is, however long."""


@dataclass(frozen=True, eq=False)
class Phones:
    """What was heard.

    ``soft`` (T, 40) float32 at 100 Hz, T as of ``features``, rows sum to 1: the probability of each sound of ``IPA``.
    ``shares`` (T, 40) float32, rows sum to 1: how well each sound fits that frame alone, whatever is before and after;
    less sure than ``soft`` and richer, for what learns its own context. ``warp``: the speaker's vocal tract, above 1
    shorter than the average.
    """

    soft: np.ndarray
    shares: np.ndarray
    warp: float = 1.0


_heard: OrderedDict[bytes, Phones] = OrderedDict()
_lock = Lock()


def recognise(audio16k: np.ndarray) -> Phones:
    """``audio16k`` (n,) float32 mono at 16 kHz -> what is spoken in it. About 1 s of CPU per minute of sound.

    Deterministic. Asked again for one of its last sounds, a process answers from memory.
    """
    audio = np.ascontiguousarray(audio16k, np.float32)
    if audio.ndim != 1:
        raise ValueError(f"mono sound expected, got shape {audio.shape}")
    key = hashlib.blake2b(audio.data, digest_size=16).digest()
    with _lock:
        if key in _heard:
            _heard.move_to_end(key)
            return _heard[key]
        with _cores().limit(limits=1):  # matrices this small lose time when they are shared out
            found = _recognise(audio)
        _heard[key] = found
        while len(_heard) > 1 and (len(_heard) > _KEPT or _remembered() > _KEPT_FRAMES):
            _heard.popitem(last=False)
    return found


def _remembered() -> int:
    return sum(len(phones.soft) for phones in _heard.values())


@lru_cache(maxsize=1)
def _cores() -> ThreadpoolController:
    return ThreadpoolController()


def sequence(audio16k: np.ndarray) -> tuple[Phoneme, ...]:
    """``audio16k`` (n,) float32 mono at 16 kHz -> the likeliest sounds one after another: (start_s, end_s, IPA; "" for
    silence and noise), from the beginning to the end without gaps. Not remembered."""
    audio = np.ascontiguousarray(audio16k, np.float32)
    if _silent(audio):
        return ((0.0, len(audio) / RATE, ""),)
    model, warp = load_acoustic_model(), recognise(audio).warp
    with _cores().limit(limits=1):
        fitting = _fitting(model, audio, _speaking(audio), warp)
        best = np.array(_columns(model))[
            np.concatenate([likeliest(model, _DECISIVE * likelihood) for _, likelihood in fitting])
        ]
    edges = np.flatnonzero(np.diff(best)) + 1
    names = list(IPA)
    return tuple(
        (float(first) * HOP_S, float(last) * HOP_S, IPA[names[best[first]]])
        for first, last in zip([0, *edges], [*edges, len(best)], strict=True)
    )


def _recognise(audio: np.ndarray) -> Phones:
    soft, shares = np.zeros((2, len(audio) // HOP + 1, len(IPA)), np.float32)
    if _silent(audio):
        soft[:, COLUMNS["SIL"]] = 1
        return Phones(soft, soft)
    model, speaking = load_acoustic_model(), _speaking(audio)
    warp = _warp(model, audio, speaking)
    for piece, likelihood in _fitting(model, audio, speaking, warp):
        probability, fit = smoothed(model, likelihood).sum(2), np.exp(likelihood).sum(2)
        fit /= fit.sum(1, keepdims=True)
        for phone, column in enumerate(_columns(model)):
            soft[piece, column] += probability[:, phone]
            shares[piece, column] += fit[:, phone]
    return Phones(soft, shares, warp)


def _silent(audio: np.ndarray) -> bool:
    return len(audio) < RATE // 10 or loudest(audio) < 1e-4


def _speaking(audio: np.ndarray) -> np.ndarray:
    """(T,) bool: where somebody speaks; everywhere, if hardly anywhere."""
    speaking = activity(audio) > 0.5
    if speaking.sum() < 20:
        speaking[:] = True
    return speaking


def _columns(model: AcousticModel) -> list[int]:
    """The column of each of the model's phones."""
    return [COLUMNS.get(name, COLUMNS["SIL"]) for name in model.names]


def _fitting(
    model: AcousticModel, audio: np.ndarray, speaking: np.ndarray, warp: float
) -> Iterator[tuple[slice, np.ndarray]]:
    """Piece after piece, its frames and (t, 42, 3) how well each state fits them, flattened; 0 for the best."""
    heard = cepstra(without_noise(mel_power(audio, (warp,)))[:, 0])
    heard = streams(heard, heard[speaking].mean(0))
    for start, end in pairwise(pieces(audio)):
        likelihood = model.likelihood(heard[start:end])
        yield slice(start, end), _SHARPNESS * (likelihood - likelihood.max((1, 2), keepdims=True))


def _warp(model: AcousticModel, audio: np.ndarray, speaking: np.ndarray) -> float:
    """The vocal tract length under which what is spoken is likeliest.

    Lengths that are clearly behind after some of the looks are not tried on the rest.
    """
    where = np.flatnonzero(speaking)[:_WARP_FRAMES]
    piece = audio[where[0] * HOP : (where[-1] + 1) * HOP]
    spoken = where - where[0]
    tried = cepstra(without_noise(mel_power(piece, WARPS)))
    step = max(2, len(spoken) // _WARP_LOOKS)
    looks = np.stack([streams(tried[:, k], tried[spoken, k].mean(0))[spoken][::step] for k in range(len(WARPS))])
    left, fits = np.arange(len(WARPS)), np.empty((len(WARPS), 0), np.float32)
    for number in range(_ROUNDS):
        asked = looks[left, number::_ROUNDS]
        found = model.likelihood(asked.reshape(-1, *asked.shape[2:])).max((1, 2))
        fits = np.concatenate([fits, found.reshape(len(left), -1)], axis=1)
        behind = fits[fits.mean(1).argmax()] - fits
        if fits.shape[1] >= _LEAST_LOOKS:
            close = behind.mean(1) <= _BEHIND * behind.std(1) / np.sqrt(fits.shape[1])
            left, fits = left[close], fits[close]
        if len(left) == 1:
            break
    return WARPS[left[fits.mean(1).argmax()]]


def smoothed(model: AcousticModel, likelihood: np.ndarray) -> np.ndarray:
    """Forward and backward: (T, 42, 3) log-likelihoods -> (T, 42, 3) float32 probabilities given the whole piece."""
    fits = np.exp(likelihood).astype(np.float64)
    stay, leave = model.stay, 1 - model.stay
    forward = np.empty_like(fits)
    now = np.zeros(fits.shape[1:])
    now[:, 0] = 1 / len(now)
    for frame, fit in enumerate(fits):
        if frame:
            moved = now * leave
            now = now * stay
            now[:, 1:] += moved[:, :-1]
            now[:, 0] += moved[:, -1] @ model.follows
        now = now * fit
        now /= now.sum()
        forward[frame] = now
    found = np.empty(fits.shape, np.float32)
    ahead = np.ones(fits.shape[1:])
    for frame in range(len(fits) - 1, -1, -1):
        product = forward[frame] * ahead
        found[frame] = product / product.sum()
        coming = ahead * fits[frame]
        ahead = coming * stay
        ahead[:, :-1] += leave[:, :-1] * coming[:, 1:]
        ahead[:, -1] += leave[:, -1] * (model.follows @ coming[:, 0])
        ahead /= ahead.sum()
    return found


def likeliest(model: AcousticModel, likelihood: np.ndarray) -> np.ndarray:
    """The one likeliest sequence (Viterbi): (T, 42, 3) log-likelihoods -> the phone of each frame, (T,)."""
    stay, leave = np.log(model.stay), np.log(1 - model.stay)
    follows = np.log(model.follows) + leave[:, -1:]
    phones = np.arange(len(stay))
    score = np.full(stay.shape, -1e9)
    score[:, 0] = 0
    moved = np.zeros((len(likelihood), *stay.shape), bool)
    before = np.zeros((len(likelihood), len(stay)), np.int16)
    for frame, fit in enumerate(likelihood):
        if frame:
            entering = score[:, -1:] + follows
            before[frame] = entering.argmax(0)
            come = np.column_stack([entering[before[frame], phones], score[:, :-1] + leave[:, :-1]])
            held = score + stay
            moved[frame] = come > held
            score = np.maximum(come, held)
        score = score + fit
    phone, state = divmod(int(score.argmax()), STATES)
    found = np.empty(len(likelihood), np.int64)
    for frame in range(len(likelihood) - 1, -1, -1):
        found[frame] = phone
        if moved[frame, phone, state]:
            phone, state = (phone, state - 1) if state else (int(before[frame, phone]), STATES - 1)
    return found


def pieces(audio: np.ndarray) -> list[int]:
    """First frames of pieces of at most 30 s, and the end; cut where it is quietest."""
    frames, longest = len(audio) // HOP + 1, round(_LONGEST_S / HOP_S)
    speaking = activity(audio)
    cuts = [0]
    while frames - cuts[-1] > longest:
        begin, end = cuts[-1] + longest // 2, cuts[-1] + longest
        cuts.append(begin + int(speaking[begin:end].argmin()))
    return [*cuts, frames]
