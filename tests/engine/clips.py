"""Small media files made on the spot, one hard property each."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 48_000


def grey(number: int) -> int:
    """The luma of picture ``number``: far enough apart to survive compression, back to the start after 20."""
    return 30 + 10 * (number % 20)


def number_of(luma: np.ndarray) -> int:
    """Which picture (modulo 20) a luma plane shows."""
    return round((float(np.median(luma)) - 30) / 10)


def make_video(
    path: Path,
    *,
    pictures: int = 30,
    fps: int | Fraction = 25,
    size: tuple[int, int] = (160, 120),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[float] | None = None,
    start_s: float = 0.0,
    audio: np.ndarray | None = None,
    audio_start_s: float = 0.0,
    audio_codec: str = "aac",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    colour: tuple[int, int, int, int] | None = None,
    paint: Any = None,
) -> Path:
    """Pictures of plain grey (``grey(n)``), or ``paint(n) -> (H, W, 3) u8 rgb``, with optional (n,) mono sound."""
    clock = Fraction(1, 90_000)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps), options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        if times is not None or start_s:
            stream.codec_context.time_base = clock
        if colour is not None:
            context = stream.codec_context
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = colour
        sound: Any = None
        if audio is not None:
            sound = container.add_stream(audio_codec, rate=RATE, layout="mono")
        for number in range(pictures):
            frame = _picture(number, size, pix_fmt, paint)
            if times is not None or start_s:
                seconds = times[number] if times is not None else number / float(fps)
                frame.pts, frame.time_base = round((seconds + start_s) / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None and audio is not None:
            _add_sound(container, sound, audio, audio_start_s)
    return path


def film(path: Path, size: tuple[int, int], pictures: Iterable[np.ndarray]) -> Path:
    """Write ``pictures`` (H, W, 3) uint8 BGR of ``size`` (width, height) at 25 a second, finely coded."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "14", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode(None))
    return path


def _picture(number: int, size: tuple[int, int], pix_fmt: str, paint: Any) -> av.VideoFrame:
    if paint is not None:
        return av.VideoFrame.from_ndarray(paint(number), "rgb24").reformat(format=pix_fmt)
    frame = av.VideoFrame(*size, pix_fmt)
    deep = frame.format.components[0].bits > 8
    for index, plane in enumerate(frame.planes):
        level = grey(number) if index == 0 else 128
        value = np.uint16(level * 4) if deep else np.uint8(level)
        plane.update(np.full(plane.buffer_size // (2 if deep else 1), value).tobytes())
    return frame


def _add_sound(container: Any, sound: Any, audio: np.ndarray, start_s: float) -> None:
    for position in range(0, len(audio), 1024):
        block = np.ascontiguousarray(audio[None, position : position + 1024], np.float32)
        name = sound.codec_context.format.name
        if name != "fltp":
            block = (block * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(block, format=name, layout="mono")
        frame.sample_rate = RATE
        frame.pts, frame.time_base = position + round(start_s * RATE), Fraction(1, RATE)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def click(seconds: float, at_s: float) -> np.ndarray:
    """(n,) float32 silence with one short 3 kHz burst that begins at ``at_s``."""
    audio = np.zeros(round(seconds * RATE), np.float32)
    begin = round(at_s * RATE)
    audio[begin : begin + 480] = 0.8 * np.sin(2 * np.pi * 3000 * np.arange(480) / RATE)
    return audio


def onset_s(audio: np.ndarray, rate: int) -> float:
    """When the burst of :func:`click` begins."""
    return int(np.argmax(np.abs(audio) > 0.3)) / rate


def turn(path: Path, degrees: int) -> None:
    """Write a rotation (90, 180 or 270 clockwise, as phones do) into an MP4's track header."""
    one = 0x10000
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, -b, a, 0, 0, 0, 0x40000000)
    path.write_bytes(bytes(data))
