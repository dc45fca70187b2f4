"""One video from footage, a take and a preset: prepare > listen > lip-sync > compose (and encode) > check."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rendering.engine import backends
from rendering.engine.analysis import RECENT, Analysis
from rendering.engine.check import Check, confirm
from rendering.engine.contract import (
    ENGINE_VERSION,
    Limits,
    RenderOptions,
    RenderRequest,
    RenderResult,
    Report,
    silent,
)
from rendering.engine.errors import EngineError
from rendering.engine.face.track import Track
from rendering.engine.face.walk import walk
from rendering.engine.media import hardware
from rendering.engine.media.audio import MIN_TAKE_S, SPEECH_RATE, read_audio, require_audio
from rendering.engine.media.encode import VideoWriter
from rendering.engine.media.frame import Frame
from rendering.engine.media.frames import FrameWalk, ahead
from rendering.engine.media.probe import MediaInfo, VideoInfo, probe, probe_footage
from rendering.engine.pipeline import Busy, beside
from rendering.engine.prepare import save_poster
from rendering.engine.stages import Stages
from rendering.engine.steps import Batch
from rendering.engine.voice.align import align
from rendering.engine.voice.base import BaseModel
from rendering.engine.voice.base_team import read_team_base
from rendering.engine.voice.features import loudest
from rendering.engine.voice.pauses import activity
from rendering.engine.voice.plan import plan, plan_shape
from rendering.engine.voice.visemes import Phoneme

POSTER_S = 1.0
"""When the poster is taken; earlier in a very short take."""
MOST_BYTES = 512 << 20
"""Memory for frames that are on their way through a back end's steps."""
TAIL_S = 0.5
"""Silence that follows every take, for the mouth to come to rest in."""


def render(request: RenderRequest, *, report: Report = silent) -> RenderResult:
    """Make one video. Raises :class:`EngineError`; what ``report`` raises passes through. A failure leaves nothing."""
    backends.require(request.options.backend, request.options.enhance)
    stages = Stages(report)
    with stages.reported("prepare"):
        analysis, kept = RECENT.get(request.analysis)
        team_base = read_team_base(request.base) if request.base is not None else None
        base, identity = team_base or (None, "")
        info, video = probe_footage(request.footage, request.limits)
        if len(analysis.track) != video.frames:
            raise EngineError("stale_analysis", f"{len(analysis.track)} frames analysed, {video.frames} in the footage")
    with stages.reported("listen"):
        take = _listen(request)
    with stages.reported("lip-sync"):
        fps, frames = float(video.fps), output_frames(take.duration_s, video, request.options)
        # Once for all who listen: what is recognised in a sound is remembered by its samples.
        take = replace(take, audio16k=with_tail(take.audio16k, (frames - 1) / fps))
        said = known_sounds(request, take)
        times, amplitude = np.arange(frames) / fps, request.options.amplitude
        planned = planned_mouth(analysis, take.audio16k, times, amplitude, base, said.phonemes)
        scene = scene_of(analysis, request.analysis, walk(analysis.track, frames, fps), planned, take.audio16k)
        made = backends.make(request.options.backend, replace(scene, mouths=request.mouths), request.options.enhance)
    with stages.timed("compose"), contextlib.closing(made.maker):
        composed = compose(request, info, video, take, scene, made.maker, report)
    with stages.reported("check"):
        confirm(request.out, video, frames)
        quality = replace(composed.check.quality(take.audio16k), text_followed=said.followed)
    return RenderResult(
        engine=ENGINE_VERSION,
        backend=made.backend,
        tier=scene.tier,
        video=request.out,
        width=video.width,
        height=video.height,
        fps=fps,
        frames=frames,
        duration_s=float(frames / video.fps),
        quality=quality,
        seconds=stages.seconds,
        busy=composed.busy,
        codecs=composed.codecs,
        analysis_kept=kept,
        base=identity,
        weights=made.maker.weights,
        instead=made.instead,
        mouths=made.mouths,
        mouths_kept=made.mouths_kept,
    )


