"""Back ends by name. They share every stage but one: the step that makes the mouth.

A new back end is one entry in :data:`BACKENDS`: a function from a :class:`Scene` to a :class:`MouthMaker`. It is called
once per render, when the footage order and the plan are known, and imports what only it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rendering.engine.analysis import PATCHES
from rendering.engine.contract import BY_ENHANCER, NEURAL, Tier
from rendering.engine.enhance import settings
from rendering.engine.errors import EngineError
from rendering.engine.face.choose import Library, choose, head_turn, shot_of, speed
from rendering.engine.face.compose import WIDTH_GAIN, Composer
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.profile import Patches
from rendering.engine.face.track import Track
from rendering.engine.media import hardware
from rendering.engine.media.frame import Frame
from rendering.engine.neural import model
from rendering.engine.pipeline import Helpers
from rendering.engine.steps import Batch, Step, Stepwise
from rendering.engine.wav2lip import checkpoint

if TYPE_CHECKING:
    from rendering.engine.neural.draw import NeuralMouths
    from rendering.engine.wav2lip.maker import Wav2LipMouths


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
    audio16k: np.ndarray
    """(m,) float32: the take at 16 kHz mono, with silence to beyond the last frame."""
    fps: float
    """Output frames a second."""
    mouths: Path | None = None
    """Folder of the footage's mouth model, if there is one."""


class MouthMaker(Protocol):
    """Draws the mouths of one render."""

    together: int
    """Frames that it is given at a time."""
    weights: str
    """Which weights of the operator's it draws with, 16 hex digits; empty: none. Several are joined by "+"."""

    steps: Mapping[str, Step]
    """See :class:`Stepwise`. Batches have :attr:`together` frames, the last one fewer."""

    def compose(self, frames: Sequence[Frame], first: int) -> Sequence[bool]:
        """All steps at once; see :class:`Stepwise`."""
        ...

    def close(self) -> None:
        """Let go of files and devices."""
        ...


class Exemplar(Stepwise):
    """The presenter's own mouths, chosen by dynamic programming, bent to the plan and blended in."""

    together, weights = 1, ""

    def __init__(self, scene: Scene, gain: float = WIDTH_GAIN, helpers: int = 0) -> None:
        """``gain`` on the planned width: see :func:`rendering.engine.face.compose.shape`; ``helpers``: threads for who
        draws over it, see :meth:`Composer.begin_all`."""
        self.helpers = Helpers(helpers)
        self.patches = Patches(scene.analysis / PATCHES) if scene.tier != "C" else None
        chosen = None
        if self.patches is not None:
            library = Library.of(scene.library, scene.lips, self.patches.inside)
            turn, moves, shots = (values(scene.track)[scene.order] for values in (head_turn, speed, shot_of))
            chosen = choose(scene.plan, turn, library, moves, shots)
        self.composer = Composer(
            scene.track,
            scene.lips,
            self.patches,
            order=scene.order,
            plan=scene.plan,
            chosen=chosen,
            gain=gain,
            helpers=self.helpers,
        )
        self.steps = {"draw": self._draw}

    def _draw(self, batch: Batch) -> None:
        batch.drawn = [self.composer.compose(frame, t) for t, frame in enumerate(batch.frames, batch.first)]

    def close(self) -> None:
        self.helpers.close()
        if self.patches is not None:
            self.patches.close()


def wav2lip(scene: Scene) -> Wav2LipMouths:
    """Mouths drawn by the operator's Wav2Lip checkpoint, over the exemplar's."""
    from rendering.engine.wav2lip.maker import Wav2LipMouths, load_network

    return Wav2LipMouths(scene, load_network(), Exemplar(scene, helpers=hardware.helpers()))


def neural(scene: Scene) -> NeuralMouths:
    """Mouths drawn by the footage's own network, which :func:`model.standing` lets draw."""
    from rendering.engine.neural.draw import NeuralMouths
    from rendering.engine.neural.kept import RECENT

    if scene.mouths is None:
        raise EngineError("no_mouths")
    return NeuralMouths(scene, RECENT.get(scene.mouths))


BACKENDS: dict[str, Callable[[Scene], MouthMaker]] = {"exemplar": Exemplar, "wav2lip": wav2lip, NEURAL: neural}

ENHANCED: dict[str, Callable[[Scene], MouthMaker]] = {"wav2lip": wav2lip, NEURAL: neural}
"""Those whose mouths a network draws; the presenter's own need no restoring."""


@dataclass(frozen=True, eq=False)
class Made:
    """Who draws a scene, and why not the one that was asked for; see ``RenderResult``."""

    maker: MouthMaker
    backend: str
    instead: str = ""
    mouths: str = ""
    mouths_kept: bool = False


def able() -> dict[str, str]:
    """The back ends that this machine has what it takes for, and which weights of the operator's each draws with.

    What ``neural`` takes comes with the footage. Those that it can enhance are named once more: a worker gets the jobs
    that need both.
    """
    path, enhancer = checkpoint.configured(), settings.identity()
    drawn = {NEURAL: ""} | ({"wav2lip": checkpoint.identity(path)} if path is not None else {})
    enhanced = {f"{name}{BY_ENHANCER}": f"{identity}+{enhancer}" for name, identity in drawn.items() if enhancer}
    return {"exemplar": ""} | drawn | enhanced


def require(name: str, enhance: float = 0.0) -> None:
    """That this machine has what drawing so takes, told by files being there. Raises as :func:`make` does."""
    if name not in BACKENDS:
        raise EngineError("no_backend", name)
    if name == "wav2lip":
        checkpoint.required()
    if name in ENHANCED and enhance:
        settings.required()


def make(name: str, scene: Scene, enhance: float = 0.0) -> Made:
    """The back end ``name``, ready to draw ``scene``; ``enhance``: how much its mouths are enhanced, 0..1.

    Where the footage has no mouth model that may draw, ``exemplar`` takes the place of ``neural``. Raises
    ``no_backend``, ``no_checkpoint`` or ``no_enhancer``, or what is wrong with a file.
    """
    require(name, enhance)
    stands = model.standing(scene.mouths, scene.tier, scene.lips) if name == NEURAL else model.Standing()
    if stands.instead:
        return Made(Exemplar(scene), "exemplar", stands.instead)
    kept = bool(stands.identity) and _kept(stands.identity)
    return Made(_maker(name, scene, enhance), name, mouths=stands.identity, mouths_kept=kept)


def _kept(identity: str) -> bool:
    """Whether the network of a mouth model is still in memory."""
    from rendering.engine.neural.kept import RECENT

    return RECENT.holds(identity)


def _maker(name: str, scene: Scene, enhance: float) -> MouthMaker:
    if not enhance or name not in ENHANCED:
        return BACKENDS[name](scene)
    from rendering.engine.enhance.maker import Enhanced
    from rendering.engine.enhance.model import load

    enhancer = load()  # before anything else is
    return Enhanced(ENHANCED[name](scene), scene, enhancer, enhance)


def device() -> str:
    """Where networks run, in words. Where no card can be, torch is not loaded to find that out."""
    from rendering.engine import device

    return device.announced()
