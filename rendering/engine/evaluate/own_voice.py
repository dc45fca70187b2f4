"""Same voice: each third of a clip is dubbed by what the other two teach, with its own sound, and compared."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rendering.engine.analysis import Analysis
from rendering.engine.contract import Report
from rendering.engine.evaluate import measures
from rendering.engine.evaluate.clips import Studied
from rendering.engine.evaluate.filming import Dubbed, dub, write_take
from rendering.engine.face.track import Track
from rendering.engine.media.audio import SPEECH_RATE
from rendering.engine.neural.draw import Network
from rendering.engine.prepare import learn_presenter
from rendering.engine.render import planned_mouth
from rendering.engine.voice.base import BaseModel
from rendering.engine.voice.visemes import Phoneme

FOLDS = 3
MARGIN_S = 0.35
"""Not learned from on either side of the held-out part: a frame hears that much sound around it."""
NULL_AWAY_S = 0.7
NULLS = 3
"""Of each held-out part: nine a clip."""


@dataclass(frozen=True)
class OwnVoice:
    """One clip dubbed with its own sound."""

    pieces: list[Dubbed] = field(default_factory=list)
    """In order."""
    told: list[Dubbed] = field(default_factory=list)
    """The same, the sounds being known to the engine; empty where that was not asked for."""
    nulls: list[float] = field(default_factory=list)
    """r of plans for wrong sound with the truth."""
    learned: list[tuple[float, float]] = field(default_factory=list)
    """What learning said of itself each time: held-out r of the opening, offset in ms."""


def hidden(track: Track, start: int, stop: int, margin: int) -> Track:
    """``track`` as if nobody had been seen in frames ``start`` to ``stop`` and ``margin`` frames around them."""
    low, high, total = max(0, start - margin), min(stop + margin, len(track)), len(track)
    values: dict[str, Any] = {}
    for part in dataclasses.fields(track):
        value = getattr(track, part.name)
        if isinstance(value, np.ndarray) and value.ndim and len(value) == total and value.dtype.kind == "f":
            value = value.copy()
            value[low:high] = np.nan
        values[part.name] = value
    values["ok"] = track.ok.copy()
    values["ok"][low:high] = False
    return Track(**values)


def folds(frames: int, fps: float) -> list[tuple[int, int]]:
    """The held-out stretches (start, stop): thirds, or halves where a third would last under .9 s."""
    count = FOLDS if frames >= 2.7 * fps else 2
    edges = np.linspace(0, frames, count + 1).round().astype(int)
    return [(int(start), int(stop)) for start, stop in itertools.pairwise(edges)]


def own_voice(
    studied: Studied,
    work: Path,
    report: Report,
    *,
    seed: int = 0,
    phonemes: tuple[Phoneme, ...] | None = None,
    told: bool = False,
    base: BaseModel | None = None,
    network: Callable[[Track, str], Network] | None = None,
) -> OwnVoice:
    """Dub the thirds of ``studied``, which has sound.

    ``phonemes``: its sounds, to measure by; with ``told`` each third is made once more by an engine that knows them.
    ``base``: in place of the shipped one, also for the null. ``network``: draws a third, from what may be learnt from
    and the third's name.
    Raises what rendering raises.
    """
    if studied.audio16k is None:
        raise ValueError("a clip without sound has no voice of its own")
    result = OwnVoice()
    for index, (start, stop) in enumerate(folds(len(studied.analysis.track), studied.fps)):
        learned = hidden(studied.analysis.track, start, stop, round(MARGIN_S * studied.fps))
        analysis = _learn(studied, learned)
        result.learned.append((analysis.voice.cv_open, analysis.voice.offset_ms))
        # The footage's own error is taken out: what is asked is whether sound in place gets a mouth in place.
        late_s = analysis.voice.offset_ms / 1000
        start_s, end_s = start / studied.fps + late_s, stop / studied.fps + late_s
        sound = work / f"{studied.clip.path.stem}.{index + 1}.wav"
        take = write_take(sound, studied.audio16k, start_s, end_s)
        said = None if phonemes is None else measures.shifted(phonemes, start_s, end_s)
        truth, order = studied.truth[start:stop], np.arange(start, stop)
        out = sound.with_suffix(".mp4")
        scene = (studied, analysis, learned, order, sound, take, truth)
        drawn_by = None if network is None else network(learned, f"third-{index + 1}")
        result.pieces.append(dub(*scene, out, report, said, base=base, network=drawn_by))
        if told:
            result.told.append(dub(*scene, out.with_suffix(".told.mp4"), report, said, told=True, base=base))
        wrong = _nulls(analysis, studied.audio16k, result.pieces[-1], start_s, seed + index, base)
        result.nulls.extend(wrong)
    return result


def _learn(studied: Studied, learned: Track) -> Analysis:
    lips, voice = learn_presenter(learned, studied.video, studied.audio16k)
    lips = studied.analysis.lips if studied.analysis.prepared.tier == "C" else lips
    return dataclasses.replace(studied.analysis, lips=lips, voice=voice)


def _nulls(
    analysis: Analysis, audio16k: np.ndarray, piece: Dubbed, start_s: float, seed: int, base: BaseModel | None
) -> list[float]:
    """r of the truth with the opening planned for sound from elsewhere in the clip, whose end joins its beginning."""
    total, length = len(audio16k), round(piece.take_s * SPEECH_RATE)
    least = min(NULL_AWAY_S, total / SPEECH_RATE / 4)
    scores = []
    for away_s in np.random.default_rng(seed).uniform(least, total / SPEECH_RATE - least, NULLS):
        wrong = np.roll(audio16k, -round((start_s + away_s) * SPEECH_RATE))[:length]
        plan = planned_mouth(analysis, wrong, piece.times, 1.0, base)
        scores.append(measures.r(analysis.lips.opening_width(plan)[:, 0], piece.truth[:, 0]))
    return scores
