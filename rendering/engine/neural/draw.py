"""The mouths of one render: the network for shape, colour and seam, the lent mouth for the finest detail.

Everything around is the ``exemplar`` back end's: it begins each frame, and lays what comes out of this into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from rendering.engine import device
from rendering.engine.batched import Batched
from rendering.engine.card.graphs import captured
from rendering.engine.card.mouths import Drawing, Laid, Mouth, Prepared
from rendering.engine.face.compose import Begun, calmed
from rendering.engine.face.fades import fade_in_out
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import JAW
from rendering.engine.face.track import Track
from rendering.engine.media import hardware
from rendering.engine.media.frame import Frame
from rendering.engine.neural.batches import INSIDE, fed
from rendering.engine.neural.card import Drawn, NeuralOnCard
from rendering.engine.neural.crops import Crops, usable_frames, windows
from rendering.engine.neural.detail import INSIDE_EDGE, coarse
from rendering.engine.neural.footage import GAIN, lent_square
from rendering.engine.neural.net import MouthNet, composite, drawing
from rendering.engine.steps import Batch, Stepwise

if TYPE_CHECKING:
    from rendering.engine.backends import Scene

Array = np.ndarray[Any, Any]

ON_CPU, ON_CARD = 4, 32
"""Frames that the network draws together."""
BEYOND_CODES = 0.5
"""Standard deviations beyond the footage's 1st to 99th percentile that a mouth may be planned."""
BEYOND_POSE = 5.0
"""Degrees beyond the footage's 1st to 99th percentile up to which the network draws."""
BEYOND_PLAN = 0.04
"""IO that the bound on a plan may move a lip point; what is planned farther out is left to the exemplar."""
FADED = 5
"""Frames over which the network's mouth gives way to the exemplar's and comes back."""
LASTING = 2 * FADED + 1
"""Frames that the network draws at least between two stretches that it cannot: one by one its mouth would flicker."""


