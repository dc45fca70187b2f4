"""A presenter's own mouth model: asking for one, stopping, removing, which one is used, and when one is due by itself.

The work itself is claimed by machines that render (``rendering.training``), reported and handed on like an analysis
(``projects.services.analysis``, kind ``mouths``); what they hand in is kept by ``rendering.services.mouths_kept``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from projects.access import require
from projects.models import USABLE, AnalysisState, Footage, MediaBlob, MouthModel, Role, Team
from projects.problems import HeyGemError
from projects.services import analysis, audit, blobs, disk
from projects.services.waking import wake_renderers
from rendering import capabilities, events, queue, training
from rendering.fingerprint import ENGINE_VERSION, fingerprint
from rendering.models import UNFINISHED, JobState, Preset, RenderJob, RenderVersion, ability
from rendering.services import limits

NEURAL = Preset.Backend.NEURAL.value
MIN_SECONDS = 15.0
"""Of footage in which the face is followed. The gate wants as many in which it can be learnt from."""
NO_MOUTH_TIER = "C"
"""Footage in which the mouth never opens."""
NONE, NOT_GOOD, STALE, TIER = "no_mouths", "mouths_not_good", "stale_mouths", "footage_tier"
"""Why footage is not drawn with a mouth model: the engine's codes."""
TOO_LITTLE = "mouths_too_little"
REMOVED, CANCELLED, BY_OPERATOR = "mouths_removed", "cancelled", "stopped_by_operator"
AGAIN_AFTER = timedelta(days=1)
"""When machines were at fault, by itself."""
HAD_THEIR_SAY = (NOT_GOOD, TOO_LITTLE, TIER, REMOVED, CANCELLED, BY_OPERATOR)
"""After these nothing is begun again by itself with the same engine."""
BEING_MADE = (AnalysisState.WAITING, AnalysisState.RUNNING)
LOOKED_THROUGH = 500
"""Footage, that rendered last first, among which one is sought that has no model."""


# Which one is used


def current_of(footage: Iterable[Footage]) -> dict[int, MouthModel]:
    """The models that new renders of these use, by the footage's primary key. One query."""
    wanted = {item.pk: item for item in footage}
    good = MouthModel.objects.filter(footage__in=wanted, state=AnalysisState.READY, archived_at=None)
    good = good.filter(engine=ENGINE_VERSION).exclude(blob=None).defer("log").order_by("pk")
    return {model.footage_id: model for model in good if is_of(model, wanted[model.footage_id])}


def current(footage: Footage) -> MouthModel | None:
    """The model that new renders of ``footage`` use; None: ``exemplar`` draws it."""
    return current_of([footage]).get(footage.pk)


def is_of(model: MouthModel, footage: Footage) -> bool:
    """Whether it was learnt from the face that is the presenter's now, as the same tracker followed it."""
    return model.face == footage.chosen_face and model.tracker == footage.analysis_tracker


def draws(model: MouthModel) -> bool:
    """Whether new renders of its footage are drawn with it. No query where the footage is loaded."""
    is_newest = model.state == AnalysisState.READY and model.archived_at is None and model.blob_id is not None
    return is_newest and model.engine == ENGINE_VERSION and is_of(model, model.footage)


def lacking(footage: Footage) -> str:
    """Code of why ``footage`` has no model to be drawn with; empty: it has one."""
    if current(footage) is not None:
        return ""
    if footage.tier == NO_MOUTH_TIER:
        return TIER
    made = MouthModel.objects.filter(footage=footage)
    if made.filter(state=AnalysisState.READY).exclude(blob=None).exists():  # of another engine, face or tracker
        return STALE
    told = made.filter(error_code__in=(NOT_GOOD, STALE)).order_by("-pk").values_list("error_code", flat=True)
    return told.first() or NONE


def newest(footage: Footage) -> MouthModel | None:
    """The last that was asked for, whatever became of it."""
    return MouthModel.objects.filter(footage=footage).select_related("picture", "blob").order_by("-pk").first()


# What people do


def refusal(footage: Footage) -> str:
    """Code of why nothing can be learnt from ``footage`` now; empty: it can."""
    if footage.archived_at is not None or footage.presenter.archived_at is not None:
        return "mouths_put_away"
    if not footage.is_usable:
        return "mouths_not_analysed"
    if footage.tier == NO_MOUTH_TIER:
        return TIER
    followed = (footage.duration_s or 0.0) * float(footage.figures.get("tracked", 1.0))
    return TOO_LITTLE if followed < MIN_SECONDS else ""


@transaction.atomic
def start(*, actor: User, footage: Footage) -> MouthModel:
    """Have a model learnt from ``footage``. The one in use stays until the new one is better than nothing.

    Raises what :func:`refusal` says, ``mouths_being_made``, ``team_storage_spent`` or ``no_room``.
    """
    team = footage.presenter.team
    require(actor, team, Role.CREATOR)
    if why := refusal(footage):
        raise HeyGemError(why, name=footage.name)
    limits.check_room(team)
    if not disk.has_room():
        raise HeyGemError("no_room")
    made = _ask(footage, created_by=actor)
    if made is None:
        # One that a machine wanted by itself becomes this person's: it goes before renders in due time.
        own = MouthModel.objects.filter(footage=footage, state__in=BEING_MADE, automatic=True)
        if not own.update(automatic=False, created_by=actor, created_at=timezone.now()):
            raise HeyGemError("mouths_being_made")
        made = MouthModel.objects.get(footage=footage, state__in=BEING_MADE)
    audit.record(action="mouths.started", actor=actor, team=team, subject=made, label=footage.name)
    return made


