"""Keeping the process small while threads hand megabytes to one another."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX, _M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -8, -1, -3
_KEPT_BYTES = 256 << 20
"""Freed memory that stays with the process. Every frame needs the same megabytes again, and a page that went back to
the system has to be cleared before it returns: with glibc's own settings that was a twentieth of a render's time."""


def share_one_arena() -> None:
    """Let all threads allocate from one heap (glibc) that keeps what it is given back. Call before threads start.

    By default each thread gets its own, and a frame freed by another thread than the one that made it stays with the
    maker's: on an hour of video that reads as a leak. One heap costs no measurable time here.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)
            mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
            mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)


def give_back() -> None:
    """Return what is kept of freed memory to the system (glibc), after work that needed much more than what follows."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
