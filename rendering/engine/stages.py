"""Stages of the work: how long each took, and that they began and are done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rendering.engine.contract import Report


class Stages:
    """``seconds``: wall-clock seconds by stage, of those that ended well."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """For a stage that reports its own progress."""
        began = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - began, 3)

    @contextmanager
    def reported(self, stage: str) -> Iterator[None]:
        """For a stage that is only begun and done."""
        with self.timed(stage):
            self._report(stage, 0, 1)
            yield
            self._report(stage, 1, 1)


class Parts:
    """A report for a stage of ``count`` walks, each of which reports from nothing to all: it goes on where the walk
    before ended. In thousandths."""

    def __init__(self, report: Report, count: int) -> None:
        self._report, self._count, self._walk, self._last = report, count, 0, 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if done <= self._last:
            self._walk = min(self._walk + 1, self._count - 1)
        self._last = done
        self._report(stage, round(1000 * (self._walk + done / total) / self._count), 1000)
