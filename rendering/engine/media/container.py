"""Opening files that strangers uploaded: local files only, known containers only, one failure for all damage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av
import av.codec.hwaccel
import av.container
import av.error
import av.stream

from rendering.engine.errors import EngineError

# Playlists and scripts (hls, concat, ...) are left out: they could make the decoder read other files.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,flv,mpeg,mpegts,mpegvideo,m4v,mpegps,"
    "wav,w64,mp3,aac,flac,ogg,asf,amr,aiff,caf,ac3"
)
VIDEO_ENDINGS = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".3gp", ".wmv"}
)
"""What is taken for a video where a folder is given; a file that is named may be called anything."""


@contextlib.contextmanager
def opened(path: Path, accelerator: av.codec.hwaccel.HWAccel | None = None) -> Iterator[av.container.InputContainer]:
    """An open container, whose pictures ``accelerator`` decodes.

    Raises ``empty_file``, ``bad_media``, or OSError when the file cannot be reached.
    """
    if path.stat().st_size == 0:
        raise EngineError("empty_file", path.name)
    options = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
    with damage_as_bad_media(path), av.open(str(path), options=options, hwaccel=accelerator) as container:
        yield container


@contextlib.contextmanager
def damage_as_bad_media(path: Path) -> Iterator[None]:
    """Turn a decoder's complaints into ``bad_media``; missing files and full disks stay OSErrors."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise EngineError("bad_media", f"{path.name}: {error}") from error


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The video stream that a player would show; never cover art."""
    streams = [
        stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    best = container.streams.best("video")
    return next((stream for stream in streams if stream is best), streams[0] if streams else None)


def sound_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The audio track that a player would play."""
    usable = [stream for stream in container.streams.audio if stream.codec_context is not None]
    best = container.streams.best("audio")
    return next((stream for stream in usable if stream is best), usable[0] if usable else None)
