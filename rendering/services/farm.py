"""What operators do to workers, jobs and teams' shares. Everybody else gets ``Http404``.

Each act goes into the audit log with who did it and, if they gave one, the reason. An act that no longer fits (the job
has ended, the worker is paused already) raises ``no_such_act`` and changes nothing.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, Min, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from projects.models import MouthModel, Team, TeamBase
from projects.problems import HeyGemError
from projects.services import audit
from rendering import queue, states, workers
from rendering.access import require_operator
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode
from rendering.services import bases, mouths

REASON_LIMIT = 300
PRIORITIES = range(-100, 1001)
WEIGHTS = range(1, 101)
LIMITS = range(1, 1001)
ATTEMPTS = range(1, 21)
BACKOFFS = range(3601)


def why(reason: str) -> dict[str, Any]:
    return {"reason": reason.strip()[:REASON_LIMIT]} if reason.strip() else {}


def _require(*, happened: bool) -> None:
    if not happened:
        raise HeyGemError("no_such_act")


# Workers


def worker_subject(worker: WorkerNode) -> str:
    """What the audit log calls it, besides its name."""
    return f"worker/{worker.pk}"


@transaction.atomic
def set_worker_state(
    *, actor: User, worker: WorkerNode, state: WorkerNode.State, reason: str = "", at_once: bool = False
) -> None:
    """Pause, drain, stop, quarantine or activate. It is given nothing more until it is active.

    What it works on it finishes, unless ``at_once``: then that is given back, and the attempt does not count. One that
    is stopped also ends its engine, so that the device is free. Activating forgives what it has failed.
    """
    require_operator(actor)
    changes: dict[str, Any] = {"state": state}
    if state == WorkerNode.State.ACTIVE:
        changes |= {"failures_in_row": 0, "asked": WorkerNode.Asked.NOTHING}
    elif state == WorkerNode.State.STOPPED:
        changes["asked"] = WorkerNode.Asked.RESTART_NOW if at_once else WorkerNode.Asked.RESTART
    elif at_once and worker.busy_since is not None:
        changes["asked"] = WorkerNode.Asked.HAND_BACK
    fits = Q() if at_once and worker.busy_since is not None else ~Q(state=state)
    _require(happened=bool(WorkerNode.objects.filter(fits, pk=worker.pk).update(**changes)))
    told: dict[str, Any] = {"was": worker.state, **(_taken_from(worker) if at_once else {}), **why(reason)}
    audit.record(action=f"worker.{state.value}", actor=actor, subject=worker_subject(worker), label=worker.name, **told)
    if state == WorkerNode.State.ACTIVE:
        queue.top_up()


@transaction.atomic
def restart_worker(*, actor: User, worker: WorkerNode, reason: str = "", at_once: bool = False) -> None:
    """A new process and a new engine, when it has done what it works on or ``at_once``, which gives that back."""
    require_operator(actor)
    asked = WorkerNode.Asked.RESTART_NOW if at_once else WorkerNode.Asked.RESTART
    alive = workers.is_heard(worker)
    _require(happened=alive and bool(WorkerNode.objects.filter(pk=worker.pk).exclude(asked=asked).update(asked=asked)))
    told = {**(_taken_from(worker) if at_once else {}), **why(reason)}
    audit.record(action="worker.restarted", actor=actor, subject=worker_subject(worker), label=worker.name, **told)


def _taken_from(worker: WorkerNode) -> dict[str, Any]:
    """Give back what it renders. Not left to the worker alone: it may hang."""
    running = RenderJob.objects.filter(worker=worker, state=JobState.RUNNING)
    return {"at_once": True, "given_back": sum(states.requeue(job) for job in running)}


# Jobs


@transaction.atomic
def hold_job(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Keep a waiting job from starting until it is released."""
    require_operator(actor)
    _require(happened=states.hold(job))
    audit.record(action="job.held", actor=actor, team=job.team, subject=job, **why(reason))


