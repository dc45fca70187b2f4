"""What is heard, as numbers: log-mel bands at 100 Hz."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

RATE = 16000
HOP_S = 0.01
BANDS = 40
DIMENSIONS = BANDS + 1
HOP = 160
_WINDOW, _FFT = 400, 512
_LOW_HZ, _HIGH_HZ = 60.0, 7600.0
_FLOOR_NATS = 12.0
_BLOCK = 3000
"""Frames analysed at a time: half a minute, so that an hour of sound needs no more memory than its result."""


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    """Triangular mel filters (HTK scale), (40, 257) float32."""

    def mel(hz: np.ndarray | float) -> np.ndarray:
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    edges = 700 * (10 ** (np.linspace(mel(_LOW_HZ), mel(_HIGH_HZ), BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_FFT, 1 / RATE)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


def log_mel(audio: np.ndarray) -> np.ndarray:
    """``audio`` (n,) float32 mono at 16 kHz -> (T, 41) float32 at 100 Hz: 40 log-mel bands and log-energy, unscaled.

    Frame i is centred on i * 10 ms. Pre-emphasis .97, 25 ms Hann, floor 12 nats under the 99th percentile.
    """
    audio = np.asarray(audio, np.float32)
    if audio.ndim != 1:
        raise ValueError(f"mono sound expected, got shape {audio.shape}")
    emphasised = np.append(audio[:1], audio[1:] - 0.97 * audio[:-1])
    frames = len(audio) // HOP + 1
    padded = np.pad(emphasised, (_WINDOW // 2, _WINDOW // 2 + HOP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP][:frames]
    taper = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.empty((frames, DIMENSIONS), np.float32)
    for start in range(0, frames, _BLOCK):
        spectrum = np.abs(np.fft.rfft(windows[start : start + _BLOCK] * taper, _FFT)).astype(np.float32) ** 2
        power[start : start + _BLOCK, :BANDS] = spectrum @ _filters().T
        power[start : start + _BLOCK, BANDS] = spectrum.sum(1)
    logged = np.log(power + 1e-12)
    floor = np.percentile(logged[:, :BANDS], 99) - _FLOOR_NATS
    logged[:, :BANDS] = np.maximum(logged[:, :BANDS], floor)
    logged[:, BANDS] = np.maximum(logged[:, BANDS], np.percentile(logged[:, BANDS], 99) - _FLOOR_NATS)
    return logged


def features(audio: np.ndarray) -> np.ndarray:
    """:func:`log_mel` with mean 0 and variance 1 in every dimension over the whole sound: (T, 41) float32 at 100 Hz."""
    logged = log_mel(audio)
    return ((logged - logged.mean(0)) / (logged.std(0) + 1e-3)).astype(np.float32)


def at_times(values: np.ndarray, times_s: np.ndarray, rate: float = 1 / HOP_S) -> np.ndarray:
    """Rows of ``values`` (T, d) at ``times_s`` (n,), linear between frames, held at both ends: (n, d) float32."""
    place = np.clip(np.asarray(times_s, np.float64) * rate, 0, len(values) - 1)
    left = np.minimum(place.astype(np.int64), max(len(values) - 2, 0))
    share = (place - left)[:, None].astype(np.float32)
    right = np.minimum(left + 1, len(values) - 1)
    return (values[left] * (1 - share) + values[right] * share).astype(np.float32)
