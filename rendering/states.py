"""The only writer of ``RenderJob.state``.

Every change is a conditional UPDATE: it names the state (and, while running, the lease's token) that it starts from,
and looks at the row count. No row means that somebody got there first. Every change bumps the job's ``revision`` and
the board's (:func:`touch`), in one transaction, the board's row first: that is the lock that orders changes. The one
exception is :func:`claim`, which is called while other rows are locked and leaves the touch to its caller.
A job that begins to wait wakes a machine in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, OuterRef, Q, Subquery
from django.utils import timezone

from projects.models import AudioTake, Footage, MediaBlob, MouthModel, TeamBase
from rendering import events
from rendering.models import (
    UNFINISHED,
    Board,
    Deliverable,
    JobState,
    RenderAttempt,
    RenderBatch,
    RenderJob,
    RenderVersion,
    TeamShare,
    WorkerNode,
    ability,
    drawn_with,
)
from rendering.retries import policy_of
from rendering.tickets import wake_gpu

Kind = Literal["permanent", "transient", "suspect"]
"""permanent: never tried again. transient: again after a back-off. suspect: the same, and the machine is doubted."""

WORKER_LOST = "worker_lost"
LOG_LIMIT = 20_000
"""Characters of an attempt's log that are kept, from its end."""


class LeaseLost(Exception):  # noqa: N818 - an event, not an error of anybody's
    """The job belongs to somebody else by now: stop and write nothing."""


class CancelRequested(Exception):  # noqa: N818 - the same
    """A person asked for the job to be stopped."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a worker hands in: the stored video, and what is known about it."""

    video: MediaBlob
    poster: MediaBlob | None
    engine: str
    tier: str
    width: int
    height: int
    fps: float
    duration_s: float
    quality: dict[str, Any]
    seconds: dict[str, float]
    base: str = ""
    """Identity of the team's own base model that was used; empty: the built-in one."""
    weights: str = ""
    """Identity of the operator's checkpoint that drew the mouths; empty: none did."""
    tracker: str = ""
    """Which had followed the face; empty: the bundled one."""
    mouths: str = ""
    """Identity of the presenter's own network that drew them; empty: it did not."""
    drawn_by: str = ""
    """Back end that really drew them; empty: the one that the options name."""
    instead: str = ""
    """Code of why that is not the one that was asked for; empty: it is."""
    fingerprint: str = ""
    """Of what was used, where that is not what the job asked for; empty: the job's."""


def touch(deliverable_id: int) -> None:
    """Give the cell the board's next revision, if it still exists. Holds the board's row until the transaction ends."""
    boards = Board.objects.filter(project__deliverables=deliverable_id)
    while not boards.update(revision=F("revision") + 1):
        cell = Deliverable.objects.filter(pk=deliverable_id).first()
        if cell is None:
            return
        Board.objects.get_or_create(project_id=cell.project_id)
    current = Board.objects.filter(project=OuterRef("project")).values("revision")
    Deliverable.objects.filter(pk=deliverable_id).update(revision=Subquery(current))


def _change(job: RenderJob, start: Q, **changes: Any) -> bool:
    """Move ``job`` if it is still where ``start`` says. False: somebody got there first."""
    touch(job.deliverable_id)
    changed = bool(RenderJob.objects.filter(start, pk=job.pk).update(revision=F("revision") + 1, **changes))
    if changed and changes.get("state") in (JobState.FAILED, JobState.CANCELLED):
        events.job_ended(job, changes["state"])  # one that succeeded is told with its version
    return changed


def _held_by(token: UUID | None) -> Q:
    return Q(state=JobState.RUNNING, lease_token=token)


def _freed(state: JobState, **more: Any) -> dict[str, Any]:
    """The columns of a job that nobody runs any more."""
    return {"state": state, "lease_token": None, "lease_expires_at": None, **more}


def _end_attempt(job: RenderJob, outcome: RenderAttempt.Outcome, *, code: str = "") -> None:
    RenderAttempt.objects.filter(job=job, outcome=RenderAttempt.Outcome.RUNNING).update(
        outcome=outcome, error_code=code, ended_at=timezone.now()
    )


