"""Why each job waits, and in which order they will start: the rules of the claim, told to people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from projects.models import USABLE
from rendering import capabilities
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode

WAITING = (JobState.QUEUED, JobState.HELD)
RELATED = ("team", "worker", "batch", "deliverable__project", "deliverable__presenter", "deliverable__script")


class Why(StrEnum):
    """Why a job waits."""

    HELD = "held"
    FOOTAGE = "footage"
    TAKE = "take"
    PAUSED = "paused"
    BACKOFF = "backoff"
    LIMIT = "limit"
    NO_WORKER = "no_worker"
    NO_ROOM = "no_room"
    NO_CAPABLE_WORKER = "no_capable_worker"
    TURN = "turn"


STARTABLE = (Why.TURN, Why.NO_WORKER)


@dataclass(frozen=True, kw_only=True)
class WaitingJob:
    job: RenderJob
    why: Why
    place: int | None
    """1 is next; None for what is not in line, or further back than is listed."""
    limit: int | None
    """How many its team may run at once."""


@dataclass(frozen=True, kw_only=True)
class JobRow:
    job: RenderJob
    waits: WaitingJob | None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What decides, besides the jobs themselves."""

    shares: dict[int, TeamShare]
    running: Counter[int]
    """Jobs at work, by team."""
    workers: tuple[WorkerNode, ...]
    """Those that take jobs."""
    has_full: bool
    """Whether an active worker takes none because its disk is nearly full."""

    def limit(self, job: RenderJob) -> int | None:
        share = self.shares.get(job.team_id)
        return share.max_running if share else None


def standing() -> Standing:
    """Three queries."""
    running = RenderJob.objects.filter(state=JobState.RUNNING).order_by().values_list("team")
    active = list(WorkerNode.objects.filter(cluster="gpu", state=WorkerNode.State.ACTIVE))
    return Standing(
        shares={share.team_id: share for share in TeamShare.objects.all()},
        running=Counter(dict(running.annotate(number=Count("pk")))),
        workers=tuple(node for node in active if not node.refusal),
        has_full=any(node.refusal for node in active),
    )


def waiting_with_why(now: Standing) -> QuerySet[Any]:
    """Everything that waits, with the first reason that applies as ``why``."""
    nobody = Why.NO_ROOM if now.has_full else Why.NO_CAPABLE_WORKER if now.workers else Why.NO_WORKER
    paused = [pk for pk, share in now.shares.items() if share.paused_at is not None]
    full = [pk for pk, share in now.shares.items() if share.max_running and now.running[pk] >= share.max_running]
    return RenderJob.objects.filter(state__in=WAITING).annotate(
        why=Case(
            When(state=JobState.HELD, then=Value(Why.HELD.value)),
            When(~Q(footage__state__in=USABLE) | Q(footage__analysis=None), then=Value(Why.FOOTAGE.value)),
            When(~Q(take__state__in=USABLE), then=Value(Why.TAKE.value)),
            When(team__in=paused, then=Value(Why.PAUSED.value)),
            When(not_before__gt=timezone.now(), then=Value(Why.BACKOFF.value)),
            When(team__in=full, then=Value(Why.LIMIT.value)),
            When(capabilities.somebody_fits(now.workers), then=Value(Why.TURN.value)),
            default=Value(nobody.value),
            output_field=CharField(),
        )
    )


def with_why(jobs: Iterable[RenderJob]) -> list[JobRow]:
    """Jobs of any state, those that wait with the reason. Four queries."""
    jobs = list(jobs)
    now = standing()
    ids = [job.pk for job in jobs if job.state in WAITING]
    whys = dict(waiting_with_why(now).filter(pk__in=ids).order_by().values_list("pk", "why"))

    def waits(job: RenderJob) -> WaitingJob | None:
        why = whys.get(job.pk)
        return WaitingJob(job=job, why=Why(why), place=None, limit=now.limit(job)) if why else None

    return [JobRow(job=job, waits=waits(job)) for job in jobs]


def why_and_where(job: RenderJob) -> WaitingJob | None:
    """Why one job waits and how far back it stands; None when it does not wait. Six queries."""
    now = standing()
    found = waiting_with_why(now).filter(pk=job.pk).first() if job.state in WAITING else None
    if found is None:
        return None
    why = Why(found.why)
    place = place_of(job, now) if why in STARTABLE else None
    return WaitingJob(job=job, why=why, place=place, limit=now.limit(job))


def head_and_kept(jobs: QuerySet[Any], now: Standing, *, size: int) -> Iterable[WaitingJob]:
    """The head of the line in the order in which it would start, then what is kept from it, oldest first."""
    own = [F("team_priority").desc(), F("pk").asc()]
    rank = Window(RowNumber(), partition_by=[F("team")], order_by=[F("priority").desc(), *own])
    heads = jobs.filter(why__in=STARTABLE).annotate(rank=rank).filter(rank__lte=size)
    order = line_up(heads.values_list("pk", "team", "priority", "team_priority"), now)[:size]
    kept = jobs.exclude(why__in=STARTABLE).order_by("pk").values_list("pk", flat=True)
    places = {pk: number for number, pk in enumerate(order, 1)}
    shown = {job.pk: job for job in jobs.filter(pk__in=[*order, *kept[:size]]).select_related(*RELATED)}
    for pk in (*order, *sorted(shown.keys() - places.keys())):
        if pk in shown:  # it has not started between the two queries
            job = shown[pk]
            yield WaitingJob(job=job, why=Why(job.why), place=places.get(pk), limit=now.limit(job))


def line_up(waiting: Iterable[tuple[int, int, int, int]], now: Standing) -> list[int]:
    """Ids of jobs (id, team, priority, team_priority) in the order in which ``queue`` hands them out."""
    heads: dict[int, list[tuple[int, int, int]]] = {}
    for pk, team, priority, team_priority in waiting:
        heads.setdefault(team, []).append((-priority, -team_priority, pk))
    for own in heads.values():
        own.sort(reverse=True)
    load = Counter(now.running)
    nobodys = TeamShare()
    served = {pk: share.last_served_at.timestamp() for pk, share in now.shares.items() if share.last_served_at}
    clock = timezone.now().timestamp()
    order = []
    while heads:

        def turn(team: int) -> tuple[int, float, float, int]:
            share = now.shares.get(team, nobodys)
            return heads[team][-1][0] - share.priority, load[team] / share.weight, served.get(team, 0.0), team

        team = min(heads, key=turn)
        order.append(heads[team].pop()[2])
        load[team] += 1
        served[team] = clock + len(order)
        if not heads[team]:
            del heads[team]
    return order


def place_of(job: RenderJob, now: Standing) -> int | None:
    """Where a job that may start stands in line, 1 is next; where it depends on others, the later. Two queries."""
    nobodys = TeamShare()
    own = now.shares.get(job.team_id, nobodys)
    queued = RenderJob.objects.filter(state=JobState.QUEUED).order_by()
    ahead = Q(priority__gt=job.priority) | Q(priority=job.priority, team_priority__gt=job.team_priority)
    ahead |= Q(priority=job.priority, team_priority=job.team_priority, pk__lt=job.pk)
    rank = queued.filter(ahead, team=job.team_id).count()
    place = rank + 1
    counted = queued.exclude(team=job.team_id).values_list("team", "priority").annotate(number=Count("pk"))
    for team, priority, number in counted:
        share = now.shares.get(team, nobodys)
        before = priority + share.priority - job.priority - own.priority
        if share.paused_at is None and before > 0:
            place += number
        elif share.paused_at is None and before == 0:
            place += min(number, math.ceil((rank + 0.5) * share.weight / own.weight))
    return place
