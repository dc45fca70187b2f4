"""One dubbed piece: rendered, encoded, decoded and tracked again, frame by frame beside what it should be."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from rendering.engine import backends, trackers
from rendering.engine.analysis import Analysis
from rendering.engine.contract import Limits, Quality, RenderOptions, RenderRequest, Report
from rendering.engine.evaluate.clips import Studied
from rendering.engine.face.lips import head_turn
from rendering.engine.face.stretch import STRETCHED
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.audio import SPEECH_RATE, read_audio
from rendering.engine.media.probe import probe, probe_footage
from rendering.engine.neural.draw import Network, NeuralMouths
from rendering.engine.render import Take, compose, planned_mouth, scene_of
from rendering.engine.voice.base import BaseModel
from rendering.engine.voice.visemes import Phoneme


@dataclass(frozen=True, eq=False)
class Dubbed:
    """A piece of n frames. Openings and widths are in IO; NaN where no face was followed."""

    made: np.ndarray
    """(n, 2) opening and width of the result, tracked again."""
    truth: np.ndarray
    """(n, 2) of the mouth that really said it."""
    plan: np.ndarray
    """(n, 2) of what was planned."""
    own: np.ndarray
    """(n, 2) of the footage's own mouth under each frame."""
    turn: np.ndarray
    """(n, 2) yaw and pitch in degrees of the head under each frame."""
    fps: float
    take_s: float
    quality: Quality
    stretched: int | None
    """Frames whose lent mouth is stretched beyond STRETCHED; None where none are lent."""
    phonemes: tuple[Phoneme, ...] | None
    audio16k: np.ndarray

    @property
    def times(self) -> np.ndarray:
        return np.arange(len(self.made)) / self.fps


def cut(audio16k: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """The sound (n,) between two moments; silence where there is none."""
    start, end = round(start_s * SPEECH_RATE), round(end_s * SPEECH_RATE)
    wanted = np.zeros(max(end - start, 1), np.float32)
    low, high = max(start, 0), min(end, len(audio16k))
    if high > low:
        wanted[low - start : high - start] = audio16k[low:high]
    return wanted


def write_take(path: Path, audio16k: np.ndarray, start_s: float, end_s: float) -> Take:
    """The sound between two moments as a WAV at ``path``."""
    soundfile.write(path, cut(audio16k, start_s, end_s), SPEECH_RATE)
    info = probe(path, Limits())
    return Take(info, read_audio(path, SPEECH_RATE, info))


def dub(
    studied: Studied,
    analysis: Analysis,
    library: Track,
    order: np.ndarray,
    take_path: Path,
    take: Take,
    truth: np.ndarray,
    out: Path,
    report: Report,
    phonemes: Sequence[Phoneme] | None = None,
    *,
    told: bool = False,
    base: BaseModel | None = None,
    network: Network | None = None,
) -> Dubbed:
    """Render ``take`` over the footage frames ``order`` (n,) with mouths of ``library``; track the result again.

    ``phonemes``: the take's sounds, to measure by; with ``told`` the engine may use them too.
    ``base``: in place of the shipped one. ``network``: draws the mouths, in place of the presenter's own.
    """
    fps = studied.fps
    times = np.arange(len(order)) / fps
    request = RenderRequest(
        footage=studied.clip.path, analysis=studied.folder, audio=take_path, out=out, options=RenderOptions()
    )
    known = tuple(phonemes) if told and phonemes else ()
    plan = planned_mouth(analysis, take.audio16k, times, request.options.amplitude, base, known)
    scene = scene_of(analysis, studied.folder, order, plan, take.audio16k, library)
    made_by = backends.make(request.options.backend, scene).maker if network is None else NeuralMouths(scene, network)
    with contextlib.closing(made_by) as maker:
        check = compose(request, studied.info, studied.video, take, scene, maker, report).check
        stretched = _stretched(maker)
    info, _ = probe_footage(out, Limits())
    seen = track_footage(out, info, report=report, tracker=trackers.chosen(None))
    return Dubbed(
        made=np.stack([seen.opening, seen.width], axis=1),
        truth=truth,
        plan=analysis.lips.opening_width(plan),
        own=studied.truth[order],
        turn=head_turn(analysis.track)[order],
        fps=fps,
        take_s=take.duration_s,
        quality=check.quality(take.audio16k),
        stretched=stretched,
        phonemes=None if phonemes is None else tuple(phonemes),
        audio16k=take.audio16k,
    )


def _stretched(maker: backends.MouthMaker) -> int | None:
    if isinstance(maker, NeuralMouths):
        return int((maker.stretch > STRETCHED).sum())
    if not isinstance(maker, backends.Exemplar) or maker.patches is None:
        return None
    return int((maker.composer.stretch > STRETCHED).sum())
