"""What makes H.264 of pictures: the card's encoder where it opens, else libx264, on many cores segment by segment."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import av
import av.container
import av.error
import cv2

from rendering.engine.contract import RenderOptions
from rendering.engine.media import hardware
from rendering.engine.media.probe import VideoInfo

log = logging.getLogger(__name__)

KEY_FRAME_S = 2.0
"""Seeking in a player lands on key frames."""
VARIABLE = "ENGINE_SEGMENTS"
"""Segments encoded at a time; 0: as many as the processor has use for."""
CORES_EACH = 4
"""An encoder's own threads make good use of so many; segments begin to pay at twice as many."""
MOST_SEGMENTS = 8
MOST_BYTES = 1 << 30
"""Memory for pictures that wait for the encoders of their segments."""
MACROBLOCK = 16
_AVX512 = 256
"""``CV_CPU_AVX512_SKX`` of OpenCV's ``interface.h``, which its Python module does not name."""
NVENC_PRESETS = {"ultrafast": "p1", "veryfast": "p4", "fast": "p5", "medium": "p6"}


class Encoder(Protocol):
    """Pictures in, packets out, both in order."""

    name: str
    """What encodes, for the log and the result."""
    reached: int
    """Number of pictures up to which sound may be written beside them."""

    def encode(self, picture: av.VideoFrame | None) -> Sequence[av.Packet]:
        """Packets that are ready; None: there is no more picture, and all that are left come."""
        ...

    def close(self) -> None:
        """End what is still at work. Packets that were not taken are lost."""
        ...


@contextlib.contextmanager
def begun(
    path: Path, info: VideoInfo, options: RenderOptions, frames: int
) -> Iterator[tuple[av.container.OutputContainer, Encoder]]:
    """An MP4 of ``frames`` pictures at ``path``, and what encodes them into its first stream."""
    if (number := hardware.card()) is not None:
        with _mp4(path) as container:
            stream = _stream(container, "h264_nvenc", info, nvenc_options(number, options))
            try:
                stream.codec_context.open()
            except av.error.FFmpegError as error:
                log.log(hardware.level(), "Card %d has no encoder that opens: %s", number, error)
            else:
                yield container, Whole(stream)
                return
    with _mp4(path) as container:
        chosen = x264_options(info.width, crf=options.crf, speed=options.speed)
        stream = _stream(container, "libx264", info, chosen)
        count = segments(info, frames, hardware.cores())
        encoder = Whole(stream) if count == 1 else Segments(stream, info, chosen, frames, count)
        with contextlib.closing(encoder):
            yield container, encoder


def _mp4(path: Path) -> av.container.OutputContainer:
    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def _stream(container: av.container.OutputContainer, codec: str, info: VideoInfo, options: dict[str, str]) -> Any:
    stream: Any = container.add_stream(codec, rate=info.fps, options=options)
    stream.time_base = 1 / info.fps
    _describe(stream.codec_context, info)
    return stream


def _describe(context: Any, info: VideoInfo) -> None:
    context.width, context.height, context.pix_fmt = info.width, info.height, "yuv420p"
    context.time_base = 1 / info.fps
    context.gop_size = _gop(info)
    context.sample_aspect_ratio = info.pixel_aspect
    context.color_range, context.colorspace = info.colour.range, info.colour.space
    context.color_primaries, context.color_trc = info.colour.primaries, info.colour.transfer


def _gop(info: VideoInfo) -> int:
    return max(1, round(KEY_FRAME_S * float(info.fps)))


