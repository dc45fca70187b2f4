"""The two networks of ``face-alignment`` in batches of fixed shape: faces in pictures, 68 landmarks on faces.

The package's own layers and weights; what it does around them one face and one candidate at a time is done here for a
whole batch, and places are kept to a fraction of a pixel where it rounds them to whole ones.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from rendering.engine import device
from rendering.engine.alignment import weights
from rendering.engine.batched import Batched
from rendering.engine.face.detect import Face
from rendering.engine.face.mesh import Crop, cut

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

COMPILE, BATCH = "FACE_ALIGNMENT_COMPILE", "FACE_ALIGNMENT_BATCH"
ON_CPU, ON_CARD = 4, 16
"""Faces that are read together unless the environment says otherwise."""
PICTURES = 4
"""Pictures in which faces are looked for together."""
STACKS = 4
CROP, CELLS, POINTS = 256, 64, 68
"""Pixels of a face's crop, cells of a landmark's map, landmarks."""
REFERENCE = 200 / 195
"""Side of the crop relative to width plus height of the detector's box, as the landmarks were trained."""
RAISED = 0.12
"""Heights of the box by which the crop lies above its middle."""
MEAN = np.array([104, 117, 123], np.float32)
"""Blue, green, red, which the detector takes off."""
MIN_SCORE, MAX_OVERLAP = 0.5, 0.3
MOST_FACES = 8
"""The surest of a picture: a crowd behind the presenter is not read face by face."""
SMALLEST_STRIDE, ANCHOR, VARIANCES = 4, 4, (0.1, 0.2)
MIRROR = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), *range(45, 41, -1), 47, 46]
    + [*range(39, 35, -1), 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]
)
"""Which landmark each becomes when the picture is mirrored."""
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
REACH = 2
"""Cells around a map's highest one that say where in it the landmark lies."""


@dataclass(frozen=True, eq=False)
class Marks:
    """The landmarks of one face."""

    points: Array
    """(68, 2) float32 px of the frame."""
    score: float
    """How sure the maps are, mean of their peaks inside the face, about 0..1."""


class Nets:
    """Both networks, in float32 on one device."""

    def __init__(self, finder: Path, reader: Path, where: torch.device, together: int = 0) -> None:
        """Raises ``bad_tracker_weights``. ``together``: 0 as fits the device."""
        from face_alignment.detection.sfd.net_s3fd import s3fd
        from face_alignment.models.fan import FAN

        find, read = s3fd(), FAN(STACKS)
        weights.read(finder, find)
        weights.read(reader, read)
        find, read = (net.eval().requires_grad_(False).to(where) for net in (find, read))
        if (
            where.type == "cuda" and os.environ.get(COMPILE) == "1"
        ):  # on a processor it costs two minutes and gains none
            find, read = torch.compile(find), torch.compile(read)
        together = together or (ON_CARD if device.like_card(where) else ON_CPU)
        self._find = Batched(find, where, PICTURES)
        self._read = Batched(lambda given: read(given)[-1], where, together)

    @property
    def together(self) -> int:
        return self._read.together

    def faces(self, pictures: Sequence[Array]) -> list[list[Face]]:
        """Faces in each of ``pictures``, (h, w, 3) uint8 BGR of one size, best first."""
        stacked = np.stack(pictures).astype(np.float32) - MEAN
        found = boxes(self._find(stacked.transpose(0, 3, 1, 2)))
        crops = [[_around(box) for box in one] for one in found]
        cuts = [_cut(picture, crop) for picture, own in zip(pictures, crops, strict=True) for crop in own]
        marks = iter(self.read(cuts, [crop for own in crops for crop in own]))
        return [[_face(box, next(marks)) for box in one] for one in found]

    def marks(self, frames: Sequence[Frame], crops: Sequence[Crop]) -> list[Marks | None]:
        """The landmarks in the crops of the mesh, one for each frame; None where a crop lies outside its frame."""
        wide = [_of_mesh(crop) for crop in crops]
        cuts = [cut(frame, crop, CROP) for frame, crop in zip(frames, wide, strict=True)]
        there = [k for k, picture in enumerate(cuts) if picture is not None]
        result: list[Marks | None] = [None] * len(crops)
        for k, one in zip(there, self.read([cuts[k] for k in there], [wide[k] for k in there]), strict=True):
            result[k] = one
        return result

    def read(self, cuts: Sequence[Array | None], crops: Sequence[Crop]) -> list[Marks]:
        """The landmarks in ``cuts``, (256, 256, 3) uint8 BGR, which are ``crops`` of their pictures."""
        if not cuts:
            return []
        given = np.stack([picture for picture in cuts if picture is not None])[..., ::-1].transpose(0, 3, 1, 2)
        given = np.ascontiguousarray(given, np.float32) / np.float32(255)
        maps = self._read(given)[0]
        mirrored = self._read(np.ascontiguousarray(given[..., ::-1]))[0]
        maps = (maps + mirrored[:, MIRROR, :, ::-1]) / 2
        return [_marks(one, crop) for one, crop in zip(maps, crops, strict=True)]


