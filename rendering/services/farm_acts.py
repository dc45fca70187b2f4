"""Operators' acts by the names that pages and programs send. An unknown one raises ``no_such_act``."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import User

from projects.models import MouthModel, Team, TeamBase
from projects.problems import HeyGemError
from rendering.models import RenderJob, WorkerNode
from rendering.services import farm, farm_many
from rendering.services.farm_many import Told

WORKER_STATES = {
    "activate": WorkerNode.State.ACTIVE,
    "pause": WorkerNode.State.PAUSED,
    "drain": WorkerNode.State.DRAINING,
    "quarantine": WorkerNode.State.QUARANTINED,
    "stop": WorkerNode.State.STOPPED,
}
WORKER_ACTS = (*WORKER_STATES, "restart")
JOBS: dict[str, Callable[..., object]] = {
    "hold": farm.hold_job,
    "release": farm.release_job,
    "cancel": farm.cancel_job,
    "requeue": farm.requeue_job,
    "front": farm.move_to_front,
    "retry": farm.retry_job,
}
JOB_ACTS = (*JOBS, "priority")
LEARNING_ACTS = ("cancel",)
TEAMS: dict[str, Callable[..., object]] = {
    "pause": farm.pause_team,
    "resume": farm.resume_team,
    "front": farm.move_team_to_front,
}
TEAMS_WORK = ("cancel", "requeue", "release")
TEAM_ACTS = (*TEAMS, "priority", *TEAMS_WORK)


def act_on_worker(*, actor: User, worker: WorkerNode, act: str, at_once: bool = False, reason: str = "") -> None:
    """``at_once``: what it works on is given back rather than finished."""
    if act == "restart":
        farm.restart_worker(actor=actor, worker=worker, reason=reason, at_once=at_once)
    elif act in WORKER_STATES:
        state = WORKER_STATES[act]
        farm.set_worker_state(actor=actor, worker=worker, state=state, reason=reason, at_once=at_once)
    else:
        raise HeyGemError("no_such_act")


def act_on_job(*, actor: User, job: RenderJob, act: str, priority: int = 0, reason: str = "") -> None:
    """``priority`` belongs to the act of that name."""
    if act == "priority":
        farm.set_priority(actor=actor, job=job, priority=priority, reason=reason)
    elif act in JOBS:
        JOBS[act](actor=actor, job=job, reason=reason)
    else:
        raise HeyGemError("no_such_act")


def act_on_mouths(*, actor: User, model: MouthModel, act: str, reason: str = "") -> None:
    """What a machine learns of one presenter, or would."""
    _only_learning(act)
    farm.stop_mouths(actor=actor, model=model, reason=reason)


def act_on_base(*, actor: User, base: TeamBase, act: str, reason: str = "") -> None:
    """What a machine learns of all of a team's presenters, or would."""
    _only_learning(act)
    farm.stop_base(actor=actor, base=base, reason=reason)


def _only_learning(act: str) -> None:
    if act not in LEARNING_ACTS:
        raise HeyGemError("no_such_act")


def act_on_team(*, actor: User, team: Team, act: str, priority: int = 0, reason: str = "") -> Told | None:
    """With the number of jobs for an act on all of the team's work."""
    if act in TEAMS_WORK:
        return farm_many.act_on_team(actor=actor, team=team, act=act, reason=reason)
    if act == "priority":
        farm.set_team_priority(actor=actor, team=team, priority=priority, reason=reason)
    elif act in TEAMS:
        TEAMS[act](actor=actor, team=team, reason=reason)
    else:
        raise HeyGemError("no_such_act")
    return None
