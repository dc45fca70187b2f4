"""Analyses that a warm process keeps: the next take over the same footage need not read them again."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from rendering.engine.prepare import ANALYSIS, LIPS, TRACK, VOICE, Analysis, read_analysis

KEPT = 3
"""Analyses; each holds some 20 MB besides what stays on disk."""

Stamp = tuple[tuple[int, int, int], ...]


class RecentAnalyses:
    """The last few analyses that were asked for, by folder. One whose files have changed is read anew."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._read: OrderedDict[Path, tuple[Stamp, Analysis]] = OrderedDict()

    def get(self, folder: Path) -> tuple[Analysis, bool]:
        """The analysis in ``folder`` and whether it was still in memory. Raises as :func:`read_analysis` does."""
        folder = folder.resolve()
        stamp = _stamp(folder)
        held = self._read.pop(folder, None)
        known = held is not None and held[0] == stamp
        analysis = held[1] if held is not None and known else read_analysis(folder)
        self._read[folder] = stamp, analysis
        while len(self._read) > self._kept:
            self._read.popitem(last=False)
        return analysis, known

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
