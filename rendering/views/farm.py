"""The farm, for operators: how it stands. For everybody else it does not exist."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from projects.views.base import mark_of
from rendering import access
from rendering.selectors import farm as selectors
from rendering.selectors import rates
from rendering.views.farm_base import part


@login_required
@require_safe
def farm(request: HttpRequest) -> HttpResponse:
    access.require_operator(request.user)
    view = selectors.farm()
    context = {"farm": view, "mark": mark_of(view.marks()), "charts": rates.charts(), "failures": rates.failures()}
    return render(request, "rendering/farm.html", context)


@login_required
@require_safe
def farm_now(request: HttpRequest) -> HttpResponse:
    access.require_operator(request.user)
    view = selectors.farm()
    return part(request, "rendering/_farm_changes.html", mark_of(view.marks()), farm=view)


@login_required
@require_safe
def farm_rates(request: HttpRequest) -> HttpResponse:
    access.require_operator(request.user)
    context = {"charts": rates.charts(), "failures": rates.failures()}
    return render(request, "rendering/_farm_rates.html", context)
