"""Where a job stands in line, and how long it will take. Measured, or not said at all."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import median

from django.db.models import BooleanField, Case, Count, Q, Value, When
from django.utils import timezone

from projects.models import USABLE, Team
from rendering import capabilities
from rendering.models import JobState, RenderAttempt, RenderJob, TeamShare, WorkerNode
from rendering.workers import SEEN_RECENTLY

RECENT = 40
"""Finished attempts that an estimate looks back on."""
TRUSTED_PERCENT = 10
"""From here on a running job's own speed says more than that of others."""


def machines_at_work() -> int:
    """Machines that take jobs, have room for them, and have been heard of lately."""
    return sum(is_alive for _node, is_alive in _machines())


def _machines() -> list[tuple[WorkerNode, bool]]:
    """Machines that take jobs and have room for them, and whether they have been heard of lately."""
    taking = WorkerNode.objects.filter(state=WorkerNode.State.ACTIVE, cluster="gpu", refusal="")
    since = timezone.now() - SEEN_RECENTLY
    known = taking.only("engine", "backends", "device_memory_mb", "busy_since", "last_seen_at")
    return [(node, node.busy_since is not None or (node.last_seen_at or since) > since) for node in known]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast this installation has rendered lately."""

    per_second: float
    """Seconds of work for a second of video, median."""
    per_job: float
    """Seconds of work for a job, median."""
    machines: int


def load_pace(machines: int) -> Pace | None:
    """None: nothing has been rendered yet, or no machine is at work. One query."""
    recent = RenderAttempt.objects.filter(
        outcome=RenderAttempt.Outcome.SUCCEEDED, job__version__duration_s__gt=0
    ).order_by("-pk")
    rows = recent.values_list("started_at", "ended_at", "job__version__duration_s")[:RECENT]
    worked = [((ended - started).total_seconds(), seconds) for started, ended, seconds in rows if ended is not None]
    if not worked or not machines:
        return None
    return Pace(
        per_second=median(work / seconds for work, seconds in worked),
        per_job=median(work for work, _ in worked),
        machines=machines,
    )


def video_seconds(job: RenderJob) -> float | None:
    """How long the job's video will be; None while its take or footage has not been measured."""
    take, footage = job.take.duration_s, job.footage.duration_s
    if job.batch.preset.get("when_shorter") != "rest":
        return take
    return max(take, footage) if take is not None and footage is not None else None


class Line:
    """The queue as one team sees it. Seven small queries; then every answer is free.

    The order in which teams take turns is the queue's (``rendering.queue.teams_in_turn``); where it depends on what
    others do next, the later place is told.
    """

    def __init__(self, team: Team) -> None:
        machines = _machines()
        self.pace = load_pace(sum(is_alive for _node, is_alive in machines))
        shares = {share.team_id: share for share in TeamShare.objects.all()}
        paused = {team_id for team_id, share in shares.items() if share.paused_at is not None}
        self._weight = {team_id: share.weight for team_id, share in shares.items()}
        self._priority = {team_id: share.priority for team_id, share in shares.items()}
        self._team = team.pk
        self._is_paused = team.pk in paused
        queued = RenderJob.objects.filter(state=JobState.QUEUED).exclude(team__in=paused).order_by()
        self._waiting: dict[int, Counter[int]] = {}
        for team_id, priority, number in queued.values_list("team", "priority").annotate(number=Count("pk")):
            self._waiting.setdefault(team_id, Counter())[priority + self._priority.get(team_id, 0)] = number
        self._rank: dict[int, int] = {}
        seen: Counter[int] = Counter()
        self._left_out: set[int] = set()
        own = queued.filter(team=team).annotate(fits=_fits([node for node, _is_alive in machines]))
        for pk, priority, fits in own.order_by("-team_priority", "pk").values_list("pk", "priority", "fits"):
            if not fits:
                self._left_out.add(pk)
                self._waiting[team.pk][priority + self._priority.get(team.pk, 0)] -= 1
                continue
            self._rank[pk] = seen[priority]
            seen[priority] += 1
        self._at_work = list(
            RenderJob.objects.filter(state=JobState.RUNNING)
            .select_related("take", "footage", "batch")
            .only(
                "progress",
                "started_at",
                "state",
                "take__duration_s",
                "footage__duration_s",
                "batch__preset",
            )
        )

    def nobody_can(self, job: RenderJob) -> bool:
        """Machines take jobs, but none can do this one: it has no place in line until one can."""
        return job.pk in self._left_out

    def position(self, job: RenderJob) -> int | None:
        """1 is next. None for what is not in line, whose team is paused, or what no machine can do."""
        rank = self._rank.get(job.pk)
        if rank is None or self._is_paused:
            return None
        ahead = rank
        own = job.priority + self._priority.get(self._team, 0)
        for team_id, waiting in self._waiting.items():
            ahead += sum(number for priority, number in waiting.items() if priority > own)
            if team_id != self._team:
                ratio = self._weight.get(team_id, 1) / self._weight.get(self._team, 1)
                ahead += min(waiting[own], math.ceil((rank + 0.5) * ratio))
        return ahead + 1

    def eta_s(self, job: RenderJob) -> float | None:
        """Seconds until the job is done; None when that is not known."""
        if job.state == JobState.RUNNING:
            return self._remaining(job)
        position, own = self.position(job), self._work(job)
        if self.pace is None or position is None or own is None:
            return None
        begun = [self._remaining(running) for running in self._at_work]
        before = sum(self.pace.per_job if rest is None else rest for rest in begun)
        return (before + (position - 1) * self.pace.per_job) / self.pace.machines + own

    def _work(self, job: RenderJob) -> float | None:
        """Seconds of work for the whole job."""
        seconds = video_seconds(job)
        return None if self.pace is None or seconds is None else seconds * self.pace.per_second

    def _remaining(self, job: RenderJob) -> float | None:
        left = 1 - job.progress / 100
        if job.progress >= TRUSTED_PERCENT and job.started_at is not None:
            elapsed = (timezone.now() - job.started_at).total_seconds()
            return elapsed / job.progress * 100 * left
        work = self._work(job)
        return None if work is None else work * left


def _fits(machines: list[WorkerNode]) -> Case:
    """Whether one of ``machines`` can do a job whose footage is ready. While there are none, one may come that can."""
    unready = ~Q(footage__state__in=USABLE) | Q(footage__analysis=None)
    can = unready | capabilities.somebody_fits(machines) if machines else Q(pk__gt=0)
    return Case(When(can, then=Value(True)), default=Value(False), output_field=BooleanField())


def queue_position(job: RenderJob) -> int | None:
    """1 is next; None for what is not in line."""
    return Line(job.team).position(job) if job.state == JobState.QUEUED else None


def estimate(job: RenderJob) -> float | None:
    """Seconds until ``job`` is done, from what was measured lately; None when that is not known."""
    return None if job.is_final else Line(job.team).eta_s(job)
