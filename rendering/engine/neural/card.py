"""A batch of mouths on a card: squares are cut, drawn and laid there, and only the changed planes come back.

What ``draw.py`` and ``face/compose.py`` do with OpenCV, within rounding: docs/engine.md ("On a card") says how far the
two are apart. Every step runs on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rendering.engine.batched import Batched
from rendering.engine.card.faces import Region, side_for
from rendering.engine.card.pictures import blurred, mixed, places, reduced, sampled, to_bgr, to_planes, within
from rendering.engine.face.blend import LEAST_ALPHA, Mask

if TYPE_CHECKING:
    from rendering.engine.face.compose import Begun
    from rendering.engine.media.frame import Frame
    from rendering.engine.neural.crops import Crops
    from rendering.engine.neural.draw import Network

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Face:
    """One frame whose mouth is to be drawn."""

    frame: Frame
    index: int
    """Of the footage."""
    begun: Begun
    throat: Mask | None
    """Of what gives way around the mouth."""
    keep: Array | None
    """(h, w) float32 0..1 over ``begun.whole``: what captions leave; None where there are none."""
    maps: Array
    """(4, s, s) float32 0..1; see ``Wanted.maps``."""
    condition: Array
    """(43,) float32."""
    weight: float
    """Share of the new mouth in the frame."""
    share: float
    """Share of the network's mouth in the new one."""
    finest: float
    """Pixels (standard deviation) under which detail is the lent mouth's."""


@dataclass(frozen=True, eq=False)
class Laid:
    """The planes of a face with its mouth."""

    region: Region
    y: Array
    chroma: Array

    def put_into(self, frame: Frame, begun: Begun) -> None:
        self.region.put_back(frame, begun.whole, self.y, self.chroma)


