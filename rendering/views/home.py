"""The front page after sign-in, and single mode: two files in, one video out."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.views.decorators.http import require_http_methods, require_safe

from projects import access, languages
from projects.context import current_team
from projects.models import Role
from projects.views.base import page, signed_in
from rendering import selectors
from rendering.services import single


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    team = current_team(request)
    if team is None:
        return render(request, "rendering/no_team.html")
    return page(
        request,
        "rendering/home.html",
        team,
        home=selectors.home(team),
        languages=languages.choices(),
        language=get_language(),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def try_it(request: HttpRequest, team_id: str) -> HttpResponse:
    """Both files have been uploaded; their public ids are posted and the new cell's page answers."""
    team = access.get_team_for_user(request.user, team_id, need=Role.CREATOR)
    if request.method != "POST":
        return page(request, "rendering/try_it.html", team, languages=languages.choices(), language=get_language())
    footage = access.get_footage_for_user(request.user, request.POST.get("footage", ""), need=Role.CREATOR)
    take = access.get_take_for_user(request.user, request.POST.get("take", ""), need=Role.CREATOR)
    if {footage.presenter.team_id, take.script_version.script.team_id} != {team.pk}:
        raise Http404
    cell = single.try_it(actor=signed_in(request), team=team, footage=footage, take=take)
    return redirect("rendering:cell", cell.public_id)
