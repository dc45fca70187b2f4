"""How far it is, on a terminal: one line that changes. Elsewhere (a file, a pipe) nothing is written."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

BAR = 24
EVERY_S = 0.1


class Progress:
    """Writes to ``stream`` (standard error), so that standard output is the result alone."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self.stream = stream
        self.shows = not quiet and stream.isatty()
        self.written_at = 0.0
        self.dirty = False

    def bytes(self, name: str, done: int, total: int) -> None:
        self._show(name, done, total, f"{_size(done)} of {_size(total)}" if total else _size(done))

    def jobs(self, done: int, total: int, words: str) -> None:
        self._show("Rendering", done, total, words)

    def _show(self, name: str, done: int, total: int, words: str) -> None:
        now = time.monotonic()
        if not self.shows or (now - self.written_at < EVERY_S and done < total):
            return
        self.written_at, self.dirty = now, True
        full = BAR * done // total if total else 0
        line = f"{name[:40]} [{'#' * full}{'.' * (BAR - full)}] {words}"
        self.stream.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        self.stream.flush()
        if total and done >= total:
            self.end()

    def end(self) -> None:
        """What comes now stands on a line of its own."""
        if self.dirty:
            self.stream.write("\n")
            self.stream.flush()
            self.dirty = False


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