@dataclass(frozen=True, eq=False)
class Take:
    """The new sound."""

    info: MediaInfo
    audio16k: np.ndarray
    """(n,) float32 mono."""

    @property
    def duration_s(self) -> float:
        return len(self.audio16k) / SPEECH_RATE


def _listen(request: RenderRequest) -> Take:
    info = probe(request.audio, request.limits)
    require_audio(info)
    take = Take(info, read_audio(request.audio, SPEECH_RATE, info))
    if take.duration_s < MIN_TAKE_S:
        raise EngineError("too_short", f"take of {take.duration_s:.2f} s")
    if loudest(take.audio16k) < 1e-3:
        raise EngineError("silent_audio", request.audio.name)
    return take


@dataclass(frozen=True)
class Said:
    """What is known of a take's sounds; ``followed`` as in :class:`Quality`."""

    phonemes: tuple[Phoneme, ...] = ()
    followed: float | None = None


def known_sounds(request: RenderRequest, take: Take) -> Said:
    """The sounds of the take where their times are known, else its text found in the sound."""
    if request.phonemes:
        return Said(request.phonemes, 1.0)
    if not request.text.strip():
        return Said()
    found = align(take.audio16k, request.text, request.language)
    return Said(found.phonemes, round(found.followed, 3) if found.readable else None)


def output_frames(take_s: float, video: VideoInfo, options: RenderOptions) -> int:
    """How many frames the deliverable has: the take's length to the frame, or the footage's where it goes on."""
    frames = max(1, round(take_s * float(video.fps)))
    return max(frames, video.frames) if options.when_shorter == "rest" else frames


def scene_of(
    analysis: Analysis,
    folder: Path,
    order: np.ndarray,
    planned: np.ndarray,
    audio16k: np.ndarray,
    library: Track | None = None,
) -> backends.Scene:
    """What is to be drawn: the mouths ``planned`` (n, 8) over the footage frames ``order`` (n,), to ``audio16k`` (m,).

    ``folder``: where the analysis lies; ``library``: the frames that may lend a mouth, if not all of the track.
    """
    if analysis.prepared.tier is None:
        raise EngineError("stale_analysis", "no tier")
    return backends.Scene(
        track=analysis.track,
        lips=analysis.lips,
        tier=analysis.prepared.tier,
        analysis=folder,
        order=order,
        plan=planned,
        library=analysis.track if library is None else library,
        audio16k=audio16k,
        fps=analysis.prepared.fps,
    )


def with_tail(audio16k: np.ndarray, end_s: float) -> np.ndarray:
    """``audio16k`` (n,) with silence to half a second after ``end_s``: a take that breaks off in mid-word ends too."""
    missing = round((end_s + TAIL_S) * SPEECH_RATE) - len(audio16k)
    return np.pad(audio16k, (0, missing)) if missing > 0 else audio16k


def planned_mouth(
    analysis: Analysis,
    audio16k: np.ndarray,
    times: np.ndarray,
    amplitude: float,
    base: BaseModel | None = None,
    phonemes: tuple[Phoneme, ...] = (),
) -> np.ndarray:
    """(n, 8) float32 in the lip space at ``times`` (n,) seconds of the take; at rest after its end.

    ``base`` takes the place of the shipped base model. ``phonemes``: the take's sounds, where they are known.
    """
    audio16k = with_tail(audio16k, float(times[-1]))
    if analysis.prepared.tier != "C":
        return plan(analysis.voice, audio16k, times, amplitude=amplitude, base=base, phonemes=phonemes)
    # The presenter's own mouths say nothing here: general lip motion, in the hand-made modes.
    shape = plan_shape(analysis.voice, audio16k, times, amplitude=amplitude, base=base, phonemes=phonemes)
    speaking = activity(audio16k)
    talking = np.interp(times, np.arange(len(speaking)) / 100, speaking)[:, None]
    measures = np.stack([analysis.track.opening, analysis.track.width], axis=1)
    rest = np.nanmedian(measures, axis=0)
    return analysis.lips.of_measures(talking * shape + (1 - talking) * rest)


