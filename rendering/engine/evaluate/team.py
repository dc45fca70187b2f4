"""A team's library: the base model learnt from the other clips of the set, for a face and a voice it never met."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rendering.engine import scratch
from rendering.engine.contract import LESSON
from rendering.engine.evaluate.clips import Clip, code_hash, study, suite_cache
from rendering.engine.voice.base import BaseModel, load_base
from rendering.engine.voice.base_team import learn_base
from rendering.engine.voice.lessons import load_lesson

WEIGHTS = "base.npz"


def teachers(clips: Sequence[Clip], *asked: Clip) -> tuple[Clip, ...]:
    """The ``clips`` that may teach a base by which ``asked`` are measured: neither the face nor the voice.

    Presenters whose sounds are known beforehand are generated: the rule that moves them is the one that the shipped
    base has learnt from, and says nothing of what real mouths add to it.
    """
    return tuple(clip for clip in clips if clip not in asked and clip.phonemes is None)


def team_base(clips: Sequence[Clip]) -> BaseModel | None:
    """The base that a team with the footage ``clips``, a presenter each, would have; None where they teach nothing.

    ``train-base`` asks for 3 presenters, for 60 s and whether it pays: a base that fails that is not used. Here it is
    measured all the same. Kept, by what the lessons hold and by the code that learns.
    """
    paths = sorted((clip.name, study(clip).folder / LESSON) for clip in clips)
    found = {name: lesson for name, path in paths if (lesson := load_lesson(path)) is not None}
    if not found:
        return None
    seen = hashlib.sha256(f"team {code_hash()}".encode())
    for name, path in paths:
        if name in found:
            seen.update(path.read_bytes())
    kept = suite_cache() / seen.hexdigest()[:32] / WEIGHTS
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        with scratch.replacing(kept) as part:
            learn_base({name: [lesson] for name, lesson in found.items()}).save(part)
    return load_base(kept)