class Network:
    """A trained network on its device, given its squares in batches of one size."""

    def __init__(
        self, net: MouthNet, size: int, where: torch.device, together: int | None = None, *, dull: bool = False
    ) -> None:
        """``size``: pixels a side of its squares; ``together``: of them in a batch, None: what suits the device."""
        self.net, self.size, self.device = net.to(where, memory_format=torch.channels_last).eval(), size, where
        self.dull = dull
        """Whether more detail is lent to it between the lips: see :data:`detail.DULL`."""
        self.ask = captured(self._ask, where)
        """As :meth:`draw`, with what is on the device: -> (n, 3, s, s) 0..1, float32 or less."""
        self.batched = Batched(self.ask, where, together or (ON_CARD if device.like_card(where) else ON_CPU))

    @property
    def together(self) -> int:
        return self.batched.together

    def draw(self, seen: Array, condition: Array) -> Array:
        """``seen`` (n, 10, s, s) and ``condition`` (n, 43) -> (n, s, s, 3) float32 0..255 BGR, n >= 1. Raises
        ``device_error``."""
        (drawn,) = self.batched(seen, condition)
        result: Array = drawn.transpose(0, 2, 3, 1) * np.float32(255)
        return result

    def _ask(self, seen: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        given = seen.contiguous(memory_format=torch.channels_last)
        with drawing(self.device):
            return composite(self.net(given, condition), given)


@dataclass(eq=False)
class _Work:
    """What the steps of a batch leave for each other."""

    begun: list[Begun | None]
    asked: list[int]
    """Places in the batch of the frames that the network is to draw."""
    given: tuple[Array, Array] | None = None
    """Of those, see :meth:`Network.draw`."""
    squares: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """What was drawn, (s, s, 3), and the map of the mouth's inside, (s, s)."""
    prepared: Prepared | None = None
    drawing: Drawing | None = None
    """The same for a card."""
    laid: dict[int, Laid] = field(default_factory=dict)


class NeuralMouths(Stepwise):
    """One render's mouths. Frames in order, up to :attr:`together` at a time."""

    weights = ""

    def __init__(self, scene: Scene, network: Network) -> None:
        """Footage of tier A or B."""
        from rendering.engine.backends import Exemplar

        self._under, self._network = Exemplar(scene, GAIN, hardware.helpers()), network
        self.together = network.together
        self._order = scene.order
        self._crops = Crops(scene.track, scene.lips, network.size)
        bounded = within_reach(scene.plan, scene.lips)
        self._codes = calmed(bounded, scene.lips)
        self._told = windows(self._codes, [(0, len(self._codes))])
        self._io = scene.track.io
        beyond = scene.lips.decode(scene.plan - bounded) - scene.lips.mean
        asked_too_much = np.linalg.norm(beyond, axis=2).max(axis=1)
        fit = able(scene.track, self._crops)[scene.order] & (asked_too_much <= BEYOND_PLAN)
        self._share = fade_in_out(lasting(fit), FADED)
        self.steps = {"cut": self._cut, "network": self._ask, "compose": self._lay}
        self._on_card = None
        if device.like_card(network.device):
            self._on_card = NeuralOnCard(self._crops, network, float(np.nanmax(scene.track.io)))

    def draw(self, frames: Sequence[Frame], first: int) -> list[Begun | None]:
        """The mouths of output frames ``first``, ``first + 1`` ... into ``frames``. Returns where each was laid."""
        work: _Work = self.through(frames, first).work
        return work.begun

    def _cut(self, batch: Batch) -> None:
        first, frames = batch.first, batch.frames
        begun, helpers = self._under.composer.begin_all(frames, first), self._under.helpers
        asked = [k for k, mouth in enumerate(begun) if mouth is not None and self._share[first + k] > 0]
        batch.work = work = _Work(begun, asked)
        each = [frames[k] for k in asked], [first + k for k in asked], [begun[k] for k in asked]
        if asked and self._on_card is not None:
            work.prepared = self._on_card.prepared(helpers.map(self._face, *each), helpers)
        elif asked:
            given = helpers.map(self._fed, *each)
            seen, condition = (np.stack(part) for part in zip(*given, strict=True))
            work.given = seen, condition

    def _ask(self, batch: Batch) -> None:
        work: _Work = batch.work
        if work.given is not None:
            drawn = zip(work.asked, self._network.draw(*work.given), work.given[0][:, INSIDE], strict=True)
            work.squares = {k: (square, inside) for k, square, inside in drawn if np.isfinite(square).all()}
            work.given = None
        if work.prepared is not None and self._on_card is not None:
            work.drawing, work.prepared = self._on_card.draw(work.prepared), None

    def _lay(self, batch: Batch) -> None:
        work: _Work = batch.work
        composer = self._under.composer
        if work.drawing is not None and self._on_card is not None:
            laid = zip(work.asked, self._on_card.laid(work.drawing), strict=True)
            work.laid = {k: each for k, each in laid if each is not None}
        batch.places = [None] * len(batch.frames)
        for k, mouth in enumerate(work.begun):
            batch.drawn.append(mouth is not None)
            if mouth is None:
                continue
            t, picture = batch.first + k, None
            if k in work.laid:
                work.laid[k].put_into(batch.frames[k], mouth.whole)
                covered = self._share[t] * self._crops.covered(int(self._order[t]), mouth.box)
                batch.places[k] = mouth.box, mouth.mask, covered * composer.share(t, mouth)
                continue
            if k in work.squares:
                picture, covered = self._hybrid(*work.squares[k], t, mouth)
                batch.places[k] = mouth.box, mouth.mask, covered * composer.share(t, mouth)
            composer.finish(batch.frames[k], t, mouth, picture)

    def _fed(self, frame: Frame, t: int, begun: Begun | None) -> tuple[Array, Array]:
        assert begun is not None  # noqa: S101  (only asked where there is one)
        index, crops = int(self._order[t]), self._crops
        around = crops.cut(frame, index).astype(np.float32) / np.float32(255)
        lent = lent_square(crops, begun.picture, begun.box, index).astype(np.float32) / np.float32(255)
        maps = crops.wanted(self._codes[t], index, begun.moved[JAW]).maps(crops.size)
        return fed(around, maps, lent), crops.condition(self._told[t], index)

    def _face(self, frame: Frame, t: int, begun: Begun | None) -> Drawn:
        assert begun is not None  # noqa: S101  (only asked where there is one)
        index, crops = int(self._order[t]), self._crops
        return Drawn(
            frame=frame,
            index=index,
            mouth=Mouth.of(self._under.composer, t, begun),
            maps=crops.wanted(self._codes[t], index, begun.moved[JAW]).maps(crops.size),
            condition=crops.condition(self._told[t], index),
            share=float(self._share[t]),
            io=float(self._io[index]),
        )

    def _hybrid(self, square: Array, inside: Array, t: int, begun: Begun) -> tuple[Array, Array]:
        """The picture for the box, (h, w, 3) u8: what was drawn, its finest detail that of the lent mouth. And how much
        of it was drawn, (h, w) float32 0..1."""
        index = int(self._order[t])
        drawn, covered = self._crops.lay(square, index, begun.box)
        lent = begun.picture.astype(np.float32)
        finer = lent - drawn
        between = None
        if self._network.dull:
            softened = cv2.GaussianBlur(inside, (0, 0), INSIDE_EDGE * self._crops.pixels_per_io)
            between = self._crops.laid(softened, index, begun.box)
        finer -= coarse(finer, between, float(self._io[index]))
        drawn += begun.mask.full()[..., None] * finer
        share: Array = self._share[t] * covered
        return np.clip(np.rint(lent + share[..., None] * (drawn - lent)), 0, 255).astype(np.uint8), share

    @property
    def stretch(self) -> Array:
        """(n,) see ``Composer.stretch``: of the mouths that lend their finest detail."""
        result: Array = self._under.composer.stretch
        return result

    def close(self) -> None:
        self._under.close()


def within_reach(plan: Array, lips: LipSpace) -> Array:
    """``plan`` (n, 8) within what the footage can have taught."""
    result: Array = np.clip(plan, lips.low - BEYOND_CODES, lips.high + BEYOND_CODES)
    return result


def able(track: Track, crops: Crops) -> Array:
    """(N,) bool: frames whose hole lies within the picture and whose head is turned as in what was learnt from."""
    turned, taught = head_turn(track), usable_frames(track, crops)
    if not taught.any():
        return taught
    low, high = np.percentile(turned[taught], [1, 99], axis=0)
    fit = track.clear & (turned >= low - BEYOND_POSE).all(axis=1) & (turned <= high + BEYOND_POSE).all(axis=1)
    fit[fit] = [crops.within(int(index)) for index in np.flatnonzero(fit)]
    return fit


def lasting(fit: Array) -> Array:
    """``fit`` (n,) bool without stretches of fewer than :data:`LASTING` frames."""
    result = np.asarray(fit, bool).copy()
    edges = np.flatnonzero(np.diff(result.astype(np.int8), prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2):
        if stop - start < min(LASTING, len(result)):
            result[start:stop] = False
    return result
