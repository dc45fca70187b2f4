"""The demo's files, made by the engine in a child process and kept for ``./heygem render`` to be tried on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

MANIFEST = "demo.json"


@dataclass(frozen=True)
class DemoTake:
    title: str
    language: str
    text: str
    file: Path


@dataclass(frozen=True)
class DemoFiles:
    presenter: str
    footage: Path
    takes: tuple[DemoTake, ...]


class FilmingError(Exception):
    """The child ended without the files; the message holds the end of what it said."""


def silent(_done: int, _total: int) -> None:
    """A report that nobody reads."""


def demo_files(
    folder: Path, report: Callable[[int, int], None] = silent, *, seconds: float = 20.0, size: int = 512
) -> DemoFiles:
    """The files in ``folder``, filmed first unless they are there. ``report(frames done, frames in all)``.

    20 seconds are what the engine needs to learn a presenter well; 512 pixels film in a quarter of a minute.

    Raises ``FilmingError``.
    """
    if not (folder / MANIFEST).is_file():
        _film(folder, report, seconds, size)
    made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    takes = tuple(DemoTake(t["title"], t["language"], t["text"], folder / t["file"]) for t in made["takes"])
    return DemoFiles(made["presenter"], folder / made["footage"], takes)


def _film(folder: Path, report: Callable[[int, int], None], seconds: float, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.log").open("w+", encoding="utf-8") as errors:
        child = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "rendering.execution.film_demo", str(folder), str(seconds), str(size)],
            cwd=settings.BASE_DIR,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert child.stdout is not None  # noqa: S101
        try:
            for line in child.stdout:
                words = json.loads(line)
                if "done" in words:
                    report(words["done"], words["total"])
        finally:
            if child.poll() is None and sys.exc_info()[0] is not None:
                child.kill()
            child.stdout.close()
            status = child.wait()
        if status or not (folder / MANIFEST).is_file():
            errors.seek(0)
            raise FilmingError(f"status {status}: {errors.read()[-600:].strip()}")
