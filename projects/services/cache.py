"""Copies on this machine's own disk of what lies elsewhere: each made once, pinned while it is used, bounded.

::

    CACHE_ROOT/kept/<name>    a file or a folder, whole; its mtime is when it was last used
    CACHE_ROOT/parts/<name>   being made; renamed when it is whole
    CACHE_ROOT/locks/<name>   flock: shared while somebody uses it, exclusive while somebody makes or removes it; holds
                              the bytes that are expected of what is being made

Any number of processes may use one cache; the kernel lets go of a dead one's locks. ``CACHE_ROOT`` is a local disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from projects.storage import Hear, silent

log = logging.getLogger("heygem.storage")

KEPT_S = 30 * 24 * 3600
"""What nobody used for so long goes in any case: it may have been deleted in the storage long since."""
LOOK_S = 0.2
"""How often somebody who waits for another's copy looks whether it is there."""


def _folder(name: str) -> Path:
    folder = Path(settings.CACHE_ROOT) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def kept(name: str, size: int, make: Callable[[Path], None], *, hear: Hear = silent) -> Iterator[Path]:
    """The copy ``name``, which nobody removes while this context is open.

    If it is not here, ``make(path)`` makes it, of about ``size`` bytes, as a file or a folder. Who finds another at
    that waits, and hears of the bytes that have arrived.
    """
    place = _folder("kept") / name
    while True:
        with _locked(name, fcntl.LOCK_SH, lambda: hear(_bytes(_folder("parts") / name), size)):
            if place.exists():
                os.utime(place)
                yield place
                return
        with _locked(name, fcntl.LOCK_EX, lambda: hear(_bytes(_folder("parts") / name), size)):
            if not place.exists():
                _make(name, size, make, place)


def _make(name: str, size: int, make: Callable[[Path], None], place: Path) -> None:
    part = _folder("parts") / name
    _remove(part)
    part.touch()
    (_folder("locks") / name).write_text(str(size))  # so that others who make room count what will come
    try:
        trim()
        _remove(part)
        make(part)
        os.utime(part)
        part.rename(place)
    finally:
        _remove(part)


@contextlib.contextmanager
def _locked(name: str, how: int, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of ``name``; ``waiting`` is called now and then while others have it."""
    with _try_lock(name, how, waiting) as got:
        assert got  # noqa: S101 - it waits until it has
        yield


@contextlib.contextmanager
def _try_lock(name: str, how: int, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Whether the lock could be had; without ``waiting`` it is tried once."""
    path = _folder("locks") / name
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is None:
                    yield False
                    return
                waiting()
                time.sleep(LOOK_S)
                continue
            if _is_still(file.fileno(), path):  # else its last holder has just removed it
                yield True
                return


def _is_still(fd: int, path: Path) -> bool:
    try:
        return os.fstat(fd).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def trim() -> int:
    """Remove what was not used for longest until the rest, and what is being made, fit. Returns the bytes removed.

    They fit into ``CACHE_MAX_GB``, and leave on the disk what is to be kept free (``DISK_KEEP_FREE_MB``). What is in
    use stays: a job that needs more at once gets it.
    """
    removed = 0
    with (_folder("locks") / ".trim").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for part in _folder("parts").iterdir():  # left by processes that died while they made it
            removed += _remove_unused(part)
        entries = sorted(_folder("kept").iterdir(), key=_last_used)
        parts = list(_folder("parts").iterdir())
        here = sum(map(_bytes, parts))
        coming = sum(max(0, _expected(part.name) - _bytes(part)) for part in parts)
        beyond = sum(map(_bytes, entries)) + here + coming - settings.CACHE_MAX_BYTES
        lacking = coming + settings.DISK_KEEP_FREE_BYTES - shutil.disk_usage(settings.CACHE_ROOT).free
        for entry in entries:
            if max(beyond, lacking) <= 0 and time.time() - _last_used(entry) < KEPT_S:
                break
            gone = _remove_unused(entry)
            beyond, lacking, removed = beyond - gone, lacking - gone, removed + gone
        if beyond > 0:
            log.warning("the cache is %s MB larger than CACHE_MAX_GB: all of it is in use", beyond // 1_000_000 + 1)
    return removed


def size() -> int:
    """Bytes that the cache holds now."""
    return sum(_bytes(entry) for place in ("kept", "parts") for entry in _folder(place).iterdir())


def _remove_unused(entry: Path) -> int:
    with _try_lock(entry.name, fcntl.LOCK_EX) as free:
        if not free:
            return 0
        held = _bytes(entry)
        _remove(entry)
        (_folder("locks") / entry.name).unlink(missing_ok=True)
        return held


def _expected(name: str) -> int:
    try:
        return int((_folder("locks") / name).read_text() or 0)
    except FileNotFoundError:
        return 0


def _last_used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _bytes(entry: Path) -> int:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if entry.is_dir():
            return sum(_bytes(inside) for inside in entry.iterdir())
        return entry.stat().st_size
    return 0


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
