"""A team's own base model: when one is due, what it is learnt from, keeping it, and the team's word on it.

The work itself is claimed, reported and handed on like an analysis (``projects.services.analysis``, kind ``base``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from projects.access import require
from projects.models import USABLE, AnalysisState, Footage, MediaBlob, Role, Team, TeamBase
from projects.problems import HeyGemError
from projects.services import analysis, audit
from projects.services.analysis import Claim
from projects.services.waking import wake_analysers
from rendering import capabilities
from rendering.execution.catalogue import BASE_MIN_PRESENTERS, BASE_MIN_SPEECH_S
from rendering.fingerprint import ENGINE_VERSION, fingerprint
from rendering.models import UNFINISHED, JobState, RenderJob
from rendering.services import mouths

GROWTH = 1.25
"""So much more speech than last time is worth learning again. Twenty uploads in a row make a few bases, not twenty."""
AGAIN_AFTER = timedelta(days=1)
"""When machines were at fault, by itself."""
NO_GAIN, TOO_LITTLE, SWITCHED_OFF = "base_no_gain", "base_too_little", "base_switched_off"
_HAD_THEIR_SAY = (NO_GAIN, TOO_LITTLE, mouths.BY_OPERATOR)
"""After these it is not made again before there is more to learn from."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Footage of a team that teaches: analysed, the sound its own, neither it nor its presenter put away."""

    footage: tuple[Footage, ...]

    @property
    def presenters(self) -> int:
        return len({item.presenter_id for item in self.footage})

    @property
    def speech_s(self) -> float:
        return sum(float(item.figures["lesson_s"]) for item in self.footage)

    @property
    def is_enough(self) -> bool:
        return self.presenters >= BASE_MIN_PRESENTERS and self.speech_s >= BASE_MIN_SPEECH_S

    @property
    def columns(self) -> dict[str, Any]:
        """Of ``TeamBase``."""
        ids = sorted(item.public_id for item in self.footage)
        return {"footage": ids, "presenters": self.presenters, "speech_s": round(self.speech_s, 1)}


def material_of(team: Team, *, engine: str = ENGINE_VERSION) -> Material:
    """What this version of the engine can learn from. One query."""
    rows = Footage.objects.filter(
        presenter__team=team,
        presenter__archived_at=None,
        archived_at=None,
        state__in=USABLE,
        analysis__isnull=False,
        analysis_engine=engine,
    ).select_related("analysis", "presenter")
    rows = rows.defer("speech_spans", "findings").order_by("pk")
    return Material(footage=tuple(row for row in rows if row.figures.get("lesson_s", 0) > 0))


def current(team: Team) -> TeamBase | None:
    """The base that the team's new renders use; None: the built-in one."""
    if not team.learns:
        return None
    made = TeamBase.objects.filter(team=team, state=AnalysisState.READY, archived_at=None, engine=ENGINE_VERSION)
    return made.exclude(blob=None).order_by("-pk").first()


# Asking for one


def consider(team: Team) -> TeamBase | None:
    """Have a base made if one is due: enough footage, and either much more of it than last time or some put away."""
    if not team.learns or not is_due(team):
        return None
    return _ask(team, material_of(team))


def is_due(team: Team) -> bool:
    last = TeamBase.objects.filter(team=team).order_by("-pk").first()
    if last is not None and last.is_being_made:
        return False
    material = material_of(team)
    if not material.is_enough:
        return False
    if last is None or last.engine != ENGINE_VERSION:
        return True
    if last.state == AnalysisState.REFUSED and last.error_code not in _HAD_THEIR_SAY:
        return last.analysed_at is None or timezone.now() - last.analysed_at > AGAIN_AFTER
    return _put_away(last) or material.speech_s >= GROWTH * last.speech_s


def _put_away(base: TeamBase) -> bool:
    """Whether any footage it learnt from is. What is only being looked at again will be back."""
    kept = Footage.objects.filter(public_id__in=base.footage, archived_at=None, presenter__archived_at=None)
    return kept.exclude(state=AnalysisState.REFUSED).count() < len(base.footage)


def consider_all() -> int:
    """Once a day, for what no upload brings about: footage put away, machines that were at fault. Returns how many."""
    teams = Team.objects.filter(Exists(Footage.objects.filter(presenter__team=OuterRef("pk"), state__in=USABLE)))
    return sum(consider(team) is not None for team in teams.filter(learns=True))


