"""What operators do to many jobs at once: those they have ticked, a batch, all of a team. See ``farm`` for single ones.

What an act does not fit (a job that has ended meanwhile) is passed over; when it fits nothing it raises
``nothing_chosen``. Ticked jobs get a line each in the audit log, a batch or a team one line with the number of jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from projects.models import MouthModel, Team, TeamBase
from projects.problems import HeyGemError
from projects.services import audit
from rendering import states
from rendering.access import require_operator
from rendering.models import UNFINISHED, JobState, RenderBatch, RenderJob
from rendering.services import bases, mouths
from rendering.services.farm import PRIORITIES, front_of, team_priority, why

MOST = 1000
"""Jobs that one press changes: each is moved by itself, with its board and its webhooks."""
WAITING = (JobState.QUEUED, JobState.HELD)


@dataclass(frozen=True, kw_only=True)
class Told:
    done: int
    """Jobs, and trainings with all of a team's work, that were changed."""
    left: int
    """What the act would still fit, beyond :data:`MOST`."""


@dataclass(frozen=True)
class _Act:
    verb: str
    fits: tuple[JobState, ...]
    do: Callable[[RenderJob, int], bool]
    """With the priority that was asked for; whether it happened."""


ACTS = {
    "cancel": _Act("cancelled", UNFINISHED, lambda job, _: states.request_cancel(job)),
    "requeue": _Act("requeued", (JobState.RUNNING,), lambda job, _: states.requeue(job)),
    "hold": _Act("held", (JobState.QUEUED,), lambda job, _: states.hold(job)),
    "release": _Act("released", (JobState.HELD,), lambda job, _: states.release(job)),
    "front": _Act("prioritised", WAITING, states.prioritise),
    "priority": _Act("prioritised", WAITING, states.prioritise),
    "retry": _Act("retried", (JobState.FAILED, JobState.CANCELLED), lambda job, _: states.retry(job) is not None),
}


@transaction.atomic
def act_on_jobs(*, actor: User, jobs: Sequence[str], act: str, reason: str = "", priority: int = 0) -> Told:
    """``jobs``: public ids; ``act``: one of :data:`ACTS`; ``priority`` belongs to the act of that name."""
    chosen = RenderJob.objects.filter(public_id__in=jobs[:MOST])
    done, left = _act(actor, chosen, Q(public_id__in=jobs[:MOST]), act, priority)
    for job in done:
        audit.record(action=f"job.{ACTS[act].verb}", actor=actor, team=job.team, subject=job, **why(reason))
    return Told(done=len(done), left=left)


@transaction.atomic
def act_on_batch(*, actor: User, batch: RenderBatch, act: str, reason: str = "", priority: int = 0) -> Told:
    """The same to all jobs of a batch that it fits."""
    done, left = _act(actor, RenderJob.objects.filter(batch=batch, retries=None), Q(batch=batch), act, priority)
    verb = ACTS[act].verb
    told: dict[str, Any] = {"jobs": len(done), **({"priority": done[0].priority} if verb == "prioritised" else {})}
    audit.record(action=f"batch.{verb}", actor=actor, team=batch.team, subject=batch, **told, **why(reason))
    return Told(done=len(done), left=left)


@transaction.atomic
def act_on_team(*, actor: User, team: Team, act: str, reason: str = "") -> Told:
    """Cancel, requeue or release all of a team's work; cancelling stops what is learnt of its footage, too.

    What else an operator does to a team is in ``farm``.
    """
    if act not in ("cancel", "requeue", "release"):
        raise HeyGemError("no_such_act")
    require_operator(actor)
    stopped = _stop_learning(team, reason) if act == "cancel" else 0
    done, left = _act(actor, RenderJob.objects.filter(team=team), Q(team=team), act, 0, may_be_none=bool(stopped))
    told: dict[str, Any] = {"jobs": len(done), **({"trainings": stopped} if stopped else {}), **why(reason)}
    audit.record(action=f"team.work_{ACTS[act].verb}", actor=actor, team=team, subject=team, **told)
    return Told(done=len(done) + stopped, left=left)


def _stop_learning(team: Team, reason: str) -> int:
    """End what is learnt of the team's footage; it reads the reason. Returns how many trainings that were."""
    said = why(reason).get("reason", "")
    models = MouthModel.objects.filter(footage__presenter__team=team)
    stopped = mouths.stop(models, mouths.BY_OPERATOR, reason=said)
    return stopped + bases.stop(TeamBase.objects.filter(team=team), mouths.BY_OPERATOR, reason=said)


def _act(
    actor: User, jobs: QuerySet[RenderJob], mine: Q, act: str, priority: int, *, may_be_none: bool = False
) -> tuple[list[RenderJob], int]:
    """The jobs that were changed, and how many more there are."""
    require_operator(actor)
    if act not in ACTS:
        raise HeyGemError("no_such_act")
    if priority not in PRIORITIES:
        raise HeyGemError("bad_share")
    fitting = jobs.filter(state__in=ACTS[act].fits).order_by("pk")
    if act == "cancel":
        fitting = fitting.filter(cancel_requested_at=None)
    total = fitting.count()
    chosen = list(fitting.select_related("team", "batch", "deliverable__presenter", "deliverable__script")[:MOST])
    if act == "front":
        priority = _front(chosen, mine)
    done = []
    for job in chosen:
        if ACTS[act].do(job, priority):
            job.priority = priority if ACTS[act].verb == "prioritised" else job.priority
            done.append(job)
    if not done and not may_be_none:
        raise HeyGemError("nothing_chosen")
    return done, total - len(chosen)


def _front(chosen: Iterable[RenderJob], mine: Q) -> int:
    """One priority for all of them, so that they keep their order: before everything else that waits."""
    lowest = min((team_priority(team) for team in {job.team_id for job in chosen}), default=0)
    return max(0, min(front_of(~mine) - lowest, PRIORITIES[-1]))
