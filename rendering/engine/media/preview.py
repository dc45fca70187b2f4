"""A copy for the page: footage in a form that every browser plays, made in the pass that tracks the face."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2

from rendering.engine.contract import RenderOptions
from rendering.engine.media.container import opened
from rendering.engine.media.encode import VideoWriter
from rendering.engine.media.frame import Frame, copied
from rendering.engine.media.probe import MediaInfo, VideoInfo

SHORT_SIDE = 540
"""Pixels; enough to compare mouths beside the result, little enough not to slow the analysis down."""
OPTIONS = RenderOptions(crf=26, speed="ultrafast")
PLAYED = {"mp4": {"h264", "vp9", "av1"}, "webm": {"vp8", "vp9", "av1"}}
"""Containers and picture codecs that current browsers play without a plug-in of the system."""
HEARD = {"aac", "mp3", "opus", "vorbis", "flac"}


def plays_in_browsers(path: Path, info: MediaInfo) -> bool:
    """Whether a page can show the file as it is. HEVC, AVI, MPEG and 10-bit pictures cannot be relied on."""
    if info.video is None:
        return False
    with opened(path) as container:
        names = container.format.name.split(",")
    picture = any(info.video.codec in codecs for name, codecs in PLAYED.items() if name in names)
    sound = info.audio is None or info.audio.codec in HEARD
    return picture and sound and info.video.bit_depth == 8 and info.video.pix_fmt in ("yuv420p", "yuvj420p")


@contextlib.contextmanager
def preview_writer(out: Path, footage: Path, info: MediaInfo, video: VideoInfo) -> Iterator[Callable[[Frame], None]]:
    """Give every frame of ``footage`` in order to what this yields; ``out`` is whole when the block ends well."""
    scale = min(1.0, SHORT_SIDE / min(video.width, video.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (video.width, video.height))
    small = replace(video, width=width, height=height)
    half = (width // 2, height // 2)
    sound = footage if info.audio is not None else None

    def add(frame: Frame) -> None:
        planes = (
            cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
            for plane, size in ((frame.y, (width, height)), (frame.u, half), (frame.v, half))
        )
        writer.write(Frame(copied(*planes), frame.index, small))

    with VideoWriter(out, small, sound, OPTIONS, float(video.frames / video.fps), audio_info=info) as writer:
        yield add
