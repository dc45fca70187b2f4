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
from rendering.engine.face.mesh import Crop, Mesh
from rendering.engine.face.points import LIPS, STABLE
from rendering.engine.face.track import Track, opening_width
from rendering.engine.media.frame import Frame
from rendering.engine.media.probe import VideoInfo
from rendering.engine.voice.base import load_base, read_curve
from rendering.engine.voice.features import features
from rendering.engine.voice.pauses import activity

MEASURED_FRAMES = 200
"""Frames whose mouth is tracked again: enough to score, little enough not to slow a long render down."""
STRETCHES = 4
ONE_LOOK = (0,)
LAGS_MS = np.arange(-240, 241, 20)
MIN_SCORED_S = 3.0
STILL_LEVELS = 0.05
"""Mean change of luma under which a picture counts as frozen."""
SKIN_SIZE = 96


class Check:
    """Sees every frame before and after its mouth is drawn; answers with a :class:`Quality`."""

    def __init__(self, track: Track, order: np.ndarray, fps: float) -> None:
        self.track, self.order, self.fps = track, order, fps
        self.measured = _stretches(len(order))
        self.opening = np.full(len(order), np.nan)
        self.kept = 0
        self._mesh = Mesh()
        self._before = _Skin()
        self._after = _Skin()
        self._still = self._longest_still = 0
        self._thumb: np.ndarray | None = None

    def before(self, frame: Frame, t: int) -> None:
        """``frame`` as the footage has it, for output frame ``t``."""
        if self.measured[t] and self.track.clear[self.order[t]]:
            self._before.add(frame, self.track, int(self.order[t]), t)

    def after(self, frame: Frame, t: int, *, drawn: bool) -> None:
        """The same frame with its mouth drawn (or not)."""
        self.kept += not drawn
        index = int(self.order[t])
        self._count_still(frame)
        if not self.measured[t] or not self.track.clear[index]:
            return
        self._after.add(frame, self.track, index, t)
        points = self.track.points[index]
        crop = Crop.of_points(points)
        picture = self._mesh.picture(frame, crop)
        if picture is not None:
            found, _ = self._mesh.read(picture, crop, ONE_LOOK)
            self.opening[t] = measure_opening(found, self.track.template)

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
        heard = features(audio16k)
        active = activity(audio16k)
        speaking = np.interp(times, np.arange(len(active)) / 100, active) > 0.5
        known = np.isfinite(self.opening) & speaking
        if known.sum() < MIN_SCORED_S * self.fps:
            return None, None
        curve = load_base().curve(heard)
        scores = [
            correlation(read_curve(curve, times[known] + lag / 1000)[:, 0], self.opening[known]) for lag in LAGS_MS
        ]
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


def measure_opening(points: np.ndarray, template: np.ndarray) -> float:
    """Inner-lip opening in IO of mesh ``points`` (468, 3) px, its pose taken out."""
    pose = geometry.similarity(template[STABLE], points[None, STABLE])
    lips = geometry.normalise(points[None, LIPS].astype(np.float64), pose)
    return float(opening_width(lips)[0][0])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r of two (n,) series; 0 when one of them is flat."""
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / spread) if spread > 1e-12 else 0.0


class _Skin:
    """Flicker and sharpness of the lower face, followed with the head's movement taken out.

    Flicker is the mean absolute change of luma from frame to frame, on the chin and cheeks around the lips: the
    part of the mask that should look as calm as skin does.
    """

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray] | None = None
        self._changes: list[float] = []
        self._edges: list[float] = []

    def add(self, frame: Frame, track: Track, index: int, t: int) -> None:
        points = track.steady.points[index]
        x, y, width, height = box_around(outline(points))
        x, y = max(0, x), max(0, y)
        luma = np.ascontiguousarray(frame.y[y : y + height, x : x + width])
        if luma.size == 0:
            return
        lips = points[LIPS, :2]
        low, high = lips.min(axis=0).astype(int), lips.max(axis=0).astype(int) + 1
        mouth = luma[max(0, low[1] - y) : high[1] - y, max(0, low[0] - x) : high[0] - x]
        if min(mouth.shape) > 4:
            self._edges.append(float(cv2.Laplacian(mouth, cv2.CV_32F).var()))
        skin = _straightened(luma, points[:, :2] - [x, y])
        if self._last is not None and self._last[0] == t - 1:
            self._changes.append(float(np.abs(skin - self._last[1])[_around_lips()].mean()))
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


def _straightened(luma: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Luma (h, w) u8 drawn on a 96 x 96 grid that is fixed to the face, float32."""
    shrink = max(1, int(max(luma.shape) / (1.5 * SKIN_SIZE)))
    small = cv2.resize(luma, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA) if shrink > 1 else luma
    matrix = cv2.getAffineTransform((points[list(_ANCHORS)] / shrink).astype(np.float32), _PLACES)
    grid: np.ndarray = cv2.warpAffine(small, matrix, (SKIN_SIZE, SKIN_SIZE), flags=cv2.INTER_LINEAR)
    return grid.astype(np.float32)


@functools.lru_cache(maxsize=1)
def _around_lips() -> np.ndarray:
    """(96, 96) bool: skin beside and below the lips."""
    rows, columns = np.mgrid[:SKIN_SIZE, :SKIN_SIZE]
    lips = ((columns - 48) / 30) ** 2 + ((rows - 40) / 24) ** 2 < 1
    face = ((columns - 48) / 44) ** 2 + ((rows - 40) / 44) ** 2 < 1
    result: np.ndarray = face & ~lips & (rows > 12)
    return result


def confirm(path: Path, written: VideoInfo, promised: VideoInfo, frames: int) -> None:
    """The file on disk is what was promised. Raises ``io_error``: the disk or the encoder let us down."""
    same = (written.width, written.height, written.fps, written.frames) == (
        promised.width,
        promised.height,
        promised.fps,
        frames,
    )
    if not same:
        raise EngineError("io_error", f"{path.name}: {written} instead of {frames} frames of {promised}")
