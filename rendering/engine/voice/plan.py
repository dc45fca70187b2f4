"""Stage 6: what the presenter's mouth will do for a new take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendering.engine.voice import articulate, ridge, visemes
from rendering.engine.voice.base import BaseModel, hear, load_base
from rendering.engine.voice.closures import heard_closures
from rendering.engine.voice.features import at_times
from rendering.engine.voice.learn import VoiceModel, fuse
from rendering.engine.voice.pauses import activity
from rendering.engine.voice.phones import recognise

TEXT_SHARE, TEXT_USUAL = 0.5, np.array([[0.28, 0.08], [0.17, 0.33]])
"""Say of known sounds beside all that is heard, and the usual mean and sd of their opening and width."""
BESIDE_TEAM = 1 / 3
"""Say of the presenter's ridge beside a base model of the team's own, which has learnt from real mouths, too."""
STILL_MOUTH_IO = 0.04
"""A presenter whose opening ranges over less than this never shows an open mouth: general amounts are used instead."""
GENERAL_MEAN, GENERAL_SD = np.array([0.055, 0.0]), np.array([0.05, 0.03])
GENERAL_RANGE = np.array([[-0.055, -0.07], [0.17, 0.07]])
"""How talking mouths usually move, IO; width relative to the presenter's own."""
_TAKE_MEMORY_S = 5.0
"""A take shorter than this is scaled by what the library's own speech showed, a longer one by itself."""
_SMOOTH_S = (0.03, 0.08)
"""Of opening and width: lips spread and round more slowly than a jaw falls."""


def plan(
    model: VoiceModel,
    audio16k: np.ndarray,
    times_s: np.ndarray,
    *,
    amplitude: float = 1.0,
    phonemes: Sequence[visemes.Phoneme] | None = None,
    base: BaseModel | None = None,
) -> np.ndarray:
    """The planned mouth, (n, 8) float32 in the presenter's lip space, at ``times_s`` (n,) of the take.

    ``audio16k`` (m,) float32 mono at 16 kHz. ``amplitude``: opening relative to the presenter's own, .5..1.5.
    ``phonemes``: the take's sounds where they are known: they have a say, and the lips meet on p, b and m; elsewhere
    they meet where a closure is heard. ``base``: a model of any voice that the team has learnt itself, instead of the
    committed one; beside it the presenter's own model has less to say.
    """
    times = np.asarray(times_s, np.float64)
    if len(times) == 0:
        return np.zeros((0, len(model.rest)), np.float32)
    take = _listen(model, audio16k, times, base, phonemes or ())
    shape = _shape(model, take, amplitude)
    mouth = np.column_stack([shape, np.ones(len(shape))]) @ model.lift
    if take.own is not None:
        # The ridge knows more of the mouth than opening and width: keep the part that those two do not say.
        free = model.trust * (1 - articulate.closing(take.sounds, times, take.lips_s)[:, None])
        mouth += free * (take.own[:, 2:] - take.own[:, :2] @ model.lift[:2])
    talking = take.talking[:, None]
    mouth = np.clip(mouth, model.mouth_low, model.mouth_high) if _mouth_moves(model) else mouth
    return (talking * mouth + (1 - talking) * model.rest).astype(np.float32)


def plan_shape(
    model: VoiceModel,
    audio16k: np.ndarray,
    times_s: np.ndarray,
    *,
    amplitude: float = 1.0,
    phonemes: Sequence[visemes.Phoneme] | None = None,
    base: BaseModel | None = None,
) -> np.ndarray:
    """Opening and width alone, (n, 2) float32 IO, pauses not yet at rest; arguments as for :func:`plan`."""
    take = _listen(model, audio16k, np.asarray(times_s, np.float64), base, phonemes or ())
    return _shape(model, take, amplitude).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Take:
    """What is heard of a take at ``times`` (n,) s."""

    times: np.ndarray
    talking: np.ndarray
    """(n,) 0..1."""
    general: np.ndarray
    """(n, 2): what the base model says."""
    own_say: float
    """Of the presenter's ridge, beside 1 for the base."""
    own: np.ndarray | None
    """(n, 10): opening, width and mouth by the presenter's ridge; None without trust."""
    phonemes: Sequence[visemes.Phoneme]
    """Sounds that are known beforehand."""
    sounds: Sequence[visemes.Phoneme]
    """They, and the closures heard where nothing is known."""

    @property
    def lips_s(self) -> float:
        """How fast lips meet and part."""
        return articulate.LIPS_S if self.phonemes else articulate.HEARD_LIPS_S


