"""A footage's mouth model: its page, how far it is, its log, and what people do with it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from projects.access import get_footage_for_user
from projects.models import Footage, MouthModel, Role
from projects.views.base import back, fragment, mark_of, number, page, signed_in
from rendering.selectors import mouths as selectors
from rendering.selectors.logs import mouths_log
from rendering.services import mouths as services

ACTS = {"start": services.start, "cancel": services.cancel, "remove": services.remove}


@login_required
@require_safe
def mouths(request: HttpRequest, public_id: str) -> HttpResponse:
    footage = get_footage_for_user(request.user, public_id)
    shown = selectors.view_of(footage)
    made = _chosen(request, footage, shown)
    context: dict[str, Any] = {
        "footage": footage,
        "shown": shown,
        "made": made,
        "log": mouths_log(made) if made is not None else None,
        "history": selectors.history(footage),
    }
    return page(request, "rendering/mouths.html", footage.presenter.team, mark=mark_of(shown.marks), **context)


def _chosen(request: HttpRequest, footage: Footage, shown: selectors.MouthsView) -> MouthModel | None:
    """Whose log is shown: the one that ``made`` names, else the newest."""
    if (asked := request.GET.get("made")) is None:
        return shown.newest
    found = MouthModel.objects.filter(footage=footage, public_id=asked).first()
    if found is None:
        raise Http404
    return found


@login_required
@require_safe
def mouths_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    """How it stands now; ``whole``: as the page of its own shows it."""
    footage = get_footage_for_user(request.user, public_id)
    shown = selectors.view_of(footage)
    context = {"shown": shown, "whole": "whole" in request.GET}
    return fragment(request, "rendering/_mouths.html", footage.presenter.team, shown.marks, **context)


@login_required
@require_safe
def mouths_log_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    """What is new in the log of the one that ``made`` names, since character ``from``. Its makers' business alone."""
    footage = get_footage_for_user(request.user, public_id, need=Role.CREATOR)
    made = _chosen(request, footage, selectors.view_of(footage))
    if made is None:
        raise Http404
    return JsonResponse(mouths_log(made, seen=number(request.GET.get("from"))).as_json())


@login_required
@require_POST
def mouths_act(request: HttpRequest, public_id: str) -> HttpResponse:
    """``act``: one of :data:`ACTS`."""
    footage = get_footage_for_user(request.user, public_id, need=Role.CREATOR)
    service = ACTS.get(request.POST.get("act", ""))
    if service is None:
        raise Http404
    service(actor=signed_in(request), footage=footage)
    return back(request, reverse("projects:footage", args=[footage.public_id]))
