"""What comes out, and how: versions, their ZIPs, and presets."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from projects import access
from projects.api.base import Made, Things, actor, chosen
from projects.models import Role
from rendering import access as work
from rendering.api import filters
from rendering.api import serializers as shapes
from rendering.api.work import keys_of
from rendering.capabilities import CHECKPOINT_CODES, ENHANCER_CODES
from rendering.models import Export, Preset, RenderVersion
from rendering.services import exports, presets, versions


class Versions(Things):
    """Finished videos, numbered in their cell and never changed; one of a cell's may be published."""

    serializer_class = shapes.VersionSerializer
    filterset_class = filters.VersionFilter
    queryset = RenderVersion.objects.select_related(
        "video", "poster", "job__batch", "deliverable__project", "deliverable__presenter", "deliverable__script"
    )
    refusals = {"publish": ("video_removed",), "destroy": ("published_version",)}
    team_path = "deliverable__project__team"
    noun = "version"
    find = work.get_version_for_user

    @action(detail=True, methods=["post"])
    def publish(self, request: Request, public_id: str) -> Response:
        """Make it the one that counts; publishing an older one restores it."""
        return self.act(versions.publish)

    def destroy(self, request: Request, public_id: str) -> Response:
        """Forget a version for good, for managers; not the published one."""
        return self.forget(versions.delete_version)


class Exports(Made):
    """ZIPs of versions with a manifest: made by a worker, fetched from ``download_url`` when they are ready."""

    serializer_class = shapes.ExportSerializer
    filterset_class = filters.ExportFilter
    queryset = Export.objects.select_related("team", "project", "blob")
    asks = {"create": shapes.ExportNew}
    refusals = {"create": ("nothing_to_export", "cell_unknown")}
    noun = "export"
    find = work.get_export_for_user

    def make(self, asked: dict[str, Any]) -> Export:
        project = access.get_project_for_user(self.request.user, asked["project"], need=Role.REVIEWER)
        picked = None
        if "versions" in asked:
            picked = chosen(RenderVersion.objects.filter(deliverable__project=project), asked["versions"])
        cells = keys_of(asked.get("cells"))
        return exports.create_export(actor=actor(self.request), project=project, versions=picked, cells=cells)

    def destroy(self, request: Request, public_id: str) -> Response:
        """Put the ZIP away; the versions stay."""
        return self.forget(exports.delete_export)


NOT_KEPT = ("name_missing", "bad_preset", "preset_name_taken", *CHECKPOINT_CODES, *ENHANCER_CODES)
"""Why a preset is not kept."""


class Presets(Made):
    """A team's ways of rendering; a batch keeps a snapshot of the one it was started with."""

    serializer_class = shapes.PresetSerializer
    filterset_class = filters.PresetFilter
    queryset = Preset.objects.select_related("team")
    asks = {"create": shapes.PresetNew, "partial_update": shapes.PresetChange}
    refusals = {
        "create": NOT_KEPT,
        "partial_update": NOT_KEPT,
        "destroy": ("default_preset",),
    }
    noun = "preset"
    find = work.get_preset_for_user

    def get_queryset(self) -> QuerySet[Any]:
        for team in access.teams_of(self.request.user).exclude(presets__is_default=True):
            presets.default_preset(team)
        return super().get_queryset()

    def make(self, asked: dict[str, Any]) -> Preset:
        team = access.get_team_for_user(self.request.user, asked.pop("team"), need=Role.CREATOR)
        return presets.create_preset(actor=actor(self.request), team=team, **asked)

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change its name or any of its options; what was made with it stays as it is."""
        found = work.get_preset_for_user(request.user, public_id, need=Role.CREATOR)
        return self.shown(presets.update_preset(actor=actor(request), preset=found, **self.asked()))

    def destroy(self, request: Request, public_id: str) -> Response:
        """Remove it; the default one stays until another is made the default."""
        return self.forget(presets.delete_preset)

    @action(detail=True, methods=["post"])
    def default(self, request: Request, public_id: str) -> Response:
        """Let the team render with it unless another is named."""
        return self.act(presets.make_default)
