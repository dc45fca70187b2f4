"""Folders for work in progress: on the disk where the result will stay, and gone afterwards whatever happens."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

OLD_S = 5 * 3600
"""What nothing was written to for so long was left by a process that was killed: no ticket may run that long."""


def root() -> Path:
    """With files the media folder's own disk, so that a result is only renamed; with a bucket the cache's."""
    return Path(settings.CACHE_ROOT if settings.S3_BUCKET else settings.MEDIA_ROOT) / "work"


@contextlib.contextmanager
def folder(name: str = "") -> Iterator[Path]:
    """An empty folder (called ``name``), removed with all that is left in it."""
    sweep()
    root().mkdir(parents=True, exist_ok=True)
    if name:
        made = root() / name
        made.mkdir()
    else:
        made = Path(tempfile.mkdtemp(dir=root()))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep() -> int:
    """Remove folders that killed workers left behind. Returns how many."""
    removed = 0
    with contextlib.suppress(FileNotFoundError):
        for left in root().iterdir():
            with contextlib.suppress(FileNotFoundError):
                newest = max(path.stat().st_mtime for path in (left, *left.rglob("*")))
                if time.time() - newest > OLD_S:
                    shutil.rmtree(left, ignore_errors=True)
                    removed += 1
    return removed
