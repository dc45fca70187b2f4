"""Lessons: what a clip teaches about mouths in general, whoever speaks in it; all that a base model needs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rendering.engine.contract import ENGINE_VERSION
from rendering.engine.voice.base import FRAME_S, HEARD, halve, hear
from rendering.engine.voice.features import RATE, at_times
from rendering.engine.voice.learn import MIN_SPEECH_S, VoiceModel, without_drift
from rendering.engine.voice.pauses import activity

MIN_TRUST = 0.5
"""Of the presenter's own voice model: less, and the sound is not surely that of this mouth (dubbed, music, another
speaker). What such a clip taught would be wrong for everybody."""
MIN_OPENING_IO = 0.04
"""A mouth that ranges over less teaches stillness."""
MAX_SECONDS = 600.0
"""Of one clip: more of one voice teaches little that is new, and would drown the others."""
_STEPS = 32
"""To 1, of what is heard: as in the synthesised pieces that it is learnt beside. Round numbers pack small."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """The sound of one clip and what the mouth did meanwhile, on the sound's clock at 50 Hz, their offset taken out."""

    heard: np.ndarray
    """(t, 83) float32: what the base model goes by, pairs averaged."""
    shape: np.ndarray
    """(t, 2) float32: opening and width, IO, less what changes over seconds: posture and mood are not in the sound."""
    known: np.ndarray
    """(t,) bool: somebody spoke, and the face was followed well enough to learn from."""
    speech_s: float
    """Seconds of speech under followed frames."""

    @property
    def target(self) -> np.ndarray:
        """``shape`` in this presenter's own measure: (t, 2) float32, mean 0 and sd 1 where known, 0 elsewhere."""
        seen = self.shape[self.known]
        scaled = (self.shape - seen.mean(0)) / np.maximum(seen.std(0), 1e-4)
        return np.where(self.known[:, None], scaled, 0).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write as .npz, what is heard in steps of 1/32, the rest in half precision: some 5 kB a second."""
        np.savez_compressed(
            path,
            heard=(np.round(self.heard * _STEPS) / _STEPS).astype(np.float16),
            shape=self.shape.astype(np.float16),
            known=self.known,
            speech_s=np.float64(self.speech_s),
            engine=np.str_(ENGINE_VERSION),
        )


def load_lesson(path: Path) -> Lesson | None:
    """What :meth:`Lesson.save` wrote; None when there is none, or this version of the engine did not make it."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if str(stored["engine"]) != ENGINE_VERSION or stored["heard"].shape[1:] != (HEARD,):
            return None
        heard, shape = (stored[name].astype(np.float32) for name in ("heard", "shape"))
        return Lesson(heard, shape, stored["known"], float(stored["speech_s"]))


def why_none(voice: VoiceModel, *, has_audio: bool) -> str | None:
    """Why a clip teaches nothing, as one word for figures and logs; None when it teaches."""
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("silent", lambda: not has_audio or voice.speech_s < MIN_SPEECH_S),
        ("still", lambda: voice.opening_range < MIN_OPENING_IO),
        ("dubbed", lambda: voice.trust < MIN_TRUST),
    )
    return next((reason for reason, holds in checks if holds()), None)


def lesson_of(
    opening_width: np.ndarray, ok: np.ndarray, fps: float, audio16k: np.ndarray | None, voice: VoiceModel
) -> Lesson | None:
    """The lesson of a clip, or None when it teaches nothing (:func:`why_none`).

    ``opening_width`` (N, 2) IO, ``ok`` (N,) bool: frames to learn from; ``audio16k`` (n,) float32 mono, the clip's own
    sound; ``voice`` what was learnt of its presenter, for the offset between sound and picture.
    """
    if audio16k is None or why_none(voice, has_audio=True) is not None:
        return None
    heard = halve(hear(audio16k[: int(MAX_SECONDS * RATE)]))
    clock = np.arange(len(heard)) * FRAME_S + FRAME_S / 4 - voice.offset_ms / 1000
    speaking = at_times(activity(audio16k)[:, None], np.arange(len(ok)) / fps + voice.offset_ms / 1000)[:, 0] > 0.5
    seen = ok & np.isfinite(opening_width).all(1) & speaking
    known = at_times(seen[:, None].astype(np.float32), clock, fps)[:, 0] > 0.99
    known &= (clock >= 0) & (clock <= (len(seen) - 1) / fps)
    if not known.any():
        return None
    shape = at_times(without_drift(opening_width, seen, fps), clock, fps)
    return Lesson(heard, np.where(known[:, None], shape, 0).astype(np.float32), known, voice.speech_s)


def lessons_by_presenter(stored: Iterable[tuple[str, Path]]) -> dict[str, list[Lesson]]:
    """(Presenter, path of a stored lesson) -> lessons by presenter; what cannot be used is left out."""
    found: dict[str, list[Lesson]] = {}
    for presenter, path in stored:
        lesson = load_lesson(path)
        if lesson is not None:
            found.setdefault(presenter, []).append(lesson)
    return found
