"""Looking at footage once: probe, track, listen, learn, profile. Everything learned stays in one folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rendering.engine import findings, trackers
from rendering.engine.analysis import ANALYSIS, LIPS, PATCHES, TRACK, VOICE
from rendering.engine.contract import (
    ENGINE_VERSION,
    LESSON,
    Finding,
    Limits,
    PreparedFootage,
    PrepareOptions,
    Report,
    silent,
    to_json,
)
from rendering.engine.errors import EngineError
from rendering.engine.face.captions import CaptionFinder
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.occlusion import Appearance
from rendering.engine.face.profile import PatchWriter, library_frames
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.audio import read_audio, speech_spans
from rendering.engine.media.frame import Frame
from rendering.engine.media.preview import plays_in_browsers, preview_writer
from rendering.engine.media.probe import MediaInfo, VideoInfo, probe_footage
from rendering.engine.stages import Stages
from rendering.engine.voice.learn import VoiceModel, learn
from rendering.engine.voice.lessons import lesson_of
from rendering.engine.voice.phones import recognise

POSTER, FILMSTRIP, PREVIEW = "poster.jpg", "filmstrip.jpg", "preview.mp4"
POSTER_HEIGHT, STRIP_HEIGHT, STRIP_TILES = 720, 96, 10
POSTER_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 88]


def prepare(
    footage: Path, out: Path, *, options: PrepareOptions | None = None, report: Report = silent
) -> PreparedFootage:
    """Analyse ``footage`` into the folder ``out`` (made if missing; what an earlier analysis left is replaced).

    Footage that the gate refuses comes back with ``verdict`` "refused" and the reasons. A file that cannot be read as
    footage at all raises: ``empty_file``, ``bad_media``, ``no_video``, ``too_large``, ``too_long``, ``too_short``,
    ``low_rate``; so does a tracker that is not there: ``no_tracker``, ``no_tracker_weights``, ``bad_tracker_weights``.
    """
    options = options or PrepareOptions()
    trackers.identity()  # before anything is decoded
    out.mkdir(parents=True, exist_ok=True)
    stages = Stages(report)
    with stages.reported("probe"):
        info, video = probe_footage(footage, options.limits)
        _refuse_by_probe(video)
    # Listening needs no picture and tracking leaves a core idle.
    beside = ThreadPoolExecutor(1, "listen")
    try:
        heard = beside.submit(_listen, footage, info)
        with stages.timed("track"):
            track = _follow(footage, out, info, video, options, report)
        if track is None:
            none_found = Finding(code="no_face", level="refused", figure=0.0)
            return _keep(out, _refused(out, info, video, (none_found,), {}))
        with stages.reported("listen"):
            audio, spans = heard.result()
    finally:
        # A cancel does not wait for what nobody will hear.
        beside.shutdown(wait=False, cancel_futures=True)
    with stages.timed("learn"):
        lips, model = learn_presenter(track, video, audio, report)
    with stages.reported("profile"):
        result = _judge(out, info, video, track, model, spans, stages.seconds)
        if result.tier == "C":
            lips = LipSpace.from_hand(track)
        track.save(out / TRACK)
        lips.save(out / LIPS)
        model.save(out / VOICE)
        result = _teach(out, result, track, audio, model)
    return _keep(out, result)


def _listen(footage: Path, info: MediaInfo) -> tuple[np.ndarray | None, tuple[tuple[float, float], ...]]:
    """The footage's own sound, (n,) float32 at 16 kHz, and where somebody speaks in it."""
    if info.audio is None:
        return None, ()
    audio = read_audio(footage, info=info)
    spans = speech_spans(audio)
    recognise(audio)  # remembered: learning asks for it again
    return audio, spans


def learn_presenter(
    track: Track, video: VideoInfo, audio: np.ndarray | None, report: Report = silent
) -> tuple[LipSpace, VoiceModel]:
    """The mouth's space and the voice model, from a track and the footage's own sound (n,) 16 kHz or None."""
    lips = LipSpace.fit(track)
    codes = lips.encode(track)
    # Opening and width as the space draws them: free of the head's turn, and what is planned is what is drawn.
    return lips, learn(lips.opening_width(codes), codes, _known(track), float(video.fps), audio, report)


def _measured(track: Track) -> np.ndarray:
    return np.stack([track.opening, track.width], axis=1)


def _known(track: Track) -> np.ndarray:
    """(N,) bool: frames to learn from."""
    fit = library_frames(track)
    return track.ok & (fit if fit.sum() > 25 else track.ok)


