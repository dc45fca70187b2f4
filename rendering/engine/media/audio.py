"""Reading and measuring sound, placed where the container says it belongs."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr

from rendering.engine.contract import Finding, Limits, TakeInfo
from rendering.engine.errors import EngineError
from rendering.engine.media.container import damage_as_bad_media, opened, sound_stream
from rendering.engine.media.probe import AudioInfo, MediaInfo, probe

SPEECH_RATE = 16_000
GAP_S = 0.05
"""Time stamps further than this from where the samples end are a gap or an overlap; closer ones are rounding."""
MIN_TAKE_S = 0.3
MIN_SPEECH_S = 0.3
SILENT_DBFS = -50.0
WAVEFORM_POINTS = 400


def require_audio(info: MediaInfo) -> AudioInfo:
    if info.audio is None:
        raise EngineError("no_audio")
    return info.audio


def origin_s(info: MediaInfo) -> float:
    """Zero of the take on the container's clock: its first picture, or its first sample when it has none."""
    return info.video.start_s if info.video is not None else require_audio(info).start_s


def sound_blocks(path: Path, info: MediaInfo) -> Iterator[np.ndarray]:
    """The sound as (n, channels) float32 blocks at its own rate, one or two channels, continuous from the origin.

    Late sound is preceded by silence, early sound is cut, gaps are filled. Raises ``no_audio``, ``bad_media``.
    """
    audio = require_audio(info)
    channels = min(2, audio.channels)
    resampler = av.AudioResampler(format="fltp", layout="mono" if channels == 1 else "stereo", rate=audio.rate)
    origin, position = origin_s(info), 0
    with opened(path) as container, damage_as_bad_media(path):
        stream = sound_stream(container)
        if stream is None:
            raise EngineError("no_audio", path.name)
        for decoded in _decoded(container, stream):
            time = decoded.time
            if time is not None:
                offset = round((time - origin) * audio.rate) - position
                if offset > GAP_S * audio.rate or (position == 0 and offset > 0):
                    yield np.zeros((offset, channels), np.float32)
                    position += offset
            else:
                offset = 0
            early = -offset if offset < -GAP_S * audio.rate or position == 0 else 0
            for frame in resampler.resample(decoded):
                block = frame.to_ndarray().T[max(0, early) :]
                early -= frame.samples
                position += len(block)
                if len(block):
                    yield np.ascontiguousarray(block, np.float32)


def _decoded(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Sound frames; a damaged one is left out and filled with silence by the time of the next."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def resampled(blocks: Iterator[np.ndarray], rate_in: int, rate_out: int) -> Iterator[np.ndarray]:
    """(n, channels) float32 blocks at another rate."""
    if rate_in == rate_out:
        yield from blocks
        return
    converter: Any = None
    for block in blocks:
        if converter is None:
            converter = soxr.ResampleStream(rate_in, rate_out, block.shape[1], dtype="float32")
        yield converter.resample_chunk(block)
    if converter is not None:
        yield converter.resample_chunk(np.zeros((0, block.shape[1]), np.float32), last=True)


def read_audio(path: Path, rate: int = SPEECH_RATE, info: MediaInfo | None = None) -> np.ndarray:
    """The whole sound as (n,) float32 mono -1..1. Sample 0 belongs to the first picture, if there is one.

    Raises ``no_audio``, ``bad_media``, ``too_long``.
    """
    info = info or probe(path, Limits())
    audio = require_audio(info)
    mono = (block.mean(axis=1, keepdims=True) for block in sound_blocks(path, info))
    sound = bytearray()  # grows in place: parts to be joined would be an hour of sound twice
    for block in resampled(mono, audio.rate, rate):
        sound += np.ascontiguousarray(block, np.float32).data
    return np.frombuffer(sound, np.float32)


def measure_take(path: Path, limits: Limits) -> TakeInfo:
    """Measure an uploaded take in one pass.

    Raises ``empty_file``, ``bad_media``, ``no_audio``, ``too_short``, ``too_long``, ``silent_audio``.
    """
    from rendering.engine.media.loudness import LoudnessMeter  # SciPy's filters take half a second to load

    info = probe(path, limits)
    audio = require_audio(info)
    meter = LoudnessMeter(audio.rate)
    to_speech = soxr.ResampleStream(audio.rate, SPEECH_RATE, 1, dtype="float32")
    speech, samples, rest = [], 0, np.zeros(0, np.float32)
    peaks: list[np.ndarray] = []
    step = max(1, audio.rate // 200)
    for block in sound_blocks(path, info):
        meter.add(block)
        samples += len(block)
        speech.append(to_speech.resample_chunk(np.ascontiguousarray(block.mean(axis=1))))
        level = np.concatenate([rest, np.abs(block).max(axis=1)])
        whole = len(level) // step * step
        peaks.append(level[:whole].reshape(-1, step).max(axis=1))
        rest = level[whole:]
    speech.append(to_speech.resample_chunk(np.zeros(0, np.float32), last=True))
    peaks.append(rest.max(keepdims=True) if len(rest) else rest)
    duration = samples / audio.rate
    envelope = np.concatenate(peaks)
    peak_dbfs = 20 * math.log10(max(float(envelope.max(initial=0.0)), 1e-6))
    if duration < MIN_TAKE_S:
        raise EngineError("too_short", f"{duration:.2f} s")
    if peak_dbfs < SILENT_DBFS:
        raise EngineError("silent_audio", f"peak {peak_dbfs:.1f} dBFS")
    spans = speech_spans(np.concatenate(speech))
    return TakeInfo(
        duration_s=duration,
        sample_rate=audio.rate,
        channels=audio.channels,
        loudness_lufs=round(meter.integrated(), 2),
        peak_dbfs=round(peak_dbfs, 2),
        waveform=waveform(envelope),
        speech_spans=spans,
        findings=_take_findings(spans),
    )


def _take_findings(spans: tuple[tuple[float, float], ...]) -> tuple[Finding, ...]:
    spoken = sum(end - start for start, end in spans)
    if spoken < MIN_SPEECH_S:
        return (Finding(code="take_no_speech", level="warning", figure=round(spoken, 2)),)
    return ()


def waveform(envelope: np.ndarray) -> tuple[int, ...]:
    """400 peaks 0..255 of an (n,) envelope 0..1."""
    edges = np.linspace(0, len(envelope), WAVEFORM_POINTS + 1)
    return tuple(
        int(min(255, round(255 * float(envelope[int(low) : max(int(low) + 1, int(high))].max()))))
        for low, high in itertools.pairwise(edges)
    )


@functools.lru_cache(maxsize=1)
def _speech_model() -> Any:
    from silero_vad import load_silero_vad

    return load_silero_vad()


def speech_spans(audio16k: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(start, end) in seconds of every stretch of speech in (n,) float32 mono at 16 kHz."""
    import torch
    from silero_vad import get_speech_timestamps

    stamps = get_speech_timestamps(
        torch.from_numpy(np.ascontiguousarray(audio16k, np.float32)), _speech_model(), sampling_rate=SPEECH_RATE
    )
    return tuple((round(item["start"] / SPEECH_RATE, 3), round(item["end"] / SPEECH_RATE, 3)) for item in stamps)