@functools.lru_cache(maxsize=1)
def _load(finder: Path, reader: Path, where: torch.device, together: int, *_stamps: int) -> Nets:
    return Nets(finder, reader, where, together)


def load() -> Nets:
    """The networks as the environment asks for them, kept from one footage to the next.

    Raises ``no_tracker_weights``, ``bad_tracker_weights`` or ``device_error``.
    """
    paths = weights.required()
    together = int(os.environ.get(BATCH, "") or 0)
    return _load(*paths, device.chosen(), together, *(path.stat().st_mtime_ns for path in paths))


def boxes(answer: Sequence[Array]) -> list[Array]:
    """For each picture its faces (k, 5): left, top, right, bottom px and score, best first, overlapping ones left out.

    ``answer``: for strides 4, 8 ... 128 the two logits (n, 2, h, w) and the offsets (n, 4, h, w) from anchors four
    strides wide, as S3FD gives them.
    """
    found: list[list[Array]] = [[] for _ in range(len(answer[0]))]
    for level, (logits, offsets) in enumerate(zip(answer[::2], answer[1::2], strict=True)):
        stride = SMALLEST_STRIDE << level
        scores = 1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -80, 80)))
        for picture, row, column in np.argwhere(scores > MIN_SCORE):
            offset = offsets[picture, :, row, column].astype(np.float64)
            centre = (np.array([column, row]) + 0.5 + offset[:2] * VARIANCES[0] * ANCHOR) * stride
            half = ANCHOR * stride * np.exp(offset[2:] * VARIANCES[1]) / 2
            found[picture].append(np.concatenate([centre - half, centre + half, scores[picture, row, column][None]]))
    return [_apart(np.array(one).reshape(-1, 5))[:MOST_FACES] for one in found]


def _apart(found: Array) -> Array:
    """Of boxes (k, 5) that overlap, the best, best first."""
    left = found[np.argsort(-found[:, 4], kind="stable")]
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low, high = np.maximum(best[:2], left[:, :2]), np.minimum(best[2:4], left[:, 2:4])
        both = np.prod(np.clip(high - low, 0, None), axis=1)
        either = np.prod(best[2:4] - best[:2]) + np.prod(left[:, 2:4] - left[:, :2], axis=1) - both
        left = left[both <= MAX_OVERLAP * either]
    return np.array(kept).reshape(-1, 5)


def _around(box: Array) -> Crop:
    """The crop for a detector's box."""
    (left, top, right, bottom), height = box[:4], box[3] - box[1]
    middle = (top + bottom) / 2 - RAISED * height
    return Crop(float(left + right) / 2, float(middle), REFERENCE * float(right - left + height), 0.0)


def _of_mesh(crop: Crop) -> Crop:
    """The crop for a face in a mesh's crop, whose side is 1.5 times the face's height: upright as that one is."""
    height = crop.side / 1.5
    up = RAISED * height
    return Crop(crop.cx + up * sin(crop.angle), crop.cy - up * cos(crop.angle), REFERENCE * 1.85 * height, crop.angle)


def _cut(picture: Array, crop: Crop) -> Array:
    """The crop of a picture (h, w, 3) uint8, (256, 256, 3)."""
    return cv2.warpAffine(picture, crop.matrix(CROP), (CROP, CROP), flags=cv2.INTER_LINEAR)


def _marks(maps: Array, crop: Crop) -> Marks:
    """Landmarks from their maps (68, 64, 64): the centre of what surrounds each peak."""
    local, peaks = _centres(maps)
    inverse = cv2.invertAffineTransform(crop.matrix(CROP))
    pixels = (local + 0.5) * (CROP / CELLS) - 0.5
    points = (pixels @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
    return Marks(points, float(peaks[17:].mean()))


def _centres(maps: Array) -> tuple[Array, Array]:
    """(68, 2) x, y in cells, whole numbers at their middles; (68,) how high the peaks are."""
    flat = maps.reshape(len(maps), -1)
    rows, columns = np.unravel_index(flat.argmax(axis=1), maps.shape[1:])
    wide = np.pad(maps, ((0, 0), (REACH, REACH), (REACH, REACH)))
    span = np.arange(-REACH, REACH + 1)
    around = wide[
        np.arange(len(maps))[:, None, None],
        (rows[:, None] + span + REACH)[:, :, None],
        (columns[:, None] + span + REACH)[:, None, :],
    ]
    shares = np.clip(around, 0, None) + 1e-9
    shares = shares / shares.sum(axis=(1, 2), keepdims=True)
    x, y = columns + (shares.sum(axis=1) @ span), rows + (shares.sum(axis=2) @ span)
    return np.stack([x, y], axis=1), flat.max(axis=1)


def _face(box: Array, marks: Marks) -> Face:
    left, top, right, bottom, score = (float(value) for value in box)
    eyes = [marks.points[eye].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE)]
    (ax, ay), (bx, by) = ((float(x), float(y)) for x, y in eyes)
    return Face(left, top, right - left, bottom - top, score, ((ax, ay), (bx, by)))
