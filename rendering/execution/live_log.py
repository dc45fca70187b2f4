"""A running attempt's log: what the engine writes reaches the attempt while it writes it, and stays there."""

from __future__ import annotations

import codecs
import logging
import os
import time
from collections.abc import Callable

from django.db import DatabaseError

from rendering import states

log = logging.getLogger("heygem.render")

EVERY_S = 2.0
"""How often new lines are written to the attempt."""
BLOCK = 4 * states.LOG_LIMIT
"""Bytes that are read at once; of more than that only the end is of use."""


class LogTail:
    """The end of a growing file, read a piece at a time; ``end`` counts all characters that were ever in it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text, self.end = "", 0

    def read_on(self) -> bool:
        """Whether there was anything new."""
        # Read in place: the file's position is the writer's as well.
        size = os.fstat(self._fd).st_size
        if size < self._read:  # a new request has begun
            self._read = 0
        if size == self._read:
            return False
        start = max(self._read, size - BLOCK)
        new = self._decoder.decode(os.pread(self._fd, size - start, start))
        self.end += start - self._read + len(new)
        self.text = (self.text + new)[-states.LOG_LIMIT :]
        self._read = size
        return True


class LiveLog:
    """Call it often: now and then it writes what is new. Not a reason for an attempt to fail."""

    def __init__(self, keep: Callable[[str, int], None], fd: int, whose: str) -> None:
        """``keep`` is given the end of the log, and how many characters it has had in all."""
        self.keep, self.tail, self.whose = keep, LogTail(fd), whose
        self.written_at = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.written_at >= EVERY_S:
            self.write()

    def write(self) -> None:
        self.written_at = time.monotonic()
        if not self.tail.read_on():
            return
        try:
            self.keep(self.tail.text, self.tail.end)
        except DatabaseError:
            log.warning("%s: its log could not be written", self.whose)
