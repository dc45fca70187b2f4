"""Plain words for what machines report while they look at footage and takes."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FOOTAGE_STAGES: dict[str, tuple[str | Promise, int, int]] = {
    "probe": (_("Opening the file"), 0, 3),
    "track": (_("Following the face"), 3, 78),
    "listen": (_("Listening to the voice"), 78, 84),
    "learn": (_("Learning how the mouth moves"), 84, 95),
    "profile": (_("Keeping the best frames"), 95, 100),
}
"""Stage -> what it does, and from which percent to which of the whole it takes, roughly."""

TIERS: dict[str, str | Promise] = {
    "A": _("Best: the mouth is learned from this presenter's own speech."),
    "B": _("Good: this presenter's mouth, moved by general speech, because there is little sound to learn from."),
    "C": _("Basic: the mouth never opens in this footage, so an open mouth is painted in."),
}


def stage_label(stage: str) -> str | Promise:
    if not stage:
        return _("Starting")
    known = FOOTAGE_STAGES.get(stage)
    return known[0] if known else _("Looking at the file")


def overall_percent(stage: str, progress: int) -> int:
    """Percent of the whole analysis from the percent of its stage."""
    if stage not in FOOTAGE_STAGES:
        return min(progress, 100)
    _label, start, stop = FOOTAGE_STAGES[stage]
    return round(start + (stop - start) * min(progress, 100) / 100)
