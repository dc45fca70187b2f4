"""The presenter's own mouths, kept: every frame's lower face as a JPEG, and which frames are good enough to reuse."""

from __future__ import annotations

import struct
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np

from rendering.engine.errors import EngineError
from rendering.engine.face.inside import GREY, inside
from rendering.engine.face.inside import SIZE as INSIDE
from rendering.engine.face.points import EYES, JAW
from rendering.engine.face.track import Track

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

QUALITY = 95
MAGIC = b"HGPATCH2"
TAIL = struct.Struct("<8sq")
MAX_YAW = 30.0
CUT_MARGIN = 2
"""Frames on either side of a cut that are never reused."""
MIN_LIBRARY = 25
MIN_SHARPNESS = 0.55
"""Frames whose sharpness is this much (natural logarithm) under their neighbourhood's are blurred."""


def region(points: Array) -> tuple[int, int, int, int]:
    """The lower face with a margin, as an even-aligned x, y, w, h; it may reach over the frame's edge.

    ``points`` (468, 3) px.
    """
    io = float(np.linalg.norm(points[EYES[1]] - points[EYES[0]]))
    jaw = points[JAW, :2]
    left, right = jaw[:, 0].min() - 0.1 * io, jaw[:, 0].max() + 0.1 * io
    top, bottom = points[[6, 197], 1].mean(), jaw[:, 1].max() + 0.2 * io
    x, y = int(np.floor(left)) & ~1, int(np.floor(top)) & ~1
    return x, y, (int(np.ceil(right)) - x + 1) & ~1, (int(np.ceil(bottom)) - y + 1) & ~1


class PatchWriter:
    """Writes JPEGs one after another, then what their mouths show and their index; complete only once closed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._index: list[tuple[int, int, int, int, int, int]] = []
        self._inside: list[Array] = []

    def add(self, frame: Frame, points: Array | None) -> None:
        """Keep the lower face of ``frame``; a frame without ``points`` keeps its place in the index. In frame order."""
        if points is None:
            self._index.append((0, 0, 0, 0, 0, 0))
            self._inside.append(np.full(INSIDE, GREY, np.uint8))
            return
        box = region(points)
        picture = frame.bgr(box)
        self._inside.append(inside(picture, points[:, :2] - box[:2]))
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise EngineError("io_error", f"frame {frame.index} could not be stored")
        self._index.append((self._file.tell(), len(data), *box))
        self._file.write(data.tobytes())

    def close(self) -> None:
        """Write the index and close the file."""
        if not self._file.closed:
            self._file.write(np.array(self._inside, np.uint8).tobytes())
            self._file.write(np.array(self._index, "<i8").reshape(-1, 6).tobytes())
            self._file.write(TAIL.pack(MAGIC, len(self._index)))
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        self._file.close()


class Patches:
    """Reads what :class:`PatchWriter` wrote, one patch at a time."""

    def __init__(self, path: Path) -> None:
        self._file, self._reading = path.open("rb"), Lock()
        self._file.seek(0, 2)
        end = self._file.tell()
        self._file.seek(max(0, end - TAIL.size))
        tail = self._file.read(TAIL.size)
        magic, count = TAIL.unpack(tail) if len(tail) == TAIL.size else (b"", 0)
        if magic != MAGIC or end < TAIL.size + count * (48 + INSIDE):
            raise EngineError("stale_analysis", f"{path.name} is not a complete patch file")
        self._file.seek(end - TAIL.size - count * (48 + INSIDE))
        self.inside = np.frombuffer(self._file.read(count * INSIDE), np.uint8).reshape(count, INSIDE)
        """(N, 27) uint8: what each frame's mouth shows (:mod:`rendering.engine.face.inside`)."""
        self._index = np.frombuffer(self._file.read(count * 48), "<i8").reshape(count, 6)

    def __len__(self) -> int:
        return len(self._index)

    def box(self, index: int) -> tuple[int, int, int, int]:
        """x, y, w, h of the patch in its own frame; w is 0 where there is none."""
        x, y, w, h = (int(value) for value in self._index[index, 2:])
        return x, y, w, h

    def read(self, index: int) -> Array:
        """The patch of frame ``index``, (h, w, 3) uint8 BGR. From any thread."""
        start, length = (int(value) for value in self._index[index, :2])
        with self._reading:
            self._file.seek(start)
            packed = self._file.read(length)
        picture = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR) if length else None
        if picture is None:
            raise EngineError("stale_analysis", f"no patch of frame {index}")
        return picture

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def library_frames(track: Track) -> Array:
    """(N,) bool: frames whose mouth may be reused: followed, from the front, sharp, unobscured, away from cuts.

    Where hardly any frame is that good (a chin cut off by the picture's edge, say), every followed frame is.
    """
    usable = track.clear & (np.abs(np.nan_to_num(track.yaw)) <= MAX_YAW) & (track.presence > 0.9)
    for start, stop in track.shots:
        if start > 0:
            usable[start : start + CUT_MARGIN] = False
        if stop < len(track):
            usable[stop - CUT_MARGIN : stop] = False
    usable &= ~_blurred(track) & ~_odd(track) & _inside(track)
    return usable if usable.sum() >= MIN_LIBRARY else track.clear.copy()


def _blurred(track: Track) -> Array:
    blur = track.blur[track.ok]
    usual = np.median(blur)
    result: Array = np.nan_to_num(track.blur, nan=-np.inf) < usual - max(MIN_SHARPNESS, 2.5 * _spread(blur))
    return result


def _odd(track: Track) -> Array:
    """Mouths of a shape that no mouth of this presenter has: the mesh lost its hold."""
    lips = track.lips()[:, :, :2].reshape(len(track), -1)
    good = lips[track.ok]
    middle = np.median(good, axis=0)
    distance = np.sqrt(((lips - middle) ** 2).sum(axis=1))
    usual = distance[track.ok]
    result: Array = ~(distance < np.median(usual) + 8 * _spread(usual))
    return result


def _spread(values: Array) -> float:
    """A standard deviation that outliers do not move."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _inside(track: Track) -> Array:
    """Frames whose jaw lies within the picture."""
    jaw = track.points[:, JAW, :2]
    low, high = jaw.min(axis=1), jaw.max(axis=1)
    result: Array = (low >= 0).all(axis=1) & (high <= np.array(track.size)).all(axis=1)
    return result
