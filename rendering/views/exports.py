"""ZIPs: how far each is, fetching them, and putting them away."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from projects import access
from projects.models import Role, Team
from projects.views.base import fragment, mark_of, numbered, page, signed_in
from rendering import selectors
from rendering.access import get_export_for_user
from rendering.models import Export
from rendering.services import exports as services

PAGE = 30


def _listing(request: HttpRequest, team: Team) -> dict[str, Any]:
    rows = Export.objects.filter(team=team).select_related("project", "created_by", "blob")
    shown = numbered(request, rows, size=PAGE)
    views = [selectors.export_progress(export) for export in shown]
    return {
        "page_obj": shown,
        "exports": views,
        "moving": any(view.export.state in (Export.State.WAITING, Export.State.RUNNING) for view in views),
    }


def _marks(listing: dict[str, Any]) -> list[str]:
    return [f"{view.export.pk}:{view.export.state}:{view.export.done}" for view in listing["exports"]]


@login_required
@require_safe
def exports(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id)
    listing = _listing(request, team)
    return page(request, "rendering/exports.html", team, mark=mark_of(_marks(listing)), **listing)


@login_required
@require_safe
def exports_changes(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id)
    listing = _listing(request, team)
    return fragment(request, "rendering/_exports.html", team, _marks(listing), **listing)


@login_required
@require_POST
def export_delete(request: HttpRequest, public_id: str) -> HttpResponse:
    export = get_export_for_user(request.user, public_id, need=Role.REVIEWER)
    services.delete_export(actor=signed_in(request), export=export)
    return redirect("rendering:exports", export.team.public_id)
