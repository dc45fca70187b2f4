"""Making a team's own base model: lessons from the analyses of its footage, the engine's training, the result kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from projects.models import TeamBase
from projects.services import blobs
from rendering.engine.contract import LESSON
from rendering.engine.errors import EngineError
from rendering.services import bases

if TYPE_CHECKING:
    from rendering.execution.analyse import Look

log = logging.getLogger("heygem.analysis")


def teach(look: Look, base: TeamBase, around: Path) -> None:
    """Learn ``base`` in the folder ``around`` and keep what pays. Raises like every look: ``LeaseLost`` and others."""
    material = look.lease.surely(lambda: bases.begin(look.claim, base, engine=look.child.info["engine"]))
    lessons = []
    for number, footage in enumerate(material.footage):
        look.hear("fetch", number, len(material.footage))
        place = around / f"{footage.public_id}.npz"
        try:
            if footage.analysis is not None and blobs.take_out(footage.analysis, LESSON, place):
                lessons.append({"presenter": footage.presenter.public_id, "lesson": str(place)})
        except FileNotFoundError:  # let go since; the next base learns from it again
            log.info("base %s: the analysis of footage %s is not stored any more", base.public_id, footage.public_id)
    out = around / "base"
    figures = look.child.run("base", {"lessons": lessons, "out": str(out)}, report=look.hear, poll=look.poll)
    told = ", ".join(f"{name} {figures[name]}" for name in ("presenters", "speech_s", "gain", "kept"))
    log.info("base %s: %s", base.public_id, told)
    blob = None
    if figures["kept"]:
        packed = around / "base.zip"
        blobs.pack(out, packed)
        blob = look.stored(base.team, packed, "application/zip")
        if blob is None:
            raise EngineError("io_error", "the base model came out empty")
    look.lease.surely(lambda: bases.finish(look.claim, base, figures=figures, blob=blob))
