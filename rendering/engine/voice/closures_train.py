"""Trains the net that hears closures, from the base model's corpus: synthesised speech alone, from one seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rendering.engine.voice.closures import scores
from rendering.engine.voice.features import DIMENSIONS

if TYPE_CHECKING:
    import torch

    from rendering.engine.voice.base_train import Clip

UNHEARD = (3, 11, 13, 35)
"""Voices kept out of training: the base model's, and that of the Mandarin presenter whom the suite films."""
_SEGMENT, _BATCH = 150, 16
_JITTER, _LOUDER = 0.3, 0.3
"""sd of the noise on the bands, one value per band and, at .7 of that, one per frame; and, as a logarithm, of a factor
on each sound's share: no sound of the recogniser is to be believed alone."""
_CLOSED_COUNTS = 2.0
"""A frame in a closure counts as much as so many others: they are fewer."""
_FILE = "closures.npz"


def train_closures(clips: list[Clip], out: Path, *, seed: int, steps: int) -> dict[str, float]:
    """Train on ``clips`` and write ``closures.npz`` into the folder ``out``; returns the figures: of the unheard
    voices' closures, the share that is heard, and how many are heard where there is none."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from rendering.engine.voice.base_net import ClosureNet, repeatable

    kept = [clip for clip in clips if clip.voice not in UNHEARD and len(clip.heard) > _SEGMENT]
    random = np.random.default_rng(seed + 2)
    with repeatable(seed):
        net = ClosureNet()
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=2e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
        for _ in range(steps):
            heard, closed = (torch.from_numpy(part) for part in _batch(kept, random))
            loss = binary_cross_entropy_with_logits(
                net(_spoilt(heard)), closed, pos_weight=torch.tensor(_CLOSED_COUNTS)
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model = net.eval().to_model()
    model.save(out / _FILE)
    met, asked, wrong = np.sum(
        [scores(model.chance(clip.heard), clip.closed) for clip in clips if clip.voice in UNHEARD], axis=0
    )
    return {
        "closures_heard_unheard_voices": round(float(met) / max(int(asked), 1), 3),
        "closures_wrong_unheard_voices": round(float(wrong) / max(int(asked), 1), 3),
    }


def _batch(clips: list[Clip], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random pieces of 3 s: heard (16, 83, 150) and closed (16, 150), float32."""
    heard, closed = [], []
    for index in random.integers(0, len(clips), _BATCH):
        clip = clips[index]
        start = int(random.integers(0, len(clip.heard) - _SEGMENT))
        heard.append(clip.heard[start : start + _SEGMENT].T)
        closed.append(clip.closed[start : start + _SEGMENT])
    return np.stack(heard), np.stack(closed).astype(np.float32)


def _spoilt(heard: torch.Tensor) -> torch.Tensor:
    """``heard`` (16, 83, t) with noise on the bands and every sound of the recogniser louder or fainter."""
    import torch

    bands, sounds = heard[:, :DIMENSIONS], heard[:, DIMENSIONS:]
    bands = bands + _JITTER * (torch.randn(*bands.shape[:2], 1) + 0.7 * torch.randn_like(bands))
    return torch.cat([bands, sounds * torch.exp(_LOUDER * torch.randn(*sounds.shape[:2], 1))], 1)
