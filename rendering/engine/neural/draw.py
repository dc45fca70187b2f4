"""The mouths of one render: the network for shape, colour and seam, the lent mouth for the finest detail.

Everything around is the ``exemplar`` back end's: it begins each frame, and lays what comes out of this into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from rendering.engine.errors import EngineError
from rendering.engine.face.compose import Begun, calmed, fade_in_out
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import JAW
from rendering.engine.face.track import Track
from rendering.engine.media.frame import Frame
from rendering.engine.neural.batches import fed
from rendering.engine.neural.crops import Crops, usable_frames, windows
from rendering.engine.neural.footage import GAIN, lent_square
from rendering.engine.neural.net import MouthNet, composite, quick

if TYPE_CHECKING:
    from rendering.engine.backends import Scene

Array = np.ndarray[Any, Any]

ON_CPU, ON_CARD = 4, 32
"""Frames that the network draws together."""
FINE = 0.015
"""IO (standard deviation) under which detail is the lent mouth's."""
BEYOND_CODES = 0.5
"""Standard deviations beyond the footage's 1st to 99th percentile that a mouth may be planned."""
BEYOND_POSE = 5.0
"""Degrees beyond the footage's 1st to 99th percentile up to which the network draws."""


class Network:
    """A trained network on its device."""

    def __init__(self, net: MouthNet, size: int, device: torch.device) -> None:
        """``size``: pixels a side of its squares."""
        self.net = net.to(device, memory_format=torch.channels_last).eval()
        self.size, self.device = size, device

    def draw(self, seen: Array, condition: Array) -> Array:
        """``seen`` (n, 10, s, s) and ``condition`` (n, 43) -> (n, s, s, 3) float32 0..255 BGR. Raises
        ``device_error``."""
        try:
            with torch.inference_mode(), quick(self.device):
                given = torch.from_numpy(seen).to(self.device, memory_format=torch.channels_last)
                drawn = composite(self.net(given, torch.from_numpy(condition).to(self.device)), given)
            result: Array = drawn.permute(0, 2, 3, 1).float().cpu().numpy() * np.float32(255)
        except torch.AcceleratorError as error:
            raise EngineError("device_error", str(error).splitlines()[0]) from error
        return result


class NeuralMouths:
    """One render's mouths. Frames in order, up to :attr:`together` at a time."""

    weights = ""

    def __init__(self, scene: Scene, network: Network) -> None:
        """Footage of tier A or B."""
        self.together = ON_CPU if network.device.type == "cpu" else ON_CARD
        from rendering.engine.backends import Exemplar

        self._under, self._network = Exemplar(scene, GAIN), network
        self._order = scene.order
        self._crops = Crops(scene.track, scene.lips, network.size)
        self._codes = calmed(within_reach(scene.plan, scene.lips), scene.lips)
        self._told = windows(self._codes, [(0, len(self._codes))])
        self._io = scene.track.io
        self._share = fade_in_out(able(scene.track, self._crops)[scene.order])

    def compose(self, frames: Sequence[Frame], first: int) -> list[bool]:
        """Draw the mouths of output frames ``first``, ``first + 1`` ... into ``frames``; False for one that keeps its
        own."""
        return [begun is not None for begun in self.draw(frames, first)]

    def draw(self, frames: Sequence[Frame], first: int) -> list[Begun | None]:
        """The same. Returns where each was laid."""
        composer = self._under.composer
        begun = [composer.begin(frame, t) for t, frame in enumerate(frames, first)]
        asked = [k for k, mouth in enumerate(begun) if mouth is not None and self._share[first + k] > 0]
        squares: dict[int, Array] = {}
        if asked:
            given = [self._fed(frames[k], first + k, begun[k]) for k in asked]
            seen, condition = (np.stack(part) for part in zip(*given, strict=True))
            squares = dict(zip(asked, self._network.draw(seen, condition), strict=True))
        for k, mouth in enumerate(begun):
            if mouth is not None:
                picture = self._hybrid(squares[k], first + k, mouth) if k in squares else mouth.picture
                composer.finish(frames[k], first + k, mouth, picture)
        return begun

    def _fed(self, frame: Frame, t: int, begun: Begun | None) -> tuple[Array, Array]:
        assert begun is not None  # noqa: S101  (only asked where there is one)
        index, crops = int(self._order[t]), self._crops
        around = crops.cut(frame, index).astype(np.float32) / np.float32(255)
        lent = lent_square(crops, begun.picture, begun.box, index).astype(np.float32) / np.float32(255)
        maps = crops.wanted(self._codes[t], index, begun.moved[JAW]).maps(crops.size)
        return fed(around, maps, lent), crops.condition(self._told[t], index)

    def _hybrid(self, square: Array, t: int, begun: Begun) -> Array:
        """The picture for the box, (h, w, 3) u8: what was drawn, its finest detail that of the lent mouth."""
        index = int(self._order[t])
        drawn, covered = self._crops.lay(square, index, begun.box)
        lent = begun.picture.astype(np.float32)
        finer = lent - drawn
        finer -= cv2.GaussianBlur(finer, (0, 0), FINE * float(self._io[index]))
        drawn += begun.mask.full()[..., None] * finer
        share = self._share[t] * covered[..., None]
        result: Array = np.clip(np.rint(lent + share * (drawn - lent)), 0, 255).astype(np.uint8)
        return result

    def close(self) -> None:
        self._under.close()


def within_reach(plan: Array, lips: LipSpace) -> Array:
    """``plan`` (n, 8) within what the footage can have taught."""
    result: Array = np.clip(plan, lips.low - BEYOND_CODES, lips.high + BEYOND_CODES)
    return result


def able(track: Track, crops: Crops) -> Array:
    """(N,) bool: frames whose hole lies within the picture and whose head is turned as in what was learnt from."""
    turned = head_turn(track)
    low, high = np.percentile(turned[usable_frames(track, crops)], [1, 99], axis=0)
    fit = track.clear & (turned >= low - BEYOND_POSE).all(axis=1) & (turned <= high + BEYOND_POSE).all(axis=1)
    fit[fit] = [crops.within(int(index)) for index in np.flatnonzero(fit)]
    return fit
