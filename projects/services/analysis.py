"""A machine looks at footage and takes: claim, report, finish, refuse, and take back what a lost worker held.

::

    WAITING -> RUNNING            claimed: attempts + 1, lease granted
    RUNNING -> READY | WARNINGS   finished
    RUNNING -> REFUSED(code)      the file is at fault, or attempts spent
    RUNNING -> WAITING            the machine was at fault, attempts left

Every step is a conditional UPDATE that names the lease: a late analyser finds that it is no longer asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from projects import events
from projects.models import USABLE, AnalysisState, AudioTake, Footage, MediaBlob, MouthModel, TeamBase
from projects.problems import HeyGemError
from projects.services.limits import limits_of
from projects.services.waking import wake_analysers, wake_renderers

MAX_ATTEMPTS = 3
SPENT_CODE = "engine_crashed"
"""What footage or a take is refused with when every attempt was lost with its machine."""

TAKE_OVER_LIMIT = "take_over_limit"
"""What a take longer than its team may use is refused with; its finding's figure is the limit in seconds."""


def _expiry() -> datetime:
    """When a lease granted now ends. Extended by progress alone: an analyser that hangs loses it."""
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


Kind = Literal["take", "footage", "base", "mouths"]
Item = Footage | AudioTake | TeamBase | MouthModel
_MODELS: dict[Kind, type[Item]] = {"take": AudioTake, "footage": Footage, "base": TeamBase, "mouths": MouthModel}
_ANALYSED: tuple[Kind, ...] = ("take", "footage", "base")
"""What the ``worker`` cluster looks at. Mouth models are learnt by machines that render."""


class LeaseLost(Exception):  # noqa: N818 - an event, not an error of anybody's
    """Somebody else has this work now, or nobody wants it any more."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to look at one thing, as long as ``token`` is on its row."""

    kind: Kind
    pk: int
    token: uuid.UUID
    attempt: int

    def item(self) -> Item:
        """The row with its file. Raises ``LeaseLost`` when it has been deleted."""
        item: Item | None
        if self.kind == "footage":
            item = Footage.objects.select_related("blob", "presenter__team").filter(pk=self.pk).first()
        elif self.kind == "base":
            item = TeamBase.objects.select_related("team").filter(pk=self.pk).first()
        elif self.kind == "mouths":
            material = ("footage__presenter__team", "footage__blob", "footage__analysis")
            related = (*material, "checkpoint", "initial__blob", "picture")
            item = MouthModel.objects.select_related(*related).filter(pk=self.pk).first()
        else:
            item = AudioTake.objects.select_related("blob", "script_version__script__team").filter(pk=self.pk).first()
        if item is None:
            raise LeaseLost
        return item

    def update(self, **changes: Any) -> None:
        """Write to the row, if it is still ours. Raises ``LeaseLost``."""
        held = _MODELS[self.kind]._default_manager.filter(
            pk=self.pk, state=AnalysisState.RUNNING, lease_token=self.token
        )
        if not held.update(**changes):
            raise LeaseLost


def claim_for_analysis(
    kinds: Iterable[Kind] = ("take", "footage"), followed_otherwise: Collection[str] = ()
) -> Claim | None:
    """The next thing to look at, or None: the first of these kinds that waits, then age.

    Takes go first: they are quick, and cells wait for both. A team's base is nobody's hurry: name it last.
    Footage that one of the trackers ``followed_otherwise`` has followed before is left to those who have it.
    """
    for kind in kinds:
        left = Q()
        if kind == "footage" and followed_otherwise:
            left = Q(analysis_engine="") | ~Q(analysis_tracker__in=followed_otherwise)
        while (claim := _claim_oldest(kind, left)) is not None:
            if claim.attempt > 0:
                return claim
    return None


def _claim_oldest(kind: Kind, fits: Q) -> Claim | None:
    """None when nothing that ``fits`` waits; a claim with ``attempt`` 0 when another analyser got there first."""
    rows = _MODELS[kind]._default_manager.filter(fits, state=AnalysisState.WAITING, archived_at=None)
    oldest = rows.order_by("pk").values("pk", "attempts").first()
    return None if oldest is None else take(kind, rows, **oldest)


