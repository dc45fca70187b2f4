"""What the network hears: mel spectra in decibels, cut into a window for each frame of the picture.

The published parameters: 16 kHz, pre-emphasis .97, Hann window of 800 samples every 200, 80 triangles from 55 to
7600 Hz on Slaney's mel scale, each of the same area; 20 log10(max(1e-5, x)) - 20 dB, of which -100..0 dB become -4..4.
"""

from __future__ import annotations

import functools

import numpy as np

RATE = 16_000
WINDOW, HOP = 800, 200
"""Samples: 50 ms every 12.5 ms."""
BANDS, LOWEST_HZ, HIGHEST_HZ = 80, 55.0, 7600.0
PRE_EMPHASIS = 0.97
FLOOR = 1e-5
REFERENCE_DB, RANGE_DB, LIMIT = 20.0, 100.0, 4.0
SPECTRA_A_SECOND = RATE / HOP
SEEN = 16
"""Spectra that the network sees for one frame of the picture: .2 s."""
AT_ONCE = 2048
"""Spectra worked out together."""


def spectrogram(audio: np.ndarray) -> np.ndarray:
    """``audio`` (n,) float at 16 kHz, n > 400 -> (80, 1 + n // 200) float32 in -4..4.

    Spectrum k is that around k / 80 s; beyond its ends the sound is mirrored.
    """
    sharpened = np.append(audio[:1], audio[1:] - PRE_EMPHASIS * audio[:-1]).astype(np.float64)
    padded = np.pad(sharpened, WINDOW // 2, mode="reflect")
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    result = np.empty((BANDS, len(pieces)), np.float32)
    for start in range(0, len(pieces), AT_ONCE):
        size = np.abs(np.fft.rfft(pieces[start : start + AT_ONCE] * hann))
        level = 20 * np.log10(np.maximum(FLOOR, triangles() @ size.T)) - REFERENCE_DB
        scaled = 2 * LIMIT * (level + RANGE_DB) / RANGE_DB - LIMIT
        result[:, start : start + AT_ONCE] = np.clip(scaled, -LIMIT, LIMIT)
    return result


def windows(spectra: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """(frames, 80, 16) float32: for frame i the spectra from int(i * 80 / fps) on; the last ones where these end.

    ``spectra`` (80, T) with T >= 16, as :func:`spectrogram` makes them.
    """
    starts = (np.arange(frames) * (SPECTRA_A_SECOND / fps)).astype(int)
    starts = np.minimum(starts, spectra.shape[1] - SEEN)
    views = np.lib.stride_tricks.sliding_window_view(spectra, SEEN, axis=1)
    return np.ascontiguousarray(views[:, starts].transpose(1, 0, 2))


@functools.lru_cache(maxsize=1)
def triangles() -> np.ndarray:
    """(80, 401) float64: weights of the frequencies 0, 20, ... 8000 Hz in each band."""
    edges = _hertz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2))
    frequencies = np.arange(WINDOW // 2 + 1) * (RATE / WINDOW)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    result: np.ndarray = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return result


# Slaney's scale (Auditory Toolbox, 1998): straight up to 1 kHz, 200/3 Hz a mel; above it logarithmic, 27 mels from 1 to
# 6.4 kHz.
_STRAIGHT_HZ, _KNEE_HZ, _STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def _mel(hertz: float) -> float:
    if hertz < _KNEE_HZ:
        return hertz / _STRAIGHT_HZ
    return float(_KNEE_HZ / _STRAIGHT_HZ + np.log(hertz / _KNEE_HZ) / _STEP)


def _hertz(mels: np.ndarray) -> np.ndarray:
    knee = _KNEE_HZ / _STRAIGHT_HZ
    result: np.ndarray = np.where(
        mels < knee, mels * _STRAIGHT_HZ, _KNEE_HZ * np.exp(_STEP * (np.maximum(mels, knee) - knee))
    )
    return result
