"""What the acoustic model hears: mel cepstra with the noise taken out, and their slopes.

As in the model's training: 25 mel filters from 130 to 6800 Hz, noise by lower envelopes and temporal masking (Kim and
Stern, PNCC, 2012), 13 liftered cosine coefficients without their mean, differences over 40 ms and 60 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rendering.engine.voice.features import BLOCK, HOP, RATE, emphasised

_WINDOW, _FFT, FILTERS, _CEPSTRA = 410, 512, 25, 13
_LOW_HZ, _HIGH_HZ = 130.0, 6800.0
_LIFTER = 22
_LEVEL = 0.8 * 32767
"""The model was trained on 16-bit numbers of loud recordings."""
_LOUD = 0.9995
_POWER_MEMORY, _RISE, _FALL = 0.7, 0.995, 0.5
_MASKING, _MASKED = 0.85, 0.2
_MOST_GAIN = 20.0
_NEIGHBOURS = 4
"""As in the model's training: the noise removal of its own front end (sphinxbase, ``fe_noise.c``)."""


def mel_power(audio: np.ndarray, warps: Sequence[float] = (1.0,)) -> np.ndarray:
    """``audio`` (n,) float32 mono at 16 kHz -> (T, w, 25) float32, T = n // 160 + 1, frame i centred on i * 10 ms.

    Each of the w ``warps``, .85 to 1.16, stretches the filters' frequencies: above 1 for a vocal tract shorter than the
    average.
    """
    gain = _LEVEL / max(loud_level(audio), 1e-4)
    frames = len(audio) // HOP + 1
    taper = np.hamming(_WINDOW).astype(np.float32)
    power = np.empty((frames, len(warps), FILTERS), np.float32)
    for start in range(0, frames, BLOCK):
        count, first = min(BLOCK, frames - start), start * HOP - (_WINDOW // 2 - 5)
        sound = emphasised(audio, first, first + (count - 1) * HOP + _WINDOW, gain)
        windows = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::HOP]
        spectrum = np.abs(np.fft.rfft(windows * taper, _FFT)).astype(np.float32) ** 2
        for index, warp in enumerate(warps):
            power[start : start + count, index] = spectrum @ _filters(warp).T
    return power


def loud_level(audio: np.ndarray) -> float:
    """The percentile of ``audio`` (n,) float32 in magnitude that one sample in two thousand passes; no more than those
    are held beside a block, not an hour of sound in order."""
    if not len(audio):
        return 0.0
    place = _LOUD * (len(audio) - 1)
    above = np.zeros(0, np.float32)
    for start in range(0, len(audio), HOP * BLOCK):
        above = np.concatenate([above, np.abs(audio[start : start + HOP * BLOCK])])
        kept = min(len(above), len(audio) - int(place))
        above = np.partition(above, len(above) - kept)[len(above) - kept :]
    return float(np.percentile(np.sort(above)[:2], 100 * (place % 1)))


@lru_cache(maxsize=16)
def _filters(warp: float) -> np.ndarray:
    """Triangles of equal area with corners on the Fourier bins, (25, 257)."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    corners = 700 * (10 ** (np.linspace(low, high, FILTERS + 2) / 2595) - 1) * warp
    grid = RATE / _FFT
    corners = np.floor(corners / grid + 0.5) * grid
    bins = np.arange(_FFT // 2 + 1) * grid
    rise = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return (np.maximum(0, np.minimum(rise, fall)) * 2 / (corners[2:] - corners[:-2])[:, None]).astype(np.float32)


def without_noise(power: np.ndarray) -> np.ndarray:
    """``power`` (T, w, 25) with what is always there taken out, band by band."""
    near = np.abs(np.subtract.outer(np.arange(FILTERS), np.arange(FILTERS))) <= _NEIGHBOURS
    spread = (near / near.sum(1, keepdims=True)).T
    smooth, noise, floor = power[0].astype(np.float64), power[0] / _MOST_GAIN, power[0] / _MOST_GAIN
    peak = np.zeros(power.shape[1:])
    gains = np.empty_like(power)
    for frame, now in enumerate(power):
        smooth = _POWER_MEMORY * smooth + (1 - _POWER_MEMORY) * now
        noise = _envelope(noise, smooth)
        signal = np.maximum(smooth - noise, 1.0)
        floor = _envelope(floor, signal)
        peak = peak * _MASKING
        masked = np.where(signal < _MASKING * peak, peak * _MASKED, signal)
        peak = np.maximum(peak, signal)
        gains[frame] = np.maximum(masked, floor) / np.maximum(smooth, 1e-3)
    return power * (np.clip(gains, 1 / _MOST_GAIN, _MOST_GAIN) @ spread.astype(np.float32))


def _envelope(held: np.ndarray, now: np.ndarray) -> np.ndarray:
    """A lower envelope: rises slowly, falls at once."""
    return now + np.where(now >= held, _RISE, _FALL) * (held - now)


def cepstra(power: np.ndarray) -> np.ndarray:
    """``power`` (..., 25) -> (..., 13) float32."""
    order = np.arange(_CEPSTRA)
    cosines = np.sqrt(2 / FILTERS) * np.cos(np.pi * order[:, None] * (np.arange(FILTERS) + 0.5) / FILTERS)
    cosines[0] *= np.sqrt(0.5)
    lifted = cosines * (1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER))[:, None]
    return (np.log(power + 1e-4) @ lifted.T.astype(np.float32)).astype(np.float32)


def streams(cepstral: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """``cepstral`` (T, 13) without ``mean`` (13,), first and second differences: (T, 3, 13) float32."""
    count = len(cepstral)
    padded = np.pad(cepstral - mean, ((3, 3), (0, 0)), mode="edge")
    at = {shift: padded[3 + shift : 3 + shift + count] for shift in range(-3, 4)}
    return np.stack([at[0], at[2] - at[-2], (at[3] - at[-1]) - (at[1] - at[-3])], 1).astype(np.float32)
