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

from rendering.engine import device
from rendering.engine.batched import Batched
from rendering.engine.card.graphs import captured
from rendering.engine.face.blend import LEAST_ALPHA, Colour
from rendering.engine.media.frame import Frame
from rendering.engine.steps import Batch, Stepwise
from rendering.engine.voice.pauses import activity
from rendering.engine.wav2lip import checkpoint, mel
from rendering.engine.wav2lip.crops import SIZE, Crops

if TYPE_CHECKING:
    from rendering.engine.backends import Exemplar, Scene
    from rendering.engine.face.blend import Mask
    from rendering.engine.media.frame import Box

Array = np.ndarray[Any, Any]

VARIABLE = "WAV2LIP_BATCH"
ON_CPU, ON_CARD = 4, 32
"""Frames that the network draws together unless the environment says otherwise."""


class Network:
    """The network on its device, in float32 and in batches of one size."""

    def __init__(self, loaded: checkpoint.Loaded, where: torch.device, together: int) -> None:
        self.net, self.weights = loaded.net, loaded.identity
        self._batched = Batched(captured(loaded.net, where), where, together)

    @property
    def together(self) -> int:
        return self._batched.together

    def draw(self, faces: Array, spectra: Array) -> Array:
        """``faces`` (n, 96, 96, 3) u8 BGR of the reference, ``spectra`` (n, 80, 16) float32 -> (n, 96, 96, 3) float32
        0..255, n >= 1; not a number where the network had no answer. Raises ``device_error``."""
        seen = np.zeros((len(faces), 6, SIZE, SIZE), np.float32)
        seen[:, 3:] = faces.transpose(0, 3, 1, 2) / np.float32(255)
        seen[:, :3, : SIZE // 2] = seen[:, 3:, : SIZE // 2]
        (answer,) = self._batched(spectra[:, None], seen)
        result: Array = answer.transpose(0, 2, 3, 1) * np.float32(255)
        return result


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

    filmed: list[list[tuple[Array, Array]]]
    places: list[tuple[Box, Mask, Array] | None]
    asked: list[int]
    """Places in the batch of the frames that the network is to draw."""
    faces: Array | None
    """Of those, (n, 96, 96, 3) u8 BGR."""
    drawn: dict[int, Array] = field(default_factory=dict)


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
        self._colour = Colour()
        self.steps = {"cut": self._cut, "network": self._ask, "compose": self._lay}

    def _cut(self, batch: Batch) -> None:
        first, frames, composer = batch.first, batch.frames, self._under.composer
        filmed = [self._filmed(frame, first + k) for k, frame in enumerate(frames)]
        places: list[tuple[Box, Mask, Array] | None] = []
        for t, frame in enumerate(frames, first):
            begun = composer.begin(frame, t)
            if begun is not None:
                composer.finish(frame, t, begun)
            batch.drawn.append(begun is not None)
            places.append(None if begun is None else (begun.box, begun.mask, composer.share(t, begun)))
        asked = [k for k in range(len(frames)) if batch.drawn[k] and self._speaks[first + k] > LEAST_ALPHA]
        faces = [self._crops.cut(frames[k], int(self._order[first + k])) for k in asked]
        batch.work = _Work(filmed, places, asked, np.stack(faces) if asked else None)

    def _ask(self, batch: Batch) -> None:
        work: _Work = batch.work
        if work.faces is not None:
            heard = self._heard[[batch.first + k for k in work.asked]]
            work.drawn = dict(zip(work.asked, self._network.draw(work.faces, heard), strict=True))
            work.faces = None

    def _lay(self, batch: Batch) -> None:
        work: _Work = batch.work
        batch.places = [None] * len(batch.frames)
        for k, frame in enumerate(batch.frames):
            place = work.places[k]
            if k not in work.drawn or place is None:
                self._colour = Colour()
            elif not np.isfinite(work.drawn[k]).all():
                for plane, old in work.filmed[k]:
                    plane[...] = old
                batch.drawn[k] = False
            else:
                box, mask, share = place
                t, picture = batch.first + k, np.clip(np.rint(work.drawn[k]), 0, 255).astype(np.uint8)
                laid, covered = self._crops.lay(picture, int(self._order[t]), box)
                coloured = self._colour(frame.in_planes(laid), frame.planes(box), mask)
                share = share * np.float32(self._speaks[t])
                frame.lay(box, coloured, mask.full() * covered * share)
                batch.places[k] = box, mask, share

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
