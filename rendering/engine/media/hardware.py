"""What codecs have to work with: the processor's cores, and a graphics card's own. Never needs torch."""

from __future__ import annotations

import functools
import logging
import os
from collections import deque
from pathlib import Path

import av
import av.codec.hwaccel
import av.error

from rendering.engine.media.probe import VideoInfo

log = logging.getLogger(__name__)

VARIABLE = "ENGINE_CODECS"
"""``auto``: the card's decoder and encoder, where they open; ``software``: never."""
MOST_HELPERS = 4
"""More would wait for what only one can do at a time."""
PLAIN_FORMATS = ("yuv420p", "yuvj420p")

_refused: deque[Path] = deque(maxlen=64)


def cores() -> int:
    """Of the processor, those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def helpers() -> int:
    """Threads that work on several frames at once within one step; two cores have enough with the steps."""
    return max(0, min(MOST_HELPERS, cores() - 2))


def card() -> int | None:
    """The number of the card whose codecs are tried, the one that networks run on; None: no card's.

    ``ENGINE_DEVICE=auto`` tries the first; that there is none shows when nothing opens.
    """
    if (os.environ.get(VARIABLE) or "auto") != "auto":
        return None
    kind, _, number = (os.environ.get("ENGINE_DEVICE") or "auto").partition(":")
    return int(number or 0) if kind in ("auto", "cuda") else None


def level() -> int:
    """Of log lines about a card that does not open: a warning only where the operator named one."""
    return logging.WARNING if (os.environ.get("ENGINE_DEVICE") or "").startswith("cuda") else logging.DEBUG


def decodes(path: Path, video: VideoInfo) -> bool:
    """Whether the card decodes ``path``.

    Interlaced, high dynamic range and what is not 8-bit 4:2:0 goes through filters or conversions as software has it.
    """
    number = card()
    plain = not video.interlaced and not video.hdr and video.pix_fmt in PLAIN_FORMATS
    return number is not None and plain and path not in _refused and _opens(number, video.codec)


def opening() -> dict[str, bool]:
    """Whether the card's ``decoder`` and ``encoder`` of H.264 open; nothing where no card's are tried."""
    number = card()
    if number is None:
        return {}
    context = av.CodecContext.create("h264_nvenc", "w")
    context.width, context.height, context.pix_fmt = 640, 360, "yuv420p"
    context.options = {"gpu": str(number)}
    try:
        context.open()
    except av.error.FFmpegError:
        encodes = False
    else:
        encodes = True
    return {"decoder": _opens(number, "h264"), "encoder": encodes}


def accelerator() -> av.codec.hwaccel.HWAccel:
    """What :func:`av.open` takes. Pictures come back in the machine's memory; software never steps in unseen."""
    return av.codec.hwaccel.HWAccel("cuda", device=str(card()), allow_software_fallback=False)


def refuse(path: Path, why: BaseException | str) -> None:
    """From now on ``path`` is decoded in software."""
    _refused.append(path)
    log.warning("%s: decoded in software, the card would not: %s", path.name, why)


@functools.cache
def _opens(number: int, codec: str) -> bool:
    try:
        av.codec.hwaccel.HWAccel("cuda", device=str(number)).create(av.Codec(codec, "r"))
    except NotImplementedError:  # no card decodes this
        return False
    except av.error.FFmpegError as error:
        log.log(level(), "Card %d does not decode %s: %s", number, codec, error)
        return False
    return True
