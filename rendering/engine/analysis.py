"""The folder that ``prepare`` leaves: its files, reading it back, and the last few, kept for the next take."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from rendering.engine.contract import ENGINE_VERSION, Finding, PreparedFootage
from rendering.engine.errors import EngineError
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.track import Track
from rendering.engine.voice.learn import VoiceModel

ANALYSIS, TRACK, LIPS, VOICE, PATCHES = "analysis.json", "track.npz", "lips.npz", "voice.npz", "patches.bin"
KEPT, KEPT_FRAMES = 12, 60_000
"""Analyses and frames that they have together. One of 24 seconds holds 5 MB besides what stays on disk, one of an hour
some 40."""

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Analysis:
    """What ``render`` needs of a prepared folder."""

    prepared: PreparedFootage
    track: Track
    lips: LipSpace
    voice: VoiceModel


def read_prepared(folder: Path) -> PreparedFootage:
    """The result that ``prepare`` left in ``folder``. Raises ``stale_analysis``."""
    try:
        stored = json.loads((folder / ANALYSIS).read_text())
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise EngineError("stale_analysis", f"{folder}: {error}") from error
    if stored.get("engine") != ENGINE_VERSION or "faces" not in stored:
        raise EngineError("stale_analysis", f"{stored.get('engine')} instead of {ENGINE_VERSION}")
    box = stored["face_box"]
    return PreparedFootage(
        **{
            **stored,
            "folder": folder,
            "findings": tuple(Finding(**item) for item in stored["findings"]),
            "speech_spans": tuple((start, end) for start, end in stored["speech_spans"]),
            "face_box": tuple(box) if box is not None else None,
            "faces": tuple(tuple(face) for face in stored["faces"]),
        }
    )


def accepted(prepared: PreparedFootage) -> PreparedFootage:
    """``prepared``, unless the footage was refused: raises the code that it was refused with."""
    if prepared.verdict == "refused":
        first = prepared.findings[0]
        raise EngineError(first.code, f"measured {first.figure}")
    return prepared


def read_analysis(folder: Path) -> Analysis:
    """Everything for a render. Raises ``stale_analysis``, or the code that the footage was refused with."""
    prepared = accepted(read_prepared(folder))
    return Analysis(prepared, Track.load(folder / TRACK), LipSpace.load(folder / LIPS), VoiceModel.load(folder / VOICE))


class RecentAnalyses:
    """The last few analyses that were asked for, by folder. One whose files have changed is read anew."""

    def __init__(self, kept: int = KEPT, frames: int = KEPT_FRAMES) -> None:
        self._kept, self._frames = kept, frames
        self._read: OrderedDict[Path, tuple[Stamp, Analysis]] = OrderedDict()

    def get(self, folder: Path) -> tuple[Analysis, bool]:
        """The analysis in ``folder`` and whether it was still in memory. Raises as :func:`read_analysis` does."""
        folder = folder.resolve()
        stamp = _stamp(folder)
        held = self._read.pop(folder, None)
        known = held is not None and held[0] == stamp
        analysis = held[1] if held is not None and known else read_analysis(folder)
        self._read[folder] = stamp, analysis
        while len(self._read) > 1 and (len(self._read) > self._kept or self._together() > self._frames):
            self._read.popitem(last=False)
        return analysis, known

    def _together(self) -> int:
        return sum(len(analysis.track) for _, analysis in self._read.values())

    def __len__(self) -> int:
        return len(self._read)


def _stamp(folder: Path) -> Stamp:
    """Number, size and time of each file; empty where one is missing, which reading will tell."""
    try:
        found = [(folder / name).stat() for name in (ANALYSIS, TRACK, LIPS, VOICE)]
    except FileNotFoundError:
        return ()
    return tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in found)


RECENT = RecentAnalyses()
