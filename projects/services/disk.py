"""Room on this machine's disk. Work stops before there is none: a full disk breaks what was promised to be whole.

Measured where files arrive and work is done (``MEDIA_ROOT``), also when they are kept in object storage afterwards.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import OperationalError

from projects.problems import HeyGemError

FULL = {errno.ENOSPC, errno.EDQUOT}
DISK_FULL = "disk_full"
"""The code of work that has to wait for room."""


def free_bytes() -> int:
    """Bytes that may still be written on the disk of the media folder."""
    folder = Path(settings.MEDIA_ROOT)
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def holds_media() -> bool:
    """Whether stored files lie on this disk, so that removing some makes room on it."""
    return not getattr(settings, "S3_BUCKET", "")


def has_room(size: int = 0) -> bool:
    """Whether ``size`` more bytes leave free what is to be kept free (``DISK_KEEP_FREE_MB``)."""
    return free_bytes() >= size + settings.DISK_KEEP_FREE_BYTES


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
