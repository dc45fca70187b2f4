"""Which job is next, and taking back what was lost. A ticket of django-q2 only says "look"; our table is the truth."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, FloatField, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from projects.models import USABLE, AnalysisState, AudioTake, Footage, MouthModel, Team
from projects.services import analysis
from rendering import capabilities, states, tickets, training, workers
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode

log = logging.getLogger("heygem.queue")

_QUEUED_TEAMS = RawSQL(
    """
    WITH RECURSIVE queued(team) AS (
        SELECT * FROM (
            SELECT team_id FROM rendering_renderjob WHERE state = 'queued'
            ORDER BY team_id, priority DESC, team_priority DESC, id LIMIT 1
        ) AS first
        UNION ALL
        SELECT (
            SELECT team_id FROM rendering_renderjob WHERE state = 'queued' AND team_id > queued.team
            ORDER BY team_id, priority DESC, team_priority DESC, id LIMIT 1
        )
        FROM queued WHERE queued.team IS NOT NULL
    )
    SELECT team FROM queued WHERE team IS NOT NULL
    """,
    [],
)
"""Teams with anything queued: one step through ``job_next_of_team`` for each team, not one for each of its jobs."""
WINDOW = 32
"""How many of a team's jobs, from the oldest, a worker may choose from."""
PASSES = 8
"""So often in a row a team's oldest job may be passed over for another that suits a worker better."""
CHOICES = 4
"""So often a claim chooses anew because others were faster."""
OTHERS_WERE_FASTER = object()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to run one job, for as long as its lease lasts."""

    job: RenderJob
    token: UUID


def claimable() -> QuerySet[RenderJob]:
    """Jobs that may be started now, of teams that are not paused."""
    return _ready().filter(team__share__paused_at=None)


def _ready() -> QuerySet[RenderJob]:
    """Jobs that may be started now: footage and take are analysed, nobody holds or cancels them."""
    return RenderJob.objects.filter(
        state=JobState.QUEUED,
        not_before__lte=timezone.now(),
        cancel_requested_at=None,
        attempts__lt=F("max_attempts"),
        footage__state__in=USABLE,
        # Usable footage may have lost its analysis: one that nobody used for long is not kept (:func:`renew_analyses`).
        footage__analysis__isnull=False,
        take__state__in=USABLE,
    )


def _in_line(jobs: QuerySet[RenderJob]) -> QuerySet[RenderJob]:
    """Jobs of one team as they follow one another: operators' word, managers' word, age."""
    return jobs.order_by("-priority", "-team_priority", "pk")


def _running_of(team: F | OuterRef | int) -> Coalesce:
    """How many jobs of a team run."""
    running = RenderJob.objects.filter(state=JobState.RUNNING, team=team).order_by().values("team")
    return Coalesce(Subquery(running.annotate(n=Count("pk")).values("n")), 0)


def teams_in_turn(able: Q | None = None) -> QuerySet[Any]:
    """Shares of the teams that may start something, the next one first; ``able``: something that fits this.

    Priority is an operator's word, for a job and for its team, and goes before all. Then fairness: the team with the
    fewest running jobs for its weight, then the one that was served least recently, so that a team with two jobs does
    not wait behind a team with two hundred. A team that runs as many jobs as it may, or is paused, is passed over.

    Costs a look at the head of each team's line, whatever its length. ``rank`` is the priority of what would start,
    None for a team that has nothing; ``load`` its running jobs for its weight.
    """
    head = _in_line(_ready().filter(able or Q(), team=OuterRef("team"))).values("priority")[:1]
    running = _running_of(OuterRef("team"))
    return (
        TeamShare.objects.filter(team__in=_QUEUED_TEAMS, paused_at=None)
        .filter(Q(max_running=None) | Q(max_running__gt=running))
        # Null for a team that has nothing: last, and not asked for twice.
        .annotate(rank=Subquery(head) + F("priority"), load=Cast(running, FloatField()) / F("weight"))
        .order_by(F("rank").desc(nulls_last=True), "load", F("last_served_at").asc(nulls_first=True), "team_id")
    )


def startable() -> bool:
    """Whether any worker could start anything now."""
    share = teams_in_turn().first()
    return share is not None and share.rank is not None


def count_startable(worker: WorkerNode, *, most: int) -> int:
    """How many jobs ``worker`` could start now; no further than ``most``."""
    able = capabilities.of(worker).fits()
    teams = [share.team_id for share in teams_in_turn(able)[:most] if share.rank is not None]
    return len(_ready().filter(able, team__in=teams).order_by()[:most].values("pk")) if teams else 0


def claim_next(worker: WorkerNode) -> Claim | None:
    """Start the next job on ``worker``. None: there is nothing that it may do now."""
    node = workers.at_service(worker)
    if node is None:
        return None
    for _ in range(CHOICES):
        with transaction.atomic():
            started = _start_next(node)
        if started is not OTHERS_WERE_FASTER:
            break
    if not isinstance(started, tuple):
        return None
    job, token = started
    # In its own transaction: here the job's row is locked no more, and the board's lock always comes first.
    with transaction.atomic():
        states.touch(job.deliverable_id)
    related = RenderJob.objects.select_related(
        *("batch", "team", "deliverable", "footage__blob", "footage__analysis", "take__blob", "base__blob"),
        *("mouths__blob", "footage__presenter"),
    )
    return Claim(job=related.get(pk=job.pk), token=token)


def _start_next(worker: WorkerNode) -> tuple[RenderJob, UUID] | object | None:
    """Choose a team, then one of its jobs, and start that.

    The lock is the team's share, not the whole queue: claims for different teams do not wait for one another, and the
    team's running jobs are counted again when it is held, so its limit is exact. Who finds the next team locked takes
    the one after it, and waits only when there is no other: never while it holds a lock, so nobody waits in a circle.
    """
    able = capabilities.of(worker).fits()
    share = _locked(able) or _locked(able, wait=True)
    if share is None:
        return None
    for choice in range(CHOICES):
        heads, running = _heads(share, able)
        is_full = share.max_running is not None and running >= share.max_running
        # Others may have started something of this team since it was chosen: is it still its turn?
        is_its_turn = running <= share.load * share.weight + 0.5 or choice + 1 == CHOICES
        if is_its_turn and not is_full and (started := _start_one(heads, worker, share)):
            return started
        if (again := _locked(able)) is None:
            break
        share = again
    return OTHERS_WERE_FASTER


def _locked(able: Q, *, wait: bool = False) -> Any:
    """The share of the team whose turn it is, with its rank and load, locked until the transaction ends.

    None: no team has anything to start, or all those that have are locked.
    """
    share = teams_in_turn(able).select_for_update(skip_locked=not wait, of=("self",)).first()
    return share if share is not None and share.rank is not None else None


def _start_one(heads: list[Head], worker: WorkerNode, share: TeamShare) -> tuple[RenderJob, UUID] | None:
    for pk in _by_preference(heads, worker, share):
        # A row that a person is holding or cancelling at this moment is skipped, not waited for.
        job = _ready().filter(pk=pk).select_for_update(skip_locked=True, of=("self",)).first()
        token = states.claim(job, worker) if job is not None else None
        if job is not None and token is not None:
            passed_over = 0 if pk == heads[0].pk else F("passed_over") + 1
            TeamShare.objects.filter(pk=share.pk).update(last_served_at=timezone.now(), passed_over=passed_over)
            return job, token
    return None


@dataclass(frozen=True, kw_only=True)
class Head:
    """A job near the head of its team's line."""

    pk: int
    footage_id: int
    failed_on: int | None
    """The worker that tried it last."""