@dataclass(frozen=True, eq=False)
class Composed:
    """How a video was composed: what was checked on the way; ``busy`` and ``codecs`` as in :class:`RenderResult`."""

    check: Check
    busy: dict[str, float]
    codecs: dict[str, str]


def compose(
    request: RenderRequest,
    info: MediaInfo,
    video: VideoInfo,
    take: Take,
    scene: backends.Scene,
    maker: backends.MouthMaker,
    report: Report,
) -> Composed:
    """Decode, draw step by step and encode side by side; memory does not grow with the number of frames."""
    total, busy = len(scene.order), Busy()
    check = Check(scene.track, scene.order, float(video.fps))
    walked = FrameWalk(request.footage, info, (int(index) for index in scene.order))
    filmed = ahead(busy.reading(walked, "decode"))
    writer = VideoWriter(
        request.out, video, request.audio, request.options, float(total / video.fps), audio_info=take.info
    )
    poster_at = min(total // 3, round(POSTER_S * float(video.fps)))
    with writer, contextlib.closing(_drawn(filmed, _together(maker, video), maker, check, busy)) as drawn:
        for batch in drawn:
            for t, frame in enumerate(batch.frames, batch.first):
                with busy.at("check"):
                    check.after(frame, t, drawn=batch.drawn[t - batch.first])
                if t == poster_at and request.poster is not None:
                    save_poster(request.poster, frame)
                writer.write(frame)
                report("compose", t + 1, total)
    busy.seconds["encode"] = writer.busy_s
    codecs = {"decode": "nvdec" if hardware.decodes(request.footage, video) else "software", "encode": writer.encoder}
    return Composed(check, {name: round(seconds, 3) for name, seconds in busy.seconds.items()}, codecs)


def _together(maker: backends.MouthMaker, video: VideoInfo) -> int:
    """Frames in a batch: as many as ``maker`` draws at a time, where memory holds a batch for each of its steps."""
    fitting = MOST_BYTES // (len(maker.steps) * video.width * video.height * 3 // 2)
    return max(1, min(maker.together, fitting))


def _drawn(
    frames: Generator[Frame, None, None], together: int, maker: backends.MouthMaker, check: Check, busy: Busy
) -> Generator[Batch, None, None]:
    """``frames`` in batches that ``maker``'s steps are done with: the last step here, each before it in a thread of its
    own, so that as many batches are on the way as there are steps."""
    batches = _batches(frames, together, check, busy)
    *before, last = maker.steps.items()
    for name, step in before:
        batches = beside(busy.step(batches, step, name), depth=1, name=name)
    return busy.step(batches, last[1], last[0])


def _batches(
    frames: Generator[Frame, None, None], together: int, check: Check, busy: Busy
) -> Generator[Batch, None, None]:
    """``frames``, looked at as the footage has them, ``together`` at a time, fewer at the end."""
    with contextlib.closing(frames):
        first = 0
        while some := list(islice(frames, together)):
            with busy.at("check"):
                for t, frame in enumerate(some, first):
                    check.before(frame, t)
            yield Batch(first, some)
            first += len(some)


def request_from_json(values: Mapping[str, Any]) -> RenderRequest:
    """``RenderRequest`` from the protocol's plain types."""
    request = RenderRequest(
        footage=Path(values["footage"]),
        analysis=Path(values["analysis"]),
        audio=Path(values["audio"]),
        out=Path(values["out"]),
        poster=Path(values["poster"]) if values.get("poster") else None,
        options=RenderOptions(**values.get("options", {})),
        base=Path(values["base"]) if values.get("base") else None,
        text=values.get("text", ""),
        language=values.get("language") or "en",
        phonemes=tuple((start, end, sound) for start, end, sound in values.get("phonemes", ())),
        mouths=Path(values["mouths"]) if values.get("mouths") else None,
    )
    return replace(request, limits=Limits(**values["limits"])) if "limits" in values else request
