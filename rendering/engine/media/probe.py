"""What a file really is: size after rotation, a constant rate, colour, sound; or a clear refusal.

Every packet is looked at once (not decoded), because headers lie about length, rate and truncation.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import numpy as np

from rendering.engine.contract import Limits
from rendering.engine.errors import EngineError
from rendering.engine.media.container import opened, picture_stream, sound_stream

NTSC_RATES = (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001))
STANDARD_RATES = (*(Fraction(rate) for rate in (15, 20, 24, 25, 30, 48, 50, 60)), *NTSC_RATES)
MAX_FPS = 60
WHOLE_FILE = 0.95
"""A file with fewer of its announced pictures than this was cut off."""

# ISO/IEC 23091-2 code points, as FFmpeg numbers them.
UNSPECIFIED = 2
BT709 = 1
TRANSFER_PQ = 16
TRANSFER_HLG = 18
FULL_RANGE = 2


@dataclass(frozen=True)
class Colour:
    """Colour of the 8-bit pictures that ``read_frames`` delivers, as ISO/IEC 23091-2 code points."""

    space: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0
    """0 unspecified, 1 limited (16..235), 2 full."""


@dataclass(frozen=True)
class VideoInfo:
    """A video stream as it will be read: upright, at a constant rate, 8-bit yuv420p."""

    width: int
    """Even, after rotation: an odd last row or column is left out, because H.264 in 4:2:0 cannot hold it."""
    height: int
    rotation: int
    """Degrees counter-clockwise that bring the stored picture upright: 0, 90, 180 or 270."""
    fps: Fraction
    """The constant rate of reading and writing."""
    frames: int
    """At ``fps``."""
    duration_s: float
    start_s: float
    """When the first picture is shown, on the container's clock."""
    codec: str
    pix_fmt: str
    bit_depth: int
    colour: Colour
    hdr: int
    """Transfer of a high dynamic range source (16 PQ, 18 HLG), 0 for none."""
    interlaced: bool
    variable_rate: bool
    cropped: bool
    """The stored picture has an odd side."""
    pixel_aspect: Fraction


@dataclass(frozen=True)
class AudioInfo:
    codec: str
    rate: int
    channels: int
    start_s: float
    duration_s: float
    tracks: int


@dataclass(frozen=True)
class MediaInfo:
    video: VideoInfo | None
    audio: AudioInfo | None
    duration_s: float


def probe(path: Path, limits: Limits) -> MediaInfo:
    """Look a file over. Raises ``empty_file``, ``bad_media``, ``too_large``, ``too_long``."""
    with opened(path) as container:
        picture, sound = picture_stream(container), sound_stream(container)
        if picture is None and sound is None:
            raise EngineError("bad_media", f"{path.name}: neither picture nor sound")
        _refuse_by_header(container, picture, limits)
        seen = _scan(container, picture, sound, limits)
    with opened(path) as container:
        video = _video(container, seen) if picture is not None else None
    with opened(path) as container:
        audio = _audio(container, seen) if sound is not None else None
    if video is None and audio is None:
        raise EngineError("bad_media", f"{path.name}: nothing in it can be decoded")
    duration = max(part.duration_s for part in (video, audio) if part is not None)
    if duration > limits.max_seconds:
        raise EngineError("too_long", f"{duration:.1f} s, at most {limits.max_seconds:.0f} s")
    return MediaInfo(video, audio, duration)


def probe_footage(path: Path, limits: Limits) -> tuple[MediaInfo, VideoInfo]:
    """:func:`probe` for a file that must have a picture (``no_video``)."""
    info = probe(path, limits)
    if info.video is None:
        raise EngineError("no_video", path.name)
    return info, info.video


def written(path: Path) -> tuple[int, int, Fraction, int]:
    """Width, height, rate and number of frames of a video that this engine wrote, by its packets. Raises ``bad_media``
    and ``no_video``."""
    with opened(path) as container:
        picture = picture_stream(container)
        if picture is None:
            raise EngineError("no_video", path.name)
        seen = _scan(container, picture, None, Limits(max_seconds=float("inf")))
        fps, _ = choose_rate(seen.pictures)
        return picture.width, picture.height, fps, _frames(seen, fps)


@dataclass
class _Seen:
    """Presentation times in seconds of what is really in the file."""

    pictures: np.ndarray
    last_picture_s: float
    """How long the last picture is shown."""
    sound_start: float
    sound_end: float
    announced: int


def _refuse_by_header(container: av.container.InputContainer, picture: av.VideoStream | None, limits: Limits) -> None:
    if picture is not None and picture.width * picture.height > limits.max_pixels:
        raise EngineError("too_large", f"{picture.width}x{picture.height}")
    if container.duration is not None and container.duration / av.time_base > limits.max_seconds * 1.5:
        raise EngineError("too_long", f"{container.duration / av.time_base:.0f} s announced")


