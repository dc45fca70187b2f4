"""The farm at a glance: whether it works, each worker, the queue by team, and why each job waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import Case, CharField, Count, Exists, F, Min, OuterRef, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django_q.models import OrmQ

from projects.models import USABLE
from rendering import tickets
from rendering.models import JobState, RenderAttempt, RenderJob, TeamShare, WorkerNode
from rendering.selectors.shapes import stage_label
from rendering.workers import SEEN_RECENTLY, is_alive

LISTED = 40
"""Jobs that a list of the page shows; the counts above it are of all."""
RECENT_FAILURES = 10
NOBODY_CAME = timedelta(minutes=1)
"""A ticket that no worker has taken for so long, while nothing runs, is a sign that something is broken."""
FORGOTTEN = timedelta(minutes=10)
"""The same for a job that could start, should its ticket be lost with a process that died."""
GONE = timedelta(days=7)
"""Workers that have not been heard of for so long are not listed any more."""


class Word(StrEnum):
    ACTIVE = "active"
    IDLE = "idle"
    WAITING = "waiting"
    BROKEN = "broken"


class Why(StrEnum):
    """Why a job waits."""

    HELD = "held"
    FOOTAGE = "footage"
    TAKE = "take"
    PAUSED = "paused"
    BACKOFF = "backoff"
    LIMIT = "limit"
    NO_WORKER = "no_worker"
    TURN = "turn"


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    node: WorkerNode
    job: RenderJob | None
    is_heard: bool
    """It works, was heard of lately, or its process is seen on this machine."""

    @property
    def stage(self) -> str:
        return stage_label(self.job.stage) if self.job else ""


@dataclass(frozen=True, kw_only=True)
class TeamLine:
    """One team's part of the queue."""

    team_id: int
    name: str
    public_id: str
    waiting: int
    held: int
    running: int
    oldest: datetime | None
    weight: int
    max_running: int | None
    is_paused: bool


@dataclass(frozen=True, kw_only=True)
class WaitingJob:
    job: RenderJob
    why: Why
    place: int | None
    """1 is next; None for what is not in line."""
    limit: int | None
    """How many its team may run at once."""


@dataclass(frozen=True, kw_only=True)
class FarmView:
    word: Word
    reason: str
    """A code for the sentence below the word."""
    workers: tuple[WorkerView, ...]
    teams: tuple[TeamLine, ...]
    waiting: tuple[WaitingJob, ...]
    failed: tuple[RenderJob, ...]
    running: int
    queued: int
    held: int

    @property
    def more(self) -> int:
        """Waiting jobs that are not listed."""
        return self.queued + self.held - len(self.waiting)

    def marks(self) -> Iterable[str]:
        yield f"{self.word} {self.reason} {self.running} {self.queued} {self.held}"
        for worker in self.workers:
            node, job = worker.node, worker.job
            yield f"{node.pk} {node.state} {node.failures_in_row} {node.engine} {worker.is_heard} {node.busy_since}"
            yield f"{job.pk} {job.revision} {job.cancel_requested_at}" if job else "-"
        for line in self.teams:
            yield str(line)
        for item in self.waiting:
            yield f"{item.job.pk} {item.job.revision} {item.why} {item.place}"
        for job in self.failed:
            yield str(job.pk)


def farm() -> FarmView:
    """Ten queries, however much waits."""
    shares = {share.team_id: share for share in TeamShare.objects.select_related("team")}
    at_work = _jobs(RenderJob.objects.filter(state=JobState.RUNNING))
    running = Counter(job.team_id for job in at_work)
    workers = _workers(at_work)
    has_worker = any(view.node.state == WorkerNode.State.ACTIVE for view in workers if view.node.cluster == "gpu")
    jobs = waiting_with_why(shares, running, has_worker=has_worker)
    counted = list(
        jobs.order_by()
        .values("team", "team__name", "team__public_id", "why")
        .annotate(number=Count("pk"), oldest=Min("created_at"))
    )
    numbers: Counter[str] = Counter()
    for row in counted:
        numbers[row["why"]] += row["number"]
    word, reason = _word(workers, len(at_work), numbers)
    held = numbers[Why.HELD]
    return FarmView(
        word=word,
        reason=reason,
        workers=tuple(workers),
        teams=tuple(_teams(counted, at_work, shares)),
        waiting=tuple(_waiting(jobs, shares, running)),
        failed=tuple(_recent_failures()),
        running=len(at_work),
        queued=sum(numbers.values()) - held,
        held=held,
    )