def _teach(
    out: Path, result: PreparedFootage, track: Track, audio: np.ndarray | None, model: VoiceModel
) -> PreparedFootage:
    """Leave the footage's lesson for a team's own base; its figure ``lesson_s`` is what there is of it in seconds."""
    (out / LESSON).unlink(missing_ok=True)
    lesson = lesson_of(_measured(track), _known(track), result.fps, audio, model)
    if lesson is None or result.verdict == "refused":
        return replace(result, figures={**result.figures, "lesson_s": 0.0})
    lesson.save(out / LESSON)
    return replace(result, figures={**result.figures, "lesson_s": round(lesson.speech_s, 3)})


def _refuse_by_probe(video: VideoInfo) -> None:
    if video.duration_s < findings.MIN_FOOTAGE_S:
        raise EngineError("too_short", f"{video.duration_s:.2f} s")
    if float(video.fps) < findings.MIN_FPS:
        raise EngineError("low_rate", f"{float(video.fps):.2f} fps")


def _follow(
    footage: Path, out: Path, info: MediaInfo, video: VideoInfo, options: PrepareOptions, report: Report
) -> Track | None:
    """Track the face and, in the same pass, keep patches and pictures. None when no face is seen."""
    pictures, appearance, captions = _Pictures(video), Appearance(), CaptionFinder()
    (out / PREVIEW).unlink(missing_ok=True)
    try:
        with PatchWriter(out / PATCHES) as patches, contextlib.ExitStack() as beside:
            show = None
            if options.preview and not plays_in_browsers(footage, info):
                show = beside.enter_context(preview_writer(out / PREVIEW, footage, info, video))

            def keep(frame: Frame, points: np.ndarray | None) -> None:
                pictures.add(frame, seen=points is not None)
                patches.add(frame, points)
                appearance.add(frame, points)
                captions.add(frame, points)
                if show is not None:
                    show(frame)

            track = track_footage(
                footage, info, face=options.face, report=report, on_frame=keep, tracker=trackers.chosen(options.face)
            )
            pictures.several = len(track.faces) > 1
            lines = captions.boxes()
            covered = appearance.covered(track.ok, track.shots, lines)
            return replace(track, covered=covered, captions=lines)
    except EngineError as error:
        if error.code != "no_face":
            raise
        (out / PATCHES).unlink(missing_ok=True)
        return None
    finally:
        pictures.save(out)


def save_poster(path: Path, frame: Frame) -> None:
    """Write ``frame`` as a JPEG of at most 720 rows."""
    cv2.imwrite(str(path), frame.small_bgr(POSTER_HEIGHT), POSTER_QUALITY)