def _ask(footage: Footage, **about: object) -> MouthModel | None:
    """None: one is being made already."""
    try:
        with transaction.atomic():
            made = MouthModel.objects.create(
                footage=footage,
                engine=ENGINE_VERSION,
                face=footage.chosen_face,
                tracker=footage.analysis_tracker,
                **about,
            )
            wake_renderers()
    except IntegrityError:
        return None
    return made


@transaction.atomic
def cancel(*, actor: User, footage: Footage) -> None:
    """Stop what is being learnt; a machine at it notices in a second or so. The model in use stays."""
    team = footage.presenter.team
    require(actor, team, Role.CREATOR)
    if stop(MouthModel.objects.filter(footage=footage), CANCELLED):
        audit.record(action="mouths.cancelled", actor=actor, team=team, subject=footage)


@transaction.atomic
def stop(models: QuerySet[MouthModel], code: str, *, reason: str = "") -> int:
    """End those of ``models`` that wait or are being learnt; the caller has checked and audits. Returns how many."""
    over = {"error_code": code, "reason": reason, "checkpoint": None, "eta_s": None}
    stopped = 0
    for model in models.filter(state__in=BEING_MADE).select_related("footage__presenter").defer("log"):
        same = MouthModel.objects.filter(pk=model.pk, state__in=BEING_MADE)  # it may have been learnt meanwhile
        if same.update(**analysis.settled(AnalysisState.REFUSED), **over):
            stopped += 1
            tell = events.mouths_cancelled if code in (CANCELLED, BY_OPERATOR) else events.mouths_settled
            tell(model)
    return stopped


@transaction.atomic
def remove(*, actor: User, footage: Footage) -> None:
    """Forget what was learnt of ``footage``, for good. Waiting jobs go on with ``exemplar``; it is not learnt again by
    itself."""
    team = footage.presenter.team
    require(actor, team, Role.CREATOR)
    kept = MouthModel.objects.filter(footage=footage, state=AnalysisState.READY).exclude(blob=None)
    label = ", ".join(model.identity for model in kept)
    if _put_away(kept):
        audit.record(action="mouths.removed", actor=actor, team=team, subject=footage, label=label)


def _put_away(models: QuerySet[MouthModel]) -> int:
    """Their files go, and the rows say so."""
    gone = list(models.select_related("footage__presenter").defer("log"))
    _go_on_without(model.pk for model in gone)
    emptied = {"blob": None, "picture": None, "state": AnalysisState.REFUSED, "error_code": REMOVED}
    number = MouthModel.objects.filter(pk__in=[model.pk for model in gone]).update(**emptied)
    for model in gone:
        events.mouths_removed(model)
    return number


@transaction.atomic
def stop_learning(team: Team) -> None:
    """The team does not let machines learn any more: what they did by themselves goes, and what was begun with another
    presenter's. What a person had learnt from that presenter's footage alone stays."""
    taken = MouthModel.objects.filter(footage__presenter__team=team).filter(Q(automatic=True) | Q(borrowed=True))
    stop(taken, CANCELLED)
    _put_away(taken.filter(state=AnalysisState.READY).exclude(blob=None))


def _go_on_without(gone: Iterable[int]) -> None:
    """Jobs that wait for one of these are drawn without it, and say so in their fingerprint."""
    waiting = RenderJob.objects.filter(state__in=[JobState.QUEUED, JobState.HELD], mouths__in=gone)
    for job in waiting.select_related("batch", "footage__blob", "take__blob", "take__script_version", "base"):
        job.mouths = None
        weights = capabilities.weights_used(job.options, has_mouths=False)
        base = job.base.identity if job.base else ""
        mark = fingerprint(job.footage, job.take, job.options, base=base, weights=weights)
        RenderJob.objects.filter(pk=job.pk).update(mouths=None, fingerprint=mark, backend=ability(job.options))


# By itself


def due() -> Iterator[Footage]:
    """Footage that a card with nothing else to do may learn from: used for videos, of a team that learns, and without
    a model of this engine. The team comes first that had this done longest ago; of its footage what was used last."""
    of_team = MouthModel.objects.filter(footage__presenter__team=OuterRef("presenter__team"), automatic=True).order_by()
    last = of_team.values("footage__presenter__team").annotate(at=Max("created_at")).values("at")
    used = RenderVersion.objects.filter(footage=OuterRef("pk")).order_by().values("footage")
    rows = Footage.objects.filter(
        state__in=USABLE,
        analysis__isnull=False,
        analysis_engine=ENGINE_VERSION,
        archived_at=None,
        duration_s__gte=MIN_SECONDS,
        presenter__archived_at=None,
        presenter__team__learns=True,
        presenter__team__share__paused_at=None,
    ).exclude(Exists(MouthModel.objects.filter(footage=OuterRef("pk"), state__in=BEING_MADE)))
    rows = rows.annotate(last=Subquery(last), used=Subquery(used.annotate(pk_=Max("pk")).values("pk_")))
    rows = rows.exclude(used=None).order_by(F("last").asc(nulls_first=True), "-used")
    for footage in rows.select_related("presenter__team").defer("speech_spans", "findings")[:LOOKED_THROUGH]:
        if not refusal(footage) and not _had_its_say(footage):
            yield footage