def _jobs(jobs: QuerySet[Any]) -> list[Any]:
    related = ("team", "worker", "deliverable__project", "deliverable__presenter", "deliverable__script")
    return list(jobs.select_related(*related))


def _workers(at_work: Iterable[RenderJob]) -> list[WorkerView]:
    now = timezone.now()
    jobs = {job.worker_id: job for job in at_work}
    nodes = WorkerNode.objects.filter(Q(pk__in=[pk for pk in jobs if pk]) | Q(last_seen_at__gte=now - GONE))
    return [
        WorkerView(node=node, job=jobs.get(node.pk), is_heard=_is_heard(node, now)) for node in nodes.order_by("name")
    ]


def _is_heard(node: WorkerNode, now: datetime) -> bool:
    if node.host == settings.WORKER_NAME and node.pid:
        return is_alive(node.pid)
    return node.last_seen_at is not None and node.last_seen_at >= now - SEEN_RECENTLY


def waiting_with_why(shares: dict[int, TeamShare], running: Counter[int], *, has_worker: bool) -> QuerySet[Any]:
    """Everything that waits, with the first reason that applies as ``why``; the rules are those of the claim."""
    paused = [pk for pk, share in shares.items() if share.paused_at is not None]
    full = [pk for pk, share in shares.items() if share.max_running is not None and running[pk] >= share.max_running]
    return RenderJob.objects.filter(state__in=[JobState.QUEUED, JobState.HELD]).annotate(
        why=Case(
            When(state=JobState.HELD, then=Value(Why.HELD.value)),
            When(~Q(footage__state__in=USABLE), then=Value(Why.FOOTAGE.value)),
            When(~Q(take__state__in=USABLE), then=Value(Why.TAKE.value)),
            When(team__in=paused, then=Value(Why.PAUSED.value)),
            When(not_before__gt=timezone.now(), then=Value(Why.BACKOFF.value)),
            When(team__in=full, then=Value(Why.LIMIT.value)),
            default=Value((Why.TURN if has_worker else Why.NO_WORKER).value),
            output_field=CharField(),
        )
    )


def _word(workers: list[WorkerView], running: int, numbers: Counter[str]) -> tuple[Word, str]:
    """The farm in one word, and the code of the sentence that says why."""
    if running:
        return Word.ACTIVE, "running"
    if not sum(numbers.values()):
        return Word.IDLE, "nothing_waits"
    if numbers[Why.NO_WORKER]:
        asked = {WorkerNode.State.PAUSED, WorkerNode.State.DRAINING}
        if any(view.node.state in asked for view in workers if view.node.cluster == "gpu"):
            return Word.WAITING, "workers_paused"
        return Word.BROKEN, "no_worker"
    if not numbers[Why.TURN]:
        return Word.WAITING, "nothing_startable"
    if _nobody_comes():
        return Word.BROKEN, "nobody_comes"
    return Word.WAITING, "about_to_start"


def _nobody_comes() -> bool:
    """Whether work that could start has been left lying."""
    now = timezone.now()
    if OrmQ.objects.filter(key=tickets.CLUSTER, lock__lte=now - NOBODY_CAME).exists():
        return True
    startable = RenderJob.objects.filter(state=JobState.QUEUED, not_before__lte=now - FORGOTTEN)
    begun = RenderAttempt.objects.filter(started_at__gte=now - FORGOTTEN)
    return startable.exists() and not begun.exists()


