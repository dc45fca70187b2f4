"""Stage 1: one pass over the footage that follows the presenter's face and describes its mouth in every frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine.contract import Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.face import geometry
from rendering.engine.face.follow import Follower
from rendering.engine.face.points import CORNERS, LIPS, OPENING_PAIRS, STABLE

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame
    from rendering.engine.media.probe import MediaInfo

Array = np.ndarray[Any, Any]
OnFrame = Callable[["Frame", "Array | None"], None]

MIN_FOLLOWED = 5
"""Frames with a face below which there is nothing to describe."""
LOOK_AHEAD = 10
"""Frames looked at before the presenter is chosen: a face must be steady, not only large."""
THUMB_HEIGHT = 36
SHARP_HALF = (slice(96, 176), slice(40, 152))
"""The mouth's part of the 192-pixel mesh crop, where sharpness is measured."""


@dataclass(frozen=True, eq=False)
class Track:
    """The presenter's face through N frames. Frames that could not be followed hold NaN.

    Lengths are in pixels or in IO (the distance of the outer eye corners, 3-D, hence independent of the head's turn).
    """

    ok: Array
    """(N,) bool: the face was followed."""
    points: Array
    """(N, 468, 3) float32 px, as measured; z in the same unit, smaller is nearer."""
    scale: Array
    rotation: Array
    shift: Array
    """(N,), (N, 3, 3), (N, 3) float32: ``points ~ scale * rotation @ template + shift``."""
    yaw: Array
    pitch: Array
    roll: Array
    """(N,) float32 degrees: to the viewer's right, up, clockwise."""
    io: Array
    """(N,) float32 px: length of one IO."""
    opening: Array
    width: Array
    """(N,) float32 IO: inner-lip opening and width, pose-normalised and smoothed (savgol 5, 2)."""
    blur: Array
    """(N,) float32: log variance of the Laplacian around the mouth; low is blurred."""
    presence: Array
    """(N,) float32: the mesh's own belief that it looks at a face, 0..1."""
    shots: list[tuple[int, int]]
    """Stretches (start, stop) between cuts; they cover 0..N."""
    template: Array
    """(468, 3) float32 IO: the clip's frontal resting face."""
    thumbs: Array
    """(N, 36, w) uint8: small luma pictures of the whole frame, for matching shoulders and background."""
    size: tuple[int, int]
    """Width and height of the footage."""
    covered: Array
    """(N,) bool: something passes before the mouth (``occlusion``); the frame keeps its own pixels and lends none."""
    faces: Array
    """(k, 4) float32: x, y, w, h in 0..1 of the steady faces that the first frames show, from left to right."""
    presenter: int
    """Which of :attr:`faces` is followed; -1 when the first frames show none."""

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def pose(self) -> tuple[Array, Array, Array]:
        return self.scale, self.rotation, self.shift

    @cached_property
    def clear(self) -> Array:
        """(N,) bool: frames whose mouth can be seen."""
        result: Array = self.ok & ~self.covered
        return result

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """Stretches of followed frames within one shot."""
        return geometry.runs(self.ok, self.shots)

    @cached_property
    def steady(self) -> Steady:
        """Points and poses smoothed for drawing (savgol 7, 2)."""
        points = geometry.smooth(self.points, self.runs, 7)
        return Steady(points, _poses(points, self.ok, self.template))

    def lips(self, window: int = 5) -> Array:
        """(N, 40, 3) float32 IO: pose-normalised lip points, smoothed (savgol ``window``, 2)."""
        lips = geometry.normalise(self.points[:, LIPS], self.pose).astype(np.float32)
        return geometry.smooth(lips, self.runs, window)

    def save(self, path: Path) -> None:
        """Write as .npz."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez(path, **values)

    @classmethod
    def load(cls, path: Path) -> Track:
        """Read what :meth:`save` wrote. Raises ``stale_analysis``: another version wrote other things."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                values: dict[str, Any] = {
                    field.name: stored[field.name] for field in fields(cls) if field.name in stored
                }
                values.setdefault("covered", np.zeros(len(values["ok"]), bool))
                values.setdefault("faces", np.zeros((0, 4), np.float32))
                values["presenter"] = int(values.get("presenter", -1))
        except (KeyError, FileNotFoundError) as error:
            raise EngineError("stale_analysis", f"{path.name}: {error}") from error
        values["shots"] = [(int(start), int(stop)) for start, stop in values["shots"]]
        values["size"] = (int(values["size"][0]), int(values["size"][1]))
        return cls(**values)


@dataclass(frozen=True, eq=False)
class Steady:
    """Smoothed geometry of a track; NaN where the face was not followed."""

    points: Array
    """(N, 468, 3) float32 px."""
    pose: tuple[Array, Array, Array]
    """Scale (N,), rotation (N, 3, 3), shift (N, 3)."""

    def pose_of(self, index: int) -> tuple[Array, Array, Array]:
        """The pose of one frame, with a leading dimension of 1."""
        scale, rotation, shift = (part[index : index + 1] for part in self.pose)
        return scale, rotation, shift


def opening_width(lips: Array) -> tuple[Array, Array]:
    """Inner-lip opening and width of (n, 40, 2 or 3) lip points, in their own unit."""
    where = {int(point): place for place, point in enumerate(LIPS)}
    gaps = [np.linalg.norm(lips[:, where[a]] - lips[:, where[b]], axis=1) for a, b in OPENING_PAIRS]
    left, right = (lips[:, where[corner]] for corner in CORNERS)
    return np.mean(gaps, axis=0), np.linalg.norm(right - left, axis=1)