def _listen(
    model: VoiceModel,
    audio16k: np.ndarray,
    times: np.ndarray,
    base: BaseModel | None,
    phonemes: Sequence[visemes.Phoneme],
) -> _Take:
    trusted = model.ridge is not None and model.trust > 0
    own = model.ridge.predict(ridge.listen(audio16k), times) if model.ridge is not None and trusted else None
    talking = at_times(activity(audio16k)[:, None], times)[:, 0]
    heard = hear(audio16k)
    sounds = articulate.with_heard(phonemes, heard_closures(heard, recognise(audio16k).soft))
    general = (base or load_base()).predict(heard, times)
    own_say = model.trust * (1.0 if base is None else BESIDE_TEAM)
    return _Take(times, talking, general, own_say, own, phonemes, sounds)


def _mouth_moves(model: VoiceModel) -> bool:
    return model.opening_range >= STILL_MOUTH_IO


def _shape(model: VoiceModel, take: _Take, amplitude: float) -> np.ndarray:
    talking, times = take.talking, take.times
    fused = _z(take.general, talking, times, model.usual[1])
    if take.own is not None:
        fused = fuse(_z(take.own[:, :2], talking, times, model.usual[0]), fused, take.own_say)
    if take.phonemes:
        said, known = articulate.opinion(take.phonemes, times)
        fused += known * TEXT_SHARE * (_z(said, talking, times, TEXT_USUAL) - fused)
    if len(times) > 5:
        step = max(float(np.median(np.diff(times))), 1e-3)
        fused = np.stack([gaussian_filter1d(fused[:, c], _SMOOTH_S[c] / step) for c in range(2)], axis=1)
    fused = _z(fused, talking, times, model.usual[2])
    if _mouth_moves(model):
        mean, sd, low, high = model.shape_mean, model.shape_sd, model.shape_low, model.shape_high
    else:
        still = model.shape_mean * [0, 1]
        mean, sd = GENERAL_MEAN + still, GENERAL_SD
        low, high = mean + GENERAL_RANGE[0], mean + GENERAL_RANGE[1]
    shape = mean + fused * sd * [amplitude, 1.0]
    usual, shut = np.average(np.clip(shape[:, 0], low[0], high[0]), weights=talking + 1e-6), float(low[0])
    shape = articulate.articulate(shape, times, take.sounds, shut, mean, low, take.lips_s)
    shape[:, 0] = articulate.reopened(shape[:, 0], float(usual), talking, shut, float(high[0]))
    return np.clip(shape, low, high)


def _z(said: np.ndarray, talking: np.ndarray, times: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """``said`` (n, 2) with mean 0 and sd 1 over the talking frames; short takes lean on ``usual`` (2, 2), mean and sd.

    One word has no range of its own: it is not blown up to a sentence's movement.
    """
    loud = said[talking > 0.5] if (talking > 0.5).any() else said[:0]
    seconds = len(loud) * (float(np.median(np.diff(times))) if len(times) > 1 else 0.04)
    share = seconds / (seconds + _TAKE_MEMORY_S)
    mean = share * loud.mean(0) + (1 - share) * usual[0] if len(loud) else usual[0]
    spread = ((loud - mean) ** 2).mean(0) if len(loud) else usual[1] ** 2
    return (said - mean) / np.sqrt(np.maximum(share * spread + (1 - share) * usual[1] ** 2, 1e-8))
