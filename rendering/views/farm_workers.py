"""A worker's page: what it is, what it has done, and what operators may do with it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from projects.views.base import mark_of, signed_in
from rendering import access
from rendering.models import WorkerNode
from rendering.selectors import farm as farm_selectors
from rendering.selectors import farm_work
from rendering.services import farm as services
from rendering.services import farm_acts
from rendering.views.farm_base import done, part, reason_of

PAGE = 60
AT_ONCE = "_now"
"""An act that ends so does not wait for the job."""


@login_required
@require_safe
def farm_workers(request: HttpRequest) -> HttpResponse:
    """All of them, page by page: the farm's page shows those that need eyes."""
    access.require_operator(request.user)
    shown = Paginator(farm_selectors.all_workers(), PAGE).get_page(request.GET.get("page"))
    return render(request, "rendering/farm_workers.html", {"page_obj": shown})


@login_required
@require_safe
def farm_worker(request: HttpRequest, number: int) -> HttpResponse:
    context = _context(access.get_worker(request.user, number))
    return render(request, "rendering/farm_worker.html", context)


@login_required
@require_safe
def farm_worker_changes(request: HttpRequest, number: int) -> HttpResponse:
    context = _context(access.get_worker(request.user, number))
    return part(request, "rendering/_farm_worker.html", **context)


def _context(node: WorkerNode) -> dict[str, Any]:
    view = farm_selectors.worker_view(node)
    work = farm_work.work_of(node, subject=services.worker_subject(node))
    return {"view": view, "node": node, "work": work, "mark": mark_of([*view.marks(), work.marks()])}


@login_required
@require_POST
def farm_worker_act(request: HttpRequest, number: int) -> HttpResponse:
    """``act``: one of ``farm_acts.WORKER_ACTS``, with ``_now`` behind it when it shall not wait for the job."""
    worker = access.get_worker(request.user, number)
    asked = request.POST.get("act", "")
    act = asked.removesuffix(AT_ONCE)
    farm_acts.act_on_worker(
        actor=signed_in(request), worker=worker, act=act, at_once=asked != act, reason=reason_of(request)
    )
    return done(request)
