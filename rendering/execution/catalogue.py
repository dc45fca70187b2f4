"""The engine's version, bounds and sentences, for the site. Standard library only behind it: cheap to import."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy

from projects.problems import Problem
from rendering.engine.contract import (
    BASE_MIN_PRESENTERS,
    BASE_MIN_SPEECH_S,
    ENGINE_VERSION,
    TEXT_FOLLOWED,
    is_card,
)
from rendering.engine.errors import FAILURES
from rendering.engine.findings import FINDINGS

__all__ = ["BASE_MIN_PRESENTERS", "BASE_MIN_SPEECH_S", "ENGINE_VERSION", "TEXT_FOLLOWED", "engine_problems", "is_card"]


def engine_problems() -> Iterator[Problem]:
    """Everything the engine refuses, fails with or warns of, translatable."""
    for note in FINDINGS.values():
        with_figure = gettext_lazy(note.with_figure) if note.with_figure else ""
        yield Problem(note.code, gettext_lazy(note.sentence), gettext_lazy(note.remedy), 422, with_figure)
    for failure in FAILURES.values():
        yield Problem(failure.code, gettext_lazy(failure.sentence), gettext_lazy(failure.remedy), 422)
