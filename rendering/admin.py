"""For the operator: the queue and its machines to look at, shares and machines to steer.

A job's state is never edited: ``rendering.states`` is its only writer.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from projects.admin import ReadOnly
from projects.views.base import signed_in
from rendering.models import (
    Deliverable,
    Export,
    Preset,
    RenderAttempt,
    RenderBatch,
    RenderJob,
    RenderVersion,
    RetentionRule,
    StorageSample,
    TeamShare,
    WorkerNode,
)
from rendering.services import farm


class Tries(admin.StackedInline):
    model = RenderAttempt
    fields = readonly_fields = ("number", "worker", "started_at", "ended_at", "outcome", "error_code", "log")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(RenderJob)
class RenderJobAdmin(ReadOnly):
    list_display = (
        *("public_id", "team", "deliverable", "state", "stage", "progress", "priority", "attempts"),
        *("error_code", "worker", "created_at", "finished_at"),
    )
    list_filter = ("state", "error_code", "backend")
    list_select_related = ("team", "worker", "deliverable__presenter", "deliverable__script")
    search_fields = ("public_id", "team__name", "deliverable__project__name", "worker__name")
    exclude = ("lease_token",)
    inlines = (Tries,)


@admin.register(RenderAttempt)
class RenderAttemptAdmin(ReadOnly):
    list_display = ("job", "number", "outcome", "error_code", "worker", "started_at", "ended_at")
    list_filter = ("outcome", "error_code")
    list_select_related = ("job__deliverable__presenter", "job__deliverable__script", "worker")
    search_fields = ("job__public_id", "worker__name", "error_code")
    exclude = ("tallied",)


@admin.register(RenderBatch)
class RenderBatchAdmin(ReadOnly):
    list_display = ("public_id", "team", "project", "preset_name", "created_by", "created_at")
    list_filter = ("preset_name",)
    list_select_related = ("team", "project", "created_by")
    search_fields = ("public_id", "team__name", "project__name")


@admin.register(Deliverable)
class DeliverableAdmin(ReadOnly):
    list_display = ("public_id", "project", "presenter", "script", "language", "published")
    list_filter = ("language", ("published", EmptyFieldListFilter))
    list_select_related = ("project", "presenter", "script", "published__deliverable__presenter")
    search_fields = ("public_id", "project__name", "presenter__name", "script__title")


@admin.register(RenderVersion)
class RenderVersionAdmin(ReadOnly):
    list_display = ("public_id", "deliverable", "number", "tier", "duration_s", "engine", "created_by", "created_at")
    list_filter = ("tier", "engine")
    list_select_related = ("deliverable__presenter", "deliverable__script", "created_by")
    search_fields = ("public_id", "fingerprint", "deliverable__project__name", "deliverable__project__team__name")


@admin.register(Export)
class ExportAdmin(ReadOnly):
    list_display = ("name", "team", "project", "state", "done", "total", "error_code", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("team", "project")
    search_fields = ("public_id", "name", "team__name")


@admin.register(Preset)
class PresetAdmin(ReadOnly):
    list_display = ("name", "team", "is_default", "backend", "crf", "speed", "amplitude")
    list_filter = ("backend", "speed", "is_default")
    list_select_related = ("team",)
    search_fields = ("name", "team__name")


@admin.register(TeamShare)
class TeamShareAdmin(ReadOnly):
    """How much of the machines a team may use. It is changed on the farm's pages, where that is noted with a reason."""

    list_display = ("team", "weight", "max_running", "priority", "max_attempts", "paused_at", "last_served_at")
    list_filter = (("paused_at", EmptyFieldListFilter),)
    list_select_related = ("team",)
    search_fields = ("team__name", "team__public_id")
    actions = ("pause", "resume")

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("rendering.change_teamshare")

    @admin.action(permissions=["steer"], description=_("Pause: start nothing more of these teams"))
    def pause(self, request: HttpRequest, shares: QuerySet[TeamShare]) -> None:
        for share in shares.filter(paused_at=None).select_related("team"):
            farm.pause_team(actor=signed_in(request), team=share.team)

    @admin.action(permissions=["steer"], description=_("Resume these teams"))
    def resume(self, request: HttpRequest, shares: QuerySet[TeamShare]) -> None:
        for share in shares.exclude(paused_at=None).select_related("team"):
            farm.resume_team(actor=signed_in(request), team=share.team)


@admin.register(RetentionRule)
class RetentionRuleAdmin(ReadOnly):
    """Set on the team's own page, or on the farm's."""

    list_display = ("team", "work_days", "preview_days", "analysis_days", "mouth_days", "export_days", "version_days")
    list_select_related = ("team",)
    search_fields = ("team__name", "team__public_id")


@admin.register(StorageSample)
class StorageSampleAdmin(ReadOnly):
    list_display = ("day", "team", "kind", "size")
    list_filter = ("kind",)
    list_select_related = ("team",)
    search_fields = ("team__name", "team__public_id")
    date_hierarchy = "day"


def _steer(request: HttpRequest, nodes: QuerySet[WorkerNode], state: WorkerNode.State) -> None:
    for node in nodes.exclude(state=state):
        farm.set_worker_state(actor=signed_in(request), worker=node, state=state)


@admin.register(WorkerNode)
class WorkerNodeAdmin(ReadOnly):
    """Machines register themselves; whether they are given work is a person's choice."""

    list_display = ("name", "cluster", "state", "device", "engine", "failures_in_row", "busy_since", "last_seen_at")
    list_filter = ("state", "cluster", "engine", "device")
    search_fields = ("name", "host", "device", "engine")
    actions = ("activate", "pause", "drain")

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("rendering.change_workernode")

    @admin.action(permissions=["steer"], description=_("Give these workers jobs (also after quarantine)"))
    def activate(self, request: HttpRequest, nodes: QuerySet[WorkerNode]) -> None:
        _steer(request, nodes, WorkerNode.State.ACTIVE)

    @admin.action(permissions=["steer"], description=_("Pause: no new jobs for these workers"))
    def pause(self, request: HttpRequest, nodes: QuerySet[WorkerNode]) -> None:
        _steer(request, nodes, WorkerNode.State.PAUSED)

    @admin.action(permissions=["steer"], description=_("Drain: finish what runs, then no new jobs"))
    def drain(self, request: HttpRequest, nodes: QuerySet[WorkerNode]) -> None:
        _steer(request, nodes, WorkerNode.State.DRAINING)
