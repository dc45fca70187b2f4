"""Networks for measuring: each learns from nothing but what the piece that it draws may be learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from rendering.engine.contract import MOUTHS_CHECKPOINT, MOUTHS_NETWORK
from rendering.engine.evaluate.clips import Studied
from rendering.engine.face.track import Track
from rendering.engine.neural import kept
from rendering.engine.neural.draw import Network
from rendering.engine.neural.footage import collect
from rendering.engine.neural.learn import initial_of, save
from rendering.engine.neural.train import Schedule, train


@dataclass(frozen=True)
class Mouths:
    """Where networks are kept, and how long one that is not there yet learns."""

    folder: Path
    steps: int
    size: int
    """Pixels a side of their squares."""
    initial: Path | None = None
    """Folder of a mouth model to begin with; one that has seen none of what is measured."""

    def network(self, studied: Studied, learned: Track, name: str) -> Network:
        """The network ``name`` of a clip, learnt now from the frames of ``learned`` unless it is kept.

        Raises ``mouths_too_little``, and ``stale_mouths`` for one of another engine.
        """
        folder = self.folder / studied.clip.path.stem / f"{name}-{self.size}-{self.steps}"
        if not (folder / MOUTHS_NETWORK).exists():
            folder.mkdir(parents=True, exist_ok=True)
            path, lips = studied.clip.path, studied.analysis.lips
            lessons = collect(path, studied.info, studied.folder, learned, lips, self.size)
            schedule = Schedule(steps=self.steps, warm_up=min(100, self.steps // 4))
            initial = initial_of(self.initial, self.size)
            save(folder, train(lessons, folder / MOUTHS_CHECKPOINT, schedule, initial=initial))
            (folder / MOUTHS_CHECKPOINT).unlink(missing_ok=True)
        return kept.load(folder, torch.device("cpu"))
