"""Reading pictures: upright, 8-bit 4:2:0, at a constant rate; forwards, or in any order of runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import av.container
import av.filter
import numpy as np

from rendering.engine.errors import EngineError
from rendering.engine.media import hardware
from rendering.engine.media.colour import write_cube
from rendering.engine.media.container import damage_as_bad_media, opened, picture_stream
from rendering.engine.media.frame import Frame, copied, plane_views
from rendering.engine.media.hardware import PLAIN_FORMATS
from rendering.engine.media.probe import MediaInfo, VideoInfo
from rendering.engine.pipeline import beside

DECODE_THREADS = 4
SPOOL_BYTES = 400 << 20
"""Disk used to read a run backwards; longer runs are decoded again in parts of this size."""
NEAR = 60
"""A gap this small is decoded through instead of seeking."""


def read_frames(path: Path, info: MediaInfo, *, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """Yield the frames ``start`` to ``stop`` (exclusive) of the constant rate. Raises ``bad_media``.

    Each source picture is shown from the grid point nearest to its own time until the next one comes; a picture whose
    place another takes is dropped. The last is repeated if the file turns out shorter than it said.
    """
    video = require_video(info)
    stop = video.frames if stop is None else min(stop, video.frames)
    if start >= stop:
        return
    held: av.VideoFrame | None = None
    position = start
    for slot, picture in _pictures(path, video, start):
        if held is not None:
            last = min(max(slot, position), stop)
            for index in range(position, last):
                yield _frame(held, index, video, shared=index < last - 1)
            position = max(position, last)
        held = picture
        if position >= stop:
            return
    if held is None:
        raise EngineError("bad_media", f"{path.name}: no picture at frame {start}")
    for index in range(position, stop):
        yield _frame(held, index, video, shared=True)


def require_video(info: MediaInfo) -> VideoInfo:
    if info.video is None:
        raise EngineError("no_video")
    return info.video


def _frame(picture: av.VideoFrame, index: int, video: VideoInfo, *, shared: bool) -> Frame:
    plain = video.rotation == 0 and not video.cropped
    if plain and not shared and picture.format.name == "yuv420p":
        # The decoder may still predict from this buffer.
        picture.make_writable()
        return Frame(picture, index, video)
    y, u, v = (np.rot90(plane, video.rotation // 90) for plane in plane_views(picture))
    return Frame(copied(y, u, v), index, video)


def _pictures(path: Path, video: VideoInfo, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """(grid point, picture) in order, from the picture shown at ``start`` or a little before.

    By the card where it decodes this; software takes over where the card gives up, from the next picture on.
    """
    shown: int | None = None
    if hardware.decodes(path, video):
        try:
            for shown, picture in _read(path, video, start, on_card=True):
                yield shown, picture
        except (EngineError, av.error.FFmpegError) as error:
            hardware.refuse(path, error)
        else:
            if shown is not None:
                return
            hardware.refuse(path, "no picture")
    for slot, picture in _read(path, video, start):
        if shown is None or slot > shown:
            yield slot, picture


def _read(path: Path, video: VideoInfo, start: int, *, on_card: bool = False) -> Iterator[tuple[int, av.VideoFrame]]:
    accelerator = hardware.accelerator() if on_card else None
    with opened(path, accelerator) as container, damage_as_bad_media(path):
        stream = picture_stream(container)
        if stream is None:
            raise EngineError("no_video", path.name)
        if not on_card:
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = min(DECODE_THREADS, hardware.cores())
        if start > 0 and stream.time_base:
            seconds = video.start_s + float((start - 0.5) / video.fps)
            container.seek(int(seconds / stream.time_base), stream=stream, backward=True)
        convert = _planar if on_card else converter(video, stream)
        last = -1
        for picture in _decoded(container, stream, strict=on_card):
            for upright in convert(picture):
                time = upright.time
                if time is None and on_card:
                    raise EngineError("bad_media", "a picture without a time")
                slot = last + 1 if time is None else round((time - video.start_s) * float(video.fps))
                last = slot
                yield slot, upright


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream, *, strict: bool
) -> Iterator[av.VideoFrame]:
    """Pictures; a damaged one is an error if ``strict``, else skipped, and its predecessor stays on screen."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            if strict:
                raise


def _planar(picture: av.VideoFrame) -> Iterable[av.VideoFrame]:
    """A picture as the card hands it over, its chroma interleaved, in three planes of the same levels."""
    return (picture if picture.format.name in PLAIN_FORMATS else _eight_bit(picture),)


