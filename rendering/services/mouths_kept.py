"""What a machine hands in while it learns a mouth model: how far it is, a picture, a checkpoint, and what came of it.

Everything here names the lease: a late machine finds that it is no longer asked (``LeaseLost``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from projects.models import AnalysisState, Footage, MediaBlob, MouthModel
from projects.services import analysis, audit, blobs
from projects.services.analysis import Claim, LeaseLost
from rendering import events
from rendering.services.mouths import NOT_GOOD
from rendering.states import LOG_LIMIT


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to learn from, and what to begin with."""

    footage: Footage
    checkpoint: MediaBlob | None
    initial: MediaBlob | None


def begin(claim: Claim, model: MouthModel, *, engine: str) -> Work:
    """Of which analysis it is learnt is decided now. A checkpoint of another one is of no use. Raises ``LeaseLost``."""
    footage = model.footage
    of = {"engine": engine, "face": footage.chosen_face, "tracker": footage.analysis_tracker}
    goes_on = model.checkpoint is not None and all(getattr(model, name) == value for name, value in of.items())
    if goes_on:
        initial = model.initial
        claim.update(stage="", progress=0)
    else:
        initial = _to_begin_with(footage, engine)
        own = initial is None or (initial.footage.presenter_id == footage.presenter_id and not initial.borrowed)
        unbegun = {"checkpoint": None, "checkpoint_step": 0, "step": 0, "steps": 0, "eta_s": None, "psnr": None}
        claim.update(**of, **unbegun, initial=initial, borrowed=not own)
    return Work(
        footage=footage,
        checkpoint=model.checkpoint if goes_on else None,
        initial=initial.blob if initial is not None else None,
    )


def _to_begin_with(footage: Footage, engine: str) -> MouthModel | None:
    """A good model of the team's other footage: the presenter's own newest, else, if the team learns, anybody's."""
    team = footage.presenter.team
    good = MouthModel.objects.filter(state=AnalysisState.READY, archived_at=None, engine=engine)
    good = good.exclude(footage=footage).exclude(blob=None).select_related("blob", "footage").defer("log")
    own = good.filter(footage__presenter=footage.presenter_id).order_by("-pk").first()
    if own is not None or not team.learns:
        return own
    return good.filter(footage__presenter__team=team).order_by("-pk").first()


def keep_figures(claim: Claim, told: Mapping[str, Any]) -> None:
    """How far the engine says that it is: ``step``, ``steps``, ``eta_s``, ``psnr``. Raises ``LeaseLost``."""
    claim.update(**{name: told[name] for name in ("step", "steps", "eta_s", "psnr") if name in told})


def keep_picture(claim: Claim, picture: MediaBlob) -> None:
    """How it draws now. The one before is removed. Raises ``LeaseLost``."""
    _replace(claim, "picture", picture)


def keep_checkpoint(claim: Claim, checkpoint: MediaBlob, *, step: int) -> None:
    """Another machine can go on from here. The one before is removed. Raises ``LeaseLost``.

    An attempt that got further than those before is the first again: only standing still three times is a failure.
    """
    before = MouthModel.objects.filter(pk=claim.pk).values_list("checkpoint_step", flat=True).first() or 0
    further = {"checkpoint_step": step, "attempts": 1} if step > before else {}
    _replace(claim, "checkpoint", checkpoint, **further)


def _replace(claim: Claim, field: str, blob: MediaBlob, **more: Any) -> None:
    held = MouthModel.objects.filter(pk=claim.pk).select_related(field).defer("log").first()
    if held is None:
        raise LeaseLost
    claim.update(**{field: blob}, **more)
    before: MediaBlob | None = getattr(held, field)
    if before is not None and before.pk != blob.pk:
        blobs.discard(before)


def write_log(claim: Claim, text: str, end: int) -> None:
    """The end of its log; ``end`` counts all characters ever written to it. Raises ``LeaseLost``."""
    claim.update(log=text[-LOG_LIMIT:], log_end=end)


@transaction.atomic
def finish(claim: Claim, model: MouthModel, *, learnt: Mapping[str, Any], blob: MediaBlob | None) -> None:
    """Keep what was learnt, if it is good enough (``blob``). The one before is put away. Raises ``LeaseLost``."""
    same = ("figures", "identity", "size", "psnr")
    told = {name: learnt[name] for name in same} | {"step": learnt["steps"], "steps": learnt["steps"]}
    told |= {"failed": list(learnt["failed"])}
    if not learnt.get("initial"):  # it was of another form
        told |= {"initial": None, "borrowed": False}
    if blob is None:
        claim.update(**told)
        analysis.refuse(claim, code=NOT_GOOD, findings=[])
        events.mouths_settled(model)
        return
    claim.update(**analysis.settled(AnalysisState.READY), **told, blob=blob, checkpoint=None, eta_s=None, error_code="")
    older = MouthModel.objects.filter(footage=model.footage_id, archived_at=None, pk__lt=model.pk)
    older.update(archived_at=timezone.now())
    team = model.footage.presenter.team
    audit.record(action="mouths.made", actor=None, team=team, subject=model, label=model.footage.name)
    events.mouths_settled(model)