# What people do


@transaction.atomic
def enqueue(
    *,
    batch: RenderBatch,
    deliverable: Deliverable,
    footage: Footage,
    take: AudioTake,
    fingerprint: str,
    base: TeamBase | None = None,
    mouths: MouthModel | None = None,
    priority: int = 0,
    held: bool = False,
    retry_of: RenderJob | None = None,
) -> RenderJob | None:
    """A new job, QUEUED or HELD. None: the cell has unfinished work."""
    touch(deliverable.pk)
    if RenderJob.objects.filter(deliverable=deliverable, state__in=UNFINISHED).exists():
        return None
    TeamShare.objects.get_or_create(team_id=batch.team_id)  # the queue chooses among these
    if not held:
        wake_gpu()
    if retry_of is not None:
        events.job_tried_again(batch)
    return RenderJob.objects.create(
        batch=batch,
        team_id=batch.team_id,
        deliverable=deliverable,
        footage=footage,
        take=take,
        fingerprint=fingerprint,
        base=base,
        mouths=mouths,
        backend=ability(drawn_with(batch.preset, automatic=batch.automatic, has_mouths=mouths is not None)),
        priority=priority,
        retry_of=retry_of,
        max_attempts=policy_of(batch.team_id).max_attempts,
        state=JobState.HELD if held else JobState.QUEUED,
        revision=1,
    )


def retry(job: RenderJob, *, batch: RenderBatch | None = None) -> RenderJob | None:
    """A new job for what failed or was cancelled (final states never change). None: it did not, or is under way."""
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        return None
    return enqueue(
        batch=batch or job.batch,
        deliverable=job.deliverable,
        footage=job.footage,
        take=job.take,
        fingerprint=job.fingerprint,
        base=job.base,
        mouths=job.mouths,
        priority=job.priority,
        retry_of=job,
    )


@transaction.atomic
def succeed_at_once(job: RenderJob, known: RenderVersion) -> RenderVersion | None:
    """The video exists already, made from the same bytes with the same options: a waiting job is done for free."""
    waiting = Q(state__in=[JobState.QUEUED, JobState.HELD])
    if not _change(job, waiting, state=JobState.SUCCEEDED, progress=100, finished_at=timezone.now()):
        return None
    made = ("video", "poster", "width", "height", "fps", "duration_s")
    drawn = ("base", "weights", "mouths", "drawn_by", "instead")
    same = (*made, *drawn, "engine", "tier", "quality", "seconds", "tracker")
    return _add_version_of(job, {name: getattr(known, name) for name in same})


@transaction.atomic
def hold(job: RenderJob) -> bool:
    return _change(job, Q(state=JobState.QUEUED), state=JobState.HELD)


@transaction.atomic
def release(job: RenderJob) -> bool:
    released = _change(job, Q(state=JobState.HELD), state=JobState.QUEUED)
    if released:
        wake_gpu()
    return released


@transaction.atomic
def prioritise(job: RenderJob, priority: int) -> bool:
    """Another place in line for a job that waits: higher goes first, before all teams' jobs with less."""
    waiting = Q(state__in=[JobState.QUEUED, JobState.HELD])
    return _change(job, waiting & ~Q(priority=priority), priority=priority)


@transaction.atomic
def prefer(job: RenderJob, team_priority: int) -> bool:
    """Another place among the team's own waiting jobs: higher goes first. Other teams' turns stay as they are."""
    waiting = Q(state__in=[JobState.QUEUED, JobState.HELD])
    return _change(job, waiting & ~Q(team_priority=team_priority), team_priority=team_priority)


@transaction.atomic
def request_cancel(job: RenderJob) -> bool:
    """Cancel unfinished work: at once when it waits, within about a second when it runs. False: it is finished."""
    now = timezone.now()
    waiting = Q(state__in=[JobState.QUEUED, JobState.HELD])
    if _change(job, waiting, state=JobState.CANCELLED, cancel_requested_at=now, finished_at=now):
        return True
    return _change(job, Q(state=JobState.RUNNING, cancel_requested_at=None), cancel_requested_at=now) or (
        RenderJob.objects.filter(pk=job.pk, state=JobState.RUNNING).exists()
    )