def converter(video: VideoInfo, stream: av.VideoStream) -> Callable[[av.VideoFrame], Iterable[av.VideoFrame]]:
    """What brings a decoded picture to 8-bit 4:2:0 progressive standard range: often nothing at all."""
    if not video.interlaced and not video.hdr:
        if video.pix_fmt in PLAIN_FORMATS:
            return lambda picture: (picture,)
        return lambda picture: (_eight_bit(picture),)
    return _Filters(video, stream)


def _eight_bit(picture: av.VideoFrame) -> av.VideoFrame:
    if picture.format.is_rgb:
        return picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    # The same range on both sides: levels are kept, only depth and chroma change.
    return picture.reformat(format="yuv420p", src_color_range=picture.color_range, dst_color_range=picture.color_range)


class _Filters:
    """FFmpeg's deinterlacer and look-up table, as one graph."""

    def __init__(self, video: VideoInfo, stream: av.VideoStream) -> None:
        self.graph = av.filter.Graph()
        steps: list[tuple[str, str]] = []
        if video.interlaced:
            steps.append(("bwdif", "mode=send_frame:deint=all"))
        cube = write_cube(video.hdr, Path(tempfile.gettempdir())) if video.hdr else None
        if cube is not None:
            steps += [("format", "gbrp10le"), ("lut3d", f"file={cube}:interp=tetrahedral")]
            steps.append(("scale", "out_color_matrix=bt709:out_range=tv"))
        steps.append(("format", "yuv420p"))
        chain: Any = self.graph.add_buffer(template=stream)
        for name, arguments in steps:
            following = self.graph.add(name, arguments)
            chain.link_to(following)
            chain = following
        chain.link_to(self.graph.add("buffersink"))
        self.graph.configure()
        if cube is not None:
            cube.unlink()

    def __call__(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        self.graph.push(picture)
        while True:
            try:
                yield self.graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


class FrameWalk:
    """Source frames in an order made of runs, forwards and backwards, in bounded memory.

    Each yielded frame has its source number as ``index`` and planes of its own.
    """

    def __init__(self, path: Path, info: MediaInfo, order: Iterable[int]) -> None:
        self.path, self.info = path, info
        self.video = require_video(info)
        self.order = order
        self.frame_bytes = self.video.width * self.video.height * 3 // 2
        self.spool_frames = max(8, SPOOL_BYTES // self.frame_bytes)

    def __iter__(self) -> Iterator[Frame]:
        for run in runs(self.order):
            if run.step >= 0:
                yield from self._forwards(run)
            else:
                yield from self._backwards(run)

    def _forwards(self, run: range) -> Iterator[Frame]:
        yield from read_frames(self.path, self.info, start=run[0], stop=run[-1] + 1)

    def _backwards(self, run: range) -> Iterator[Frame]:
        lowest = run[-1]
        stop = run[0] + 1
        while stop > lowest:
            start = max(lowest, stop - self.spool_frames)
            yield from self._spooled(start, stop)
            stop = start

    def _spooled(self, start: int, stop: int) -> Iterator[Frame]:
        """Frames ``stop - 1`` down to ``start``, through raw planes on disk (the file has no name, so none is left)."""
        with tempfile.TemporaryFile(buffering=0) as spool:
            count = 0
            for frame in read_frames(self.path, self.info, start=start, stop=stop):
                for plane in (frame.y, frame.u, frame.v):
                    spool.write(np.ascontiguousarray(plane).data)
                count += 1
            for number in reversed(range(count)):
                spool.seek(number * self.frame_bytes)
                yield self._read_back(spool, start + number)

    def _read_back(self, spool: Any, index: int) -> Frame:
        picture = av.VideoFrame(self.video.width, self.video.height, "yuv420p")
        for target in plane_views(picture):
            block = np.empty(target.shape, np.uint8)
            spool.readinto(block)
            target[...] = block
        return Frame(picture, index, self.video)


def runs(order: Iterable[int]) -> Iterator[range]:
    """Cut an order of frame numbers into runs of step +1 or -1, as long as they come (a lone number steps +1)."""
    first: int | None = None
    last, step = 0, 0
    for number in order:
        if first is None:
            first, last, step = number, number, 0
        elif step in (0, number - last) and abs(number - last) == 1:
            step, last = number - last, number
        else:
            yield range(first, last + (step or 1), step or 1)
            first, last, step = number, number, 0
    if first is not None:
        yield range(first, last + (step or 1), step or 1)


def ahead(frames: Iterable[Frame], depth: int = 5) -> Generator[Frame, None, None]:
    """The same frames, read by a thread of their own up to ``depth`` ahead; its errors come out here."""
    return beside(frames, depth=depth, name="decode")
