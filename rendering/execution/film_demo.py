"""``python -m rendering.execution.film_demo FOLDER SECONDS SIZE``: film the demo presenter and speak the demo scripts.

A process of its own, as every use of the engine is. Standard output gets one JSON line a second with the progress,
and at the end one with what was made; ``FOLDER/demo.json`` keeps that, so a finished folder is not filmed again.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from rendering.engine import demo

MANIFEST = "demo.json"


def say(**words: object) -> None:
    sys.stdout.write(json.dumps(words, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class Progress:
    """Says how far it is, at most once a second."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last >= 1:
            self.last = now
            say(stage=stage, done=done, total=total)


def film(folder: Path, seconds: float, size: int) -> dict[str, object]:
    """``size``: side of the square picture in pixels. Names are relative to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    footage = folder / "presenter.mp4"
    demo.make_demo_footage(footage, seconds=seconds, size=size, report=Progress())
    takes = [
        {"title": script.title, "language": script.language, "text": script.text, "file": path.name}
        for script, path in demo.make_demo_takes(folder)
    ]
    made: dict[str, object] = {"presenter": demo.PRESENTER_NAME, "footage": footage.name, "takes": takes}
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    part.replace(folder / MANIFEST)
    return made


if __name__ == "__main__":
    say(made=film(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
