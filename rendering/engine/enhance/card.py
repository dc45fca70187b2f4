"""A batch of mouths enhanced on a card: what ``maker.py`` and ``steady.py`` do with OpenCV.

Motion is looked for here, in small grey pictures: there is no optical flow in torch.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from rendering.engine.card.mouths import Face, OnCard, Seen, in_bytes, known, mask_over
from rendering.engine.card.pictures import blurred, mixed, places, sampled, to_bgr, to_planes
from rendering.engine.enhance.steady import SMALL, Motion

if TYPE_CHECKING:
    from rendering.engine.card.faces import Region
    from rendering.engine.enhance.model import Enhancer
    from rendering.engine.face.blend import Mask
    from rendering.engine.face.square import Square
    from rendering.engine.media.frame import Box, Frame

Array = np.ndarray[Any, Any]

GREY = (0.114, 0.587, 0.299)
"""Of blue, green and red."""
DETAIL = 4
"""Times that a picture is made smaller in which its tone is looked for."""


@dataclass(frozen=True, eq=False)
class Drawn(Face):
    """One frame with a mouth that is to be enhanced."""

    frame: Frame
    index: int
    box: Box
    """Of the mouth."""
    mask: Mask
    share: Array
    """(h, w) float32 0..1 over the box: how much of it counts."""
    fresh: bool
    """Whether it follows on from no frame before it."""

    @property
    def whole(self) -> Box:
        return self.box


class EnhancerOnCard(OnCard[Drawn]):
    """One render's mouths, enhanced by ``strength``. Faces in order."""

    def __init__(self, square: Square, enhancer: Enhancer, strength: float, broad: float) -> None:
        """``broad``: share of the square; what is broader of an addition is left out."""
        super().__init__(square, enhancer.batched)
        self._enhancer, self._strength, self._broad = enhancer, strength, broad
        self._motion, self._added = Motion(), torch.zeros(())

    def _given(self, face: Drawn, region: Region) -> tuple[Array, ...]:
        return (
            *region.mask(face.mask, face.box),
            region.inside(face.box),
            region.filled(face.share, face.box),
            np.array(face.fresh),
        )

    def _step(self, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = Seen(*given[:5])
        small, small_at, box, share, fresh = given[5:]
        to, back = seen.colours.unbind(dim=1)
        picture = to_bgr(*seen.planes, to)
        square = self._cut(picture, seen)
        answer = self._enhancer.answer(square)
        answered = known(answer)
        added = self._steadied(square, self._detail(torch.nan_to_num(answer) - square), fresh, answered)
        laid, covered = self._spread(added, seen)
        sharper = to_planes((picture + self._strength * laid).round_().clamp_(0, 255), back)
        alpha = mask_over(small, small_at, box, seen.side[0]) * covered * share[:, None]
        return in_bytes(mixed(seen.planes, sharper, alpha[:, 0], whole=True), answered)

    def _detail(self, added: Tensor) -> Tensor:
        """What (n, 3, s, s) adds but tone."""
        size = max(1, round(added.shape[2] / DETAIL))
        small = interpolate(added, size=(size, size), mode="area")
        deviation = self._broad * size
        broad = blurred(small, torch.full((len(added),), deviation, device=added.device), deviation)
        return added - interpolate(broad, size=added.shape[2:], mode="bilinear", align_corners=False)

    def _steadied(self, squares: Tensor, added: Tensor, fresh: Tensor, answered: Tensor) -> Tensor:
        """``added`` (n, 3, s, s), each led on from the one before."""
        weights = torch.tensor(GREY, device=squares.device)[:, None, None]
        grey = (squares * weights).sum(dim=1, keepdim=True).round_()
        seen = interpolate(grey, size=(SMALL, SMALL), mode="area").round_().to(torch.uint8)[:, 0].cpu().numpy()
        begins, has = fresh.cpu().numpy(), answered.cpu().numpy()
        # What fails for lack of memory is done again, so nothing is remembered before the end.
        motion, last, done = copy.copy(self._motion), self._added, []
        for k, one in enumerate(added.split(1)):
            if begins[k] or not has[k]:
                motion = Motion()
            moved = motion(seen[k]) if has[k] else None
            last = one if moved is None else _led_on(last, one, *moved)
            done.append(last)
        self._motion, self._added = motion, last
        return torch.cat(done)


def _led_on(last: Tensor, added: Tensor, flow: Array, kept: Array) -> Tensor:
    """``added`` (1, 3, s, s), of which ``kept`` (m, m) is ``last``, moved by ``flow`` (m, m, 2)."""
    size = added.shape[2:]
    way, share = (torch.from_numpy(part).to(added.device) for part in (flow.transpose(2, 0, 1), kept))
    way = interpolate(way[None], size=size, mode="bilinear", align_corners=False) * (size[1] / SMALL)
    at = places(torch.eye(2, 3, device=added.device)[None], (size[0], size[1])) + way
    share = interpolate(share[None, None], size=size, mode="bilinear", align_corners=False)
    return torch.lerp(added, sampled(last, at, "bilinear"), share)
