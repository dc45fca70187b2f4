"""How far it is, on stderr: one line that moves in a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from typing import IO

EVERY_S = 0.2
EVERY_S_IN_A_LOG = 10.0


class Progress:
    def __init__(self, stream: IO[str] | None) -> None:
        """``stream`` None: say nothing."""
        self.stream = stream
        self.moves = stream is not None and stream.isatty()
        self.told_at = time.monotonic()

    def tell(self, words: str) -> None:
        now = time.monotonic()
        if self.stream is None or now - self.told_at < (EVERY_S if self.moves else EVERY_S_IN_A_LOG):
            return
        self.told_at = now
        self.stream.write(f"\r  {words[:110]}\x1b[K" if self.moves else f"  {words}\n")
        self.stream.flush()

    def end(self, words: str) -> None:
        """This part is done."""
        if self.stream is not None:
            self.stream.write(f"\r  {words}\x1b[K\n" if self.moves else f"  {words}\n")
            self.stream.flush()


def in_words(size: float) -> str:
    """Bytes for people: ``1.2 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
