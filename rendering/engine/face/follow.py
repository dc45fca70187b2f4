"""Holding on to the presenter's face from frame to frame, and to nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rendering.engine.face.detect import Detector, Face
from rendering.engine.face.looks import Looks
from rendering.engine.face.mesh import ONE_LOOK, Crop, Mesh

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

MIN_PRESENCE = 0.5
OTHERS = 0.25
"""Share of the presenter's width from which on another face counts: smaller ones are passers-by and pictures."""
LEARN_EVERY = 25
"""Frames between two looks at how everybody in the picture looks by now."""
SURE = 0.05
"""Lead in likeness by which a face is taken for the presenter's again."""
FAMILIAR = 0.6
"""Likeness at which a face somewhere else is the presenter's: theirs stay above .65, others' reach that seldom."""
DETECT_HEIGHT = 480
"""Height of the reduced frame that the detector sees."""


Found = tuple[Array, float, Array]
"""Points (468, 3) px, presence 0..1 and the mesh picture (192, 192, 3) of a frame."""


class FindFaces(Protocol):
    """Finds the faces of a frame, in its pixels; ``thorough``: the small ones too."""

    def __call__(self, frame: Frame, *, thorough: bool) -> list[Face]: ...


class Tracker(Protocol):
    """Follows one presenter through footage."""

    @property
    def together(self) -> int:
        """Frames that it is given at a time."""

    @property
    def faces(self) -> Array:
        """(k, 4) float32: x, y, w, h in 0..1 of the steady faces that the first frames show, from left to right."""

    @property
    def presenter(self) -> int:
        """Which of :attr:`faces` is followed; -1 when the first frames show none."""

    def choose(self, frames: list[Frame]) -> None:
        """Settle on the presenter, from the first frames."""

    def follow(self, frames: Sequence[Frame], cuts: Sequence[bool]) -> list[Found | None]:
        """What each of the next ``frames`` shows, None where the face is not found; ``cuts``: which begin a shot."""


class BundledDetector:
    """BlazeFace on a reduced frame."""

    def __init__(self) -> None:
        self._detector = Detector()

    def __call__(self, frame: Frame, *, thorough: bool) -> list[Face]:
        height = frame.y.shape[0]
        small = frame.small_bgr(min(height, DETECT_HEIGHT))
        return [face.scaled(height / small.shape[0]) for face in self._detector(small, thorough=thorough)]


