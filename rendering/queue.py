"""Which job is next, and taking back what was lost. A ticket of django-q2 only says "look"; our table is the truth."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, Count, F, FloatField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from projects.models import USABLE, AnalysisState
from rendering import states, tickets, workers
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode

log = logging.getLogger("heygem.queue")

CLAIM_LOCK = 0x48655947
"""PostgreSQL's advisory lock under which jobs are claimed: two claims at once would count running jobs alike."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to run one job, for as long as its lease lasts."""

    job: RenderJob
    token: UUID


def claimable() -> QuerySet[RenderJob]:
    """Jobs that may be started now: footage and take are analysed, nobody holds, pauses or cancels them."""
    return RenderJob.objects.filter(
        state=JobState.QUEUED,
        not_before__lte=timezone.now(),
        cancel_requested_at=None,
        attempts__lt=F("max_attempts"),
        footage__state__in=USABLE,
        take__state__in=USABLE,
        team__share__paused_at=None,
    )


def next_jobs(worker: WorkerNode) -> QuerySet[RenderJob]:
    """Claimable jobs, the next one first.

    Priority is an operator's word and goes before all. Then fairness between teams: the one with the fewest running
    jobs for its weight, then the one that was served least recently, so that a team with two jobs does not wait behind
    a team with two hundred. Inside a team its managers' word goes first; then a job goes to another worker than the one
    that failed it, if there is one to choose from, and the oldest goes first.
    """
    running = RenderJob.objects.filter(state=JobState.RUNNING, team=OuterRef("team")).order_by().values("team")
    return (
        claimable()
        .annotate(running=Coalesce(Subquery(running.annotate(n=Count("pk")).values("n")), 0))
        .annotate(load=Cast("running", FloatField()) / Coalesce(F("team__share__weight"), 1))
        .filter(Q(team__share__max_running=None) | Q(running__lt=F("team__share__max_running")))
        .order_by(
            "-priority",
            "load",
            F("team__share__last_served_at").asc(nulls_first=True),
            "-team_priority",
            Case(When(worker=worker, then=Value(1)), default=Value(0)),
            "pk",
        )
    )


def claim_next(worker: WorkerNode) -> Claim | None:
    """Start the next job on ``worker``. None: there is nothing that it may do now."""
    if not workers.may_work(worker):
        return None
    with transaction.atomic():
        if connection.vendor == "postgresql":  # SQLite's transactions are immediate: they take turns anyway
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIM_LOCK])
        # A row that a person is holding or cancelling at this moment is skipped, not waited for.
        job = next_jobs(worker).select_for_update(skip_locked=True, of=("self",)).first()
        token = states.claim(job, worker) if job is not None else None
        if job is None or token is None:
            return None
        TeamShare.objects.update_or_create(team_id=job.team_id, defaults={"last_served_at": timezone.now()})
    # In its own transaction: here the job's row is locked no more, and the board's lock always comes first.
    with transaction.atomic():
        states.touch(job.deliverable_id)
    related = RenderJob.objects.select_related("batch", "team", "deliverable", "footage__blob", "take__blob")
    return Claim(job=related.get(pk=job.pk), token=token)


def top_up() -> int:
    """Enough tickets for the jobs that could start now; returns how many were added."""
    wanted = min(claimable().count(), tickets.MOST_WAITING) - tickets.waiting()
    for _ in range(wanted):
        tickets.wake_gpu()
    return max(wanted, 0)


def fail_refused() -> int:
    """Jobs whose footage or take was refused cannot be rendered: they fail with the same code."""
    failed = 0
    waiting = RenderJob.objects.filter(state__in=[JobState.QUEUED, JobState.HELD])
    refused = waiting.filter(Q(footage__state=AnalysisState.REFUSED) | Q(take__state=AnalysisState.REFUSED))
    for job in refused.select_related("footage", "take"):
        inputs = (item for item in (job.footage, job.take) if item.state == AnalysisState.REFUSED)
        failed += states.refuse(job, next(inputs).error_code)
    return failed


def reap() -> int:
    """Take back jobs whose lease is over, fail those that cannot be rendered, top up tickets. Returns jobs taken back.

    Runs every minute, after every ticket and when a board opens; any number of these may run at once.
    """
    lost = 0
    for job in RenderJob.objects.filter(state=JobState.RUNNING, lease_expires_at__lte=timezone.now()):
        lost += take_back(job)
    fail_refused()
    top_up()
    return lost


def take_back(job: RenderJob) -> bool:
    """The worker of ``job`` is gone. False: the job has moved on since it was read."""
    state = states.lose(job)
    if state is None:
        return False
    log.warning("job %s was lost by its worker in attempt %s and is now %s", job.public_id, job.attempts, state)
    if job.worker is not None:
        workers.note_failure(job.worker, job)
    return True


def forget_predecessor(worker: WorkerNode) -> int:
    """Take back what an earlier process of this worker's name still seems to run. Returns how many jobs."""
    return sum(take_back(job) for job in RenderJob.objects.filter(state=JobState.RUNNING, worker=worker))
