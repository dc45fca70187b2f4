"""A batch of mouths on a card, drawn by a Wav2Lip network over the exemplar's: what ``maker.py`` does with OpenCV.

Colours are measured there and worked out here, by the same :class:`Colour`: it hangs on the frame before.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from rendering.engine.card.mouths import Face, Laying, Mouth, OnCard, Seen, in_bytes, known
from rendering.engine.card.pictures import Planes, averaged, mixed, plus, to_bgr, to_planes
from rendering.engine.face.blend import SMALL, Colour

if TYPE_CHECKING:
    from rendering.engine.card.faces import Region
    from rendering.engine.media.frame import Box, Frame
    from rendering.engine.wav2lip.crops import Crops
    from rendering.engine.wav2lip.maker import Network

Array = np.ndarray[Any, Any]

GRID = SMALL // 2
"""Cells a side on which colours are measured, at most."""


@dataclass(frozen=True, eq=False)
class Drawn(Face):
    """One frame whose mouth the network is to draw."""

    frame: Frame
    index: int
    mouth: Mouth
    spectrum: Array
    """(80, 16) float32."""
    share: float
    """Of the network's mouth in the exemplar's."""
    fresh: bool
    """Whether its colour follows on from no frame before it."""

    @property
    def whole(self) -> Box:
        return self.mouth.begun.whole


class Wav2LipOnCard(OnCard[Drawn]):
    """One render's mouths. Faces in order."""

    def __init__(self, crops: Crops, network: Network) -> None:
        super().__init__(crops, network.batched)
        self._network, self._colour = network, Colour()

    def _given(self, face: Drawn, region: Region) -> tuple[Array, ...]:
        ring = face.mouth.begun.mask.ring
        return (
            *face.mouth.given(region),
            face.spectrum[None],
            _filled(ring),
            np.array(ring.shape[::-1], np.float32),
            np.array([face.share, face.fresh], np.float32),
        )

    def _step(self, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen, laying = Seen(*given[:5]), Laying(*given[5:16])
        spectra, rings, sizes, told = given[16:]
        to, back = seen.colours.unbind(dim=1)
        mask = laying.mask()
        under = laying.laid(seen.planes, laying.lent_planes, mask)
        answer = self._network.ask(spectra, self._network.fed(self._cut(to_bgr(*under, to), seen) / 255))
        answered = known(answer)
        squares = (torch.nan_to_num(answer) * 255).round_().clamp_(0, 255)
        drawn, covered = self._spread(squares, seen)
        mine, box = to_planes(drawn.round_().clamp_(0, 255), back), laying.boxes[:, 0]
        gaps = _measured(under, box, sizes) - _measured(mine, box, sizes)
        mine = plus(mine, self._offsets(gaps, rings, sizes, told[:, 1], answered), box, sizes)
        alpha = mask * covered * laying.shares() * told[:, 0, None, None, None]
        return in_bytes(mixed(under, mine, alpha[:, 0], whole=True), answered)

    def _offsets(self, *measured: Tensor) -> Tensor:
        """(n, 3, m, m): what :class:`Colour` adds to each, of gaps (n, 3, m, m), rings (n, m, m), their sizes (n, 2),
        whether each begins anew (n,), and whether there was an answer (n,)."""
        gaps, rings, sizes, fresh, answered = (part.cpu().numpy() for part in measured)
        result = np.zeros_like(gaps)
        # What fails for lack of memory is done again, so nothing is remembered before the end.
        colour = copy.copy(self._colour)
        for k, (width, height) in enumerate(sizes.astype(int).tolist()):
            if fresh[k]:
                colour = Colour()
            if answered[k] and width:
                gap = np.ascontiguousarray(gaps[k, :, :height, :width].transpose(1, 2, 0))
                offset = colour.offset(gap, rings[k, :height, :width])
                if offset is not None:
                    result[k] = _filled(offset).transpose(2, 0, 1)
        self._colour = colour
        return torch.from_numpy(result).to(measured[0].device)


def _filled(picture: Array) -> Array:
    """``picture`` (h, w, ...) as (m, m, ...); beyond it its edge goes on."""
    height, width = picture.shape[:2]
    return cv2.copyMakeBorder(picture, 0, GRID - height, 0, GRID - width, cv2.BORDER_REPLICATE)


def _measured(planes: Planes, boxes: Tensor, sizes: Tensor) -> Tensor:
    """(n, 3, m, m) whole levels: ``planes`` in small, as ``Planes.small`` has them."""
    luma = (avg_pool2d(planes[0][:, None], 2) + 0.5).floor_()
    return averaged(torch.cat([luma, planes[1]], dim=1), boxes / 2, sizes, GRID).round_()
