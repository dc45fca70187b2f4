"""Mouths enhanced: the operator's model looks at the face with its new mouth; what it adds is laid over the mouth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine import device
from rendering.engine.backends import MouthMaker, Scene
from rendering.engine.enhance.card import Drawn, EnhancerOnCard
from rendering.engine.enhance.model import Enhancer
from rendering.engine.enhance.steady import Steady
from rendering.engine.face.square import Square
from rendering.engine.face.track import Track
from rendering.engine.pipeline import Helpers
from rendering.engine.steps import Batch, Stepwise

if TYPE_CHECKING:
    from rendering.engine.face.blend import Mask
    from rendering.engine.media.frame import Box, Frame

Array = np.ndarray[Any, Any]

LEFT_EYE, RIGHT_EYE, MOUTH = (33, 133, 159, 145), (263, 362, 386, 374), (61, 291)
"""Corners and lids of the eyes, corners of the mouth: what FFHQ aligns a face by."""
NOBODY = Helpers(0)
BROAD = 1 / 12
"""Share of the crop: what is broader of an addition is tone and not detail, and is left out."""


class Enhanced(Stepwise):
    """A back end's mouths, enhanced by ``strength``, 0..1. Everything outside its masks stays as it was."""

    def __init__(self, maker: MouthMaker, scene: Scene, enhancer: Enhancer, strength: float) -> None:
        self._maker, self._enhancer, self._strength = maker, enhancer, np.float32(strength)
        self.together, self.weights = maker.together, f"{maker.weights}+{enhancer.identity}"
        self._order = scene.order
        self._square = face_square(scene.track, enhancer.size)
        self._steady = Steady()
        self._on_card, self._last = None, -2
        if device.like_card(enhancer.device):
            self._on_card = EnhancerOnCard(self._square, enhancer, strength, BROAD)
        self.steps = {**maker.steps, "enhance": self._enhance if self._on_card is None else self._enhance_there}

    def _enhance_there(self, batch: Batch) -> None:
        """The same as :meth:`_enhance` on a card."""
        faces = []
        for k, place in enumerate(batch.places):
            if place is not None and batch.drawn[k]:
                t = batch.first + k
                faces.append(Drawn(batch.frames[k], int(self._order[t]), *place, fresh=self._last != t - 1))
                self._last = t
        if faces and self._on_card is not None:
            drawing = self._on_card.draw(self._on_card.prepared(faces, NOBODY))
            for face, laid in zip(faces, self._on_card.laid(drawing), strict=True):
                if laid is not None:
                    laid.put_into(face.frame, face.whole)

    def _enhance(self, batch: Batch) -> None:
        first, frames = batch.first, batch.frames
        places = [place if drawn else None for place, drawn in zip(batch.places, batch.drawn, strict=True)]
        asked = [k for k, place in enumerate(places) if place is not None]
        if asked:
            cuts = np.stack([self._square.cut(frames[k], int(self._order[first + k])) for k in asked])
            answers = dict(zip(asked, zip(cuts, self._enhancer(cuts), strict=True), strict=True))
        for k, place in enumerate(places):
            if place is None or not np.isfinite(answers[k][1]).all():
                self._steady.forget()
                continue
            picture, restored = answers[k]
            added = self._steady(picture, _detail(restored - picture))
            self._add(frames[k], int(self._order[first + k]), added, place)

    def _add(self, frame: Frame, index: int, added: Array, place: tuple[Box, Mask, Array]) -> None:
        box, mask, share = place
        laid, covered = self._square.lay(added, index, box)
        sharpened = cv2.add(frame.bgr(box), self._strength * laid, dtype=cv2.CV_8U)
        frame.blend(box, sharpened, mask.full() * covered * share)

    def close(self) -> None:
        self._maker.close()


def _detail(added: Array) -> Array:
    """What (s, s, 3) float32 adds but tone."""
    small = cv2.resize(added, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    broad = cv2.GaussianBlur(small, (0, 0), BROAD * len(small))
    result: Array = added - cv2.resize(broad, added.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return result


def face_square(track: Track, size: int) -> Square:
    """The square that FFHQ cuts, from the template (Karras et al., "A Style-Based Generator", CVPR 2019)."""
    template = track.template.astype(float)
    left, right, mouth = (template[list(part)].mean(axis=0) for part in (LEFT_EYE, RIGHT_EYE, MOUTH))
    eyes = (left + right) / 2
    half = max(2.0 * np.linalg.norm((right - left)[:2]), 1.8 * np.linalg.norm((mouth - eyes)[:2]))
    return Square(track, eyes + 0.1 * (mouth - eyes), float(2 * half) / size, size)
