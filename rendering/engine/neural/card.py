"""A batch of mouths on a card, drawn by the footage's own network: what ``draw.py`` does with OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rendering.engine.card.mouths import Face, Laying, Mouth, OnCard, Seen, in_bytes, known
from rendering.engine.card.pictures import blurred, places, sampled, to_bgr, to_planes, within
from rendering.engine.neural.detail import FINE, FINE_INSIDE, INSIDE_EDGE

if TYPE_CHECKING:
    from rendering.engine.card.faces import Region
    from rendering.engine.media.frame import Box, Frame
    from rendering.engine.neural.crops import Crops
    from rendering.engine.neural.draw import Network

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Drawn(Face):
    """One frame whose mouth the network is to draw."""

    frame: Frame
    index: int
    mouth: Mouth
    maps: Array
    """(4, s, s) float32 0..1; see ``Wanted.maps``."""
    condition: Array
    """(43,) float32."""
    share: float
    """Share of the network's mouth in the new one."""
    io: float
    """Pixels."""

    @property
    def whole(self) -> Box:
        return self.mouth.begun.whole


class NeuralOnCard(OnCard[Drawn]):
    """One render's mouths."""

    def __init__(self, crops: Crops, network: Network, most_io: float) -> None:
        """``most_io``: the most that :attr:`Drawn.io` will be."""
        super().__init__(crops, network.batched)
        self._network, self._most_io = network, most_io
        self._edge = INSIDE_EDGE * crops.pixels_per_io

    def _given(self, face: Drawn, region: Region) -> tuple[Array, ...]:
        return (
            *face.mouth.given(region),
            np.rint(255 * face.maps).astype(np.uint8),
            face.condition,
            np.array([face.share, face.io], np.float32),
        )

    def _step(self, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen, laying = Seen(*given[:5]), Laying(*given[5:16])
        maps, condition, shares = given[16:]
        to, back = seen.colours.unbind(dim=1)
        lent = to_bgr(*laying.lent_planes, to)
        maps = maps.float() / 255
        at = places(seen.squares[:, 0], (self._square.size, self._square.size))
        around = self._cut(to_bgr(*seen.planes, to), seen) / 255 * (1 - maps[:, :1])
        shown = self._cut(lent, seen) * within(at, laying.boxes[:, 0])
        answer = self._network.ask(torch.cat([around, maps, shown / 255], dim=1), condition).float() * 255
        mask = laying.mask()
        drawn, covered = self._spread(torch.nan_to_num(answer), seen)
        finer = lent - drawn
        drawn = drawn + mask * (finer - self._coarse(finer, maps[:, 1:2], seen, shares[:, 1]))
        drawn = torch.lerp(lent, drawn, shares[:, 0, None, None, None] * covered).round_().clamp_(0, 255)
        return in_bytes(laying.laid(seen.planes, to_planes(drawn, back), mask), known(answer))

    def _coarse(self, pictures: Tensor, inside: Tensor, seen: Seen, io: Tensor) -> Tensor:
        """As :func:`detail.coarse`, of (n, 3, r, r); ``inside`` (n, 1, s, s) of the squares, ``io`` (n,) pixels."""
        result = blurred(pictures, FINE * io, FINE * self._most_io)
        if not self._network.dull:
            return result
        softened = blurred(inside, torch.full_like(io, self._edge), self._edge)
        share = sampled(softened, places(seen.squares[:, 1], seen.side), "bilinear", beyond="zeros")
        return torch.lerp(result, blurred(pictures, FINE_INSIDE * io, FINE_INSIDE * self._most_io), share)
