"""Self-reenactment: learn on the first 70 % of a clip, dub the last 30 % with its own sound, compare with the truth."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from rendering.engine import backends
from rendering.engine.check import Check, correlation
from rendering.engine.contract import Limits, PrepareOptions, RenderOptions, RenderRequest, Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.audio import SPEECH_RATE, read_audio
from rendering.engine.media.probe import MediaInfo, VideoInfo, probe, probe_footage
from rendering.engine.prepare import Analysis, learn_presenter, prepare, read_analysis
from rendering.engine.render import Take, compose, planned_mouth

LEARNED_SHARE = 0.7
MAX_LAG_FRAMES = 10
NULLS = 20
NULL_BLOCK_S = 0.5


def evaluate(clip: Path, *, keep: Path | None = None, report: Report = silent) -> dict[str, float | int | str]:
    """The figures for ``clip``, which needs its own sound. ``keep``: where to leave the dubbed part.

    ``r_open``, ``r_width``: correlation of the re-tracked mouth with the true one. ``lag``: frames at which r_open is
    best (positive: the result is late). ``null``: mean r of what is planned for shuffled sound, over 20 shuffles.
    ``flicker``, ``sharpness``: relative to the source. ``jitter``: trembling of the opening relative to the truth's.
    """
    with tempfile.TemporaryDirectory(prefix="heygem-evaluate-") as temporary:
        folder = Path(temporary)
        prepare(clip, folder, options=PrepareOptions(), report=report)
        whole = read_analysis(folder)
        info, video = probe_footage(clip, Limits())
        if info.audio is None:
            raise EngineError("no_audio", clip.name)
        audio = read_audio(clip, SPEECH_RATE, info)
        split = round(LEARNED_SHARE * len(whole.track))
        learned = until(whole.track, split)
        lips, voice = learn_presenter(learned, video, audio[: round(split / float(video.fps) * SPEECH_RATE)])
        analysis = dataclasses.replace(whole, lips=lips if whole.prepared.tier != "C" else whole.lips, voice=voice)
        # The footage's own error is taken out: what is asked is whether new sound, in place, gets a mouth in place.
        start_s = split / float(video.fps) + voice.offset_ms / 1000
        take = folder / "take.wav"
        soundfile.write(take, audio[round(start_s * SPEECH_RATE) :], SPEECH_RATE)
        out = keep or folder / "dubbed.mp4"
        figures = _dub(clip, info, video, analysis, learned, folder, take, out, split, report)
        return {"clip": clip.name, "learned_frames": split, "tier": whole.prepared.tier or "", **figures}


def until(track: Track, stop: int) -> Track:
    """The first ``stop`` frames of a track."""
    total = len(track)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(track):
        value = getattr(track, field.name)
        per_frame = isinstance(value, np.ndarray) and value.ndim > 0 and len(value) == total
        values[field.name] = value[:stop] if per_frame else value
    values["shots"] = [(first, min(last, stop)) for first, last in track.shots if first < stop]
    return Track(**values)


def _dub(
    clip: Path,
    info: MediaInfo,
    video: VideoInfo,
    analysis: Analysis,
    learned: Track,
    folder: Path,
    take: Path,
    out: Path,
    split: int,
    report: Report,
) -> dict[str, float | int | str]:
    order = np.arange(split, len(analysis.track))
    times = np.arange(len(order)) / float(video.fps)
    request = RenderRequest(footage=clip, analysis=folder, audio=take, out=out, options=RenderOptions())
    take_info = probe(take, Limits())
    said = Take(take_info, read_audio(take, SPEECH_RATE, take_info))
    plan = planned_mouth(analysis, said.audio16k, times, 1.0)
    tier = analysis.prepared.tier or "C"
    scene = backends.Scene(
        track=analysis.track, lips=analysis.lips, tier=tier, analysis=folder, order=order, plan=plan, library=learned
    )
    check = Check(analysis.track, order, float(video.fps))
    maker = backends.make("exemplar", scene)
    try:
        compose(request, info, video, said, order, maker, check, report)
    finally:
        maker.close()
    seen_info, _ = probe_footage(out, Limits())
    seen = track_footage(out, seen_info, report=report)
    quality = check.quality(said.audio16k)
    truth = np.stack([analysis.track.opening, analysis.track.width], axis=1)[order]
    made = np.stack([seen.opening, seen.width], axis=1)
    null = _null(analysis, said.audio16k, times, truth[:, 0])
    return {
        "dubbed_frames": len(order),
        **_compare(made, truth),
        "r_plan": _round(_r(analysis.lips.opening_width(plan)[:, 0], truth[:, 0])),
        "null": _round(float(np.mean(null))),
        "null_sd": _round(float(np.std(null))),
        "cv_open": _round(analysis.voice.cv_open),
        "offset_ms": analysis.voice.offset_ms,
        "sync": quality.sync if quality.sync is not None else "",
        "flicker": quality.flicker or 0.0,
        "sharpness": quality.sharpness or 0.0,
    }


def _compare(made: np.ndarray, truth: np.ndarray) -> dict[str, float | int | str]:
    """``made`` and ``truth`` (n, 2): opening and width of the result and of the footage."""
    lags = range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)
    scores = [_r(*_shifted(made[:, 0], truth[:, 0], lag)) for lag in lags]
    best = int(np.argmax(scores))
    return {
        "r_open": _round(_r(made[:, 0], truth[:, 0])),
        "r_width": _round(_r(made[:, 1], truth[:, 1])),
        "lag": lags[best],
        "r_open_at_lag": _round(scores[best]),
        "jitter": _round(_tremble(made[:, 0]) / max(_tremble(truth[:, 0]), 1e-9)),
    }


def _shifted(made: np.ndarray, truth: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Both series where ``made`` read ``lag`` frames later overlaps ``truth``."""
    if lag >= 0:
        return made[lag:], truth[: len(truth) - lag]
    return made[:lag], truth[-lag:]


def _r(a: np.ndarray, b: np.ndarray) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    return correlation(a[known], b[known])


def _tremble(opening: np.ndarray) -> float:
    """Root mean square of the second difference."""
    return float(np.sqrt(np.nanmean(np.diff(opening, 2) ** 2)))


def _null(analysis: Analysis, audio16k: np.ndarray, times: np.ndarray, truth: np.ndarray) -> list[float]:
    """r of the planned opening with the truth when half-second pieces of the sound are put in another order."""
    size = round(NULL_BLOCK_S * SPEECH_RATE)
    blocks = [audio16k[start : start + size] for start in range(0, len(audio16k), size)]
    random = np.random.default_rng(0)
    scores = []
    for _ in range(NULLS):
        shuffled = np.concatenate([blocks[place] for place in random.permutation(len(blocks))])
        plan = planned_mouth(analysis, shuffled, times, 1.0)
        scores.append(_r(analysis.lips.opening_width(plan)[:, 0], truth))
    return scores


def _round(value: float) -> float:
    return round(value, 3)
