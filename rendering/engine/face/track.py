"""Stage 1: one pass over the footage that follows the presenter's face and describes its mouth in every frame."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rendering.engine import scratch
from rendering.engine.contract import Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.face import geometry
from rendering.engine.face.follow import Follower, Tracker
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
MAPPED = ("points", "thumbs")
"""Arrays of a track that are large: 8 KB a frame."""
STEADY_BLOCK, STEADY_BLOCKS = 32, 64
"""Frames smoothed together, and how many such blocks are kept: 12 MB."""
LIPS_AT_ONCE = 4096
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
    captions: Array
    """(k, 4) float32 x, y, w, h px: lines of text over the lower face (``captions``); they are left as they are."""

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
        points = SteadyPoints(self.points, self.runs)
        return Steady(points, _poses(points.of(STABLE), self.ok, self.template))

    def lips(self, window: int = 5) -> Array:
        """(N, 40, 3) float32 IO: pose-normalised lip points, smoothed (savgol ``window``, 2)."""
        return geometry.smooth(_normal_lips(self.points, self.pose), self.runs, window)

    def save(self, path: Path) -> None:
        """Write as .npz. A file of that name is replaced, never written to: :meth:`load` leaves the old one mapped."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        with scratch.replacing(path) as part:
            np.savez(part, **values)

    @classmethod
    def load(cls, path: Path) -> Track:
        """Read what :meth:`save` wrote; what is large stays on disk until it is looked at.

        Raises ``stale_analysis``: another version wrote other things.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                small = (field.name for field in fields(cls) if field.name not in MAPPED)
                values: dict[str, Any] = {name: stored[name] for name in small}
                values |= scratch.mapped(path, MAPPED)
        except (KeyError, FileNotFoundError) as error:
            raise EngineError("stale_analysis", f"{path.name}: {error}") from error
        values["shots"] = [(int(start), int(stop)) for start, stop in values["shots"]]
        values["size"] = (int(values["size"][0]), int(values["size"][1]))
        values["presenter"] = int(values["presenter"])
        return cls(**values)


class SteadyPoints:
    """Smoothed mesh points, worked out where they are asked for: a whole track's would fill the memory."""

    def __init__(self, points: Array, runs: list[tuple[int, int]]) -> None:
        """``points`` (N, 468, 3) px as measured; ``runs``: stretches to smooth within."""
        self._points, self._runs = points, runs
        self._recent: OrderedDict[int, Array] = OrderedDict()

    def __getitem__(self, index: int) -> Array:
        """(468, 3) float32 px of frame ``index``, NaN where the face was not followed."""
        number = int(index) // STEADY_BLOCK
        block = self._recent.pop(number, None)
        if block is None:
            block = self._block(number * STEADY_BLOCK)
        self._recent[number] = block
        if len(self._recent) > STEADY_BLOCKS:
            self._recent.popitem(last=False)
        result: Array = block[int(index) % STEADY_BLOCK]
        return result

    def _block(self, first: int) -> Array:
        """Frames from ``first`` on. A run's piece that reaches 6 frames farther is smoothed like the whole run."""
        last = min(first + STEADY_BLOCK, len(self._points))
        low, high = max(0, first - 6), min(len(self._points), last + 6)
        within = [(max(a, low) - low, min(b, high) - low) for a, b in self._runs if a < high and b > low]
        return geometry.smooth(np.array(self._points[low:high]), within, 7)[first - low : last - low]

    def of(self, places: Array | tuple[int, ...]) -> Array:
        """(N, k, 3) float32 px of some points in every frame."""
        return geometry.smooth(self._points[:, list(places)], self._runs, 7)


