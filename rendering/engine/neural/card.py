"""A batch of mouths on a card, drawn by the footage's own network: what ``draw.py`` does with OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rendering.engine.card.mouths import Face, Laying, Mouth, OnCard, Seen, in_bytes, known
from rendering.engine.card.pictures import blurred, places, to_bgr, to_planes, within

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
    finest: float
    """Pixels (standard deviation) under which detail is the lent mouth's."""

    @property
    def whole(self) -> Box:
        return self.mouth.begun.whole


class NeuralOnCard(OnCard[Drawn]):
    """One render's mouths."""

    def __init__(self, crops: Crops, network: Network, finest: float) -> None:
        """``finest``: the most that :attr:`Drawn.finest` will be."""
        super().__init__(crops, network.batched)
        self._network, self._finest = network, finest

    def _given(self, face: Drawn, region: Region) -> tuple[Array, ...]:
        return (
            *face.mouth.given(region),
            np.rint(255 * face.maps).astype(np.uint8),
            face.condition,
            np.array([face.share, face.finest], np.float32),
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
        drawn = drawn + mask * (finer - blurred(finer, shares[:, 1], self._finest))
        drawn = torch.lerp(lent, drawn, shares[:, 0, None, None, None] * covered).round_().clamp_(0, 255)
        return in_bytes(laying.laid(seen.planes, to_planes(drawn, back), mask), known(answer))
