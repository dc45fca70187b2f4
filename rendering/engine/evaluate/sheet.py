"""A contact sheet of mouths, for eyes: what no figure tells shows when mouths lie side by side at full size."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rendering.engine import trackers
from rendering.engine.contract import Limits, Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.face.points import LIPS
from rendering.engine.face.track import track_footage
from rendering.engine.media.audio import read_audio
from rendering.engine.media.frame import Frame
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import MediaInfo, probe, probe_footage
from rendering.engine.voice.phones import IPA, sequence
from rendering.engine.voice.visemes import Phoneme

WIDTH_IO, HEIGHT_IO = 1.0, 0.9
"""Size of a crop; the lips lie in its middle, a little above."""
LABEL_PX, GAP_PX = 16, 2
_INK, _PAPER = (235, 235, 235), (24, 24, 24)
_NAMES = {sound: name.lower() for name, sound in IPA.items() if sound}
_MAX_SIDE = 16_000
"""Pixels of a sheet's longer side; what does not fit is a mistake in the request."""


@dataclass(frozen=True, kw_only=True)
class SheetOptions:
    """Which frames, how many side by side, and how large."""

    start_s: float = 0.0
    seconds: float = 4.0
    step: int = 1
    """Every frame, every second frame, ..."""
    columns: int = 10
    scale: int = 1
    """Whole enlargement for small footage; pixels stay pixels."""
    face: tuple[float, float] | None = None
    """Whose mouth, of several: where the face is in the first frame, x and y in 0..1; None: the largest."""


def sheet(
    video: Path,
    out: Path,
    *,
    source: Path | None = None,
    phonemes: Sequence[Phoneme] | None = None,
    options: SheetOptions | None = None,
    report: Report = silent,
) -> tuple[int, int]:
    """Write mouths of ``video`` over time as a PNG at ``out``; returns its width and height.

    Each crop carries its time and the sound said at it: ``phonemes``, else what the recogniser hears. With ``source``
    a second row shows the same frames of it, cut out at the same places. Raises what tracking raises, and ``io_error``
    when there is nothing to show or it cannot be written.
    """
    options = options or SheetOptions()
    info, told = probe_footage(video, Limits())
    fps = float(told.fps)
    first = round(options.start_s * fps)
    wanted = list(range(first, min(told.frames, first + max(1, round(options.seconds * fps))), options.step))
    crops, boxes = _mouths(video, info, set(wanted), options.face, report)
    if not crops:
        raise EngineError("io_error", f"{video.name}: no mouth between {options.start_s} s and its end")
    rows = [crops]
    if source is not None:
        rows.append(_cut(source, boxes))
    sounds = phonemes if phonemes is not None else _heard(video, info)
    shown = [index for index in wanted if index in crops]
    labels = [f"{index / fps:.2f} {_said(sounds, index / fps)}" for index in shown]
    picture = _lay([[row.get(index) for index in shown] for row in rows], labels, options)
    if max(picture.shape[:2]) > _MAX_SIDE:
        raise EngineError("io_error", f"a sheet of {picture.shape[1]} x {picture.shape[0]} pixels is too large")
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), picture):
        raise EngineError("io_error", f"{out} could not be written")
    return picture.shape[1], picture.shape[0]


Box = tuple[int, int, int, int]


def _mouths(
    video: Path, info: MediaInfo, wanted: set[int], face: tuple[float, float] | None, report: Report
) -> tuple[dict[int, np.ndarray], dict[int, Box]]:
    """The crops of frames ``wanted`` and where they are; one size for all, from the first face."""
    crops: dict[int, np.ndarray] = {}
    boxes: dict[int, Box] = {}
    size: list[int] = []

    def keep(frame: Frame, points: np.ndarray | None) -> None:
        if frame.index not in wanted or points is None:
            return
        if not size:
            io = float(np.linalg.norm(points[263] - points[33]))
            size.extend((round(WIDTH_IO * io) & ~1, round(HEIGHT_IO * io) & ~1))
        x, y = points[LIPS, :2].mean(axis=0)
        box = (round(x - size[0] / 2), round(y - 0.45 * size[1]), size[0], size[1])
        crops[frame.index], boxes[frame.index] = frame.bgr(box), box

    track_footage(video, info, report=report, on_frame=keep, tracker=trackers.chosen(face))
    return crops, boxes


def _cut(source: Path, boxes: dict[int, Box]) -> dict[int, np.ndarray]:
    return {
        frame.index: frame.bgr(boxes[frame.index])
        for frame in read_frames(source, probe(source, Limits()))
        if frame.index in boxes
    }


def _heard(video: Path, info: MediaInfo) -> Sequence[Phoneme]:
    return sequence(read_audio(video, info=info)) if info.audio is not None else ()


def _said(phonemes: Sequence[Phoneme], time_s: float) -> str:
    """The sound at a moment in plain letters (the recogniser's names where it has one); "-" for silence."""
    sound = next((sound for start, end, sound in phonemes if start <= time_s < end), "")
    if not sound:
        return "-"
    plain = "".join(letter for letter in unicodedata.normalize("NFD", sound) if letter not in "ˈˌː")
    return _NAMES.get(plain) or " ".join(_NAMES.get(letter, letter if letter.isascii() else "?") for letter in plain)


def _lay(rows: Sequence[Sequence[np.ndarray | None]], labels: Sequence[str], options: SheetOptions) -> np.ndarray:
    """Crops under their labels, ``columns`` side by side; the rows of one moment lie under each other."""
    first = next(crop for crop in rows[0] if crop is not None)
    height, width = (options.scale * side for side in first.shape[:2])
    columns = min(options.columns, len(labels))
    lines = -(-len(labels) // columns)
    tall = LABEL_PX + len(rows) * (height + GAP_PX)
    picture = np.full((lines * tall, columns * (width + GAP_PX), 3), _PAPER, np.uint8)
    for place, label in enumerate(labels):
        top, left = place // columns * tall, place % columns * (width + GAP_PX)
        cv2.putText(picture, label, (left + 2, top + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
        for number, row in enumerate(rows):
            crop = row[place]
            if crop is None:
                continue
            y = top + LABEL_PX + number * (height + GAP_PX)
            picture[y : y + height, left : left + width] = cv2.resize(
                crop, (width, height), interpolation=cv2.INTER_NEAREST
            )
    return picture
