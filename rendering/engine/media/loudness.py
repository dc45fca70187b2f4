"""Integrated loudness of a stream of sound (ITU-R BS.1770-4), in memory that grows by ten numbers a second."""

from __future__ import annotations

import numpy as np
from pyloudnorm.iirfilter import IIRfilter
from scipy.signal import lfilter

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
BLOCK_STEPS = 4
"""A gating block is 400 ms, one begins every 100 ms."""


class LoudnessMeter:
    """Takes (n, channels) float32 blocks, one or two channels, at ``rate`` Hz."""

    def __init__(self, rate: int) -> None:
        # The two stages of K weighting: the head's shelf and the low cut.
        self.filters = [
            IIRfilter(4.0, 1 / np.sqrt(2), 1500.0, rate, "high_shelf"),
            IIRfilter(0.0, 0.5, 38.0, rate, "high_pass"),
        ]
        self.state: list[np.ndarray] = []
        self.step = max(1, round(rate / 10))
        self.rest: np.ndarray | None = None
        self.energies: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        if not self.state:
            self.state = [np.zeros((2, block.shape[1])) for _ in self.filters]
        weighted = block.astype(np.float64)
        for number, stage in enumerate(self.filters):
            weighted, self.state[number] = lfilter(stage.b, stage.a, weighted, axis=0, zi=self.state[number])
        energy = (weighted**2).sum(axis=1)
        energy = energy if self.rest is None else np.concatenate([self.rest, energy])
        whole = len(energy) // self.step * self.step
        self.energies.append(energy[:whole].reshape(-1, self.step).mean(axis=1))
        self.rest = energy[whole:]

    def integrated(self) -> float:
        """LUFS; -70 for silence. A take too short for one block is measured whole."""
        steps = np.concatenate(self.energies) if self.energies else np.zeros(0)
        if len(steps) < BLOCK_STEPS:
            blocks = np.array([steps.mean() if len(steps) else 0.0])
        else:
            blocks = np.convolve(steps, np.ones(BLOCK_STEPS) / BLOCK_STEPS, "valid")
        loud = blocks[_lufs(blocks) > ABSOLUTE_GATE_LUFS]
        if len(loud) == 0:
            return ABSOLUTE_GATE_LUFS
        loud = loud[_lufs(loud) > _lufs(loud.mean()) + RELATIVE_GATE_LU]
        return float(_lufs(loud.mean()))


def _lufs(energy: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(energy, 1e-12))