@transaction.atomic
def requeue(job: RenderJob) -> bool:
    """Take a running job from its worker, which notices in a second: it waits again, and the attempt does not count.

    False: it does not run any more, or is being cancelled.
    """
    return _returned(job, Q(state=JobState.RUNNING, cancel_requested_at=None))


# What workers do


def claim(job: RenderJob, worker: WorkerNode) -> UUID | None:
    """Start an attempt: the lease's token, or None when somebody got there first.

    Only ``queue.claim_next`` calls this; it touches the board afterwards, outside the transaction that locks the queue.
    """
    now = timezone.now()
    token = uuid4()
    claimed = RenderJob.objects.filter(
        pk=job.pk, state=JobState.QUEUED, cancel_requested_at=None, attempts__lt=F("max_attempts")
    ).update(
        state=JobState.RUNNING,
        attempts=F("attempts") + 1,
        worker=worker,
        lease_token=token,
        lease_expires_at=now + timedelta(seconds=settings.LEASE_SECONDS),
        stage="",
        progress=0,
        error_code="",
        error_detail="",
        started_at=now,
        revision=F("revision") + 1,
    )
    if not claimed:
        return None
    last = RenderAttempt.objects.filter(job=job).aggregate(last=Max("number"))["last"] or 0
    RenderAttempt.objects.create(job=job, number=last + 1, worker=worker, started_at=now)
    return token


def check(job: RenderJob, token: UUID) -> tuple[str, int]:
    """Stage and percent as last written. Raises :class:`LeaseLost` or :class:`CancelRequested`; writes nothing."""
    row = (
        RenderJob.objects.filter(_held_by(token), pk=job.pk)
        .values_list("stage", "progress", "cancel_requested_at")
        .first()
    )
    if row is None:
        raise LeaseLost
    if row[2] is not None:
        raise CancelRequested
    return row[0], row[1]


@transaction.atomic
def report(job: RenderJob, token: UUID, stage: str, percent: int) -> None:
    """Real progress was made: write it and extend the lease. Raises like :func:`check`."""
    expires: dict[str, datetime] = {"lease_expires_at": timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)}
    if check(job, token) == (stage, percent):  # nothing that a page would show
        changed = bool(RenderJob.objects.filter(_held_by(token), pk=job.pk).update(**expires))
    else:
        changed = _change(job, _held_by(token), stage=stage, progress=percent, **expires)
    if not changed:
        raise LeaseLost


@transaction.atomic
def succeed(job: RenderJob, token: UUID, finished: Finished) -> RenderVersion:
    """The job is done and its cell has a new version. Raises :class:`LeaseLost` for a late finisher."""
    start = _held_by(token) & Q(cancel_requested_at=None)
    now = timezone.now()
    if not _change(job, start, **_freed(JobState.SUCCEEDED, stage="", progress=100, finished_at=now)):
        check(job, token)
        raise LeaseLost
    _end_attempt(job, RenderAttempt.Outcome.SUCCEEDED)
    return _add_version_of(job, {field.name: getattr(finished, field.name) for field in fields(finished)})


def _add_version_of(job: RenderJob, made: dict[str, Any]) -> RenderVersion:
    """The cell's next version; its first one is published by itself. The board is locked: numbers cannot collide."""
    last = RenderVersion.objects.filter(deliverable=job.deliverable_id).aggregate(last=Max("number"))["last"] or 0
    version = RenderVersion.objects.create(
        deliverable_id=job.deliverable_id,
        number=last + 1,
        job=job,
        created_by_id=job.batch.created_by_id,
        footage_id=job.footage_id,
        take_id=job.take_id,
        preset=job.options,
        **{**made, "fingerprint": made.get("fingerprint") or job.fingerprint},
    )
    first = Deliverable.objects.filter(pk=job.deliverable_id, published=None).update(published=version)
    events.version_created(version, team_id=job.team_id)
    if first:
        events.version_published(version, team_id=job.team_id)
    events.job_ended(job, JobState.SUCCEEDED)
    return version