def _had_its_say(footage: Footage) -> bool:
    """Whether this engine has learnt from this face, or found that it cannot."""
    made = MouthModel.objects.filter(footage=footage, engine=ENGINE_VERSION).defer("log").order_by("-pk")
    last = next((model for model in made if is_of(model, footage)), None)
    if last is None:
        return False
    if last.state == AnalysisState.REFUSED and last.error_code not in HAD_THEIR_SAY:
        return last.analysed_at is not None and timezone.now() - last.analysed_at < AGAIN_AFTER
    if last.state == AnalysisState.READY and last.blob_id is None and last.archived_at is not None:
        # Let go, because nothing was drawn with it for long.
        return not RenderVersion.objects.filter(footage=footage, created_at__gt=last.archived_at).exists()
    return True


def consider_all() -> int:
    """Once a minute: at most one training for each card that is idle. Returns how many were begun."""
    if not settings.MOUTHS_AUTOMATIC:
        return 0
    room = len(training.idle_cards()) - training.waiting().count()
    if room <= 0 or queue.startable():
        return 0
    begun = 0
    for footage in due():
        if begun == room:
            break
        begun += _ask(footage, automatic=True) is not None
    return begun


def tidy() -> int:
    """Once a minute: what waits or is learnt in vain. Footage that was put away or refused teaches nothing, and where
    another face was chosen since, it begins anew. Returns how many."""
    waiting = MouthModel.objects.filter(state=AnalysisState.WAITING)
    put_away = Q(footage__archived_at__isnull=False) | Q(footage__presenter__archived_at__isnull=False)
    stopped = stop(waiting.filter(pk__in=waiting.filter(put_away).values("pk")), CANCELLED)
    for model in waiting.filter(footage__state=AnalysisState.REFUSED).select_related("footage"):
        stopped += stop(waiting.filter(pk=model.pk), model.footage.error_code)
    running = MouthModel.objects.filter(state=AnalysisState.RUNNING)
    for model in running.select_related("footage").defer("log"):
        if not is_of(model, model.footage):
            anew = {"attempts": 0, "checkpoint": None, "checkpoint_step": 0}
            same = running.filter(pk=model.pk, lease_token=model.lease_token)
            stopped += same.update(**analysis.released(AnalysisState.WAITING), **anew)
    return stopped


# What the upkeep does


def let_go() -> int:
    """Files of models that newer ones replaced, once no unfinished job wants them, and pictures that newer ones
    replaced. Returns how many models; cleaning does the rest."""
    newer = MouthModel.objects.filter(footage=OuterRef("footage"), pk__gt=OuterRef("pk"), picture__isnull=False)
    MouthModel.objects.exclude(picture=None).exclude(state__in=BEING_MADE).filter(Exists(newer)).update(picture=None)
    wanted = RenderJob.objects.filter(state__in=UNFINISHED, mouths=OuterRef("pk"))
    return MouthModel.objects.exclude(archived_at=None).exclude(blob=None).exclude(Exists(wanted)).update(blob=None)


@transaction.atomic
def lost(files: Iterable[MediaBlob]) -> int:
    """Models whose files the storage has lost are learnt again; a lost checkpoint or picture is done without.

    Returns how many are learnt again.
    """
    asked = list(files)
    MouthModel.objects.filter(checkpoint__in=asked).update(checkpoint=None, checkpoint_step=0)
    MouthModel.objects.filter(picture__in=asked).update(picture=None)
    gone = MouthModel.objects.filter(blob__in=asked)
    models = list(gone.select_related("footage__presenter__team"))
    _go_on_without(model.pk for model in models)
    gone.delete()
    wanted = [model for model in models if model.archived_at is None]
    again = [_ask(model.footage, automatic=model.automatic, created_by=model.created_by) for model in wanted]
    return sum(made is not None for made in again)


@transaction.atomic
def damaged(*, model: MouthModel) -> None:
    """What is stored of ``model`` was read and is not what was learnt: nothing is drawn with it any more, and jobs that
    wait for it go on without. Its footage is as if it had never been learnt from."""
    spoilt = model.blob
    used = MouthModel.objects.filter(pk=model.pk, state=AnalysisState.READY, blob=spoilt)
    if spoilt is None or not used.update(blob=None, state=AnalysisState.REFUSED, error_code=STALE):
        return
    _go_on_without([model.pk])
    # At once: the same network learnt again has the same bytes, and would be taken for stored.
    transaction.on_commit(lambda: blobs.discard(spoilt), robust=True)
    events.mouths_settled(model)
