"""Cancelling, holding, releasing, putting first. Creators stop what they began; the rest is for managers."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, Model

from projects.access import includes, require
from projects.models import Project, Role, Team
from projects.services import audit
from rendering import states
from rendering.access import require_own_or_manager
from rendering.cells import CellKey
from rendering.layout import load_layout
from rendering.models import UNFINISHED, JobState, RenderBatch, RenderJob


def cancel_job(*, actor: User, job: RenderJob) -> None:
    """Stop a job: at once when it waits, within a second or so when it runs. A finished one stays as it is."""
    require_own_or_manager(actor, job.team, job.batch.created_by_id)
    _cancel([job], actor, job.team, job)


def cancel_batch(*, actor: User, batch: RenderBatch) -> int:
    """Stop what is unfinished of a batch; returns how many jobs that were."""
    require_own_or_manager(actor, batch.team, batch.created_by_id)
    return _cancel(batch.jobs.filter(state__in=UNFINISHED), actor, batch.team, batch)


def cancel_cells(*, actor: User, project: Project, cells: Iterable[CellKey] | None = None) -> int:
    """Stop what is unfinished in these cells, or on the whole board, as far as the actor may stop it."""
    role = require(actor, project.team, Role.CREATOR)
    jobs = RenderJob.objects.filter(deliverable__project=project, state__in=UNFINISHED).select_related("deliverable")
    if not includes(role, Role.MANAGER):
        jobs = jobs.filter(batch__created_by=actor)
    if cells is None:
        return _cancel(jobs, actor, project.team, project)
    wanted = set(cells)
    places = {cell.place for cell in load_layout(project).cells() if cell.key in wanted}
    rows = ((job, job.deliverable) for job in jobs)
    chosen = [job for job, row in rows if (row.presenter_id, row.script_id, row.language) in places]
    return _cancel(chosen, actor, project.team, project)


def _cancel(jobs: Iterable[RenderJob], actor: User, team: Team, subject: Model) -> int:
    with transaction.atomic():
        cancelled = sum(bool(states.request_cancel(job)) for job in jobs)
        if cancelled:
            audit.record(action="job.cancelled", actor=actor, team=team, subject=subject, jobs=cancelled)
    return cancelled


@transaction.atomic
def hold(*, actor: User, job: RenderJob) -> bool:
    """Keep a waiting job from starting until it is released. Returns whether it was waiting."""
    require_own_or_manager(actor, job.team, job.batch.created_by_id)
    held = bool(states.hold(job))
    if held:
        audit.record(action="job.held", actor=actor, team=job.team, subject=job)
    return held


@transaction.atomic
def release(*, actor: User, job: RenderJob) -> bool:
    """Let a held job go on waiting its turn. Returns whether it was held."""
    require_own_or_manager(actor, job.team, job.batch.created_by_id)
    released = bool(states.release(job))
    if released:
        audit.record(action="job.released", actor=actor, team=job.team, subject=job)
    return released


@transaction.atomic
def move_to_front(*, actor: User, job: RenderJob) -> bool:
    """Let a waiting job be the team's next one. Its colleagues' work waits for it, so managers decide that.

    Returns whether it was moved: not when it does not wait, or is first already.
    """
    require(actor, job.team, Role.MANAGER)
    others = RenderJob.objects.filter(team=job.team_id, state=JobState.QUEUED).exclude(pk=job.pk)
    first = others.aggregate(first=Max("team_priority"))["first"]
    moved = first is not None and first >= job.team_priority and states.prefer(job, first + 1)
    if moved:
        audit.record(action="job.moved_to_front", actor=actor, team=job.team, subject=job)
    return moved
