"""Stage 6: what the presenter's mouth will do for a new take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from rendering.engine.voice import articulate, ridge, visemes
from rendering.engine.voice.base import BaseModel, hear, load_base
from rendering.engine.voice.features import at_times
from rendering.engine.voice.learn import OPENING_STEPS, VoiceModel
from rendering.engine.voice.pauses import activity

RIDGE_SHARE, BASE_SHARE, JOINT_SHARE = 1.0, 1.0, 0.5
"""Say in the plan, each opinion at sd 1. The joint net is good for the presenter's own voice, the other two for any."""
TEXT_SHARE, TEXT_SD = 0.5, np.array([0.25, 0.4])
"""Say of known sounds beside all that is heard, and how much their opening and width usually vary."""
STILL_MOUTH_IO = 0.04
"""A presenter whose opening ranges over less than this never shows an open mouth: general amounts are used instead."""
GENERAL_MEAN, GENERAL_SD = np.array([0.055, 0.0]), np.array([0.05, 0.03])
GENERAL_RANGE = np.array([[-0.055, -0.07], [0.17, 0.07]])
"""How talking mouths usually move, IO; width relative to the presenter's own."""
_TAKE_MEMORY_S = 5.0
"""A take shorter than this is scaled by what the library's own speech showed, a longer one by itself."""
_SMOOTH_S = (0.03, 0.06)
"""Of opening and width: lips spread and round more slowly than a jaw falls."""
_LIKE_LIBRARY = 0.5
"""How far openings are spread as the presenter's are (mostly small, a few wide), not evenly about their mean."""


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
    ``phonemes``: where the take's sounds are known, the lips meet on p, b and m. ``base``: the model of any voice that
    was learned with, by default the committed one.
    """
    times = np.asarray(times_s, np.float64)
    if len(times) == 0:
        return np.zeros((0, len(model.rest)), np.float32)
    take = _listen(model, audio16k, times, base)
    shape = _shape(model, take, amplitude, phonemes)
    mouth = np.column_stack([shape, np.ones(len(shape))]) @ model.lift
    if take.own is not None:
        # The ridge knows more of the mouth than opening and width: keep the part that those two do not say.
        free = model.trust * (1 - articulate.closing(phonemes or (), times)[:, None])
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
    take = _listen(model, audio16k, np.asarray(times_s, np.float64), base)
    return _shape(model, take, amplitude, phonemes).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Take:
    """What is heard of a take at ``times`` (n,) s."""

    times: np.ndarray
    talking: np.ndarray
    """(n,) 0..1."""
    general: np.ndarray
    """(n, 2): what the base model says."""
    own: np.ndarray | None
    """(n, 10): opening, width and mouth by the presenter's ridge; None without trust."""
    joint: np.ndarray | None
    """(n, 2): what the presenter's fine-tuned base says; None without trust."""


def _listen(model: VoiceModel, audio16k: np.ndarray, times: np.ndarray, base: BaseModel | None) -> _Take:
    heard = hear(audio16k)
    own = joint = None
    if model.ridge is not None and model.joint is not None and model.trust > 0:
        own = model.ridge.predict(ridge.listen(audio16k), times)
        joint = BaseModel(model.joint).predict(heard, times)
    talking = at_times(activity(audio16k)[:, None], times)[:, 0]
    return _Take(times, talking, (base or load_base()).predict(heard, times), own, joint)


def _mouth_moves(model: VoiceModel) -> bool:
    return model.opening_range >= STILL_MOUTH_IO


def _shape(model: VoiceModel, take: _Take, amplitude: float, phonemes: Sequence[visemes.Phoneme] | None) -> np.ndarray:
    opinions = [(BASE_SHARE, model.own_sd[1], take.general)]
    if take.own is not None and take.joint is not None:
        opinions.append((RIDGE_SHARE * model.trust, model.own_sd[0], take.own[:, :2]))
        opinions.append((JOINT_SHARE * model.trust, model.own_sd[2], take.joint))
    talking, times = take.talking, take.times
    fused = np.sum([share * _z(said, talking, sd, times) for share, sd, said in opinions], axis=0)
    if phonemes:
        said, known = articulate.opinion(phonemes, times)
        fused /= sum(share for share, _, _ in opinions)
        fused += known * TEXT_SHARE * (_z(said, talking, TEXT_SD, times) - fused)
    if len(times) > 5:
        step = max(float(np.median(np.diff(times))), 1e-3)
        fused = np.stack([gaussian_filter1d(fused[:, c], _SMOOTH_S[c] / step) for c in range(2)], axis=1)
    fused = _z(fused, talking, None, times)
    if _mouth_moves(model):
        mean, sd, low, high = model.shape_mean, model.shape_sd, model.shape_low, model.shape_high
        spread = np.interp(ndtr(fused[:, 0]), OPENING_STEPS, model.opening_steps)
        fused[:, 0] += _LIKE_LIBRARY * (spread - fused[:, 0])
    else:
        still = model.shape_mean * [0, 1]
        mean, sd = GENERAL_MEAN + still, GENERAL_SD
        low, high = mean + GENERAL_RANGE[0], mean + GENERAL_RANGE[1]
    shape = mean + fused * sd * [amplitude, 1.0]
    if phonemes:
        shape = articulate.articulate(shape, times, phonemes, float(low[0]), mean, low)
    return np.clip(shape, low, high)


def _z(said: np.ndarray, talking: np.ndarray, own_sd: np.ndarray | None, times: np.ndarray) -> np.ndarray:
    """``said`` (n, 2) with mean 0 and sd 1 over the talking frames; short takes lean on ``own_sd`` (2,)."""
    loud = said[talking > 0.5] if (talking > 0.5).sum() > 5 else said
    sd = loud.std(0)
    if own_sd is not None:
        seconds = len(loud) * (float(np.median(np.diff(times))) if len(times) > 1 else 0.04)
        sd = np.sqrt((seconds * sd**2 + _TAKE_MEMORY_S * own_sd**2) / (seconds + _TAKE_MEMORY_S))
    return (said - loud.mean(0)) / np.maximum(sd, 1e-4)
