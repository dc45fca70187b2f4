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
BLOCK = 3000
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
    frames = len(audio) // HOP + 1
    taper = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    logged = np.empty((frames, DIMENSIONS), np.float32)
    for start in range(0, frames, BLOCK):
        count, first = min(BLOCK, frames - start), start * HOP - _WINDOW // 2
        sound = emphasised(audio, first, first + (count - 1) * HOP + _WINDOW)
        sound[max(0, len(audio) - first) :] = 0
        windows = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::HOP]
        spectrum = np.abs(np.fft.rfft(windows * taper, _FFT)).astype(np.float32) ** 2
        logged[start : start + count, :BANDS] = spectrum @ _filters().T
        logged[start : start + count, BANDS] = spectrum.sum(1)
    logged += 1e-12
    np.log(logged, out=logged)
    for columns in (slice(BANDS), slice(BANDS, None)):
        part = logged[:, columns]
        np.maximum(part, np.percentile(part, 99) - _FLOOR_NATS, out=part)
    return logged


def emphasised(audio: np.ndarray, start: int, stop: int, gain: float = 1.0) -> np.ndarray:
    """Samples ``start`` to ``stop`` of ``gain * audio`` (n,) float32, each less .97 of the one before: (m,) float32.

    ``start`` may lie before the sound and ``stop`` behind it: it is silent there.
    """
    piece = np.zeros(stop - start + 1, np.float32)
    within = audio[max(0, start - 1) : max(0, stop)]
    begin = max(0, 1 - start)
    piece[begin : begin + len(within)] = gain * within
    return piece[1:] - np.float32(0.97) * piece[:-1]


def loudest(audio: np.ndarray) -> float:
    """The greatest magnitude in ``audio`` (n,); 0 when there is none. Without a copy of an hour of sound."""
    return max(float(audio.max(initial=0.0)), -float(audio.min(initial=0.0)))


def features(audio: np.ndarray) -> np.ndarray:
    """:func:`log_mel` with mean 0 and variance 1 in every dimension over the whole sound: (T, 41) float32 at 100 Hz."""
    logged = log_mel(audio)
    mean, spread = logged.mean(0), logged.std(0) + 1e-3
    logged -= mean
    logged /= spread
    return logged


def at_times(values: np.ndarray, times_s: np.ndarray, rate: float = 1 / HOP_S) -> np.ndarray:
    """Rows of ``values`` (T, d) at ``times_s`` (n,), linear between frames, held at both ends: (n, d) float32."""
    place = np.clip(np.asarray(times_s, np.float64) * rate, 0, len(values) - 1)
    left = np.minimum(place.astype(np.int64), max(len(values) - 2, 0))
    share = (place - left)[:, None].astype(np.float32)
    right = np.minimum(left + 1, len(values) - 1)
    return (values[left] * (1 - share) + values[right] * share).astype(np.float32)
