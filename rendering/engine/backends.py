"""Back ends by name. They share every stage but one: the step that makes the mouth.

A new back end is one entry in :data:`BACKENDS`: a function that takes a :class:`Scene` and returns something with a
``compose`` method. It is called once per render, when the footage order and the plan are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from rendering.engine.analysis import PATCHES
from rendering.engine.contract import Tier
from rendering.engine.errors import EngineError
from rendering.engine.face.choose import Library, choose, head_turn, shot_of, speed
from rendering.engine.face.compose import Composer
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.profile import Patches
from rendering.engine.face.track import Track
from rendering.engine.media.frame import Frame


@dataclass(frozen=True, eq=False)
class Scene:
    """What is to be drawn: ``n`` output frames over the presenter's footage."""

    track: Track
    lips: LipSpace
    tier: Tier
    analysis: Path
    """The folder that ``prepare`` wrote."""
    order: np.ndarray
    """(n,) int: the footage frame under each output frame."""
    plan: np.ndarray
    """(n, 8) float32: the planned mouth, in the lip space."""
    library: Track
    """The track with only those frames followed whose mouths may be lent."""


class MouthMaker(Protocol):
    """Draws the mouths of one render."""

    def compose(self, frame: Frame, t: int) -> bool:
        """Draw the mouth of output frame ``t`` into ``frame``, in place; False when the frame keeps its own."""
        ...

    def close(self) -> None:
        """Let go of files and devices."""
        ...


class Exemplar:
    """The presenter's own mouths, chosen by dynamic programming, bent to the plan and blended in."""

    def __init__(self, scene: Scene) -> None:
        self.patches = Patches(scene.analysis / PATCHES) if scene.tier != "C" else None
        chosen = None
        if self.patches is not None:
            library = Library.of(scene.library, scene.lips, self.patches.inside)
            turn, moves, shots = (values(scene.track)[scene.order] for values in (head_turn, speed, shot_of))
            chosen = choose(scene.plan, turn, library, moves, shots)
        self.composer = Composer(
            scene.track, scene.lips, self.patches, order=scene.order, plan=scene.plan, chosen=chosen
        )

    def compose(self, frame: Frame, t: int) -> bool:
        return self.composer.compose(frame, t)

    def close(self) -> None:
        if self.patches is not None:
            self.patches.close()


BACKENDS: dict[str, Callable[[Scene], MouthMaker]] = {"exemplar": Exemplar}


def make(name: str, scene: Scene) -> MouthMaker:
    """The back end ``name``, ready to draw ``scene``. Raises ``no_backend``."""
    if name not in BACKENDS:
        raise EngineError("no_backend", name)
    return BACKENDS[name](scene)


def device() -> str:
    """Where the work runs. The exemplar back end needs no accelerator."""
    return "cpu"
