"""Temporary files that never outlive the work: removed when it fails, is cancelled or is told to end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_held: set[Path] = set()
_lock = threading.Lock()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with _lock:
        _held.add(part)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        with _lock:
            _held.discard(part)


def remove_all() -> None:
    """Remove every temporary file still held. Called by a process that is about to end at once."""
    # No lock: the thread that holds it may never run again.
    for part in list(_held):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
