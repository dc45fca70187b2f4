"""What the ``worker`` cluster does once a day, and anybody by hand with ``./heygem manage clean_media``."""

from __future__ import annotations

from dataclasses import dataclass

from projects.services import upkeep
from rendering.selectors import retention as plans
from rendering.selectors.retention import Plan
from rendering.services import bases, mouths, retention, storage


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a day's housekeeping did."""

    gone: Plan
    cleaned: upkeep.Cleaned

    def __str__(self) -> str:
        return f"{self.cleaned} {len(self.gone.things)} things went by the rules of retention."


def keep_house() -> Kept:
    """Remove what the rules let go and what nothing needs, and note what is left."""
    gone = retention.apply(plans.plan())
    bases.let_go()
    mouths.let_go()
    bases.consider_all()
    kept = Kept(gone=gone, cleaned=upkeep.clean_media())
    storage.take_sample()
    return kept
