"""Presets: a team's ways of rendering."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects import access
from projects.models import Role, Team
from projects.problems import HeyGemError
from projects.sentences import joined
from projects.views.base import page, signed_in
from rendering import selectors
from rendering.access import get_preset_for_user
from rendering.capabilities import CHECKPOINT_CODES, ENHANCER_CODES
from rendering.forms import PresetForm
from rendering.models import Preset
from rendering.selectors import mouths
from rendering.services import presets as services

FIELDS = dict.fromkeys(CHECKPOINT_CODES, "backend") | dict.fromkeys(ENHANCER_CODES, "enhance")
"""Where in the form it stands what is wrong."""


@login_required
@require_safe
def presets(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id)
    services.default_preset(team)
    return page(request, "rendering/presets.html", team, presets=selectors.presets_of(team))


def _edit(request: HttpRequest, team: Team, preset: Preset | None) -> HttpResponse:
    form = PresetForm(request.POST or None, instance=preset)
    if request.method == "POST" and form.is_valid():
        actor, name = signed_in(request), form.cleaned_data["name"]
        try:
            if preset is None:
                services.create_preset(actor=actor, team=team, name=name, **form.options)
            else:
                fresh = Preset.objects.select_related("team").get(pk=preset.pk)
                services.update_preset(actor=actor, preset=fresh, name=name, **form.options)
        except HeyGemError as error:
            form.add_error(FIELDS.get(error.code, "name"), joined(error.sentence, error.remedy))
        else:
            return redirect("rendering:presets", team.public_id)
    context = {"form": form, "preset": preset, "drawn": mouths.presenters_with(team)}
    return page(request, "rendering/preset.html", team, **context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preset_new(request: HttpRequest, team_id: str) -> HttpResponse:
    return _edit(request, access.get_team_for_user(request.user, team_id, need=Role.CREATOR), None)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preset(request: HttpRequest, public_id: str) -> HttpResponse:
    found = get_preset_for_user(request.user, public_id, need=Role.CREATOR)
    return _edit(request, found.team, found)


@login_required
@require_POST
def preset_default(request: HttpRequest, public_id: str) -> HttpResponse:
    found = get_preset_for_user(request.user, public_id, need=Role.CREATOR)
    services.make_default(actor=signed_in(request), preset=found)
    return redirect("rendering:presets", found.team.public_id)


@login_required
@require_POST
def preset_delete(request: HttpRequest, public_id: str) -> HttpResponse:
    found = get_preset_for_user(request.user, public_id, need=Role.CREATOR)
    services.delete_preset(actor=signed_in(request), preset=found)
    return redirect("rendering:presets", found.team.public_id)
