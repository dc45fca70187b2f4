"""Which model the environment names. Nothing here opens it."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from rendering.engine.errors import EngineError

MODEL, SIZE, RANGE, BATCH = "ENHANCER_MODEL", "ENHANCER_SIZE", "ENHANCER_RANGE", "ENHANCER_BATCH"
USUAL_SIZE, USUAL_RANGE = 512, "-1..1"


def configured() -> Path | None:
    """The file that the environment names, if it is there."""
    path = Path(os.environ.get(MODEL, ""))
    return path if path.is_file() else None


def required() -> Path:
    """The same. Raises ``no_enhancer``."""
    path = configured()
    if path is None:
        raise EngineError("no_enhancer", f"{MODEL}={os.environ.get(MODEL, '')}")
    return path


def identity() -> str:
    """Of the model that is set up: the first 16 hex digits of its SHA-256; empty: none is."""
    path = configured()
    return _identity(path, path.stat().st_size, path.stat().st_mtime_ns) if path else ""


@functools.lru_cache(maxsize=1)
def _identity(path: Path, *_stamp: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
