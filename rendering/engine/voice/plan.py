"""Stage 6: what the presenter's mouth will do for a new take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendering.engine.voice import visemes
from rendering.engine.voice.base import BaseModel, load_base
from rendering.engine.voice.features import at_times, context, features
from rendering.engine.voice.learn import VoiceModel
from rendering.engine.voice.pauses import activity

RIDGE_SHARE, BASE_SHARE, JOINT_SHARE = 1.0, 0.5, 1.0
STILL_MOUTH_IO = 0.04
"""A presenter whose opening ranges over less than this never shows an open mouth: general amounts are used instead."""
GENERAL_MEAN, GENERAL_SD = np.array([0.055, 0.0]), np.array([0.05, 0.03])
GENERAL_RANGE = np.array([[-0.055, -0.07], [0.17, 0.07]])
"""How talking mouths usually move, IO; width relative to the presenter's own."""
_TAKE_MEMORY_S = 5.0
"""A take shorter than this is scaled by what the library's own speech showed, a longer one by itself."""
_SMOOTH_S = 0.02
_CLOSING_S = 0.03


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
    heard = features(audio16k)
    own = _own_mouths(model, heard, times)
    shape = _shape(model, heard, audio16k, times, own, amplitude, phonemes, base or load_base())
    mouth = np.column_stack([shape, np.ones(len(shape))]) @ model.lift
    if own is not None:
        # The ridge knows more of the mouth than opening and width: keep the part that those two do not say.
        read = np.column_stack([own, np.ones(len(own))]) @ model.read
        mouth += model.trust * (own - np.column_stack([read, np.ones(len(read))]) @ model.lift)
    talking = at_times(activity(audio16k)[:, None], times)
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
    times, heard = np.asarray(times_s, np.float64), features(audio16k)
    own = _own_mouths(model, heard, times)
    return _shape(model, heard, audio16k, times, own, amplitude, phonemes, base or load_base()).astype(np.float32)


def _mouth_moves(model: VoiceModel) -> bool:
    return model.opening_range >= STILL_MOUTH_IO


def _own_mouths(model: VoiceModel, heard: np.ndarray, times: np.ndarray) -> np.ndarray | None:
    """The ridge's mouths (n, 8), a minute at a time: an hour's contexts would not fit in memory. None without trust."""
    if model.ridge is None or model.trust <= 0:
        return None
    starts = range(0, len(times), 1500)
    return np.concatenate([model.ridge.predict(context(heard, times[start : start + 1500])) for start in starts])


def _shape(
    model: VoiceModel,
    heard: np.ndarray,
    audio16k: np.ndarray,
    times: np.ndarray,
    own: np.ndarray | None,
    amplitude: float,
    phonemes: Sequence[visemes.Phoneme] | None,
    base: BaseModel,
) -> np.ndarray:
    talking = at_times(activity(audio16k)[:, None], times)[:, 0]
    opinions = [(BASE_SHARE, model.own_sd[1], base.predict(heard, times))]
    if own is not None and model.joint is not None:
        read = np.column_stack([own, np.ones(len(own))]) @ model.read
        opinions.append((RIDGE_SHARE * model.trust, model.own_sd[0], read))
        opinions.append((JOINT_SHARE * model.trust, model.own_sd[2], BaseModel(model.joint).predict(heard, times)))
    fused = np.sum([share * _z(said, talking, sd, times) for share, sd, said in opinions], axis=0)
    if len(times) > 5:
        step = float(np.median(np.diff(times)))
        fused = gaussian_filter1d(fused, _SMOOTH_S / max(step, 1e-3), axis=0)
    fused = _z(fused, talking, None, times)
    if _mouth_moves(model):
        mean, sd, low, high = model.shape_mean, model.shape_sd, model.shape_low, model.shape_high
    else:
        still = model.shape_mean * [0, 1]
        mean, sd = GENERAL_MEAN + still, GENERAL_SD
        low, high = mean + GENERAL_RANGE[0], mean + GENERAL_RANGE[1]
    shape = mean + fused * sd * [amplitude, 1.0]
    if phonemes is not None:
        shape[:, 0] = _closed(shape[:, 0], times, phonemes, float(low[0]))
    return np.clip(shape, low, high)


def _z(said: np.ndarray, talking: np.ndarray, own_sd: np.ndarray | None, times: np.ndarray) -> np.ndarray:
    """``said`` (n, 2) with mean 0 and sd 1 over the talking frames; short takes lean on ``own_sd`` (2,)."""
    loud = said[talking > 0.5] if (talking > 0.5).sum() > 5 else said
    sd = loud.std(0)
    if own_sd is not None:
        seconds = len(loud) * (float(np.median(np.diff(times))) if len(times) > 1 else 0.04)
        sd = np.sqrt((seconds * sd**2 + _TAKE_MEMORY_S * own_sd**2) / (seconds + _TAKE_MEMORY_S))
    return (said - loud.mean(0)) / np.maximum(sd, 1e-4)


def _closed(opening: np.ndarray, times: np.ndarray, phonemes: Sequence[visemes.Phoneme], shut: float) -> np.ndarray:
    """``opening`` (n,) with the lips brought together in the middle of every p, b and m."""
    for start, end in visemes.closures(phonemes):
        reach = max(_CLOSING_S, 0.5 * (end - start))
        near = np.exp(-0.5 * ((times - (start + end) / 2) / reach) ** 2)
        opening = opening + near * (np.minimum(opening, shut) - opening)
    return opening
