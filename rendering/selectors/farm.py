"""The farm at a glance: whether it works, each worker, the queue by team, and why each job waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Count, Exists, Min, OuterRef, Q
from django.utils import timezone
from django_q.models import OrmQ

from projects.models import MouthModel, Team, TeamBase
from rendering import tickets
from rendering.models import JobState, RenderAttempt, RenderJob, TeamShare, WorkerNode
from rendering.selectors import bases as bases_selectors
from rendering.selectors.mouths import FarmMouths, learnt_by, on_the_farm, percent_of
from rendering.selectors.shapes import stage_label
from rendering.selectors.waiting import (
    RELATED,
    Standing,
    WaitingJob,
    Why,
    head_and_kept,
    standing,
    waiting_with_why,
)
from rendering.workers import is_heard

LISTED = 12
WORKERS_LISTED = 60
TEAMS_LISTED = 40
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


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    node: WorkerNode
    job: RenderJob | None
    is_heard: bool
    """It works, was heard of lately, or its process is seen on this machine."""
    learns: MouthModel | None = None
    """The mouth model that it learns now."""

    @property
    def stage(self) -> str:
        return stage_label(self.job.stage) if self.job else ""

    @property
    def refusals(self) -> tuple[str, ...]:
        """Codes of what is wrong with what is set up on it, each once."""
        return tuple(dict.fromkeys(self.node.refused.values()))

    def marks(self) -> Iterable[str]:
        node, job = self.node, self.job
        yield f"{node.pk} {node.state} {node.asked} {node.failures_in_row} {node.engine} {node.version} {node.figures}"
        yield f"{self.is_heard} {node.busy_since} {node.refusal} {node.refused} {node.tracker}"
        yield f"{job.pk} {job.revision} {job.cancel_requested_at}" if job else "-"
        yield f"{self.learns.pk} {self.learns.stage} {self.learns.progress}" if self.learns else "-"

    @property
    def learnt_percent(self) -> int:
        return percent_of(self.learns) if self.learns else 0

    @property
    def needs_eyes(self) -> bool:
        """Somebody put it aside, it fails, or it is not heard of."""
        node = self.node
        doubted = bool(node.failures_in_row or node.refusal or node.refused)
        return node.state != node.State.ACTIVE or not self.is_heard or doubted


@dataclass(frozen=True, kw_only=True)
class TeamLine:
    """One team's part of the queue."""

    name: str
    public_id: str
    waiting: int
    held: int
    running: int
    oldest: datetime | None
    weight: int
    max_running: int | None
    priority: int
    is_paused: bool


@dataclass(frozen=True, kw_only=True)
class FarmView:
    word: Word
    reason: str
    """A code for the sentence below the word."""
    trackers: tuple[str, ...]
    """With which faces are followed on the machines that analyse, by name; several: which one is chance."""
    workers: tuple[WorkerView, ...]
    """All, or of very many those that need eyes first."""
    more_workers: int
    teams: tuple[TeamLine, ...]
    more_teams: int
    waiting: tuple[WaitingJob, ...]
    failed: tuple[RenderJob, ...]
    mouths: tuple[FarmMouths, ...]
    more_mouths: int
    """Trainings that are not listed."""
    bases: tuple[TeamBase, ...]
    """What is learnt of teams' footage, or waits to be."""
    more_bases: int
    running: int
    queued: int
    held: int

    @property
    def more(self) -> int:
        """Waiting jobs that are not listed."""
        return self.queued + self.held - len(self.waiting)

    def marks(self) -> Iterable[str]:
        yield f"{self.word} {self.reason} {self.running} {self.queued} {self.held} {self.trackers}"
        for worker in self.workers:
            yield from worker.marks()
        for line in self.teams:
            yield str(line)
        for item in self.waiting:
            yield f"{item.job.pk} {item.job.revision} {item.why} {item.place}"
        for job in self.failed:
            yield str(job.pk)
        for training in self.mouths:
            yield training.mark
        for base in self.bases:
            yield f"{base.pk} {base.state} {base.stage} {base.progress}"


