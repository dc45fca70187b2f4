"""What the farm's pages share."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from projects.problems import HeyGemError
from projects.sentences import joined
from projects.views.base import back
from rendering.services.farm_many import Told


def part(request: HttpRequest, template_name: str, mark: str, **context: Any) -> HttpResponse:
    """A part of a page that asks for itself again: 204 while it still shows what is."""
    if request.GET.get("seen") == mark:
        return HttpResponse(status=204)
    return render(request, template_name, {"mark": mark, **context})


def reason_of(request: HttpRequest) -> str:
    return request.POST.get("reason", "")


def priority_of(request: HttpRequest) -> int:
    """The number of a form that sets a priority. Raises ``bad_share``."""
    try:
        return int(request.POST.get("priority", ""))
    except ValueError:
        raise HeyGemError("bad_share") from None


def done(request: HttpRequest) -> HttpResponse:
    messages.success(request, _("Done, and noted in the audit log."))
    return back(request, "rendering:farm")


def done_many(request: HttpRequest, told: Told) -> HttpResponse:
    sentence = ngettext(
        "%(n)d job changed, and noted in the audit log.", "%(n)d jobs changed, and noted in the audit log.", told.done
    ) % {"n": told.done}
    if told.left:
        sentence = joined(sentence, _("%(n)d more are left: do it again.") % {"n": told.left})
    messages.success(request, sentence)
    return back(request, "rendering:farm")
