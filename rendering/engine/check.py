"""Stage 12: measuring the result as it is made, frame by frame, on the pixels that go to the encoder."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from rendering.engine.contract import Quality
from rendering.engine.errors import EngineError
from rendering.engine.face import geometry
from rendering.engine.face.blend import box_around, outline
from rendering.engine.face.mesh import ONE_LOOK, Crop, Mesh
from rendering.engine.face.points import LIPS, STABLE
from rendering.engine.face.track import Track, opening_width
from rendering.engine.media.frame import Frame
from rendering.engine.media.probe import VideoInfo, written
from rendering.engine.voice.base import hear, load_base, read_curve
from rendering.engine.voice.pauses import activity

MEASURED_FRAMES = 200
"""Frames whose mouth is tracked again: enough to score, little enough not to slow a long render down."""
STRETCHES = 4
MESH_EVERY = 2
"""Of them only every second one's mesh is read: an opening lasts longer, and reading it is most of a check's time."""
LAGS_MS = np.arange(-240, 241, 20)
MIN_SCORED_S = 3.0
STILL_LEVELS = 0.05
"""Mean change of luma under which a picture counts as frozen."""
SKIN_SIZE = 96
MEASURED = np.concatenate([STABLE, LIPS])


class Check:
    """Sees every frame before and after its mouth is drawn; answers with a :class:`Quality`."""

    def __init__(self, track: Track, order: np.ndarray, fps: float) -> None:
        self.track, self.order, self.fps = track, order, fps
        self.measured = _stretches(len(order))
        self.kept = 0
        self._mesh = Mesh()
        self._meshes: dict[int, np.ndarray] = {}
        self._before = Skin()
        self._after = Skin()
        self._still = self._longest_still = 0
        self._thumb: np.ndarray | None = None
        self._places: dict[int, Place] = {}

    def before(self, frame: Frame, t: int) -> None:
        """``frame`` as the footage has it, for output frame ``t``."""
        if self.measured[t] and self.track.clear[self.order[t]]:
            self._places[t] = place = Place(self.track.steady.points[self.order[t]])
            self._before.add(frame, place, t)

    def after(self, frame: Frame, t: int, *, drawn: bool) -> None:
        """The same frame with its mouth drawn (or not)."""
        self.kept += not drawn
        index = int(self.order[t])
        self._count_still(frame)
        place = self._places.pop(t, None)
        if place is None:
            return
        self._after.add(frame, place, t)
        if t % MESH_EVERY:
            return
        crop = Crop.of_points(self.track.points[index])
        picture = self._mesh.picture(frame, crop)
        if picture is not None:
            found, _ = self._mesh.read(picture, crop, ONE_LOOK)
            self._meshes[t] = found[MEASURED]

    def _count_still(self, frame: Frame) -> None:
        height = frame.y.shape[0]
        step = max(1, height // 160)
        thumb = np.ascontiguousarray(frame.y[::step, ::step])
        if self._thumb is not None:
            moved = float(cv2.absdiff(thumb, self._thumb).mean()) > STILL_LEVELS
            self._still = 0 if moved else self._still + 1
            self._longest_still = max(self._longest_still, self._still)
        self._thumb = thumb

    def quality(self, audio16k: np.ndarray) -> Quality:
        """The figures, given the take (n,) float32 at 16 kHz."""
        sync, offset = self._sync(audio16k)
        flicker = self._after.flicker / self._before.flicker if self._before.flicker else None
        sharpness = self._after.sharpness / self._before.sharpness if self._before.sharpness else None
        return Quality(
            sync=sync,
            offset_ms=offset,
            flicker=None if flicker is None else round(flicker, 3),
            sharpness=None if sharpness is None else round(sharpness, 3),
            longest_freeze_s=round(self._longest_still / self.fps, 3),
            frames_kept=self.kept,
        )

    def _sync(self, audio16k: np.ndarray) -> tuple[float | None, float | None]:
        """Correlation of what the base model hears with what the mouth does, at its best lag."""
        times = np.arange(len(self.order)) / self.fps
        opening = measured_openings(self._meshes, self.track.template, len(self.order))
        heard = hear(audio16k)
        active = activity(audio16k)
        speaking = np.interp(times, np.arange(len(active)) / 100, active) > 0.5
        known = np.isfinite(opening) & speaking
        if MESH_EVERY * known.sum() < MIN_SCORED_S * self.fps:
            return None, None
        curve = load_base().curve(heard)
        scores = [correlation(read_curve(curve, times[known] + lag / 1000)[:, 0], opening[known]) for lag in LAGS_MS]
        best = int(np.argmax(scores))
        return round(scores[best], 3), float(-LAGS_MS[best])


def _stretches(n: int) -> np.ndarray:
    """(n,) bool: up to :data:`MEASURED_FRAMES` frames in a few unbroken stretches, evenly spread."""
    if n <= MEASURED_FRAMES:
        return np.ones(n, bool)
    length = MEASURED_FRAMES // STRETCHES
    wanted = np.zeros(n, bool)
    for start in np.linspace(0, n - length, STRETCHES).astype(int):
        wanted[start : start + length] = True
    return wanted


def measured_openings(meshes: dict[int, np.ndarray], template: np.ndarray, n: int) -> np.ndarray:
    """(n,) float64 inner-lip opening in IO, the pose taken out; NaN where ``meshes`` has no (62, 3) px of
    :data:`MEASURED` points."""
    opening = np.full(n, np.nan)
    if meshes:
        points = np.stack(list(meshes.values()))
        stable, lips = points[:, : len(STABLE)], points[:, len(STABLE) :].astype(np.float64)
        pose = geometry.similarity(template[STABLE], stable)
        opening[list(meshes)] = opening_width(geometry.normalise(lips, pose))[0]
    return opening


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r of two (n,) series; 0 when one of them is flat."""
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / spread) if spread > 1e-12 else 0.0


