"""What the engine's commands share: a line that moves, a sentence for what went wrong, numbers in bounds, a cache."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

FAILED = 1
BAR = 28


def cache_root() -> Path:
    """Where what can be made again is kept between two commands."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heygem"


def complain(sentence: str, detail: str = "") -> int:
    """Say what went wrong; returns the exit status."""
    print(f"\r\033[K{sentence}" if sys.stderr.isatty() else sentence, file=sys.stderr)
    if detail:
        print(f"({detail})", file=sys.stderr)
    return FAILED


class ProgressBar:
    """A report that draws one moving line on standard error, or one line a stage where that is not a terminal."""

    def __init__(self) -> None:
        self.stage = ""
        self.drawn = 0.0
        self.began = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        new = stage != self.stage
        if new:
            self.stage, self.began = stage, now
        if not sys.stderr.isatty():
            if new:
                print(stage, file=sys.stderr, flush=True)
            return
        if not new and done < total and now - self.drawn < 0.1:
            return
        self.drawn = now
        share = done / max(1, total)
        filled = "#" * round(BAR * share)
        left = f"{(now - self.began) * (1 - share) / share:5.0f} s left" if 0.02 < share < 1 else ""
        print(f"\r\033[K{stage:<9} [{filled:<{BAR}}] {share:4.0%} {left}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def number(low: float, high: float) -> Callable[[str], float]:
    """An argument type: a number from ``low`` to ``high``."""

    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be between {low:g} and {high:g}")
        return value

    return parse
