"""A batch of faces on a card: squares are cut, networks asked and mouths laid there, and only changed planes come back.

What ``face/square.py`` and ``face/compose.py`` do with OpenCV, within rounding: docs/engine.md ("On a card") says how
far the two are apart. Which network is asked, and with what, is each back end's own. Every step runs on any device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from rendering.engine.card.faces import Region, side_for
from rendering.engine.card.pictures import Planes, mixed, places, reduced, sampled, within
from rendering.engine.face.blend import LEAST_ALPHA

if TYPE_CHECKING:
    from rendering.engine.batched import Batched
    from rendering.engine.card.copies import Returned, Sent
    from rendering.engine.face.blend import Mask
    from rendering.engine.face.compose import Begun, Composer
    from rendering.engine.face.square import Square
    from rendering.engine.media.frame import Box, Frame
    from rendering.engine.pipeline import Helpers

Array = np.ndarray[Any, Any]


class Face(ABC):
    """One frame that is to be changed by what a network draws."""

    frame: Frame
    index: int
    """Of the footage."""

    @property
    @abstractmethod
    def whole(self) -> Box:
        """What may change; even-aligned."""


@dataclass(frozen=True, eq=False)
class Mouth:
    """A mouth that is to be laid, with what gives way to it, as :meth:`Composer.finish` does."""

    begun: Begun
    throat: Mask | None
    """Of what gives way around it."""
    keep: Array | None
    """(h, w) float32 0..1 over ``begun.whole``: what captions leave; None where there are none."""
    weight: float
    """Share of the new mouth in the frame."""

    @classmethod
    def of(cls, composer: Composer, t: int, begun: Begun) -> Mouth:
        """What ``composer`` began for output frame ``t``."""
        return cls(begun, *composer.around(t, begun))

    def given(self, region: Region) -> tuple[Array, ...]:
        """What :class:`Laying` is made of."""
        begun = self.begun
        return (
            *region.filled_planes(begun.ground, begun.whole),
            *region.filled_planes(begun.lent, begun.box),
            *region.mask(begun.mask, begun.box),
            *region.mask(self.throat, begun.whole),
            np.stack([region.inside(begun.box), region.inside(begun.whole)]),
            np.ones((1, 1), np.float32) if self.keep is None else region.filled(self.keep, begun.whole),
            np.array(self.weight, np.float32),
        )


class Seen(NamedTuple):
    """Regions of ``n`` faces, of r x r pixels, and their squares."""

    y: Tensor
    """(n, r, r) u8."""
    chroma: Tensor
    """(n, 2, r/2, r/2) u8."""
    colours: Tensor
    """(n, 2, 3, 4): see ``Frame.matrices``."""
    squares: Tensor
    """(n, 2, 2, 3): from pixels of the square to the region's and back."""
    shrinks: Tensor
    """(n,): see ``Square.shrink``."""

    @property
    def planes(self) -> Planes:
        return self.y.float(), self.chroma.float()

    @property
    def side(self) -> tuple[int, int]:
        return self.y.shape[1], self.y.shape[2]


class Laying(NamedTuple):
    """The mouths of ``n`` regions."""

    ground: Tensor
    ground_chroma: Tensor
    """As of :class:`Seen`: the frame's own picture, which has given way."""
    lent: Tensor
    lent_chroma: Tensor
    """The mouths that are lent."""
    inner: Tensor
    inner_at: Tensor
    """Masks (n, 96, 96) of the mouths, and the ways (n, 2, 3) from pixels of the region to theirs."""
    throat: Tensor
    throat_at: Tensor
    """The same of what gives way."""
    boxes: Tensor
    """(n, 2, 4) x, y, w, h: of the mouth and of the whole."""
    keep: Tensor
    """(n, r, r), or (n, 1, 1): what captions leave."""
    weight: Tensor
    """(n,)."""

    @property
    def lent_planes(self) -> Planes:
        return self.lent.float(), self.lent_chroma.float()

    def mask(self) -> Tensor:
        """(n, 1, r, r) 0..1: share of the new mouths."""
        return mask_over(self.inner, self.inner_at, self.boxes[:, 0], self.ground.shape[1])

    def shares(self) -> Tensor:
        """(n, 1, r, r) 0..1: what captions, and frames without a face beside it, leave of a mouth."""
        return self.keep[:, None] * self.weight[:, None, None, None]

    def laid(self, seen: Planes, drawn: Planes, mask: Tensor) -> Planes:
        """``seen`` with the mouths ``drawn``, of which ``mask`` counts, and with what gives way to them."""
        new = mixed((self.ground.float(), self.ground_chroma.float()), drawn, mask[:, 0], whole=False)
        wide = mask_over(self.throat, self.throat_at, self.boxes[:, 1], self.ground.shape[1])
        alpha = torch.maximum(wide, mask) * self.shares()
        return mixed(seen, new, alpha[:, 0], whole=True)


@dataclass(frozen=True, eq=False)
class Laid:
    """The planes of a face with its mouth."""

    region: Region
    y: Array
    chroma: Array

    def put_into(self, frame: Frame, whole: Box) -> None:
        self.region.put_back(frame, whole, self.y, self.chroma)