def heads_of(team_id: int, able: Q) -> QuerySet[RenderJob, tuple[int, int, int | None, int, int, int]]:
    """Of the first jobs in a team's line: id, footage, last worker, priorities; and how many the team runs."""
    line = _in_line(_ready().filter(able, team=team_id)).annotate(running=_running_of(team_id))
    fields = ("pk", "footage_id", "worker_id", "priority", "team_priority", "running")
    return line.values_list(*fields)[:WINDOW]


def _heads(share: TeamShare, able: Q) -> tuple[list[Head], int]:
    """The jobs at the head of a team's line that nobody's word sets apart, oldest first; and how many it runs."""
    rows = list(heads_of(share.team_id, able))
    same = [row for row in rows if row[3:5] == rows[0][3:5]]
    return [Head(pk=row[0], footage_id=row[1], failed_on=row[2]) for row in same], rows[0][5] if rows else 0


def _by_preference(heads: list[Head], worker: WorkerNode, share: TeamShare) -> list[int]:
    """Ids of ``heads``, the one that suits ``worker`` best first.

    A job goes to another worker than the one that failed it, if there is one to choose from; then to a worker that has
    its footage at hand; then the oldest goes first. What was passed over :data:`PASSES` times goes first in any case.
    """
    if share.passed_over >= PASSES:
        return [head.pk for head in heads]
    warm = set(worker.warm)
    best = sorted(heads, key=lambda head: (head.failed_on == worker.pk, head.footage_id not in warm, head.pk))
    return [head.pk for head in best]


