"""An attempt's log as its team may read it."""

from __future__ import annotations

import re

from rendering.models import RenderAttempt

_PATH = re.compile(r"(?<![\w/.…])/(?:[^\s/'\"<>|,;:()]+/)+([^\s/'\"<>|,;:()]*)")


def without_paths(text: str) -> str:
    """Where files lie is the operators' business: of a path only the last part is left."""
    return _PATH.sub(r"…/\1", text)


def log_for_team(attempt: RenderAttempt) -> str:
    return without_paths(attempt.log)