class _Pictures:
    """Collects the poster (an early frame with a face) and the filmstrip (ten frames side by side)."""

    def __init__(self, video: VideoInfo) -> None:
        self.tiles: list[np.ndarray] = []
        self.poster: np.ndarray | None = None
        self.first: np.ndarray | None = None
        self.several = False
        """Where several faces are to be told apart, the poster is the first frame: that is where they were found."""
        self.poster_is_final = False
        self.poster_from = min(video.frames // 10, round(float(video.fps)))
        self.tile_at = {round(tile) for tile in np.linspace(0, video.frames - 1, STRIP_TILES)}

    def add(self, frame: Frame, *, seen: bool) -> None:
        if frame.index in self.tile_at:
            self.tiles.append(frame.small_bgr(STRIP_HEIGHT))
        if self.first is None:
            self.first = frame.small_bgr(POSTER_HEIGHT)
        wanted = seen and frame.index >= self.poster_from and not self.poster_is_final
        if self.poster is None or wanted:
            self.poster = frame.small_bgr(POSTER_HEIGHT)
            self.poster_is_final = wanted

    def save(self, out: Path) -> None:
        poster = self.first if self.several else self.poster
        if poster is not None:
            cv2.imwrite(str(out / POSTER), poster, POSTER_QUALITY)
        if self.tiles:
            cv2.imwrite(str(out / FILMSTRIP), np.hstack(self.tiles), [cv2.IMWRITE_JPEG_QUALITY, 85])


def _judge(
    out: Path,
    info: MediaInfo,
    video: VideoInfo,
    track: Track,
    model: VoiceModel,
    spans: tuple[tuple[float, float], ...],
    seconds: Mapping[str, float],
) -> PreparedFootage:
    """Put the gate's question and write down its answer."""
    seen = _seen(info, video, track, model)
    figures = {
        "cv_open": model.cv_open,
        "cv_width": model.cv_width,
        "offset_score": model.offset_score,
        "opening_range": seen.opening_range,
        "io_px": seen.io_px,
        "yaw_p90": seen.yaw_p90,
        "tracked": seen.tracked,
        "speech_s": seen.speech_s,
        "shots": float(seen.shots),
        "covered_s": seen.covered_s,
        **{f"{stage}_s": value for stage, value in seconds.items()},
    }
    figures = {name: round(float(value), 3) for name, value in figures.items() if np.isfinite(value)}
    refused = findings.refusals(seen)
    told = replace(_refused(out, info, video, refused, figures), **_faces(track))
    if refused:
        return told
    notes = findings.remarks(seen) + _media_notes(video)
    return replace(
        told,
        tier=findings.tier_of(seen),
        verdict="warnings" if any(note.level == "warning" for note in notes) else "ready",
        findings=notes,
        speech_spans=spans,
        face_box=_face_box(track),
        offset_ms=round(model.offset_ms, 1) if info.audio is not None else None,
    )


def _seen(info: MediaInfo, video: VideoInfo, track: Track, model: VoiceModel) -> findings.Seen:
    fps = float(video.fps)
    lost = np.flatnonzero(np.concatenate([[True], track.ok, [True]]))
    return findings.Seen(
        duration_s=video.duration_s,
        fps=fps,
        tracked=float(track.ok.mean()),
        longest_gap_s=float((np.diff(lost).max() - 1) / fps),
        io_px=float(np.nanmedian(track.io)),
        yaw_p90=float(np.nanpercentile(np.abs(track.yaw), 90)),
        longest_shot_s=max((stop - start) / fps for start, stop in track.shots),
        shots=len(track.shots),
        has_audio=info.audio is not None,
        speech_s=model.speech_s,
        cv_open=model.cv_open,
        offset_ms=model.offset_ms,
        opening_range=model.opening_range,
        faces=len(track.faces),
        covered_s=float(track.covered.sum() / fps),
        captions=len(track.captions),
        personal=model.personal,
    )


def _media_notes(video: VideoInfo) -> tuple[Finding, ...]:
    checks = (
        ("variable_rate", video.variable_rate, round(float(video.fps), 3)),
        ("odd_size", video.cropped, None),
        ("hdr", bool(video.hdr), None),
        ("interlaced", video.interlaced, None),
    )
    return tuple(Finding(code=code, level="info", figure=figure) for code, found, figure in checks if found)


def _refused(
    out: Path, info: MediaInfo, video: VideoInfo, why: tuple[Finding, ...], figures: dict[str, float]
) -> PreparedFootage:
    return PreparedFootage(
        engine=ENGINE_VERSION,
        folder=out,
        width=video.width,
        height=video.height,
        fps=float(video.fps),
        frames=video.frames,
        duration_s=video.duration_s,
        has_audio=info.audio is not None,
        tier=None,
        verdict="refused",
        findings=why,
        speech_spans=(),
        face_box=None,
        offset_ms=None,
        figures=figures,
        tracker=trackers.identity(),
    )


def _faces(track: Track) -> dict[str, Any]:
    boxes = tuple(tuple(round(float(value), 4) for value in box) for box in track.faces)
    return {"faces": boxes, "presenter": track.presenter if track.presenter >= 0 else None}


def _face_box(track: Track) -> tuple[float, float, float, float]:
    """Median bounds of the mesh, x y w h in 0..1."""
    size = np.array(track.size, np.float64)
    meshes = (track.points[index, :, :2] for index in np.flatnonzero(track.ok))
    bounds = np.array([(mesh.min(axis=0), mesh.max(axis=0)) for mesh in meshes])
    low, high = np.median(bounds, axis=0) / size
    low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    x, y, width, height = (round(float(value), 4) for value in (*low, *(high - low)))
    return x, y, width, height


def _keep(out: Path, result: PreparedFootage) -> PreparedFootage:
    """Write ``analysis.json`` last: a folder that has one is whole."""
    (out / ANALYSIS).write_text(json.dumps(to_json(result), indent=1, ensure_ascii=False))
    return result


def options_from_json(values: Mapping[str, Any]) -> PrepareOptions:
    """``PrepareOptions`` from the protocol's plain types."""
    face = values.get("face")
    return PrepareOptions(
        face=(float(face[0]), float(face[1])) if face else None,
        preview=bool(values.get("preview", False)),
        limits=Limits(**values.get("limits", {})),
    )
