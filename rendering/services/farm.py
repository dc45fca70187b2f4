"""What operators do to workers, jobs and teams' shares. Everybody else gets ``Http404``.

Each act goes into the audit log with who did it and, if they gave one, the reason. An act that no longer fits (the job
has ended, the worker is paused already) raises ``no_such_act`` and changes nothing.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from projects.models import Team
from projects.problems import HeyGemError
from projects.services import audit
from rendering import queue, states
from rendering.access import require_operator
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode

REASON_LIMIT = 300
PRIORITIES = range(-100, 1001)
WEIGHTS = range(1, 101)
LIMITS = range(1, 1001)


def _why(reason: str) -> dict[str, Any]:
    return {"reason": reason.strip()[:REASON_LIMIT]} if reason.strip() else {}


def _require(*, happened: bool) -> None:
    if not happened:
        raise HeyGemError("no_such_act")


# Workers


@transaction.atomic
def set_worker_state(*, actor: User, worker: WorkerNode, state: WorkerNode.State, reason: str = "") -> None:
    """Pause, drain, quarantine or activate. What a worker runs now it finishes; it is given nothing more until active.

    Activating forgives what it has failed.
    """
    require_operator(actor)
    changes: dict[str, Any] = {"state": state}
    if state == WorkerNode.State.ACTIVE:
        changes["failures_in_row"] = 0
    _require(happened=bool(WorkerNode.objects.filter(pk=worker.pk).exclude(state=state).update(**changes)))
    audit.record(action=f"worker.{state.value}", actor=actor, label=worker.name, was=worker.state, **_why(reason))
    if state == WorkerNode.State.ACTIVE:
        queue.top_up()


# Jobs


@transaction.atomic
def hold_job(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Keep a waiting job from starting until it is released."""
    require_operator(actor)
    _require(happened=states.hold(job))
    audit.record(action="job.held", actor=actor, team=job.team, subject=job, **_why(reason))


@transaction.atomic
def release_job(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Let a held job go on waiting its turn."""
    require_operator(actor)
    _require(happened=states.release(job))
    audit.record(action="job.released", actor=actor, team=job.team, subject=job, **_why(reason))


@transaction.atomic
def cancel_job(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Stop a job: at once when it waits, within a second or so when it runs."""
    require_operator(actor)
    _require(happened=states.request_cancel(job))
    audit.record(action="job.cancelled", actor=actor, team=job.team, subject=job, jobs=1, **_why(reason))


@transaction.atomic
def set_priority(*, actor: User, job: RenderJob, priority: int, reason: str = "") -> None:
    """Another place in line for a waiting job: higher goes first, before every team's fair turn."""
    require_operator(actor)
    if priority not in PRIORITIES:
        raise HeyGemError("bad_share")
    _require(happened=states.prioritise(job, priority))
    told: dict[str, Any] = {"was": job.priority, "priority": priority, **_why(reason)}
    audit.record(action="job.prioritised", actor=actor, team=job.team, subject=job, **told)


def move_to_front(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Before everything that waits now."""
    require_operator(actor)
    waiting = RenderJob.objects.filter(state__in=[JobState.QUEUED, JobState.HELD]).exclude(pk=job.pk)
    highest = waiting.aggregate(highest=Max("priority"))["highest"]
    front = max(job.priority, 0 if highest is None else highest + 1)
    set_priority(actor=actor, job=job, priority=min(front, PRIORITIES[-1]), reason=reason)


@transaction.atomic
def retry_job(*, actor: User, job: RenderJob, reason: str = "") -> RenderJob:
    """A new job for one that failed or was cancelled, with the same footage, take and options."""
    require_operator(actor)
    again = states.retry(job)
    if again is None:
        raise HeyGemError("no_such_act")
    audit.record(action="job.retried", actor=actor, team=job.team, subject=again, of=job.public_id, **_why(reason))
    return again


# Teams


@transaction.atomic
def pause_team(*, actor: User, team: Team, reason: str = "") -> None:
    """Start nothing more of the team's; what runs is finished."""
    require_operator(actor)
    TeamShare.objects.get_or_create(team=team)
    paused = TeamShare.objects.filter(team=team, paused_at=None).update(paused_at=timezone.now())
    _require(happened=bool(paused))
    audit.record(action="team.paused", actor=actor, team=team, subject=team, **_why(reason))


@transaction.atomic
def resume_team(*, actor: User, team: Team, reason: str = "") -> None:
    require_operator(actor)
    _require(happened=bool(TeamShare.objects.filter(team=team).exclude(paused_at=None).update(paused_at=None)))
    audit.record(action="team.resumed", actor=actor, team=team, subject=team, **_why(reason))
    queue.top_up()


@transaction.atomic
def set_share(*, actor: User, team: Team, weight: int, max_running: int | None, reason: str = "") -> None:
    """How many turns the team gets for one of a team of weight 1, and how many of its jobs may run at once."""
    require_operator(actor)
    if weight not in WEIGHTS or (max_running is not None and max_running not in LIMITS):
        raise HeyGemError("bad_share")
    TeamShare.objects.update_or_create(team=team, defaults={"weight": weight, "max_running": max_running})
    told: dict[str, Any] = {"weight": weight, "max_running": max_running, **_why(reason)}
    audit.record(action="team.share_changed", actor=actor, team=team, subject=team, **told)
    queue.top_up()