@transaction.atomic
def fail(job: RenderJob, token: UUID, code: str, *, kind: Kind = "permanent", detail: str = "") -> JobState:
    """An attempt failed: FAILED, or QUEUED after a back-off. Returns the new state; raises :class:`LeaseLost`."""
    return _failed(job, _held_by(token), RenderAttempt.Outcome.FAILED, code, kind, detail)


@transaction.atomic
def lose(job: RenderJob) -> JobState | None:
    """The lease that ``job`` was read with is over. None: there was progress, or an end, since it was read."""
    start = _held_by(job.lease_token) & Q(lease_expires_at=job.lease_expires_at)
    try:
        return _failed(job, start, RenderAttempt.Outcome.LOST, WORKER_LOST, "suspect", "")
    except LeaseLost:
        return None


def _failed(job: RenderJob, start: Q, outcome: RenderAttempt.Outcome, code: str, kind: Kind, detail: str) -> JobState:
    """One end of an attempt: cancelled if that was asked for, again if it may be, failed otherwise."""
    now = timezone.now()
    told = {"error_code": code, "error_detail": detail[-LOG_LIMIT:]}
    ended = {"finished_at": now}
    again = Q(attempts__lt=F("max_attempts")) if kind != "permanent" else Q(pk__in=[])
    wanted = Q(cancel_requested_at=None)
    later = now + policy_of(job.team_id).rest(job.attempts)
    if _change(job, start & ~wanted, **_freed(JobState.CANCELLED, **ended)):
        state, outcome = JobState.CANCELLED, RenderAttempt.Outcome.CANCELLED
    elif _change(
        job,
        start & wanted & again,
        **_freed(JobState.QUEUED, stage="", progress=0, not_before=later, **told),
    ):
        state = JobState.QUEUED
        wake_gpu(later)
    elif _change(job, start & wanted, **_freed(JobState.FAILED, stage="", **told, **ended)):
        state = JobState.FAILED
    else:
        raise LeaseLost
    _end_attempt(job, outcome, code=code)
    return state


@transaction.atomic
def cancelled(job: RenderJob, token: UUID) -> None:
    """The worker obeyed a cancel. Raises :class:`LeaseLost`."""
    if not _change(job, _held_by(token), **_freed(JobState.CANCELLED, stage="", finished_at=timezone.now())):
        raise LeaseLost
    _end_attempt(job, RenderAttempt.Outcome.CANCELLED)


@transaction.atomic
def give_back(job: RenderJob, token: UUID) -> None:
    """The worker was told to stop: the job waits again and the attempt does not count. Raises :class:`LeaseLost`."""
    if not _returned(job, _held_by(token) & Q(cancel_requested_at=None)):
        cancelled(job, token)


def _returned(job: RenderJob, start: Q) -> bool:
    waits = _freed(JobState.QUEUED, stage="", progress=0, attempts=F("attempts") - 1)
    if not _change(job, start, **waits):
        return False
    _end_attempt(job, RenderAttempt.Outcome.RETURNED)
    wake_gpu()
    return True


def write_log(job: RenderJob, worker: WorkerNode, text: str, end: int) -> None:
    """The end of the log of the attempt that ``worker`` is at; ``end`` counts all characters ever written to it."""
    mine = RenderAttempt.objects.filter(job=job, worker=worker, outcome=RenderAttempt.Outcome.RUNNING)
    mine.update(log=text[-LOG_LIMIT:], log_end=end)


@transaction.atomic
def refuse(job: RenderJob, code: str) -> bool:
    """The footage or the take of a waiting job cannot be used."""
    waiting = Q(state__in=[JobState.QUEUED, JobState.HELD])
    return _change(job, waiting, state=JobState.FAILED, error_code=code, finished_at=timezone.now())