class Prepared(NamedTuple):
    """Faces on the way to a device, and where they lie."""

    regions: list[Region]
    sent: Sent


class Drawing(NamedTuple):
    """The same on the way back."""

    regions: list[Region]
    asked: list[Returned]


F = TypeVar("F", bound=Face)


class OnCard(ABC, Generic[F]):
    """One render's faces, drawn and laid by the device of the network that :attr:`_batched` is of."""

    def __init__(self, square: Square, batched: Batched) -> None:
        """``batched``: the network's own; what is done here comes in batches of its size."""
        self._square, self._shrinks = square, square.shrinks()
        self._batched = batched.doing(self._step)
        self._side = 0

    def prepared(self, faces: Sequence[F], helpers: Helpers) -> Prepared:
        """What the device is to be given of ``faces``, on the way to it. Raises ``device_error``."""
        boxes = [[face.whole, self._square.box(face.index)] for face in faces]
        extents = [
            max(max(x + w for x, _, w, _ in both) - min(x for x, *_ in both) for both in boxes),
            max(max(y + h for _, y, _, h in both) - min(y for _, y, _, _ in both) for both in boxes),
        ]
        self._side = max(self._side, side_for(max(extents)))
        regions = [Region.around(both, self._side) for both in boxes]
        given = helpers.map(self._all_given, faces, regions)
        return Prepared(regions, self._batched.send(*(np.stack(part) for part in zip(*given, strict=True))))

    def draw(self, prepared: Prepared) -> Drawing:
        """What :meth:`prepared` sent, drawn, and on the way back. Raises ``device_error``."""
        return Drawing(prepared.regions, self._batched.ask(prepared.sent))

    def laid(self, drawing: Drawing) -> list[Laid | None]:
        """What comes back; None where the network had no answer. Raises ``device_error``."""
        y, chroma, answered = self._batched.answers(drawing.asked)
        laid = [Laid(*each) for each in zip(drawing.regions, y, chroma, strict=True)]
        return [each if known else None for each, known in zip(laid, answered, strict=True)]

    def _all_given(self, face: F, region: Region) -> tuple[Array, ...]:
        return *self._seen(face, region), *self._given(face, region)

    def _seen(self, face: F, region: Region) -> tuple[Array, ...]:
        """What :class:`Seen` is made of."""
        matrix = self._square.matrix(face.index)
        return (
            *region.planes(face.frame),
            face.frame.matrices().astype(np.float32),
            np.stack([region.from_frame(matrix), region.into(matrix)]),
            np.array(self._square.shrink(face.index), np.float32),
        )

    @abstractmethod
    def _given(self, face: F, region: Region) -> tuple[Array, ...]:
        """What else :meth:`_step` is given."""

    @abstractmethod
    def _step(self, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The parts of :class:`Seen`, then what :meth:`_given` makes -> planes (n, r, r) and (n, 2, r/2, r/2) u8 with
        their mouths, and (n,) u8: whether there was an answer."""

    def _cut(self, pictures: Tensor, seen: Seen) -> Tensor:
        """The squares (n, 3, s, s) of ``pictures`` (n, 3, r, r), whole levels."""
        at = places(seen.squares[:, 0], (self._square.size, self._square.size))
        result = torch.zeros(())
        for times in self._shrinks:
            smaller = reduced(pictures, times)
            cut = sampled(smaller, (at + 0.5) / times - 0.5, "bicubic" if self._square.fine else "bilinear")
            first = times == self._shrinks[0]
            result = cut if first else torch.where(seen.shrinks[:, None, None, None] == times, cut, result)
        return result.round_().clamp_(0, 255)

    def _spread(self, squares: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
        """``squares`` (n, c, s, s) where they belong in their regions, (n, c, r, r); and how far they cover each pixel,
        (n, 1, r, r) 0..1."""
        at = places(seen.squares[:, 1], seen.side)
        edge = torch.from_numpy(self._square.edge).to(at.device).expand(len(at), 1, -1, -1)
        return sampled(squares, at, "bicubic"), sampled(edge, at, "bilinear", beyond="zeros")


def in_bytes(planes: Planes, answered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What a step hands back of whole levels."""
    return planes[0].to(torch.uint8), planes[1].to(torch.uint8), answered.to(torch.uint8)


def known(answer: Tensor) -> Tensor:
    """(n,) bool: whether ``answer`` (n, ...) holds nothing but numbers."""
    return torch.isfinite(answer).flatten(1).all(dim=1)


def mask_over(small: Tensor, matrices: Tensor, boxes: Tensor, side: int) -> Tensor:
    """(n, 1, side, side) 0..1 of masks (n, 96, 96) over ``boxes`` (n, 4), enlarged as :meth:`Mask.full` does."""
    full = sampled(small[:, None], places(matrices, (side, side)), "bilinear")
    at = places(torch.eye(2, 3, device=small.device).expand(len(small), 2, 3), (side, side))
    return torch.where(full > LEAST_ALPHA, full, 0) * within(at, boxes)