def top_up() -> int:
    """Enough tickets for the jobs that could start now; returns how many were added."""
    missing = tickets.MOST_WAITING - tickets.waiting()
    if missing < tickets.MOST_WAITING // 2:  # enough for now: most calls of a busy farm end here
        return 0
    teams = [share.team_id for share in teams_in_turn()[: tickets.MOST_WAITING] if share.rank is not None]
    could = _ready().filter(team__in=teams).order_by()[: tickets.MOST_WAITING].values("pk")
    found = min(len(could) + training.tickets_wanted(), tickets.MOST_WAITING)
    wanted = max(found - tickets.MOST_WAITING + missing, 0)
    for _ in range(wanted):
        tickets.wake_gpu()
    return wanted


def fail_refused(of: Footage | AudioTake | None = None) -> int:
    """Jobs (``of`` one footage or take) whose material was refused cannot be rendered: they fail with its code."""
    failed = 0
    waiting = RenderJob.objects.filter(state__in=[JobState.QUEUED, JobState.HELD])
    if of is not None:
        waiting = waiting.filter(footage=of) if isinstance(of, Footage) else waiting.filter(take=of)
    refused = waiting.filter(Q(footage__state=AnalysisState.REFUSED) | Q(take__state=AnalysisState.REFUSED))
    for job in refused.select_related("footage", "take"):
        inputs = (item for item in (job.footage, job.take) if item.state == AnalysisState.REFUSED)
        failed += states.refuse(job, next(inputs).error_code)
    return failed


def renew_analyses() -> int:
    """Footage that jobs or mouth models wait for is looked at again if its analysis is of no use to anybody.

    It is no longer kept, or was made by a version of the engine that no worker has any more.
    """
    wanted = RenderJob.objects.filter(state=JobState.QUEUED).order_by().values("footage")
    useless = Q(analysis=None)
    if engines := capabilities.live_engines():
        useless |= ~Q(analysis_engine__in=["", *engines])
    taught = MouthModel.objects.filter(state=AnalysisState.WAITING).values("footage")
    footage = Footage.objects.filter(useless, Q(pk__in=wanted) | Q(pk__in=taught), state__in=USABLE)
    return analysis.renew(footage, engines=engines or {ENGINE_VERSION})


def tidy() -> None:
    """Once a minute: what must not wait for ever, and looks at everything that waits."""
    fail_refused()
    renew_analyses()
    shareless = Team.objects.filter(pk__in=_QUEUED_TEAMS, share=None)
    for team in shareless:  # queued by a web process of an older version
        TeamShare.objects.get_or_create(team=team)


def reap() -> int:
    """Take back jobs whose lease is over, and top up tickets. Returns how many jobs were taken back.

    Runs every minute, after every ticket and when a board opens; any number of these may run at once. Costs little,
    however much waits.
    """
    lost = 0
    for job in RenderJob.objects.filter(state=JobState.RUNNING, lease_expires_at__lte=timezone.now()):
        lost += take_back(job)
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


def give_back_all(worker: WorkerNode) -> None:
    """What ``worker`` has claimed and does not work on waits again; the attempt does not count."""
    for job in RenderJob.objects.filter(state=JobState.RUNNING, worker=worker):
        if job.lease_token is not None:
            with suppress(states.LeaseLost):
                states.give_back(job, job.lease_token)


def forget_predecessor(worker: WorkerNode) -> int:
    """Take back what an earlier process of this worker's name still seems to run. Returns how many jobs."""
    return sum(take_back(job) for job in RenderJob.objects.filter(state=JobState.RUNNING, worker=worker))
