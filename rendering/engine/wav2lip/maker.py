"""The mouths of one render, drawn by the operator's Wav2Lip checkpoint and blended as every mouth is.

Under the network's mouth lies ours: each frame is first drawn as the ``exemplar`` back end would. That frame is the
network's reference, so what leaks through it is the mouth that was planned and not the one that was filmed; its jaw
moves; and where nobody speaks it is what stays, the presenter's own mouth at rest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rendering.engine import device
from rendering.engine.batched import Batched
from rendering.engine.card.graphs import captured
from rendering.engine.card.mouths import Drawing, Laid, Mouth, Prepared
from rendering.engine.face.blend import LEAST_ALPHA, Colour
from rendering.engine.media.frame import Frame
from rendering.engine.steps import Batch, Stepwise
from rendering.engine.voice.pauses import activity
from rendering.engine.wav2lip import checkpoint, mel
from rendering.engine.wav2lip.card import Drawn, Wav2LipOnCard
from rendering.engine.wav2lip.crops import SIZE, Crops

if TYPE_CHECKING:
    from rendering.engine.backends import Exemplar, Scene
    from rendering.engine.face.compose import Begun

Array = np.ndarray[Any, Any]

VARIABLE = "WAV2LIP_BATCH"
ON_CPU, ON_CARD = 4, 32
"""Frames that the network draws together unless the environment says otherwise."""


class Network:
    """The network on its device, in float32 and in batches of one size."""

    def __init__(self, loaded: checkpoint.Loaded, where: torch.device, together: int) -> None:
        self.net, self.weights, self.device = loaded.net, loaded.identity, where
        self.ask = captured(loaded.net, where)
        """As :meth:`draw`, with what is on the device: spectra (n, 1, 80, 16) and what :meth:`fed` makes
        -> (n, 3, 96, 96) 0..1."""
        self.batched = Batched(self.ask, where, together)

    @property
    def together(self) -> int:
        return self.batched.together

    def draw(self, faces: Array, spectra: Array) -> Array:
        """``faces`` (n, 96, 96, 3) u8 BGR of the reference, ``spectra`` (n, 80, 16) float32 -> (n, 96, 96, 3) float32
        0..255, n >= 1; not a number where the network had no answer. Raises ``device_error``."""
        reference = torch.from_numpy(faces.transpose(0, 3, 1, 2) / np.float32(255))
        (answer,) = self.batched(spectra[:, None], self.fed(reference).numpy())
        result: Array = answer.transpose(0, 2, 3, 1) * np.float32(255)
        return result

    @staticmethod
    def fed(reference: Tensor) -> Tensor:
        """``reference`` (n, 3, 96, 96) 0..1 as the network takes it, (n, 6, 96, 96): its upper half, and all of it."""
        upper = reference.clone()
        upper[:, :, SIZE // 2 :] = 0
        return torch.cat([upper, reference], dim=1)


def load_network() -> Network:
    """The network as the environment asks for it.

    Raises ``no_checkpoint``, ``bad_checkpoint``, ``unsafe_checkpoint`` or ``device_error``.
    """
    where = device.chosen()
    together = int(os.environ.get(VARIABLE, "") or 0) or (ON_CARD if device.like_card(where) else ON_CPU)
    return Network(checkpoint.load(checkpoint.required(), where), where, together)


@dataclass(eq=False)
class _Work:
    """What the steps of a batch leave for each other."""

    begun: list[Begun | None]
    asked: list[int]
    """Places in the batch of the frames that the network is to draw."""
    filmed: dict[int, list[tuple[Array, Array]]] = field(default_factory=dict)
    """Of those, see ``_filmed``."""
    faces: Array | None = None
    """Of those, (n, 96, 96, 3) u8 BGR."""
    drawn: dict[int, Array] = field(default_factory=dict)
    prepared: Prepared | None = None
    drawing: Drawing | None = None
    """The same for a card."""
    laid: dict[int, Laid | None] = field(default_factory=dict)


class Wav2LipMouths(Stepwise):
    """One render's mouths. Frames in order, up to :attr:`together` at a time."""

    def __init__(self, scene: Scene, network: Network, under: Exemplar) -> None:
        self.together, self.weights = network.together, network.weights
        self._network = network
        self._under, self._order, self._track = under, scene.order, scene.track
        self._crops = Crops(scene.track)
        frames = len(scene.order)
        self._heard = mel.windows(mel.spectrogram(scene.audio16k), frames, scene.fps)
        spoken = activity(scene.audio16k)
        self._speaks = np.interp(np.arange(frames) / scene.fps, np.arange(len(spoken)) / 100, spoken)
        self._colour, self._last = Colour(), -2
        self.steps = {"cut": self._cut, "network": self._ask, "compose": self._lay}
        self._on_card = Wav2LipOnCard(self._crops, network) if device.like_card(network.device) else None

    def _cut(self, batch: Batch) -> None:
        first, frames, composer = batch.first, batch.frames, self._under.composer
        begun = composer.begin_all(frames, first)
        speaks = [self._speaks[first + k] > LEAST_ALPHA for k in range(len(frames))]
        asked = [k for k, mouth in enumerate(begun) if mouth is not None and speaks[k]]
        batch.drawn = [mouth is not None for mouth in begun]
        batch.work = work = _Work(begun, asked)
        if self._on_card is None:
            work.filmed = {k: self._filmed(frames[k], first + k) for k in asked}
        for k, mouth in enumerate(begun):
            if mouth is not None and (self._on_card is None or not speaks[k]):
                composer.finish(frames[k], first + k, mouth)
        if asked and self._on_card is not None:
            faces = [self._face(frames[k], first + k, begun[k]) for k in asked]
            work.prepared = self._on_card.prepared(faces, self._under.helpers)
        elif asked:
            work.faces = np.stack([self._crops.cut(frames[k], int(self._order[first + k])) for k in asked])

    def _face(self, frame: Frame, t: int, begun: Begun | None) -> Drawn:
        assert begun is not None  # noqa: S101  (only asked where there is one)
        fresh, self._last = self._last != t - 1, t
        mouth, share = Mouth.of(self._under.composer, t, begun), float(self._speaks[t])
        return Drawn(frame, int(self._order[t]), mouth, self._heard[t], share, fresh)

    def _ask(self, batch: Batch) -> None:
        work: _Work = batch.work
        if work.faces is not None:
            heard = self._heard[[batch.first + k for k in work.asked]]
            work.drawn = dict(zip(work.asked, self._network.draw(work.faces, heard), strict=True))
            work.faces = None
        if work.prepared is not None and self._on_card is not None:
            work.drawing, work.prepared = self._on_card.draw(work.prepared), None

    def _lay(self, batch: Batch) -> None:
        work: _Work = batch.work
        if work.drawing is not None and self._on_card is not None:
            work.laid = dict(zip(work.asked, self._on_card.laid(work.drawing), strict=True))
        batch.places = [None] * len(batch.frames)
        for k, frame in enumerate(batch.frames):
            mouth, t = work.begun[k], batch.first + k
            if mouth is None or (k not in work.drawn and k not in work.laid):
                self._colour = Colour()
                continue
            share = self._under.composer.share(t, mouth) * np.float32(self._speaks[t])
            laid = work.laid.get(k)
            if laid is not None:
                laid.put_into(frame, mouth.whole)
            elif k not in work.drawn or not np.isfinite(work.drawn[k]).all():
                for plane, old in work.filmed.get(k, ()):
                    plane[...] = old
                batch.drawn[k] = False
                continue
            else:
                self._blend(frame, t, mouth, work.drawn[k], share)
            batch.places[k] = mouth.box, mouth.mask, share

    def _blend(self, frame: Frame, t: int, begun: Begun, drawn: Array, share: Array) -> None:
        picture = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
        laid, covered = self._crops.lay(picture, int(self._order[t]), begun.box)
        coloured = self._colour(frame.in_planes(laid), frame.planes(begun.box), begun.mask)
        frame.lay(begun.box, coloured, begun.mask.full() * covered * share)

    def _filmed(self, frame: Frame, t: int) -> list[tuple[Array, Array]]:
        """Views of the planes of ``frame`` where its mouth will be drawn, and copies of what they show now."""
        index = int(self._order[t])
        if not self._track.ok[index]:
            return []
        points, io = self._track.steady.points[index][:, :2], float(self._track.io[index])
        low, high = points.min(axis=0) - io, points.max(axis=0) + io
        left, top = (np.maximum(0, low).astype(int) // 2).tolist()
        right, bottom = (np.maximum(0, high).astype(int) // 2 + 1).tolist()
        views = [frame.y[2 * top : 2 * bottom, 2 * left : 2 * right]]
        views += [plane[top:bottom, left:right] for plane in (frame.u, frame.v)]
        return [(view, view.copy()) for view in views]

    def close(self) -> None:
        self._under.close()
