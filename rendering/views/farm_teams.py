"""A team's part of the machines, for operators: its share, its place, how its jobs are tried again, all its work."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from projects.views.base import signed_in
from rendering import access
from rendering.forms import RetryForm, ShareForm
from rendering.models import TeamShare
from rendering.retries import policy_of
from rendering.selectors import farm_work as selectors
from rendering.services import farm as services
from rendering.services import farm_acts
from rendering.views.farm_base import done, done_many, priority_of, reason_of
from rendering.views.farm_keeping import KeepingForms


@login_required
@require_POST
def farm_team_act(request: HttpRequest, team_id: str) -> HttpResponse:
    """``act``: one of ``farm_acts.TEAM_ACTS``; ``priority`` comes with a number of that name."""
    team = access.get_any_team(request.user, team_id)
    act = request.POST.get("act", "")
    told = farm_acts.act_on_team(
        actor=signed_in(request),
        team=team,
        act=act,
        reason=reason_of(request),
        priority=priority_of(request) if act == "priority" else 0,
    )
    return done(request) if told is None else done_many(request, told)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def farm_team(request: HttpRequest, team_id: str) -> HttpResponse:
    """``form`` says which of the page's forms was sent: ``share``, ``retries``, ``limits`` or ``retention``."""
    team = access.get_any_team(request.user, team_id)
    share = TeamShare.objects.filter(team=team).first() or TeamShare(team=team)
    sent = request.POST.get("form", "share") if request.method == "POST" else ""
    form = ShareForm(request.POST if sent == "share" else None, initial=_initial(share, ShareForm), auto_id="share-%s")
    retries = RetryForm(
        request.POST if sent == "retries" else None, initial=_initial(share, RetryForm), auto_id="retry-%s"
    )
    keeping = KeepingForms(request, team)
    if keeping.save():
        return done(request)
    if sent == "share" and form.is_valid():
        services.set_share(actor=signed_in(request), team=team, **form.cleaned_data)
        return done(request)
    if sent == "retries" and retries.is_valid():
        services.set_retry_policy(actor=signed_in(request), team=team, **retries.cleaned_data)
        return done(request)
    context = {
        "subject": team,
        "share": share,
        "form": form,
        "retries": retries,
        "policy": policy_of(team.pk),
        "events": selectors.events_of(team.public_id),
    }
    return render(request, "rendering/farm_team.html", context | keeping.context())


def _initial(share: TeamShare, form: type[ShareForm] | type[RetryForm]) -> dict[str, Any]:
    return {name: getattr(share, name) for name in form.base_fields if name != "reason"}