def _teams(
    counted: list[dict[str, Any]], at_work: Iterable[RenderJob], shares: dict[int, TeamShare]
) -> Iterable[TeamLine]:
    """Teams with anything unfinished or paused, the one with the most waiting first."""
    lines: dict[int, dict[str, Any]] = {}

    def line(pk: int, name: str, public_id: str) -> dict[str, Any]:
        return lines.setdefault(
            pk, {"name": name, "public_id": public_id, "waiting": 0, "held": 0, "running": 0, "oldest": None}
        )

    for row in counted:
        known = line(row["team"], row["team__name"], row["team__public_id"])
        kind = "held" if row["why"] == Why.HELD else "waiting"
        known[kind] += row["number"]
        if kind == "waiting":
            known["oldest"] = min(filter(None, (known["oldest"], row["oldest"])))
    for job in at_work:
        line(job.team_id, job.team.name, job.team.public_id)["running"] += 1
    for pk, share in shares.items():
        if share.paused_at is not None and pk not in lines:
            line(pk, share.team.name, share.team.public_id)
    made = [
        TeamLine(
            team_id=pk,
            weight=shares[pk].weight if pk in shares else 1,
            max_running=shares[pk].max_running if pk in shares else None,
            is_paused=pk in shares and shares[pk].paused_at is not None,
            **known,
        )
        for pk, known in lines.items()
    ]
    return sorted(made, key=lambda known: (-known.waiting, known.name))


def _waiting(jobs: QuerySet[Any], shares: dict[int, TeamShare], running: Counter[int]) -> Iterable[WaitingJob]:
    """The head of the line in the order in which it would start, then what is kept from it, oldest first."""
    own = [F("team_priority").desc(), F("pk").asc()]
    rank = Window(RowNumber(), partition_by=[F("team")], order_by=[F("priority").desc(), *own])
    heads = jobs.filter(why__in=[Why.TURN, Why.NO_WORKER]).annotate(rank=rank).filter(rank__lte=LISTED)
    order = line_up(heads.values_list("pk", "team", "priority", "team_priority"), shares, running)[:LISTED]
    kept = jobs.exclude(why__in=[Why.TURN, Why.NO_WORKER]).order_by("pk").values_list("pk", flat=True)
    places = {pk: number for number, pk in enumerate(order, 1)}
    shown = {job.pk: job for job in _jobs(jobs.filter(pk__in=[*order, *kept[:LISTED]]))}
    for pk in (*order, *sorted(shown.keys() - places.keys())):
        if pk in shown:  # it has not started between the two queries
            job = shown[pk]
            share = shares.get(job.team_id)
            limit = share.max_running if share else None
            yield WaitingJob(job=job, why=Why(job.why), place=places.get(pk), limit=limit)


def line_up(
    waiting: Iterable[tuple[int, int, int, int]], shares: dict[int, TeamShare], running: Counter[int]
) -> list[int]:
    """Ids of jobs (id, team, priority, team_priority) in the order in which ``queue`` hands them out."""
    heads: dict[int, list[tuple[int, int, int]]] = {}
    for pk, team, priority, team_priority in waiting:
        heads.setdefault(team, []).append((-priority, -team_priority, pk))
    for own in heads.values():
        own.sort(reverse=True)
    load = Counter(running)
    served = {pk: share.last_served_at.timestamp() for pk, share in shares.items() if share.last_served_at}
    clock = timezone.now().timestamp()
    order = []
    while heads:

        def turn(team: int) -> tuple[int, float, float, int]:
            weight = shares[team].weight if team in shares else 1
            lowest, _, pk = heads[team][-1]
            return lowest, load[team] / weight, served.get(team, 0.0), pk

        team = min(heads, key=turn)
        order.append(heads[team].pop()[2])
        load[team] += 1
        served[team] = clock + len(order)
        if not heads[team]:
            del heads[team]
    return order


def _recent_failures() -> list[RenderJob]:
    """The newest failed jobs that nothing has come after in their cells."""
    later = RenderJob.objects.filter(deliverable=OuterRef("deliverable"), pk__gt=OuterRef("pk"))
    failed = RenderJob.objects.filter(state=JobState.FAILED).exclude(Exists(later))
    return _jobs(failed.order_by("-pk")[:RECENT_FAILURES])
