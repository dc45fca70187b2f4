"""A team's own base model on the page of its settings: how far it is, and the team's word on it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from projects import access
from projects.models import Role
from projects.views.base import fragment, signed_in
from rendering.selectors.bases import learning
from rendering.services import bases


@login_required
@require_safe
def learning_changes(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    shown = learning(team)
    return fragment(request, "rendering/_learning.html", team, shown.marks, learning=shown)


@login_required
@require_POST
def learning_act(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    actor, act = signed_in(request), request.POST.get("act")
    if act == "start":
        bases.start(actor=actor, team=team)
    elif act == "stop":
        bases.cancel(actor=actor, team=team)
    elif act in ("on", "off"):
        bases.let_learn(actor=actor, team=team, learns=act == "on")
    else:
        raise Http404
    return redirect("projects:team_settings", team.public_id)
