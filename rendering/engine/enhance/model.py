"""The operator's face-restoration model: where it lies, which one it is, and how it is asked.

It is given (n, 3, S, S) float32 RGB, a square of the face aligned as in FFHQ, in -1..1 or 0..1, and answers with the
same shape in the same range, alone or as the first of several.
"""

from __future__ import annotations

import functools
import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rendering.engine import device
from rendering.engine.batched import Batched
from rendering.engine.enhance.screen import screened
from rendering.engine.enhance.settings import BATCH, RANGE, SIZE, USUAL_RANGE, USUAL_SIZE, required
from rendering.engine.errors import EngineError

Array = np.ndarray[Any, Any]

ON_CPU, ON_CARD = 1, 8
"""Pictures that are enhanced together unless the environment says otherwise."""
RANGES = {"-1..1": (-1.0, 1.0), "0..1": (0.0, 1.0)}


class Enhancer:
    """The model on its device, in batches of one size."""

    def __init__(self, path: Path, where: torch.device, *, size: int, low: float, high: float, together: int) -> None:
        """Raises ``unsafe_enhancer``, or ``bad_enhancer``, also for one that does not keep to what is asked of it."""
        self.size, self.device, self._low, self._high = size, where, low, high
        with path.open("rb") as file:
            self.identity = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        self._model = _loaded(path, where)
        self.batched = Batched(self._ask, where, together)
        try:
            grey = self(np.full((1, size, size, 3), 128, np.uint8))
        except RuntimeError as error:
            raise EngineError(
                "bad_enhancer", f"asked with {size} pixels: {str(error).splitlines()[-1]}"[:300]
            ) from error
        if not np.isfinite(grey).all():
            raise EngineError("bad_enhancer", "its answer is no picture")

    def __call__(self, pictures: Array) -> Array:
        """``pictures`` (n, size, size, 3) u8 BGR -> (n, size, size, 3) float32 BGR, 0..255 or not a number."""
        given = np.ascontiguousarray(pictures[..., ::-1].transpose(0, 3, 1, 2), np.float32)
        span = self._high - self._low
        answer = self.batched(given * np.float32(span / 255) + np.float32(self._low))[0]
        scaled = (answer - np.float32(self._low)) * np.float32(255 / span)
        return np.clip(scaled, 0, 255).transpose(0, 2, 3, 1)[..., ::-1]

    def answer(self, pictures: torch.Tensor) -> torch.Tensor:
        """The same of what is on the device: (n, 3, size, size) levels 0..255, channels blue, green, red."""
        span = self._high - self._low
        scaled = (self._ask(pictures.flip(1) * (span / 255) + self._low) - self._low) * (255 / span)
        return scaled.clamp(0, 255).flip(1)

    def _ask(self, given: torch.Tensor) -> torch.Tensor:
        # Without its optimiser a script answers the third time as it did the first.
        with torch.jit.optimized_execution(False):
            answer = self._model(given)
        first = answer[0] if isinstance(answer, tuple | list) else answer
        if not isinstance(first, torch.Tensor) or first.shape != given.shape:
            shape = tuple(first.shape) if isinstance(first, torch.Tensor) else type(first).__name__
            raise EngineError("bad_enhancer", f"answers {shape} to {tuple(given.shape)}")
        return first


def check(path: Path) -> None:
    """Read and load it on the processor, and let go of it; it is not asked, which may take long there.

    Raises ``unsafe_enhancer`` or ``bad_enhancer``.
    """
    _loaded(path, torch.device("cpu"))


def _loaded(path: Path, where: torch.device) -> Any:
    archive = screened(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the form in which such models are published
            model = torch.jit.load(archive, map_location=where)
    except (RuntimeError, ValueError) as error:
        raise EngineError("bad_enhancer", str(error).splitlines()[0][:300]) from error
    return model.eval()


def load() -> Enhancer:
    """The model as the environment asks for it, kept from one call to the next.

    Raises ``no_enhancer``, ``bad_enhancer``, ``unsafe_enhancer`` or ``device_error``.
    """
    path = required()
    stat = path.stat()
    size = int(os.environ.get(SIZE, "") or USUAL_SIZE)
    low, high = RANGES[os.environ.get(RANGE, "") or USUAL_RANGE]
    where = device.chosen()
    together = int(os.environ.get(BATCH, "") or 0) or (ON_CARD if device.like_card(where) else ON_CPU)
    return _load(path, where, size, low, high, together, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _load(path: Path, where: torch.device, size: int, low: float, high: float, together: int, *_stamp: int) -> Enhancer:
    return Enhancer(path, where, size=size, low=low, high=high, together=together)