class CutFinder:
    """Finds shot cuts from small luma pictures: a jump far above the change of the frames before it."""

    def __init__(self) -> None:
        self._before: Array | None = None
        self._changes: deque[float] = deque(maxlen=12)

    def __call__(self, thumb: Array) -> bool:
        """Whether ``thumb`` (h, w) uint8 begins a new shot."""
        before, self._before = self._before, thumb
        if before is None:
            return False
        change = float(cv2.absdiff(before, thumb).mean())
        usual = float(np.median(self._changes)) if self._changes else 3.0
        cut = change > 10.0 and change > 4.0 * usual + 4.0
        if cut:
            self._changes.clear()
        else:
            self._changes.append(change)
        return cut


def track_footage(
    path: Path,
    info: MediaInfo,
    *,
    face: tuple[float, float] | None = None,
    report: Report = silent,
    on_frame: OnFrame | None = None,
) -> Track:
    """Follow the presenter through the footage at ``path``.

    ``face``: where to look for them in the first frame, x and y in 0..1; None takes the largest steady face.
    ``on_frame(frame, points)`` is called for every frame, with its points (468, 3) px or None, while it is decoded.
    Raises ``no_face`` when hardly any frame shows one.
    """
    from rendering.engine.media.frames import ahead, read_frames

    if info.video is None:
        raise EngineError("no_video", str(path))
    with closing(ahead(read_frames(path, info))) as frames:
        follower = Follower(face)
        rows, starts, thumbs = _follow(frames, follower, info.video.frames, report, on_frame)
    if sum(row[0] is not None for row in rows) < MIN_FOLLOWED:
        raise EngineError("no_face", str(path))
    shots = list(zip(starts, [*starts[1:], len(rows)], strict=True))
    track = assemble(rows, shots, np.array(thumbs), (info.video.width, info.video.height))
    return replace(track, faces=follower.faces, presenter=follower.presenter)


Row = tuple["Array | None", float, float]


def _follow(
    frames: Iterator[Frame],
    follower: Follower,
    total: int,
    report: Report,
    on_frame: OnFrame | None,
) -> tuple[list[Row], list[int], list[Array]]:
    """Each frame's (points or None, presence, sharpness), the first frame of each shot, and each frame's thumb."""
    head = list(islice(frames, LOOK_AHEAD))
    cuts = CutFinder()
    follower.choose(head)
    rows: list[Row] = []
    thumbs: list[Array] = []
    starts = [0]
    for index, frame in enumerate(_release(head, frames)):
        thumb = _thumb(frame.y)
        thumbs.append(thumb)
        cut = cuts(thumb)
        if cut:
            starts.append(index)
        found = follower(frame, cut=cut)
        if found is None:
            rows.append((None, 0.0, np.nan))
        else:
            rows.append((found[0], found[1], sharpness(found[2][SHARP_HALF])))
        if on_frame is not None:
            on_frame(frame, None if found is None else found[0])
        report("track", index + 1, max(total, index + 1))
    return rows, starts, thumbs


def _release(head: list[Frame], rest: Iterator[Frame]) -> Iterator[Frame]:
    """``head`` then ``rest``, letting each frame of ``head`` go once it is used."""
    return chain((head.pop(0) for _ in range(len(head))), rest)


def _thumb(y: Array) -> Array:
    height, width = y.shape
    step = max(1, height // (4 * THUMB_HEIGHT))
    size = (max(1, round(THUMB_HEIGHT * width / height)), THUMB_HEIGHT)
    return cv2.resize(np.ascontiguousarray(y[::step, ::step]), size, interpolation=cv2.INTER_AREA)


def sharpness(bgr: Array) -> float:
    """Log variance of the Laplacian of a picture (h, w, 3) uint8."""
    return float(np.log1p(cv2.Laplacian(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), cv2.CV_32F).var()))


def assemble(rows: list[Row], shots: list[tuple[int, int]], thumbs: Array, size: tuple[int, int]) -> Track:
    """A :class:`Track` from each frame's (points or None, presence, sharpness)."""
    ok = np.array([row[0] is not None for row in rows])
    points = np.full((len(rows), 468, 3), np.nan, np.float32)
    for index, row in enumerate(rows):
        if row[0] is not None:
            points[index] = row[0]
    template = geometry.make_template(points[ok])
    scale, rotation, shift = _poses(points, ok, template)
    yaw, pitch, roll = geometry.angles(rotation)
    lips = geometry.normalise(points[:, LIPS], (scale, rotation, shift)).astype(np.float32)
    lips = geometry.smooth(lips, geometry.runs(ok, shots), 5)
    opening, width = opening_width(lips)
    single = np.float32
    return Track(
        ok=ok,
        points=points,
        scale=scale.astype(single),
        rotation=rotation.astype(single),
        shift=shift.astype(single),
        yaw=yaw.astype(single),
        pitch=pitch.astype(single),
        roll=roll.astype(single),
        io=scale.astype(single),
        opening=opening.astype(single),
        width=width.astype(single),
        blur=np.array([row[2] for row in rows], single),
        presence=np.array([row[1] for row in rows], single),
        shots=shots,
        template=template,
        thumbs=thumbs,
        size=size,
        covered=np.zeros(len(rows), bool),
        faces=np.zeros((0, 4), np.float32),
        presenter=-1,
    )


def _poses(points: Array, ok: Array, template: Array) -> tuple[Array, Array, Array]:
    """Pose of every followed frame; NaN elsewhere."""
    scale = np.full(len(ok), np.nan)
    rotation = np.full((len(ok), 3, 3), np.nan)
    shift = np.full((len(ok), 3), np.nan)
    scale[ok], rotation[ok], shift[ok] = geometry.similarity(template[STABLE], points[ok][:, STABLE])
    return scale, rotation, shift