class Follower:
    """Holds on to one face from frame to frame, and looks for it again when it is lost."""

    together = 1

    def __init__(self, wanted: tuple[float, float] | None, find: FindFaces | None = None) -> None:
        """``wanted``: where to look for the presenter, x and y in 0..1; ``find`` in place of the bundled detector."""
        self._detect = find or BundledDetector()
        self._mesh = Mesh()
        self._wanted = wanted
        self._looks = Looks()
        self._since_learnt = LEARN_EVERY
        self._anyone = True
        self.faces: Array = np.zeros((0, 4), np.float32)
        self.presenter = -1
        self.tried: Crop | None = None
        """Where the mesh was read last; None when no face was found to read it in."""
        self._crop: Crop | None = None
        self._last: Crop | None = None
        self._lost = 0

    def choose(self, frames: list[Frame]) -> None:
        """Settle on the presenter: the face seen most often in ``frames``, larger first, or the one wanted."""
        groups = self._groups(frames)
        if not groups:
            return
        height, width = frames[0].y.shape
        if self._wanted:
            x, y = self._wanted[0] * width, self._wanted[1] * height
            group = min(groups, key=lambda group: hypot(group[0].centre[0] - x, group[0].centre[1] - y))
        else:
            group = max(groups, key=lambda group: len(group) * np.median([face.w * face.h for face in group]))
        self._last = Crop.of_face(group[0])
        steady = _steady(groups, group, len(frames))
        size = np.array([width, height, width, height])
        boxes = [np.median([(face.x, face.y, face.w, face.h) for face in group], axis=0) / size for group in steady]
        self.faces, self.presenter = np.clip(np.array(boxes, np.float32), 0, 1), steady.index(group)
        if len(steady) > 1:
            for other in steady:
                self._remember(frames[0], other[0], own=other is group)

    def _groups(self, frames: list[Frame]) -> list[list[Face]]:
        """The faces of ``frames`` by person: those that hardly move from frame to frame."""
        groups: list[list[Face]] = []
        for frame in frames:
            for face in self._detect(frame, thorough=True):
                group = next((group for group in groups if _same(group[-1], face)), None)
                if group is None:
                    groups.append(group := [])
                group.append(face)
        return groups

    def _portrait(self, frame: Frame, rough: Crop) -> tuple[Crop, Array] | None:
        """The crop that the points of the face in ``rough`` give, and the mesh picture of it."""
        picture = self._mesh.picture(frame, rough)
        if picture is None:
            return None
        points, presence = self._mesh.read(picture, rough, ONE_LOOK)
        crop = Crop.of_points(points)
        closer = self._mesh.picture(frame, crop) if presence >= MIN_PRESENCE else None
        return None if closer is None else (crop, closer)

    def _remember(self, frame: Frame, face: Face, *, own: bool) -> None:
        portrait = self._portrait(frame, Crop.of_face(face))
        if portrait is not None:
            self._looks.learn(portrait[1], own=own)

    def follow(self, frames: Sequence[Frame], cuts: Sequence[bool]) -> list[Found | None]:
        return [self(frame, cut=cut) for frame, cut in zip(frames, cuts, strict=True)]

    def __call__(self, frame: Frame, *, cut: bool) -> Found | None:
        """Points (468, 3), presence and the mesh picture of this frame; None when no face is found."""
        if cut:
            self._crop, self._lost, self._anyone = None, 0, True
        if self._crop is not None:
            answer = self._read(frame, self._crop)
            if answer is not None and self._is_presenter(answer[2]):
                self._learn(frame, answer[2])
                return answer
            self._crop = None
        self.tried = crop = self._search(frame) if self._looks.alone else self._recognise(frame)
        first = self._read(frame, crop) if crop else None
        if first is None:
            self._lost += 1
            return None
        self._lost, self._anyone = 0, False
        return self._read(frame, Crop.of_points(first[0])) or first  # a second look, from a better crop

    def _read(self, frame: Frame, crop: Crop) -> Found | None:
        picture = self._mesh.picture(frame, crop)
        if picture is None:
            return None
        points, presence = self._mesh.read(picture, crop)
        if presence < MIN_PRESENCE:
            return None
        own = Crop.of_points(points)
        self.tried = own
        self._crop = crop if crop.fits(own) else own
        self._last = self._crop
        return points, presence, picture

    def _is_presenter(self, picture: Array) -> bool:
        """Whether the mesh has not slipped to somebody who passed."""
        return self._looks.alone or self._looks.lead(picture) > -SURE

    def _learn(self, frame: Frame, picture: Array) -> None:
        """Now and then: how everybody looks by now."""
        self._since_learnt += 1
        if self._since_learnt < LEARN_EVERY:
            return
        self._since_learnt = 0
        if self._looks.alone or self._looks.lead(picture) > SURE:
            self._looks.learn(picture, own=True)
        if self._looks.alone:
            return
        for face in self._detect(frame, thorough=False):
            if not self._is_near(*face.centre):
                self._remember(frame, face, own=False)

    def _recognise(self, frame: Frame) -> Crop | None:
        """Where several faces are known: the one that surely is the presenter's, wherever it is; of twins, the near."""
        faces = self._detect(frame, thorough=self._lost % 10 == 0)
        portraits = [self._portrait(frame, Crop.of_face(face)) for face in faces]
        leads = [
            (self._looks.lead(picture) + (2 * SURE if self._is_near(crop.cx, crop.cy) else 0), crop)
            for crop, picture in filter(None, portraits)
        ]
        lead, crop = max(leads, key=lambda pair: pair[0], default=(-2.0, None))
        return crop if lead > SURE else None

    def _search(self, frame: Frame) -> Crop | None:
        """The face nearest to where it was last seen; after a cut the largest, else one that looks the same."""
        faces = self._detect(frame, thorough=self._lost % 10 == 0)
        if not faces:
            return None
        if self._last is None:
            return Crop.of_face(max(faces, key=lambda face: face.w * face.h))
        near = [face for face in faces if self._is_near(*face.centre)]
        crop = Crop.of_face(max(near or faces, key=lambda face: face.w * face.h))
        return crop if near or self._anyone or self._is_familiar(frame, crop) else None

    def _is_near(self, x: float, y: float) -> bool:
        """Whether a place (px) is where the presenter was last seen."""
        last = self._last
        return last is not None and hypot(x - last.cx, y - last.cy) < last.side / 2

    def _is_familiar(self, frame: Frame, crop: Crop) -> bool:
        """Whether a face that turns up elsewhere looks like the presenter: they came back, or somebody else came."""
        portrait = self._portrait(frame, crop)
        return portrait is not None and self._looks.familiar(portrait[1]) > FAMILIAR


def _same(a: Face, b: Face) -> bool:
    (ax, ay), (bx, by) = a.centre, b.centre
    return hypot(ax - bx, ay - by) < 0.5 * max(a.w, b.w)


def _steady(groups: list[list[Face]], chosen: list[Face], frames: int) -> list[list[Face]]:
    """People seen in at least half of ``frames`` frames and not much smaller than ``chosen``, from left to right."""
    width = float(np.median([face.w for face in chosen]))
    kept = [
        group
        for group in groups
        if group is chosen or (2 * len(group) >= frames and np.median([face.w for face in group]) > OTHERS * width)
    ]
    return sorted(kept, key=lambda group: group[0].centre[0])