def farm() -> FarmView:
    """As many queries, however much waits."""
    now = standing()
    at_work = list(RenderJob.objects.filter(state=JobState.RUNNING).select_related(*RELATED))
    workers = _workers(at_work)
    jobs = waiting_with_why(now)
    counted = list(jobs.order_by().values("team", "why").annotate(number=Count("pk"), oldest=Min("created_at")))
    numbers: Counter[str] = Counter()
    for row in counted:
        numbers[row["why"]] += row["number"]
    word, reason = _word(workers, len(at_work), numbers)
    if word == Word.IDLE and any(view.learns for view in workers):
        word, reason = Word.ACTIVE, "learning"
    held = numbers[Why.HELD]
    seen = sorted(workers, key=lambda view: not view.needs_eyes)[:WORKERS_LISTED]
    lines = _teams(counted, now)
    learnt, trainings = on_the_farm(LISTED)
    bases, number_of_bases = bases_selectors.on_the_farm(LISTED)
    return FarmView(
        word=word,
        reason=reason,
        trackers=_trackers(workers),
        workers=tuple(sorted(seen, key=lambda view: view.node.name)),
        more_workers=len(workers) - len(seen),
        teams=tuple(lines[:TEAMS_LISTED]),
        more_teams=max(0, len(lines) - TEAMS_LISTED),
        waiting=tuple(head_and_kept(jobs, now, size=LISTED)),
        failed=tuple(_recent_failures()),
        mouths=tuple(learnt),
        more_mouths=trainings - len(learnt),
        bases=tuple(bases),
        more_bases=number_of_bases - len(bases),
        running=len(at_work),
        queued=sum(numbers.values()) - held,
        held=held,
    )


def worker_view(node: WorkerNode) -> WorkerView:
    """One worker, with what it works on. Two queries."""
    job = RenderJob.objects.filter(state=JobState.RUNNING, worker=node).select_related(*RELATED).first()
    return WorkerView(node=node, job=job, is_heard=is_heard(node), learns=learnt_by().get(node.name))


def all_workers() -> list[WorkerView]:
    """Every worker that was heard of in the last week, by name. Three queries."""
    return _workers(RenderJob.objects.filter(state=JobState.RUNNING).select_related(*RELATED))


def _workers(at_work: Iterable[RenderJob]) -> list[WorkerView]:
    jobs = {job.worker_id: job for job in at_work}
    lately = Q(last_seen_at__gte=timezone.now() - GONE)
    nodes = WorkerNode.objects.filter(Q(pk__in=[pk for pk in jobs if pk]) | lately).order_by("name")
    learnt = learnt_by()
    return [
        WorkerView(node=node, job=jobs.get(node.pk), is_heard=is_heard(node), learns=learnt.get(node.name))
        for node in nodes
    ]


def _trackers(workers: list[WorkerView]) -> tuple[str, ...]:
    there = (view.node for view in workers if view.is_heard and view.node.state == WorkerNode.State.ACTIVE)
    return tuple(sorted({node.tracker for node in there if node.cluster != tickets.CLUSTER and node.tracker}))


def _word(workers: list[WorkerView], running: int, numbers: Counter[str]) -> tuple[Word, str]:
    """The farm in one word, and the code of the sentence that says why."""
    if running:
        return Word.ACTIVE, "running"
    if not sum(numbers.values()):
        return Word.IDLE, "nothing_waits"
    if numbers[Why.NO_WORKER]:
        asked = {WorkerNode.State.PAUSED, WorkerNode.State.DRAINING, WorkerNode.State.STOPPED}
        if any(view.node.state in asked for view in workers if view.node.cluster == "gpu"):
            return Word.WAITING, "workers_paused"
        return Word.BROKEN, "no_worker"
    if numbers[Why.NO_ROOM] and not numbers[Why.TURN]:
        return Word.BROKEN, "no_room"
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


def _teams(counted: list[dict[str, Any]], now: Standing) -> list[TeamLine]:
    """Teams with anything unfinished, paused or with a priority; the one with the most waiting first."""
    lines: dict[int, dict[str, Any]] = {}
    for row in counted:
        line = lines.setdefault(row["team"], {"waiting": 0, "held": 0, "oldest": None})
        if row["why"] == Why.HELD:
            line["held"] += row["number"]
        else:
            line["waiting"] += row["number"]
            line["oldest"] = min(filter(None, (line["oldest"], row["oldest"])))
    told = {pk for pk, share in now.shares.items() if share.paused_at is not None or share.priority}
    teams = Team.objects.filter(pk__in={*lines, *now.running, *told})
    nobodys = TeamShare()
    made = [
        TeamLine(
            name=team.name,
            public_id=team.public_id,
            running=now.running[team.pk],
            weight=(share := now.shares.get(team.pk, nobodys)).weight,
            max_running=share.max_running,
            priority=share.priority,
            is_paused=share.paused_at is not None,
            **lines.get(team.pk, {"waiting": 0, "held": 0, "oldest": None}),
        )
        for team in teams
    ]
    return sorted(made, key=lambda known: (-known.waiting, known.name))


def _recent_failures() -> list[RenderJob]:
    """The newest failed jobs that nothing has come after in their cells."""
    later = RenderJob.objects.filter(deliverable=OuterRef("deliverable"), pk__gt=OuterRef("pk"))
    failed = RenderJob.objects.filter(state=JobState.FAILED).exclude(Exists(later))
    return list(failed.order_by("-pk").select_related(*RELATED)[:RECENT_FAILURES])
