"""A tracker of two: the mesh where both see the same face, the landmarks of ``face-alignment`` where it fails.

The 468 points that lips, warp and mask are made of stay the bundled mesh's: 68 landmarks know nothing of depth, of half
of the 40 lip points, nor of the cheeks. What face-alignment brings is its detector, which finds faces that the small
one misses, and landmarks that hold on in poses and behind hands where the mesh lets go; there the last good mesh is
carried along on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rendering.engine.alignment.carry import ANCHORS, carried, gap, inner_marks
from rendering.engine.alignment.nets import PICTURES, Marks, Nets, load
from rendering.engine.face.detect import Face
from rendering.engine.face.follow import DETECT_HEIGHT, Follower, Found
from rendering.engine.face.mesh import Crop, Mesh

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

SURE = 0.35
"""Mean height of the landmarks' maps from which they are believed; trained towards 1."""
APART = 0.2
"""IO between mesh and landmarks from which they do not see the same face."""
LENDS_NO_MOUTH = 0.9
"""Presence up to which a frame's mouth is not lent to others: what was carried along is drawn over, not reused."""
EASE = 0.1
"""Share of the newly measured difference between what mesh and landmarks mean by a point that each frame takes over."""


@dataclass(frozen=True)
class Look:
    """What the landmarks said of a frame, for comparing both; lengths in IO of the mesh."""

    score: float
    gap: float
    """NaN where the mesh was not read."""
    opening: float
    width: float
    carried: bool


class AlignedDetector:
    """Faces of frames, looked for in several at once: whoever loses a face needs the next frames' too."""

    def __init__(self, nets: Nets) -> None:
        self._nets = nets
        self._coming: list[Frame] = []
        self._known: dict[int, list[Face]] = {}

    def expect(self, frames: Sequence[Frame]) -> None:
        """The frames that will be asked for next."""
        self._coming, self._known = list(frames), {}

    def __call__(self, frame: Frame, *, thorough: bool) -> list[Face]:
        """Always thorough."""
        if frame.index not in self._known:
            following = [one for one in self._coming if one.index > frame.index][: PICTURES - 1]
            self._look([frame, *following])
        return self._known[frame.index]

    def _look(self, frames: Sequence[Frame]) -> None:
        height = frames[0].y.shape[0]
        small = [one.small_bgr(min(height, DETECT_HEIGHT)) for one in frames]
        for one, faces in zip(frames, self._nets.faces(small), strict=True):
            self._known[one.index] = [face.scaled(height / small[0].shape[0]) for face in faces]


class AlignedFollower:
    """Follows the presenter with both; a :class:`~rendering.engine.face.follow.Tracker`."""

    def __init__(self, wanted: tuple[float, float] | None, nets: Nets | None = None) -> None:
        """Raises as :func:`~rendering.engine.alignment.nets.load` does, unless ``nets`` are given."""
        self._nets = nets or load()
        self.together = self._nets.together
        self._detector = AlignedDetector(self._nets)
        self._follower = Follower(wanted, self._detector)
        self._mesh = Mesh()
        self._shape: Array | None = None
        self._means = np.zeros((len(ANCHORS), 2))
        self.looks: list[Look | None] = []
        """One for each frame followed."""

    @property
    def faces(self) -> Array:
        return self._follower.faces

    @property
    def presenter(self) -> int:
        return self._follower.presenter

    def choose(self, frames: list[Frame]) -> None:
        self._detector.expect(frames)
        self._follower.choose(frames)

    def follow(self, frames: Sequence[Frame], cuts: Sequence[bool]) -> list[Found | None]:
        self._detector.expect(frames)
        found: list[Found | None] = []
        tried: list[Crop | None] = []
        for frame, cut in zip(frames, cuts, strict=True):
            found.append(self._follower(frame, cut=cut))
            tried.append(self._follower.tried)
        there = [k for k, crop in enumerate(tried) if crop is not None]
        marks: list[Marks | None] = [None] * len(frames)
        crops = [crop for crop in tried if crop is not None]
        for k, one in zip(there, self._nets.marks([frames[k] for k in there], crops), strict=True):
            marks[k] = one
        return [self._settle(*each) for each in zip(frames, found, marks, strict=True)]

    def _settle(self, frame: Frame, found: Found | None, marks: Marks | None) -> Found | None:
        """One answer from the mesh's and the landmarks'."""
        if marks is None:
            self.looks.append(None)
            return found
        inner, sure = inner_marks(marks.points), marks.score >= SURE
        apart = float("nan") if found is None else gap(found[0], inner)
        agree = found is not None and apart < APART
        if sure and agree and found is not None:
            self._learn(found[0], inner)
        answer = found if agree or not sure else self._carried(frame, inner, marks.score) or found
        shape = answer[0] if answer is not None else None
        self.looks.append(_look(marks.score, apart, inner, shape, carried=answer is not found))
        return answer

    def _learn(self, points: Array, inner: Array) -> None:
        """The shape that later frames may need, and how differently both mean the same points, upright and in IO."""
        turn, io = _upright(points)
        self._means += EASE * ((inner - points[ANCHORS, :2]) @ turn.T / io - self._means)
        self._shape = points

    def _carried(self, frame: Frame, inner: Array, score: float) -> Found | None:
        if self._shape is None:
            return None
        rough = carried(self._shape, inner)
        turn, io = _upright(rough)
        points = carried(self._shape, inner - io * self._means @ turn)
        picture = self._mesh.picture(frame, Crop.of_points(points))
        return None if picture is None else (points, min(score, LENDS_NO_MOUTH), picture)


def _upright(points: Array) -> tuple[Array, float]:
    """Rotation (2, 2) from the frame to along the eye line, and the length of one IO in px."""
    line = (points[263] - points[33])[:2].astype(np.float64)
    io = max(float(np.linalg.norm(line)), 1e-6)
    c, s = line / io
    return np.array([[c, s], [-s, c]]), io


def _look(score: float, apart: float, inner: Array, points: Array | None, *, carried: bool) -> Look:
    """Opening and width as :func:`~rendering.engine.face.track.opening_width` means them, from the landmarks alone."""
    io = _upright(points)[1] if points is not None else float("nan")
    above, below, corners = inner[[44, 45, 46]], inner[[50, 49, 48]], inner[[43, 47]]
    opening = float(np.linalg.norm(above - below, axis=1).mean()) / io
    return Look(score, apart, opening, float(np.linalg.norm(corners[1] - corners[0])) / io, carried)