class Place:
    """Where one frame's lower face lies: worked out once, looked at before and after the mouth is drawn."""

    def __init__(self, points: np.ndarray) -> None:
        """``points`` (468, 3) px."""
        x, y, width, height = box_around(outline(points))
        self.x, self.y = max(0, x), max(0, y)
        self.right, self.bottom = self.x + width, self.y + height
        lips = points[LIPS, :2]
        low, high = lips.min(axis=0).astype(int), lips.max(axis=0).astype(int) + 1
        self.mouth = np.s_[max(0, low[1] - self.y) : high[1] - self.y, max(0, low[0] - self.x) : high[0] - self.x]
        self.anchors = points[list(_ANCHORS), :2] - [self.x, self.y]

    def straightened(self, luma: np.ndarray) -> np.ndarray:
        """Luma (h, w) u8 of the box drawn on a 96 x 96 grid that is fixed to the face, u8."""
        shrink = max(1, int(max(luma.shape) / (1.5 * SKIN_SIZE)))
        if shrink > 1:
            luma = cv2.resize(luma, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
        matrix = cv2.getAffineTransform((self.anchors / shrink).astype(np.float32), _PLACES)
        grid: np.ndarray = cv2.warpAffine(luma, matrix, (SKIN_SIZE, SKIN_SIZE), flags=cv2.INTER_LINEAR)
        return grid


class Skin:
    """Flicker and sharpness of the lower face, followed with the head's movement taken out.

    Flicker is the mean absolute change of luma from frame to frame, on the chin and cheeks around the lips: the
    part of the mask that should look as calm as skin does.
    """

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray] | None = None
        self._changes: list[float] = []
        self._edges: list[float] = []

    def add(self, frame: Frame, place: Place, t: int) -> None:
        luma = np.ascontiguousarray(frame.y[place.y : place.bottom, place.x : place.right])
        if luma.size == 0:
            return
        mouth = luma[place.mouth]
        if min(mouth.shape) > 4:
            self._edges.append(float(cv2.Laplacian(mouth, cv2.CV_32F).var()))
        skin = place.straightened(luma)
        if self._last is not None and self._last[0] == t - 1:
            self._changes.append(cv2.mean(cv2.absdiff(skin, self._last[1]), _around_lips())[0])
        self._last = (t, skin)

    @property
    def flicker(self) -> float:
        return float(np.mean(self._changes)) if self._changes else 0.0

    @property
    def sharpness(self) -> float:
        return float(np.median(self._edges)) if self._edges else 0.0


# Subnasal point, jaw beside the mouth, chin: they hold the lower face whatever the lips do.
_ANCHORS = (2, 136, 365)
_PLACES = np.array([[48, 4], [12, 74], [84, 74]], np.float32)


@functools.lru_cache(maxsize=1)
def _around_lips() -> np.ndarray:
    """(96, 96) uint8, 0 or 1: skin beside and below the lips."""
    rows, columns = np.mgrid[:SKIN_SIZE, :SKIN_SIZE]
    lips = ((columns - 48) / 30) ** 2 + ((rows - 40) / 24) ** 2 < 1
    face = ((columns - 48) / 44) ** 2 + ((rows - 40) / 44) ** 2 < 1
    result: np.ndarray = (face & ~lips & (rows > 12)).astype(np.uint8)
    return result


def confirm(path: Path, promised: VideoInfo, frames: int) -> None:
    """The file on disk is what was promised. Raises ``io_error``: the disk or the encoder let us down."""
    there, wanted = written(path), (promised.width, promised.height, promised.fps, frames)
    if there != wanted:
        raise EngineError("io_error", f"{path.name}: {there} instead of {wanted}")
