"""A folder of footage as lessons for a base model of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rendering.engine.analysis import read_analysis
from rendering.engine.contract import LESSON
from rendering.engine.errors import EngineError
from rendering.engine.media.container import VIDEO_ENDINGS
from rendering.engine.voice.lessons import Lesson, load_lesson, why_none

LEFT_OUT = {
    "silent": "left out: less than 3 seconds of speech",
    "still": "left out: the mouth hardly moves",
    "dubbed": "left out: the sound does not match the mouth",
}


def read_library(
    folder: Path, analysed: Callable[[Path], Path], tell: Callable[[Path, str], None]
) -> dict[str, list[Lesson]]:
    """Lessons by presenter of the videos in ``folder``: a folder in it is one presenter, so is a file in it.

    ``analysed(clip)`` gives the folder of a clip's analysis, made if needed. ``tell(clip, words)`` hears what became of
    each. A clip that is refused, or whose sound is not the mouth's own, is left out and never stops the others.
    """
    library: dict[str, list[Lesson]] = {}
    for clip in sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_ENDINGS and path.is_file()):
        try:
            place = analysed(clip)
            voice = read_analysis(place).voice
        except EngineError as error:
            tell(clip, f"left out: {error.failure.sentence}")
            continue
        lesson = load_lesson(place / LESSON)
        if lesson is None:
            tell(clip, LEFT_OUT[why_none(voice, has_audio=True) or "silent"])
            continue
        inside = clip.relative_to(folder)
        library.setdefault(inside.parts[0], []).append(lesson)
        tell(clip, f"{lesson.speech_s:.1f} s of speech, offset {voice.offset_ms:+.0f} ms")
    return library