class OnCard:
    """One render's mouths, drawn and laid by the device that ``network`` is on."""

    def __init__(self, crops: Crops, network: Network, io: float, finest: float) -> None:
        """``io``: the usual IO of the footage in pixels; ``finest``: the most that :attr:`Face.finest` will be."""
        self._crops, self._network, self._finest = crops, network, finest
        self._shrink = max(1, int(io / crops.pixels_per_io))
        self._batched = Batched(self._step, network.device, network.together)
        self._side = 0

    def prepared(self, faces: list[Face]) -> tuple[list[Region], list[Array]]:
        """What the device is to be given of ``faces``: where they lie, and arrays (n, ...)."""
        boxes = [[face.begun.whole, self._crops.box(face.index)] for face in faces]
        extents = [
            max(max(x + w for x, _, w, _ in both) - min(x for x, *_ in both) for both in boxes),
            max(max(y + h for _, y, _, h in both) - min(y for _, y, _, _ in both) for both in boxes),
        ]
        self._side = max(self._side, side_for(max(extents)))
        regions = [Region.around(both, self._side) for both in boxes]
        given = [self._given(face, region) for face, region in zip(faces, regions, strict=True)]
        return regions, [np.stack(part) for part in zip(*given, strict=True)]

    def draw(self, regions: list[Region], given: list[Array]) -> list[Laid | None]:
        """What :meth:`prepared` made, drawn; None where the network had no answer. Raises ``device_error``."""
        y, chroma, answered = self._batched(*given)
        self._network.keep_to(self._batched.together)
        laid = [Laid(*each) for each in zip(regions, y, chroma, strict=True)]
        return [each if known else None for each, known in zip(laid, answered, strict=True)]

    def _given(self, face: Face, region: Region) -> tuple[Array, ...]:
        """In the order of :meth:`_step`."""
        begun, matrix = face.begun, self._crops.matrix(face.index)
        keep = np.ones((1, 1), np.float32) if face.keep is None else region.filled(face.keep, begun.whole)
        return (
            *region.planes(face.frame),
            *region.filled_planes(begun.ground, begun.whole),
            region.filled(begun.picture, begun.box).transpose(2, 0, 1),
            np.rint(255 * face.maps).astype(np.uint8),
            face.condition,
            np.stack([region.from_frame(matrix), region.into(matrix)]),
            *region.mask(begun.mask, begun.box),
            *region.mask(face.throat, begun.whole),
            np.stack([region.inside(begun.box), region.inside(begun.whole)]),
            keep,
            np.array([face.weight, face.share, face.finest], np.float32),
            face.frame.matrices().astype(np.float32),
        )

    def _step(
        self,
        y: Tensor,
        chroma: Tensor,
        ground: Tensor,
        ground_chroma: Tensor,
        lent: Tensor,
        maps: Tensor,
        condition: Tensor,
        squares: Tensor,
        inner: Tensor,
        inner_at: Tensor,
        throat: Tensor,
        throat_at: Tensor,
        boxes: Tensor,
        keep: Tensor,
        shares: Tensor,
        colours: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Planes (n, r, r) and (n, 2, r/2, r/2) u8 with their mouths, and (n,) u8: whether there was an answer.

        ``squares`` (n, 2, 2, 3): matrices from pixels of the square to the region's and back; ``boxes`` (n, 2, 4): of
        the mouth and the whole; ``shares`` (n, 3): weight, share and finest; ``colours`` (n, 2, 3, 4).
        """
        size, side = (self._crops.size, self._crops.size), tuple(y.shape[1:])
        lent, own = lent.float(), (ground.float(), ground_chroma.float())
        seen_at, laid_at = places(squares[:, 0], size), places(squares[:, 1], side)
        around = self._cut(to_bgr(y, chroma, colours[:, 0]), seen_at)
        shown = self._cut(lent, seen_at) * within(seen_at, boxes[:, 0])
        maps = maps.float() / 255
        seen = torch.cat([around / 255 * (1 - maps[:, :1]), maps, shown / 255], dim=1)
        answer = self._network.ask(seen, condition).float() * 255
        answered = torch.isfinite(answer).flatten(1).all(dim=1)
        weight, share = (part[:, None, None, None] for part in shares[:, :2].unbind(dim=1))
        at = places(torch.eye(2, 3, device=y.device).expand(len(y), 2, 3), side)
        mask = self._mask(inner, inner_at, side) * within(at, boxes[:, 0])
        drawn = sampled(torch.nan_to_num(answer), laid_at, "bicubic")
        finer = lent - drawn
        drawn = drawn + mask * (finer - blurred(finer, shares[:, 2], self._finest))
        drawn = torch.lerp(lent, drawn, share * self._covered(laid_at)).round_().clamp_(0, 255)
        laid = mixed(own, to_planes(drawn, colours[:, 1]), mask[:, 0], whole=False)
        wide = self._mask(throat, throat_at, side) * within(at, boxes[:, 1])
        alpha = torch.maximum(wide, mask) * keep[:, None] * weight
        done = mixed((y.float(), chroma.float()), laid, alpha[:, 0], whole=True)
        return done[0].to(torch.uint8), done[1].to(torch.uint8), answered.to(torch.uint8)

    def _cut(self, pictures: Tensor, at: Tensor) -> Tensor:
        """(n, 3, s, s) whole levels of ``pictures`` (n, 3, r, r)."""
        smaller = reduced(pictures, self._shrink)
        return sampled(smaller, (at + 0.5) / self._shrink - 0.5, "bicubic").round_().clamp_(0, 255)

    def _covered(self, at: Tensor) -> Tensor:
        """(n, 1, r, r) float32 0..1: how far the squares cover each pixel."""
        edge = torch.from_numpy(self._crops.edge).to(at.device)[None, None]
        return sampled(edge.expand(len(at), -1, -1, -1), at, "bilinear", beyond="zeros")

    @staticmethod
    def _mask(small: Tensor, matrices: Tensor, side: tuple[int, ...]) -> Tensor:
        """(n, 1, r, r) float32 0..1 of masks (n, 96, 96), enlarged as :meth:`Mask.full` does."""
        full = sampled(small[:, None], places(matrices, (side[0], side[1])), "bilinear")
        return torch.where(full > LEAST_ALPHA, full, 0)