def take(kind: Kind, rows: QuerySet[Any], *, pk: int, attempts: int, **changes: Any) -> Claim:
    """Claim one of ``rows``, which wait, if it still is one. ``attempt`` is 0 when another machine got there first."""
    token = uuid.uuid4()
    won = rows.filter(pk=pk).update(
        state=AnalysisState.RUNNING,
        stage="",
        progress=0,
        attempts=F("attempts") + 1,
        lease_token=token,
        lease_expires_at=_expiry(),
        error_code="",
        **changes,
    )
    return Claim(kind=kind, pk=pk, token=token, attempt=attempts + 1 if won else 0)


def report(claim: Claim, *, stage: str, percent: int) -> None:
    """Progress within a stage. Extends the lease; raises ``LeaseLost`` when there is nothing left to extend."""
    claim.update(stage=stage[:20], progress=min(max(percent, 0), 100), lease_expires_at=_expiry())


def finish_take(claim: Claim, *, measured: Mapping[str, Any], findings: list[dict[str, Any]]) -> None:
    """Keep what was measured (fields of ``AudioTake``); one longer than its team may use is refused.

    Raises ``LeaseLost``.
    """
    take = claim.item()
    assert isinstance(take, AudioTake)  # noqa: S101 - the claim's kind says so
    limit = limits_of(take.script_version.script.team).take_seconds
    state, code = _verdict(findings), ""
    if limit is not None and measured["duration_s"] > limit:
        state, code = AnalysisState.REFUSED, TAKE_OVER_LIMIT
        findings = [{"code": code, "level": "refused", "figure": limit}, *findings]
    with transaction.atomic():
        claim.update(**measured, **settled(state), findings=findings, error_code=code)
        events.take_settled(claim.pk)


def finish_footage(
    claim: Claim,
    *,
    measured: Mapping[str, Any],
    findings: list[dict[str, Any]],
    refused_with: str = "",
    packed: MediaBlob | None = None,
    poster: MediaBlob | None = None,
    filmstrip: MediaBlob | None = None,
    preview: MediaBlob | None = None,
) -> None:
    """Keep what was measured (fields of ``Footage``), and the analysis itself as the archive ``packed``.

    A new analysis never touches the one before: a render that uses that one goes on. ``refused_with`` is the code of
    the gate's refusal, if it refused. Raises ``LeaseLost``.
    """
    state = AnalysisState.REFUSED if refused_with else _verdict(findings)
    with transaction.atomic():
        claim.update(
            **measured,
            **settled(state),
            findings=findings,
            error_code=refused_with,
            analysis=packed,
            poster=poster,
            filmstrip=filmstrip,
            preview=preview,
        )
        events.footage_settled(claim.pk)


def refuse(claim: Claim, *, code: str, findings: list[dict[str, Any]] | None = None) -> None:
    """The file cannot be used. Raises ``LeaseLost``."""
    with transaction.atomic():
        claim.update(
            **settled(AnalysisState.REFUSED),
            **_left(claim.kind),
            error_code=code,
            findings=findings or [{"code": code, "level": "refused", "figure": None}],
        )
        _tell(claim.kind, claim.pk)


def _tell(kind: Kind, pk: int) -> None:
    if kind == "footage":
        events.footage_settled(pk)
    elif kind == "take":
        events.take_settled(pk)


def _left(kind: Kind) -> dict[str, Any]:
    """Columns besides the state of what nobody goes on with."""
    return {"checkpoint": None, "eta_s": None} if kind == "mouths" else {}


def _wake(kind: Kind) -> None:
    wake_renderers() if kind == "mouths" else wake_analysers()