def x264_options(width: int, *, crf: int, speed: str) -> dict[str, str]:
    """libx264's options for pictures ``width`` pixels wide, with which the same frames become the same bytes.

    With AVX-512 libx264 weighs macroblocks eight at a time (``mbtree_propagate_list`` in its ``mc-a2.asm``) and reads
    past the end of a row that is no multiple of eight long: what lay in memory there then moves the quantiser. Such
    widths do without AVX-512, for 6 % of the encoder's time; 1280, 1920 and 3840 are multiples.
    """
    options = {"crf": str(crf), "preset": speed}
    if -(-width // MACROBLOCK) % 8 and cv2.checkHardwareSupport(_AVX512):
        options["x264-params"] = "asm=avx2,fma3,lzcnt,bmi1,bmi2"
    return options


def nvenc_options(card: int, options: RenderOptions) -> dict[str, str]:
    """The card's encoder at a constant quality, for which x264's number is taken as it is."""
    quality = {"rc": "vbr", "cq": str(options.crf), "b": "0", "spatial-aq": "1", "bf": "3", "forced-idr": "1"}
    return {"gpu": str(card), "preset": NVENC_PRESETS[options.speed], "tune": "hq", "profile": "high"} | quality


def segments(info: VideoInfo, frames: int, cores: int) -> int:
    """How many segments are encoded at a time; 1: one encoder takes all pictures."""
    asked = int(os.environ.get(VARIABLE) or 0)
    gop = _gop(info)
    fitting = MOST_BYTES // (gop * info.width * info.height * 3 // 2)
    usual = min(cores // CORES_EACH, fitting, MOST_SEGMENTS)
    return max(1, min(asked or usual, frames // gop))


class Whole:
    """One encoder, its own threads."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.reached = stream, 0
        self.name: str = stream.codec_context.name

    def encode(self, picture: av.VideoFrame | None) -> Sequence[av.Packet]:
        self.reached += picture is not None
        packets: Sequence[av.Packet] = self._stream.encode(picture)
        return packets

    def close(self) -> None:
        """Nothing: the container closes its stream's encoder."""


class Segments:
    """Closed segments, each by an encoder of its own beside the others, joined packet by packet.

    Each begins with an IDR picture and refers to nothing outside itself. All encoders have the same parameters, so that
    the first one's parameter sets, which the file's header holds, are everybody's.
    """

    def __init__(self, stream: Any, info: VideoInfo, options: dict[str, str], frames: int, count: int) -> None:
        self._stream, self._info, self._options, self._count = stream, info, options, count
        self._threads = max(1, hardware.cores() // count)
        self._starts = frozenset(starts(frames, _gop(info)))
        self._at_work: deque[_Segment] = deque()
        self._given = self.reached = 0
        self.name = f"{stream.codec_context.name} x {count}"

    def encode(self, picture: av.VideoFrame | None) -> Sequence[av.Packet]:
        packets: list[av.Packet] = []
        begins = self._given in self._starts
        if self._at_work and (begins or picture is None):
            self._at_work[-1].put(None)
        while self._at_work and (picture is None or (begins and len(self._at_work) == self._count)):
            packets += self._at_work[0].packets()
            self._at_work.popleft()
        if picture is not None:
            if begins:
                self._at_work.append(_Segment(self._encoder()))
            self._at_work[-1].put(picture)
            self._given += 1
        for packet in packets:
            packet.stream = self._stream
        self.reached += len(packets)
        return packets

    def _encoder(self) -> Any:
        """For the segment that begins: the stream's own for the first, one like it for the others."""
        first = self._stream.codec_context
        context: Any = first if self._given == 0 else av.CodecContext.create(first.name, "w")
        if context is not first:
            _describe(context, self._info)
            context.framerate, context.flags, context.options = self._info.fps, first.flags, dict(self._options)
        context.thread_type, context.thread_count = "FRAME", self._threads
        context.open()
        if context.extradata != first.extradata:
            raise ValueError("segments with other parameter sets")
        return context

    def close(self) -> None:
        for segment in self._at_work:
            segment.give_up()
        self._at_work.clear()


class _Segment:
    """Pictures of one segment on their way through their encoder, in a thread of its own."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._waiting: queue.SimpleQueue[av.VideoFrame | None] = queue.SimpleQueue()
        self._packets: list[av.Packet] = []
        self._error: BaseException | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="segment")
        self._thread.start()

    def put(self, picture: av.VideoFrame | None) -> None:
        """The next picture; None after the last."""
        self._waiting.put(picture)

    def packets(self) -> list[av.Packet]:
        """All packets, as soon as the last picture is through. Raises what the encoder raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._packets

    def give_up(self) -> None:
        self._given_up = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (picture := self._waiting.get()) is not None and not self._given_up:
                self._packets += self._context.encode(picture)
            if not self._given_up:
                self._packets += self._context.encode(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the packets are taken
            self._error = error


def starts(frames: int, gop: int) -> list[int]:
    """The first frames of the segments; a rest of less than half a segment goes with the one before it."""
    found = list(range(0, frames, gop))
    if len(found) > 1 and frames - found[-1] < gop / 2:
        found.pop()
    return found
