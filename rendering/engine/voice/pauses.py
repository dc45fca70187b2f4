"""Where somebody speaks, from loudness alone: good enough to let the mouth rest in the pauses of a take."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_closing, binary_dilation, gaussian_filter1d

from rendering.engine.voice.features import HOP_S, log_mel, loudest

_SHORT_PAUSE_S, _AROUND_S = 0.25, 0.12
_SILENT_NATS = 4.5
"""A frame this far (natural log of power) below the loud ones holds no speech."""


def activity(audio: np.ndarray) -> np.ndarray:
    """``audio`` (n,) float32 at 16 kHz -> (T,) float32 at 100 Hz: 1 where there is speech, 0 in pauses, eased."""
    if loudest(audio) < 1e-4:
        return np.zeros(len(audio) // 160 + 1, np.float32)
    loudness = gaussian_filter1d(log_mel(audio)[:, -1], 2)
    noise, loud = np.percentile(loudness, [5, 95])
    threshold = max(noise + 0.25 * (loud - noise), loud - _SILENT_NATS)
    speaking = loudness > threshold
    speaking = binary_closing(np.pad(speaking, 50, mode="edge"), np.ones(round(_SHORT_PAUSE_S / HOP_S)))[50:-50]
    speaking = binary_dilation(speaking, np.ones(2 * round(_AROUND_S / HOP_S) + 1))
    return np.clip(gaussian_filter1d(speaking.astype(np.float32), 4), 0, 1).astype(np.float32)