@transaction.atomic
def start(*, actor: User, team: Team) -> TeamBase:
    """Have a base made now. Raises ``base_switched_off``, ``base_too_little`` or ``base_being_made``."""
    require(actor, team, Role.MANAGER)
    if not team.learns:
        raise HeyGemError(SWITCHED_OFF)
    material = material_of(team)
    if not material.is_enough:
        raise HeyGemError(TOO_LITTLE)
    made = _ask(team, material)
    if made is None:
        raise HeyGemError("base_being_made")
    audit.record(action="base.started", actor=actor, team=team, subject=made, label=team.name)
    return made


def _ask(team: Team, material: Material) -> TeamBase | None:
    """None: one is being made already."""
    try:
        with transaction.atomic():
            made = TeamBase.objects.create(team=team, engine=ENGINE_VERSION, **material.columns)
            wake_analysers()
    except IntegrityError:
        return None
    return made


@transaction.atomic
def cancel(*, actor: User, team: Team) -> None:
    """Stop what is being made; a machine at it notices in a second or so. The base in use stays."""
    require(actor, team, Role.MANAGER)
    if stop(TeamBase.objects.filter(team=team), mouths.CANCELLED):
        audit.record(action="base.cancelled", actor=actor, team=team, subject=team)


def stop(made: QuerySet[TeamBase], code: str, *, reason: str = "") -> int:
    """End those that wait or are being made; the caller has checked and audits. Returns how many."""
    going_on = made.filter(state__in=mouths.BEING_MADE)
    return going_on.update(**analysis.settled(AnalysisState.REFUSED), error_code=code, reason=reason)


@transaction.atomic
def let_learn(*, actor: User, team: Team, learns: bool) -> None:
    """Whether the team's footage may be learnt from. Switched off, everything that was learnt goes at once."""
    require(actor, team, Role.MANAGER)
    if not Team.objects.filter(pk=team.pk, learns=not learns).update(learns=learns):
        return
    team.learns = learns
    audit.record(action="team.learning_on" if learns else "team.learning_off", actor=actor, team=team, subject=team)
    if learns:
        consider(team)
    else:
        _forget(TeamBase.objects.filter(team=team))  # who is at one finds its row gone
        mouths.stop_learning(team)


# Making one, for the machine that has claimed it


def begin(claim: Claim, base: TeamBase, *, engine: str) -> Material:
    """What there is to learn from now, which may be more than when it was asked for. Raises ``LeaseLost``."""
    material = material_of(base.team, engine=engine)
    claim.update(engine=engine, **material.columns)
    return material


@transaction.atomic
def finish(claim: Claim, base: TeamBase, *, figures: Mapping[str, Any], blob: MediaBlob | None) -> None:
    """Keep what was learnt; without ``blob`` it did not pay. The one before is put away. Raises ``LeaseLost``."""
    told = {name: value for name, value in figures.items() if name not in ("kept", "engine")}
    if blob is None:
        claim.update(figures=told)
        analysis.refuse(claim, code=NO_GAIN, findings=[])
        return
    claim.update(**analysis.settled(AnalysisState.READY), figures=told, blob=blob, identity=figures["identity"])
    TeamBase.objects.filter(team=base.team_id, archived_at=None, pk__lt=base.pk).update(archived_at=timezone.now())
    audit.record(action="base.made", actor=None, team=base.team, subject=base, label=base.team.name)


def let_go() -> int:
    """Files of bases that newer ones replaced, once no unfinished job wants them. Returns how many; cleaning does the
    rest."""
    wanted = RenderJob.objects.filter(state__in=UNFINISHED, base=OuterRef("pk"))
    return TeamBase.objects.exclude(archived_at=None).exclude(blob=None).exclude(Exists(wanted)).update(blob=None)


@transaction.atomic
def _forget(gone: QuerySet[TeamBase]) -> None:
    """Jobs that wait with one of these go on with the built-in one, and say so in their fingerprint."""
    waiting = RenderJob.objects.filter(state__in=[JobState.QUEUED, JobState.HELD], base__in=gone)
    for job in waiting.select_related("batch", "footage__blob", "take__blob", "take__script_version", "mouths"):
        weights = capabilities.weights_used(job.options, has_mouths=job.mouths is not None)
        model = job.mouths.identity if job.mouths else ""
        mark = fingerprint(job.footage, job.take, job.options, weights=weights, mouths=model)
        RenderJob.objects.filter(pk=job.pk).update(base=None, fingerprint=mark)
    gone.delete()


def lost(blobs: Sequence[MediaBlob]) -> int:
    """Bases whose files the storage has lost: they are forgotten, and made again. Returns how many."""
    gone = TeamBase.objects.filter(blob__in=blobs)
    teams = list(Team.objects.filter(bases__in=gone).distinct())
    _forget(gone)
    return sum(consider(team) is not None for team in teams)
