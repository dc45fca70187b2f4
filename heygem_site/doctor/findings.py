"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, BAD = "ok", "warn", "bad"


@dataclass(frozen=True)
class Finding:
    level: str
    """``ok``, ``warn`` (works, but look) or ``bad`` (does not work)."""
    what: str
    remedy: str = ""
