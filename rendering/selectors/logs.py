"""An attempt's log, and that of a mouth model's making, as their team may read them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from projects.models import AnalysisState, MouthModel
from rendering.models import RenderAttempt

_PATH = re.compile(r"(?<![\w/.…])/(?:[^\s/'\"<>|,;:()]+/)+([^\s/'\"<>|,;:()]*)")


def without_paths(text: str) -> str:
    """Where files lie is the operators' business: of a path only the last part is left."""
    return _PATH.sub(r"…/\1", text)


def log_for_team(attempt: RenderAttempt) -> str:
    return without_paths(attempt.log)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a log that grows."""

    text: str
    end: int
    """Characters that were ever written."""
    cut: bool
    """It is not what follows what the reader has, but all that is kept."""
    running: bool

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "number": 0}


def mouths_log(model: MouthModel, *, seen: int = 0) -> Piece:
    """The log of a mouth model's making from character ``seen`` on."""
    new = model.log_end - seen
    follows = 0 <= new <= len(model.log)
    text = model.log[len(model.log) - new :] if follows else model.log
    going_on = model.state in (AnalysisState.WAITING, AnalysisState.RUNNING)
    return Piece(text=without_paths(text), end=model.log_end, cut=not follows, running=going_on)