@transaction.atomic
def release_job(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Let a held job go on waiting its turn."""
    require_operator(actor)
    _require(happened=states.release(job))
    audit.record(action="job.released", actor=actor, team=job.team, subject=job, **why(reason))


@transaction.atomic
def cancel_job(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Stop a job: at once when it waits, within a second or so when it runs."""
    require_operator(actor)
    _require(happened=states.request_cancel(job))
    audit.record(action="job.cancelled", actor=actor, team=job.team, subject=job, jobs=1, **why(reason))


@transaction.atomic
def requeue_job(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Take a running job from its worker at once; another one takes it, if there is one. The attempt does not count."""
    require_operator(actor)
    _require(happened=states.requeue(job))
    worker = job.worker.name if job.worker else ""
    audit.record(action="job.requeued", actor=actor, team=job.team, subject=job, worker=worker, **why(reason))


@transaction.atomic
def set_priority(*, actor: User, job: RenderJob, priority: int, reason: str = "") -> None:
    """Another place in line for a waiting job: higher goes first, before every team's fair turn."""
    require_operator(actor)
    if priority not in PRIORITIES:
        raise HeyGemError("bad_share")
    _require(happened=states.prioritise(job, priority))
    told: dict[str, Any] = {"was": job.priority, "priority": priority, **why(reason)}
    audit.record(action="job.prioritised", actor=actor, team=job.team, subject=job, **told)


def move_to_front(*, actor: User, job: RenderJob, reason: str = "") -> None:
    """Before everything that waits now."""
    require_operator(actor)
    front = max(job.priority, front_of(~Q(pk=job.pk)) - team_priority(job.team_id))
    set_priority(actor=actor, job=job, priority=min(front, PRIORITIES[-1]), reason=reason)


def front_of(others: Q) -> int:
    """The priority, with its team's added, that goes before everything of ``others`` that waits now; 0 if nothing does.

    Whatever a job's own priority, it goes by the sum (see ``queue``).
    """
    waiting = RenderJob.objects.filter(others, state__in=[JobState.QUEUED, JobState.HELD]).order_by()
    highest = waiting.values("team").annotate(highest=Max("priority") + Coalesce(Max("team__share__priority"), 0))
    return max((row["highest"] + 1 for row in highest), default=0)


def team_priority(team_id: int) -> int:
    return TeamShare.objects.filter(team=team_id).values_list("priority", flat=True).first() or 0


@transaction.atomic
def retry_job(*, actor: User, job: RenderJob, reason: str = "") -> RenderJob:
    """A new job for one that failed or was cancelled, with the same footage, take and options."""
    require_operator(actor)
    again = states.retry(job)
    if again is None:
        raise HeyGemError("no_such_act")
    audit.record(action="job.retried", actor=actor, team=job.team, subject=again, of=job.public_id, **why(reason))
    return again


# What is being learnt


@transaction.atomic
def stop_mouths(*, actor: User, model: MouthModel, reason: str = "") -> None:
    """Stop learning a mouth model: it does not begin again by itself. The team reads the reason."""
    require_operator(actor)
    told = why(reason)
    only = MouthModel.objects.filter(pk=model.pk)
    _require(happened=bool(mouths.stop(only, mouths.BY_OPERATOR, reason=told.get("reason", ""))))
    team, label = model.footage.presenter.team, model.footage.name
    audit.record(action="mouths.cancelled", actor=actor, team=team, subject=model, label=label, **told)


@transaction.atomic
def stop_base(*, actor: User, base: TeamBase, reason: str = "") -> None:
    """Stop learning from a team's footage, until there is more of it or somebody asks. The team reads the reason."""
    require_operator(actor)
    told = why(reason)
    only = TeamBase.objects.filter(pk=base.pk)
    _require(happened=bool(bases.stop(only, mouths.BY_OPERATOR, reason=told.get("reason", ""))))
    audit.record(action="base.cancelled", actor=actor, team=base.team, subject=base, label=base.team.name, **told)


# Teams


@transaction.atomic
def pause_team(*, actor: User, team: Team, reason: str = "") -> None:
    """Start nothing more of the team's; what runs is finished."""
    require_operator(actor)
    TeamShare.objects.get_or_create(team=team)
    paused = TeamShare.objects.filter(team=team, paused_at=None).update(paused_at=timezone.now())
    _require(happened=bool(paused))
    audit.record(action="team.paused", actor=actor, team=team, subject=team, **why(reason))


@transaction.atomic
def resume_team(*, actor: User, team: Team, reason: str = "") -> None:
    require_operator(actor)
    _require(happened=bool(TeamShare.objects.filter(team=team).exclude(paused_at=None).update(paused_at=None)))
    audit.record(action="team.resumed", actor=actor, team=team, subject=team, **why(reason))
    queue.top_up()


@transaction.atomic
def set_share(*, actor: User, team: Team, weight: int, max_running: int | None, reason: str = "") -> None:
    """How many turns the team gets for one of a team of weight 1, and how many of its jobs may run at once."""
    require_operator(actor)
    if weight not in WEIGHTS or (max_running is not None and max_running not in LIMITS):
        raise HeyGemError("bad_share")
    _write_share(actor, team, "team.share_changed", {"weight": weight, "max_running": max_running}, reason)
    queue.top_up()


@transaction.atomic
def set_team_priority(*, actor: User, team: Team, priority: int, reason: str = "") -> None:
    """Before the fair turns of the teams: it is added to the priority of each of the team's jobs."""
    require_operator(actor)
    if priority not in PRIORITIES:
        raise HeyGemError("bad_share")
    _require(happened=priority != team_priority(team.pk))
    _write_share(actor, team, "team.prioritised", {"priority": priority}, reason)


def move_team_to_front(*, actor: User, team: Team, reason: str = "") -> None:
    """The team's waiting jobs go before everything of all others that waits now."""
    require_operator(actor)
    own = RenderJob.objects.filter(team=team, state__in=[JobState.QUEUED, JobState.HELD])
    lowest = own.aggregate(lowest=Min("priority"))["lowest"]
    _require(happened=lowest is not None)
    front = max(team_priority(team.pk), front_of(~Q(team=team)) - lowest)
    set_team_priority(actor=actor, team=team, priority=min(front, PRIORITIES[-1]), reason=reason)


@transaction.atomic
def set_retry_policy(
    *, actor: User, team: Team, max_attempts: int | None, backoff_seconds: int | None, reason: str = ""
) -> None:
    """How often a job is tried, and how long it rests after the first failed try; None: as the installation says.

    The number of tries is that of jobs ordered from now on; the rest is that of every failure from now on.
    """
    require_operator(actor)
    if (max_attempts is not None and max_attempts not in ATTEMPTS) or (
        backoff_seconds is not None and backoff_seconds not in BACKOFFS
    ):
        raise HeyGemError("bad_retry_policy")
    policy = {"max_attempts": max_attempts, "backoff_seconds": backoff_seconds}
    _write_share(actor, team, "team.retry_policy_changed", policy, reason)


def _write_share(actor: User, team: Team, action: str, fields: dict[str, Any], reason: str) -> None:
    share, _ = TeamShare.objects.get_or_create(team=team)
    was = {name: getattr(share, name) for name in fields}
    TeamShare.objects.filter(pk=share.pk).update(**fields)
    audit.record(action=action, actor=actor, team=team, subject=team, was=was, **fields, **why(reason))
