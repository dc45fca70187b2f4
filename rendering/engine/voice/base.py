"""The base model: from any voice to how far the mouth opens and how wide it is. Inference needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rendering.engine.voice.features import DIMENSIONS, HOP_S, at_times, features
from rendering.engine.voice.phones import IPA, recognise
from rendering.engine.voice.visemes import probable_mouth

HEARD = DIMENSIONS + len(IPA) + 2
"""Columns of :func:`hear`."""
_UNHEARD = 1e-3
"""Sounds less likely than this say nothing, and zeros pack small."""
CHANNELS = 64
DILATIONS = (1, 2, 4, 8)
FRAME_S = 0.02
WEIGHTS = Path(__file__).with_name("base.npz")
FIGURES = Path(__file__).with_name("base.json")
"""How the committed weights were made and what they reached, as ``train-base`` prints it."""

Weights = dict[str, np.ndarray]


def hear(audio16k: np.ndarray) -> np.ndarray:
    """``audio16k`` (n,) float32 mono at 16 kHz -> what the base model goes by, (T, 83) float32 at 100 Hz.

    41 columns of :func:`features`; for each of the 40 sounds twice the root of its probability (:func:`recognise`, the
    mean of ``soft`` and ``shares``); and
    what the viseme rule says of those sounds, opening and width (:func:`probable_mouth`).
    """
    heard = recognise(audio16k)
    told = np.empty((len(heard.soft), HEARD), np.float32)
    sounds = told[:, DIMENSIONS:-2]
    np.add(heard.soft, heard.shares, out=sounds)
    sounds *= 0.5
    told[:, -2:] = probable_mouth(sounds, list(IPA.values()), rate=1 / HOP_S)
    sounds[sounds <= _UNHEARD] = 0
    np.sqrt(sounds, out=sounds)
    sounds *= 2
    told[:, :DIMENSIONS] = features(audio16k)
    return told


def halve(heard: np.ndarray) -> np.ndarray:
    """(T, 83) of :func:`hear` at 100 Hz -> (ceil(T/2), 83) at 50 Hz, pairs averaged."""
    if len(heard) % 2:
        heard = np.concatenate([heard, heard[-1:]])
    return 0.5 * (heard[0::2] + heard[1::2])


@dataclass(frozen=True)
class BaseModel:
    """Two opinions added: a temporal convolution net's, and the viseme rule's on the sounds recognised.

    The net: 83 -> 64 channels, four residual layers (kernel 3, dilations 1 2 4 8), 64 -> 2. ``weights``: ``in.w``
    (64, 83), ``in.b``, ``k.w`` (64, 64, 3), ``k.b`` for k in 0..3, ``out.w`` (2, 64), ``out.b``, and ``rule`` (2,), by
    which the last two columns of what is heard are multiplied.
    """

    weights: Weights

    def predict(self, heard: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        """(T, 83) of :func:`hear` -> (n, 2) float32 at ``times_s``: opening and width, about mean 0 and sd 1."""
        return read_curve(self.curve(heard), times_s)

    def curve(self, heard: np.ndarray) -> np.ndarray:
        """(T, 83) of :func:`hear` -> (t, 2) float32 at 50 Hz, for :func:`read_curve`: one pass, many questions."""
        return self.forward(halve(heard))

    def forward(self, frames: np.ndarray) -> np.ndarray:
        """(t, 83) of :func:`halve` -> (t, 2) float32."""
        if frames.ndim != 2 or frames.shape[1] != HEARD:
            raise ValueError(f"features (t, {HEARD}) expected, got {frames.shape}")
        hidden = layers(frames, self.weights)
        rule = frames[:, -2:] * self.weights["rule"]
        return (hidden @ self.weights["out.w"].T + self.weights["out.b"] + rule).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write as .npz in half precision (about 115 KB)."""
        halved: dict[str, Any] = {name: value.astype(np.float16) for name, value in self.weights.items()}
        np.savez(path, **halved)


def layers(frames: np.ndarray, weights: Weights) -> np.ndarray:
    """(t, d) through ``in.w`` (c, d) and as many residual layers as ``weights`` has, dilated by 1, 2, 4 ...: (t, c)."""
    hidden = np.maximum(frames @ weights["in.w"].T + weights["in.b"], 0)
    layer = 0
    while f"{layer}.w" in weights:
        kernel, dilation = weights[f"{layer}.w"], 2**layer
        padded = np.pad(hidden, ((dilation, dilation), (0, 0)))
        total = padded[: len(hidden)] @ kernel[:, :, 0].T
        for tap in (1, 2):
            total += padded[tap * dilation : tap * dilation + len(hidden)] @ kernel[:, :, tap].T
        total += weights[f"{layer}.b"]
        hidden += np.maximum(total, 0, out=total)
        layer += 1
    return hidden


def read_curve(curve: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """What :meth:`BaseModel.curve` gave, read at ``times_s`` (n,): (n, 2) float32."""
    return at_times(curve, np.asarray(times_s) - HOP_S / 2, 1 / FRAME_S)


def load_base(path: Path = WEIGHTS) -> BaseModel:
    """Read a base model; the committed one by default."""
    with np.load(path, allow_pickle=False) as stored:
        return BaseModel({name: stored[name].astype(np.float32) for name in stored.files})