def give_back(claim: Claim, *, code: str) -> bool:
    """The machine was at fault: wait for another try, or refuse with ``code`` when attempts are spent.

    Returns whether it waits again. Raises ``LeaseLost``.
    """
    # Read anew: attempts that got further may have been taken off.
    if claim.item().attempts >= MAX_ATTEMPTS:
        refuse(claim, code=code)
        return False
    with transaction.atomic():
        claim.update(**released(AnalysisState.WAITING))
        _wake(claim.kind)
    return True


def put_back(claim: Claim) -> None:
    """The worker was told to stop: it waits again and the attempt does not count. Raises ``LeaseLost``."""
    with transaction.atomic():
        claim.update(**released(AnalysisState.WAITING), attempts=F("attempts") - 1)
        _wake(claim.kind)


def reap() -> list[Item]:
    """Take back what lost its lease: to wait again, or refused when attempts are spent. Returns what was refused."""
    now = timezone.now()
    refused: list[Item] = []
    for kind, model in _MODELS.items():
        running = model._default_manager.filter(state=AnalysisState.RUNNING)
        refused += lose(kind, running.filter(lease_expires_at__lt=now))
    return refused


def lose(kind: Kind, lost: QuerySet[Any]) -> list[Item]:
    """The same of those that run in ``lost``."""
    refused: list[Item] = []
    for item in lost:
        # Conditional once more: it may have reported, finished or been claimed again since it was read.
        same = lost.filter(pk=item.pk, lease_token=item.lease_token)
        if item.attempts < MAX_ATTEMPTS:
            same.update(**released(AnalysisState.WAITING))
        elif _spend(kind, item.pk, same):
            refused.append(item)
    return refused


@transaction.atomic
def _spend(kind: Kind, pk: int, same: QuerySet[Any]) -> bool:
    """Its last attempt was lost with its machine."""
    spent = same.update(
        **settled(AnalysisState.REFUSED),
        **_left(kind),
        error_code=SPENT_CODE,
        findings=[{"code": SPENT_CODE, "level": "refused", "figure": None}],
    )
    if spent:
        _tell(kind, pk)
    return bool(spent)


def look_again(item: Footage | AudioTake, **changes: Any) -> None:
    """Have something settled looked at anew, with ``changes``. Raises ``HeyGemError``: ``still_analysing``."""
    asked = type(item)._default_manager.filter(pk=item.pk)
    asked = asked.exclude(state__in=[AnalysisState.WAITING, AnalysisState.RUNNING])
    anew = {"attempts": 0, "error_code": "", "findings": [], "analysed_at": None}
    if not asked.update(**changes, **released(AnalysisState.WAITING), **anew):
        raise HeyGemError("still_analysing", name=item.name)
    wake_analysers()
    item.refresh_from_db()


def renew(footage: Iterable[Footage], *, engines: Collection[str]) -> int:
    """Look again at usable footage whose analysis none of these versions of the engine made, or that has none any more.

    Analyses that nobody used for long are not kept. Returns how many wait for that now.
    """
    old = Footage.objects.filter(pk__in=[item.pk for item in footage], state__in=USABLE)
    with transaction.atomic():
        renewed = old.filter(Q(analysis=None) | ~Q(analysis_engine__in=["", *engines])).update(
            **released(AnalysisState.WAITING), attempts=0, analysed_at=None
        )
        for _ in range(renewed):
            wake_analysers()
    return renewed


def is_waiting() -> bool:
    """Whether anything waits to be looked at."""
    return any(
        _MODELS[kind]._default_manager.filter(state=AnalysisState.WAITING, archived_at=None).exists()
        for kind in _ANALYSED
    )


def _verdict(findings: list[dict[str, Any]]) -> AnalysisState:
    warned = any(finding["level"] == "warning" for finding in findings)
    return AnalysisState.WARNINGS if warned else AnalysisState.READY


def settled(state: AnalysisState) -> dict[str, Any]:
    """Columns of what has been looked at and came to ``state``."""
    return {**released(state), "analysed_at": timezone.now()}


def released(state: AnalysisState) -> dict[str, Any]:
    """Columns of what nobody looks at: no lease, no stage."""
    return {"state": state, "stage": "", "progress": 0, "lease_token": None, "lease_expires_at": None}