@dataclass(frozen=True, eq=False)
class Steady:
    """Smoothed geometry of a track; NaN where the face was not followed."""

    points: SteadyPoints
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
    tracker: Tracker | None = None,
) -> Track:
    """Follow the presenter through the footage at ``path``.

    ``face``: where to look for them in the first frame, x and y in 0..1; None takes the largest steady face.
    ``tracker``: a fresh one in place of the bundled one; it knows itself where to look.
    ``on_frame(frame, points)`` is called for every frame, with its points (468, 3) px or None, while it is decoded.
    Raises ``no_face`` when hardly any frame shows one.
    """
    from rendering.engine.media.frames import ahead, read_frames

    if info.video is None:
        raise EngineError("no_video", str(path))
    with closing(ahead(read_frames(path, info))) as frames:
        follower = tracker or Follower(face)
        seen, starts = _follow(frames, follower, info.video.frames, report, on_frame)
    if np.isfinite(seen.blur).sum() < MIN_FOLLOWED:
        raise EngineError("no_face", str(path))
    shots = list(zip(starts, [*starts[1:], len(seen.blur)], strict=True))
    track = assemble(seen, shots, (info.video.width, info.video.height))
    return replace(track, faces=follower.faces, presenter=follower.presenter)


@dataclass(frozen=True, eq=False)
class Seen:
    """What one pass over the footage leaves of each frame; fields as in :class:`Track`."""

    points: Array
    presence: Array
    blur: Array
    """NaN where no face was followed."""
    thumbs: Array


NO_POINTS = np.full((468, 3), np.nan, np.float32)


def _follow(
    frames: Iterator[Frame],
    follower: Tracker,
    total: int,
    report: Report,
    on_frame: OnFrame | None,
) -> tuple[Seen, list[int]]:
    """What every frame shows, and the first frame of each shot."""
    head = list(islice(frames, LOOK_AHEAD))
    cuts = CutFinder()
    follower.choose(head)
    points, thumbs = scratch.Rows(), scratch.Rows()
    figures: list[tuple[float, float]] = []
    starts = [0]
    index = 0
    coming = _release(head, frames)
    while some := list(islice(coming, follower.together)):
        begins = []
        for number, frame in enumerate(some, index):
            thumb = _thumb(frame.y)
            thumbs.add(thumb)
            begins.append(cuts(thumb))
            starts += [number] * begins[-1]
        for frame, found in zip(some, follower.follow(some, begins), strict=True):
            points.add(NO_POINTS if found is None else found[0])
            figures.append((0.0, np.nan) if found is None else (found[1], sharpness(found[2][SHARP_HALF])))
            if on_frame is not None:
                on_frame(frame, None if found is None else found[0])
            index += 1
            report("track", index, max(total, index))
    presence, blur = np.array(figures, np.float32).T
    return Seen(points.array(), presence, blur, thumbs.array()), starts


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


def assemble(seen: Seen, shots: list[tuple[int, int]], size: tuple[int, int]) -> Track:
    """A :class:`Track` from what was seen."""
    points, ok = seen.points, np.isfinite(seen.blur)
    template = geometry.make_template(points, np.flatnonzero(ok))
    scale, rotation, shift = pose = _poses(points[:, STABLE], ok, template)
    yaw, pitch, roll = geometry.angles(rotation)
    lips = geometry.smooth(_normal_lips(points, pose), geometry.runs(ok, shots), 5)
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
        blur=seen.blur,
        presence=seen.presence,
        shots=shots,
        template=template,
        thumbs=seen.thumbs,
        size=size,
        covered=np.zeros(len(ok), bool),
        faces=np.zeros((0, 4), np.float32),
        presenter=-1,
        captions=np.zeros((0, 4), np.float32),
    )


def _poses(stable: Array, ok: Array, template: Array) -> tuple[Array, Array, Array]:
    """Pose of every followed frame from its ``stable`` points (N, 22, 3) px; NaN elsewhere."""
    scale = np.full(len(ok), np.nan)
    rotation = np.full((len(ok), 3, 3), np.nan)
    shift = np.full((len(ok), 3), np.nan)
    scale[ok], rotation[ok], shift[ok] = geometry.similarity(template[STABLE], stable[ok])
    return scale, rotation, shift


def _normal_lips(points: Array, pose: tuple[Array, Array, Array]) -> Array:
    """(N, 40, 3) float32 IO: pose-normalised lip points."""
    parts = [slice(start, start + LIPS_AT_ONCE) for start in range(0, len(points), LIPS_AT_ONCE)]
    scale, rotation, shift = pose
    return np.concatenate(
        [
            geometry.normalise(points[part, LIPS], (scale[part], rotation[part], shift[part])).astype(np.float32)
            for part in parts
        ]
    )
