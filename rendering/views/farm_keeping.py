"""For operators: a team's limits and retention on its page, and the page about storage."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from projects.models import Team, TeamLimits
from projects.sentences import joined
from projects.views.base import signed_in
from rendering import access
from rendering.forms import LimitsForm, RetentionForm
from rendering.models import RetentionRule
from rendering.selectors import retention as plans
from rendering.selectors import storage as selectors
from rendering.selectors.retention import Plan
from rendering.services import limits, retention, storage

CHECK_S = 20.0
"""A page may look through the storage for so long; after that it names the command."""
AT_ONCE = 500
"""Things that a page removes; the rest goes tonight."""
LISTED = 20
"""Things that a line of a plan shows."""


class KeepingForms:
    """The two forms of a team's page, and what they save. ``form`` of the request says which was sent."""

    def __init__(self, request: HttpRequest, team: Team) -> None:
        sent = request.POST.get("form", "") if request.method == "POST" else ""
        self.request, self.team, self.sent = request, team, sent
        known = TeamLimits.objects.filter(team=team).first() or TeamLimits(team=team)
        rule = RetentionRule.objects.filter(team=team).first() or RetentionRule(team=team)
        self.limits = LimitsForm(request.POST if sent == "limits" else None, limits=known, auto_id="limits-%s")
        self.retention = RetentionForm(request.POST if sent == "retention" else None, rule=rule, auto_id="keep-%s")

    def save(self) -> bool:
        """Whether one of them was sent, valid and saved."""
        actor = signed_in(self.request)
        if self.sent == "limits" and self.limits.is_valid():
            limits.set_limits(actor=actor, team=self.team, **self.limits.limits())
        elif self.sent == "retention" and self.retention.is_valid():
            retention.set_rule(actor=actor, team=self.team, **self.retention.cleaned_data)
        else:
            return False
        return True

    def context(self) -> dict[str, Any]:
        return {
            "limits_form": self.limits,
            "retention_form": self.retention,
            "plan": plans.plan(self.team),
            "listed": LISTED,
        }


@login_required
@require_POST
def farm_team_retain(request: HttpRequest, team_id: str) -> HttpResponse:
    """Apply the team's rule now."""
    team = access.get_any_team(request.user, team_id)
    _told(request, *retention.apply_now(actor=signed_in(request), team=team, most=AT_ONCE))
    return redirect("rendering:farm_team", team.public_id)


def _told(request: HttpRequest, gone: Plan, left: int) -> None:
    number = len(gone.things)
    went = ngettext("%(n)d thing is gone: %(size)s.", "%(n)d things are gone: %(size)s.", number)
    sentence = went % {"n": number, "size": filesizeformat(gone.size)}
    if left:
        more = ngettext("%(n)d more goes tonight.", "%(n)d more go tonight.", left) % {"n": left}
        sentence = joined(sentence, more)
    messages.success(request, sentence)


@login_required
@require_safe
def farm_storage(request: HttpRequest) -> HttpResponse:
    access.require_operator(request.user)
    context = {"storage": selectors.storage(), "plan": plans.plan(), "listed": LISTED}
    return render(request, "rendering/farm_storage.html", context)


@login_required
@require_POST
def farm_storage_retain(request: HttpRequest) -> HttpResponse:
    """Do now what tonight's housekeeping would."""
    access.require_operator(request.user)
    _told(request, *retention.apply_now(actor=signed_in(request), most=AT_ONCE))
    return redirect("rendering:farm_storage")


@login_required
@require_safe
def farm_storage_check(request: HttpRequest) -> HttpResponse:
    """Database against stored files, both ways."""
    access.require_operator(request.user)
    found = storage.check(seconds=CHECK_S)
    mendable = sum(lost.can_be_made_again for lost in found.lost_list)
    return render(request, "rendering/farm_storage_check.html", {"found": found, "mendable": mendable})


@login_required
@require_POST
def farm_storage_mend(request: HttpRequest) -> HttpResponse:
    access.require_operator(request.user)
    found, waiting = storage.mend(actor=signed_in(request))
    removed = ngettext("%(n)d stored file removed.", "%(n)d stored files removed.", found.orphans)
    again = ngettext("%(n)d footage is looked at again.", "%(n)d footage are looked at again.", waiting)
    messages.success(request, joined(removed % {"n": found.orphans}, again % {"n": waiting}))
    return redirect("rendering:farm_storage_check")
