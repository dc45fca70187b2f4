"""The bundled tracker and ``face-alignment`` over the same clips: how far they agree, and what each loses."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rendering.engine.alignment.follow import AlignedFollower, Look
from rendering.engine.alignment.nets import Nets
from rendering.engine.contract import Limits, Report, silent
from rendering.engine.evaluate.measures import r, tremble
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.probe import probe_footage


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One clip. Lengths in IO; NaN where too few frames were seen by both."""

    clip: str
    frames: int
    bundled_followed: float
    aligned_followed: float
    """Share of frames, 0..1."""
    carried: float
    """Share of frames in which the mesh was carried on the landmarks."""
    apart: float
    """Between mesh and landmarks, median over the frames that both saw."""
    score: float
    """How sure the landmarks were, median."""
    r_open: float
    r_width: float
    """Between the bundled track's and the landmarks' own opening and width, where the mesh was not carried."""
    tremble_bundled: float
    tremble_landmarks: float
    """Of the opening, unsmoothed landmarks beside the smoothed track: see ``measures.tremble``."""
    bundled_fps: float
    aligned_fps: float
    """Decoding included."""


def compare(path: Path, nets: Nets, *, report: Report = silent) -> Agreement:
    """Follow the clip at ``path`` with both. Raises what following raises."""
    info, _ = probe_footage(path, Limits())
    began = time.monotonic()
    bundled = track_footage(path, info, report=report)
    between = time.monotonic()
    both = AlignedFollower(None, nets)
    aligned = track_footage(path, info, report=report, tracker=both)
    ended = time.monotonic()
    return _figures(path.name, bundled, aligned, both.looks, (between - began, ended - between))


def _figures(
    clip: str, bundled: Track, aligned: Track, looks: list[Look | None], seconds: tuple[float, float]
) -> Agreement:
    seen = [look if look is not None and not look.carried else None for look in looks]
    series = np.array([(look.opening, look.width, look.gap, look.score) if look else (np.nan,) * 4 for look in seen])
    opening, width, gaps, scores = series.T
    return Agreement(
        clip=clip,
        frames=len(bundled),
        bundled_followed=float(bundled.ok.mean()),
        aligned_followed=float(aligned.ok.mean()),
        carried=sum(look is not None and look.carried for look in looks) / len(looks),
        apart=_median(gaps),
        score=_median(scores),
        r_open=r(opening, bundled.opening),
        r_width=r(width, bundled.width),
        tremble_bundled=tremble(bundled.opening),
        tremble_landmarks=tremble(opening),
        bundled_fps=len(bundled) / seconds[0],
        aligned_fps=len(aligned) / seconds[1],
    )


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def as_lines(found: Agreement) -> list[str]:
    """Its figures for reading, one a line."""
    words = {name: f"{value:.3f}" if isinstance(value, float) else str(value) for name, value in asdict(found).items()}
    return [f"{name:18} {value}" for name, value in words.items()]
