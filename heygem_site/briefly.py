"""An answer that many ask for at once is worked out by one of them, and stands for a few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Briefly(Generic[T]):
    """``work_out()`` at most once in ``seconds`` in each process. What it raises is not kept."""

    def __init__(self, seconds: float, work_out: Callable[[], T]) -> None:
        self.seconds, self.work_out = seconds, work_out
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._lock:
            now = time.monotonic()
            if self._kept is None or now - self._kept[0] >= self.seconds:
                self._kept = (time.monotonic(), self.work_out())
            return self._kept[1]

    def forget(self) -> None:
        self._kept = None
