"""Room on this machine's disk. Work stops before there is none: a full disk breaks what was promised to be whole.

Measured where files arrive and work is done, also when they are kept in object storage afterwards.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import OperationalError

from projects.problems import HeyGemError

FULL = {errno.ENOSPC, errno.EDQUOT}
DISK_FULL = "disk_full"
"""The code of work that has to wait for room."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Bytes of a disk."""

    total: int
    used: int
    free: int


def folder() -> Path:
    """Where what arrives and what is made lies first: with files the media folder, with a bucket the cache."""
    return Path(settings.MEDIA_ROOT if holds_media() else settings.CACHE_ROOT)


def holds_media() -> bool:
    """Whether stored files lie on this disk, so that removing some makes room on it."""
    return not settings.S3_BUCKET


def space(at: Path | None = None) -> Space:
    """Bytes of the disk that holds ``at``, or :func:`folder`."""
    at = at or folder()
    while not at.exists():
        at = at.parent
    found = shutil.disk_usage(at)
    return Space(total=found.total, used=found.used, free=found.free)


def has_room(size: int = 0) -> bool:
    """Whether ``size`` more bytes leave free what is to be kept free (``DISK_KEEP_FREE_MB``)."""
    return space().free >= size + settings.DISK_KEEP_FREE_BYTES


def can_work(size: int = 0) -> bool:
    """Whether a machine may begin something of which ``size`` is known: the cache's disk counts as well."""
    return has_room(size) and space(Path(settings.CACHE_ROOT)).free >= settings.DISK_KEEP_FREE_BYTES


def is_full(error: BaseException) -> bool:
    """Whether the disk, a quota or the database's own disk had no room left."""
    if isinstance(error, OSError):
        return error.errno in FULL
    if isinstance(error, OperationalError):
        words = str(error).lower()
        return "disk is full" in words or "no space left" in words
    return False


@contextmanager
def full_is(code: str, **params: object) -> Iterator[None]:
    """A disk that fills up inside becomes ``HeyGemError(code)``; other errors stay what they are."""
    try:
        yield
    except (OSError, OperationalError) as error:
        if is_full(error):
            raise HeyGemError(code, **params) from error
        raise
