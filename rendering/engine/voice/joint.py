"""The joint fine-tune: the base model learns one presenter while it keeps hearing many synthesised voices."""

from __future__ import annotations

import numpy as np

from rendering.engine.voice.base import BaseModel
from rendering.engine.voice.base_train import load_replay

STEPS, BATCH, LENGTH = 200, 6, 100
"""Half of each batch is the presenter, half the replay; pieces of 2 s at 50 Hz."""


def fine_tune(
    base: BaseModel, heard: np.ndarray, target: np.ndarray, known: np.ndarray, *, steps: int = STEPS, seed: int = 0
) -> BaseModel:
    """``heard`` (t, 83), ``target`` (t, 2) mean 0 sd 1, ``known`` (t,) bool, all at 50 Hz. A few seconds of CPU."""
    from rendering.engine.voice.base_net import repeatable

    with repeatable(seed):
        return _train(base, heard, target, known, steps, np.random.default_rng(seed))


def _train(
    base: BaseModel, heard: np.ndarray, target: np.ndarray, known: np.ndarray, steps: int, random: np.random.Generator
) -> BaseModel:
    import torch

    from rendering.engine.voice.adamw import AdamW
    from rendering.engine.voice.base_net import BaseNet

    replay_heard, replay_target = (torch.from_numpy(part) for part in load_replay())
    short = max(0, LENGTH - len(heard))
    mine = torch.from_numpy(np.pad(heard, ((0, short), (0, 0))).T.copy())
    truth = torch.from_numpy(np.pad(target, ((0, short), (0, 0))).T.copy().astype(np.float32))
    weight = torch.from_numpy(np.pad(known, (0, short)).astype(np.float32))
    net = BaseNet.from_model(base, dropout=0.25).train()
    optimiser = AdamW(net.parameters(), rate=1.5e-3, decay=0.05, steps=steps)
    for _ in range(steps):
        starts = random.integers(0, mine.shape[1] - LENGTH + 1, BATCH)
        rows = random.integers(0, len(replay_heard), BATCH)
        cuts = random.integers(0, replay_heard.shape[2] - LENGTH + 1, BATCH)
        batch = torch.stack(
            [mine[:, s : s + LENGTH] for s in starts]
            + [replay_heard[row][:, c : c + LENGTH] for row, c in zip(rows, cuts, strict=True)]
        )
        answers = net(batch)
        share = torch.stack([weight[s : s + LENGTH] for s in starts])[:, None]
        wrong = share * (answers[:BATCH] - torch.stack([truth[:, s : s + LENGTH] for s in starts])) ** 2
        other = torch.stack([replay_target[row][:, c : c + LENGTH] for row, c in zip(rows, cuts, strict=True)])
        loss = wrong.sum() / (2 * share.sum() + 1) + torch.nn.functional.mse_loss(answers[BATCH:], other)
        loss.backward()
        optimiser.step()
    return net.eval().to_model()
