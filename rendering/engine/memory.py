"""Keeping the process small while threads hand megabytes to one another."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8


def share_one_arena() -> None:
    """Let all threads allocate from one heap (glibc). Call before threads start.

    By default each thread gets its own, and a frame freed by another thread than the one that made it stays with the
    maker's: on an hour of video that reads as a leak. One heap costs no measurable time here.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)
