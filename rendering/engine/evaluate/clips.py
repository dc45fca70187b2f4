"""What the suite looks at: files found, analysed once, and what is known of their speech."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rendering.engine.alignment import weights
from rendering.engine.analysis import ANALYSIS, Analysis, read_analysis
from rendering.engine.console import cache_root
from rendering.engine.contract import Limits, Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.media.audio import SPEECH_RATE, read_audio
from rendering.engine.media.container import VIDEO_ENDINGS
from rendering.engine.media.probe import MediaInfo, VideoInfo, probe_footage
from rendering.engine.prepare import prepare
from rendering.engine.voice.visemes import Phoneme

PHONES = ".phones.json"
"""``CLIP.phones.json`` beside ``CLIP.mp4``: [[start_s, end_s, IPA or ""], ...] on the sound's clock."""
WORDS = ".txt"
"""``CLIP.LANGUAGE.txt``: what is said; the language as a tag, ``en`` or ``zh-hans``."""
_WITHOUT = ("evaluate", "serve", "console", "__main__", "check", "render", "demo", "puppet", "backends", "neural")
"""Parts of the engine that change no analysis."""
_KEPT_S = 7 * 86400.0
_ENGINE = Path(__file__).resolve().parents[1]


class Words(NamedTuple):
    text: str
    language: str


@dataclass(frozen=True)
class Clip:
    """One piece of footage of the set."""

    name: str
    path: Path
    analysis: Path | None = None
    """A folder that ``prepare`` wrote for it just now; None looks in the cache, or analyses it."""

    @property
    def phonemes(self) -> tuple[Phoneme, ...] | None:
        """The sounds, where they are known beforehand."""
        beside = self.path.with_suffix(PHONES)
        return read_phonemes(beside) if beside.exists() else None

    @property
    def words(self) -> Words | None:
        """The text, where it is known beforehand."""
        for beside in sorted(self.path.parent.glob(f"{glob.escape(self.path.stem)}.*{WORDS}")):
            return Words(beside.read_text().strip(), beside.name.removesuffix(WORDS).rpartition(".")[2])
        return None


def read_phonemes(path: Path) -> tuple[Phoneme, ...]:
    """Sounds from JSON, [[start_s, end_s, IPA or ""], ...]. Raises ``bad_media`` for anything else."""
    try:
        return tuple((float(start), float(end), str(sound)) for start, end, sound in json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise EngineError("bad_media", f"{path.name}: {error}") from error


def find_clips(places: Iterable[Path]) -> list[Clip]:
    """Every file named, and every film directly in every folder named, by name; a file twice is one clip.

    Files that are missing are clips too: the suite says so in their row.
    """
    paths: list[Path] = []
    for place in places:
        films = [place]
        if place.is_dir():
            films = sorted(path for path in place.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)
        paths += [path for path in films if path.resolve() not in {known.resolve() for known in paths}]
    stems = [path.stem for path in paths]
    return [Clip(path.stem if stems.count(path.stem) == 1 else str(path), path) for path in paths]


@dataclass(frozen=True, eq=False)
class Studied:
    """A clip with everything that the measurements need of it."""

    clip: Clip
    folder: Path
    info: MediaInfo
    video: VideoInfo
    analysis: Analysis
    audio16k: np.ndarray | None
    """(n,) float32 mono, its own sound; None when it has none."""

    @property
    def fps(self) -> float:
        return float(self.video.fps)

    @property
    def truth(self) -> np.ndarray:
        """(N, 2): opening and width as tracked, IO."""
        return np.stack([self.analysis.track.opening, self.analysis.track.width], axis=1)


def study(clip: Clip, *, report: Report = silent) -> Studied:
    """Analyse ``clip``, or find the analysis of the same content by the same code. Raises what it is refused with."""
    if not clip.path.is_file():
        raise FileNotFoundError(2, "No such file", str(clip.path))
    folder = clip.analysis or _analysed(clip, report)
    analysis = read_analysis(folder)
    info, video = probe_footage(clip.path, Limits())
    audio = read_audio(clip.path, SPEECH_RATE, info) if info.audio is not None else None
    return Studied(clip, folder, info, video, analysis, audio)


def _analysed(clip: Clip, report: Report) -> Path:
    folder = _cache(clip)
    if (folder / ANALYSIS).exists():
        os.utime(folder)
        return folder
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    prepare(clip.path, part, report=report)
    if folder.exists():
        shutil.rmtree(part)  # another process was quicker
    else:
        part.rename(folder)
    return folder


def suite_cache() -> Path:
    """Where the suite keeps analyses and generated footage; what was not used for a week is removed."""
    root = cache_root() / "evaluate"
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        if time.time() - old.stat().st_mtime > _KEPT_S:
            shutil.rmtree(old, ignore_errors=True)
    return root


def _cache(clip: Clip) -> Path:
    with clip.path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return (
        suite_cache()
        / hashlib.sha256(f"{content} {code_hash()} {weights.identity()}".strip().encode()).hexdigest()[:32]
    )


@functools.cache
def code_hash() -> str:
    """Of every source and model file that an analysis depends on: a changed line is another analysis."""
    seen = hashlib.sha256()
    for path in sorted(_ENGINE.rglob("*")):
        first = path.relative_to(_ENGINE).parts[0].removesuffix(".py")
        if path.is_file() and path.suffix != ".pyc" and first not in _WITHOUT:
            seen.update(path.relative_to(_ENGINE).as_posix().encode() + b"\0" + path.read_bytes())
    return seen.hexdigest()