def _scan(
    container: av.container.InputContainer,
    picture: av.VideoStream | None,
    sound: av.AudioStream | None,
    limits: Limits,
) -> _Seen:
    """Read every packet's times. A damaged tail ends the scan; what came before it counts."""
    times: list[float] = []
    shown = 0.0
    starts, ends = [], [0.0]
    chosen = [stream for stream in (picture, sound) if stream is not None]
    # As whole numbers: an hour of packets multiplied by fractions is seconds of work.
    ticks = {stream.index: stream.time_base.as_integer_ratio() for stream in chosen if stream.time_base}
    try:
        for packet in container.demux(chosen):
            time = packet.pts if packet.pts is not None else packet.dts
            if packet.size == 0 or time is None or packet.stream_index not in ticks or packet.is_discard:
                continue
            seconds, unit = ticks[packet.stream_index]
            start, length = time * seconds / unit, (packet.duration or 0) * seconds / unit
            if picture is not None and packet.stream_index == picture.index:
                if not times or start >= max(times[-1], 0):
                    shown = length
                times.append(start)
            else:
                starts.append(start)
                ends.append(start + length)
            if start > limits.max_seconds * 1.5 + 3600:
                raise EngineError("too_long", f"a packet at {start:.0f} s")
    except av.error.FFmpegError as error:
        if not times and not starts:
            raise EngineError("bad_media", str(error)) from error
    pictures = np.sort(np.array(times, np.float64))
    return _Seen(pictures, shown, min(starts, default=0.0), max(ends), picture.frames if picture else 0)


def _video(container: av.container.InputContainer, seen: _Seen) -> VideoInfo:
    stream = picture_stream(container)
    frame = next(container.decode(stream), None) if stream is not None else None
    if stream is None or frame is None or len(seen.pictures) == 0:
        raise EngineError("bad_media", "no picture can be decoded")
    if seen.announced and len(seen.pictures) < WHOLE_FILE * seen.announced:
        raise EngineError("bad_media", f"cut off: {len(seen.pictures)} of {seen.announced} pictures")
    interlaced = frame.interlaced_frame
    fps, variable = choose_rate(seen.pictures)
    frames = _frames(seen, fps)
    rotation = round(frame.rotation / 90) * 90 % 360
    width, height = (frame.width, frame.height) if rotation % 180 == 0 else (frame.height, frame.width)
    hdr = int(frame.color_trc) if int(frame.color_trc) in (TRANSFER_PQ, TRANSFER_HLG) else 0
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return VideoInfo(
        width=width // 2 * 2,
        height=height // 2 * 2,
        rotation=rotation,
        fps=fps,
        frames=frames,
        duration_s=float(frames / fps),
        start_s=float(seen.pictures[0]),
        codec=stream.codec_context.name,
        pix_fmt=frame.format.name,
        bit_depth=max(component.bits for component in frame.format.components),
        colour=_delivered_colour(frame, hdr),
        hdr=hdr,
        interlaced=bool(interlaced),
        variable_rate=variable,
        cropped=bool(width % 2 or height % 2),
        pixel_aspect=aspect if rotation % 180 == 0 else 1 / aspect,
    )


def _frames(seen: _Seen, fps: Fraction) -> int:
    """How many frames there are at the constant rate ``fps``."""
    if not len(seen.pictures):
        return 0
    shown = seen.last_picture_s if 0 < seen.last_picture_s < 1 else float(1 / fps)
    return max(1, round((seen.pictures[-1] - seen.pictures[0] + shown) * float(fps)))


def _delivered_colour(frame: av.VideoFrame, hdr: int) -> Colour:
    if hdr or frame.format.is_rgb:
        return Colour(BT709, BT709, BT709, 1)
    # yuvj420p is an old name for yuv420p in full range.
    full = int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")
    return Colour(
        int(frame.colorspace),
        int(frame.color_primaries),
        int(frame.color_trc),
        FULL_RANGE if full else int(frame.color_range),
    )


def choose_rate(times: np.ndarray) -> tuple[Fraction, bool]:
    """A constant rate for pictures shown at ``times`` (n,) seconds, ascending; and whether they varied.

    Evenly spaced pictures keep their own rate, however odd. Otherwise the rate is the standard one nearest to the
    file's shortest usual step, so that dropped pictures become repeated ones and nothing drifts.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(25), False
    average = (len(times) - 1) / (times[-1] - times[0])
    steps = np.diff(times)
    if np.abs(times - times[0] - np.arange(len(times)) / average).max() < 0.5 / average:
        return _within_limit(_exact(average, len(times))), False
    usual = 1 / max(float(np.percentile(steps, 10)), 1e-3)
    nearest = min(STANDARD_RATES, key=lambda rate: abs(np.log(float(rate) / usual)))
    if usual < 14:
        return Fraction(average).limit_denominator(1001), True
    return nearest, True


def _exact(average: float, pictures: int) -> Fraction:
    """The standard rate that ``average`` stands for, unless that would drift by half a picture over the file."""
    rate = min(STANDARD_RATES, key=lambda rate: abs(float(rate) - average))
    off = abs(float(rate) / average - 1)
    if off < 2e-3 and off * pictures < 0.45:
        return rate
    return Fraction(average).limit_denominator(1001)


def _within_limit(rate: Fraction) -> Fraction:
    """High-speed footage is read at a whole part of its rate, at most 60."""
    parts = int(np.ceil(float(rate) / MAX_FPS - 0.01))
    return rate / max(1, parts)


def _audio(container: av.container.InputContainer, seen: _Seen) -> AudioInfo | None:
    """The sound, or None when the track holds nothing that can be decoded (a video may still be used)."""
    stream = sound_stream(container)
    try:
        frame = next(container.decode(stream), None) if stream is not None else None
    except av.error.FFmpegError:
        return None
    if stream is None or frame is None or seen.sound_end <= seen.sound_start:
        return None
    return AudioInfo(
        codec=stream.codec_context.name,
        rate=frame.sample_rate,
        channels=frame.layout.nb_channels,
        start_s=seen.sound_start,
        duration_s=seen.sound_end - seen.sound_start,
        tracks=len(container.streams.audio),
    )
