"""Who may see and do what with cells, versions, work and ZIPs: each belongs to a team, and ``projects.access`` decides.

Strangers get ``Http404``, members with too small a role ``HeyGemError('not_allowed')``.
"""

from __future__ import annotations

from typing import TypeVar

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import Http404

from projects.access import AnyUser, carried_by, includes, require, role_of
from projects.models import MouthModel, Role, Team, TeamBase
from projects.problems import HeyGemError
from rendering.models import Deliverable, Export, Preset, RenderBatch, RenderJob, RenderVersion, WorkerNode

M = TypeVar("M", bound=Model)


def _find(queryset: QuerySet[M], public_id: str) -> M:
    found = queryset.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def get_deliverable_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Deliverable:
    deliverable = _find(Deliverable.objects.select_related("project__team", "presenter", "script"), public_id)
    require(user, deliverable.project.team, need)
    return deliverable


def get_version_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> RenderVersion:
    versions = RenderVersion.objects.select_related(
        "deliverable__project__team", "deliverable__presenter", "deliverable__script", "video", "poster", "created_by"
    )
    version = _find(versions, public_id)
    require(user, version.deliverable.project.team, need)
    return version


def get_batch_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> RenderBatch:
    batch = _find(RenderBatch.objects.select_related("team", "project__team", "created_by"), public_id)
    require(user, batch.team, need)
    return batch


def get_job_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> RenderJob:
    jobs = RenderJob.objects.select_related(
        "team", "batch", "deliverable__project__team", "deliverable__presenter", "deliverable__script"
    )
    job = _find(jobs, public_id)
    require(user, job.team, need)
    return job


def get_export_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Export:
    export = _find(Export.objects.select_related("team", "project__team", "created_by", "blob"), public_id)
    require(user, export.team, need)
    return export


def get_mouths_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> MouthModel:
    models = MouthModel.objects.select_related("footage__presenter__team", "created_by", "picture", "initial")
    model = _find(models, public_id)
    require(user, model.footage.presenter.team, need)
    return model


def get_preset_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Preset:
    preset = _find(Preset.objects.select_related("team"), public_id)
    require(user, preset.team, need)
    return preset


def require_operator(user: AnyUser) -> None:
    """The farm belongs to the people who run the installation; for everybody else it does not exist."""
    if not (isinstance(user, User) and user.is_active and user.is_staff):
        raise Http404
    token = carried_by(user)
    if token is not None and not token.may_operate:
        raise HeyGemError("token_no_farm")


def get_any_job(user: AnyUser, public_id: str) -> RenderJob:
    """A job of any team, for an operator."""
    require_operator(user)
    return _find(
        RenderJob.objects.select_related(
            *("team", "batch__created_by", "worker", "footage", "take"),
            *("deliverable__project", "deliverable__presenter", "deliverable__script"),
        ),
        public_id,
    )


def get_any_batch(user: AnyUser, public_id: str) -> RenderBatch:
    """A batch of any team, for an operator."""
    require_operator(user)
    return _find(RenderBatch.objects.select_related("team", "project", "created_by"), public_id)


def get_any_team(user: AnyUser, public_id: str) -> Team:
    """Any team, for an operator."""
    require_operator(user)
    return _find(Team.objects.all(), public_id)


def get_any_mouths(user: AnyUser, public_id: str) -> MouthModel:
    """A mouth model of any team, for an operator."""
    require_operator(user)
    return _find(MouthModel.objects.select_related("footage__presenter__team").defer("log"), public_id)


def get_any_base(user: AnyUser, public_id: str) -> TeamBase:
    """A base model of any team, for an operator."""
    require_operator(user)
    return _find(TeamBase.objects.select_related("team"), public_id)


def get_worker(user: AnyUser, number: int) -> WorkerNode:
    """A worker, for an operator."""
    require_operator(user)
    found = WorkerNode.objects.filter(pk=number).first()
    if found is None:
        raise Http404
    return found


def require_own_or_manager(user: AnyUser, team: Team, created_by_id: int | None, *, own: Role = Role.CREATOR) -> None:
    """People whose role is at least ``own`` may stop what they began; what others began is for managers to stop."""
    role = role_of(user, team)
    if role is None:
        raise Http404
    if not includes(role, own if created_by_id == user.pk else Role.MANAGER):
        raise HeyGemError("not_allowed")
