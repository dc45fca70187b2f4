"""The farm, for operators: how it stands, and what they may do about it. For everybody else it does not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects.models import AuditEvent
from projects.problems import HeyGemError
from projects.views.base import back, mark_of, signed_in
from rendering import access
from rendering.forms import ShareForm
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode
from rendering.selectors import farm as selectors
from rendering.selectors import problem_view, rates
from rendering.services import farm as services

EVENTS = 20

WORKER_ACTS = {
    "activate": WorkerNode.State.ACTIVE,
    "pause": WorkerNode.State.PAUSED,
    "drain": WorkerNode.State.DRAINING,
    "quarantine": WorkerNode.State.QUARANTINED,
}
JOB_ACTS: dict[str, Callable[..., object]] = {
    "hold": services.hold_job,
    "release": services.release_job,
    "cancel": services.cancel_job,
    "front": services.move_to_front,
    "retry": services.retry_job,
}
TEAM_ACTS: dict[str, Callable[..., object]] = {"pause": services.pause_team, "resume": services.resume_team}


def _part(request: HttpRequest, template_name: str, mark: str, **context: Any) -> HttpResponse:
    """A part of a page that asks for itself again: 204 while it still shows what is."""
    if request.GET.get("seen") == mark:
        return HttpResponse(status=204)
    return render(request, template_name, {"mark": mark, **context})


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
    return _part(request, "rendering/_farm_now.html", mark_of(view.marks()), farm=view)


@login_required
@require_safe
def farm_rates(request: HttpRequest) -> HttpResponse:
    access.require_operator(request.user)
    context = {"charts": rates.charts(), "failures": rates.failures()}
    return render(request, "rendering/_farm_rates.html", context)


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")


@login_required
@require_POST
def farm_worker(request: HttpRequest, number: int) -> HttpResponse:
    """``act``: one of ``WORKER_ACTS``."""
    worker = access.get_worker(request.user, number)
    state = WORKER_ACTS.get(request.POST.get("act", ""))
    if state is None:
        raise HeyGemError("no_such_act")
    services.set_worker_state(actor=signed_in(request), worker=worker, state=state, reason=_reason(request))
    return _done(request)


@login_required
@require_POST
def farm_job_act(request: HttpRequest, public_id: str) -> HttpResponse:
    """``act``: one of ``JOB_ACTS``, or ``priority`` with a number of that name."""
    job = access.get_any_job(request.user, public_id)
    asked = {"actor": signed_in(request), "job": job, "reason": _reason(request)}
    act = request.POST.get("act", "")
    if act == "priority":
        services.set_priority(**asked, priority=_priority(request))  # type: ignore[arg-type]
    elif act in JOB_ACTS:
        JOB_ACTS[act](**asked)
    else:
        raise HeyGemError("no_such_act")
    return _done(request)


def _priority(request: HttpRequest) -> int:
    try:
        return int(request.POST.get("priority", ""))
    except ValueError:
        raise HeyGemError("bad_share") from None


@login_required
@require_POST
def farm_team_act(request: HttpRequest, team_id: str) -> HttpResponse:
    """``act``: one of ``TEAM_ACTS``."""
    team = access.get_any_team(request.user, team_id)
    act = TEAM_ACTS.get(request.POST.get("act", ""))
    if act is None:
        raise HeyGemError("no_such_act")
    act(actor=signed_in(request), team=team, reason=_reason(request))
    return _done(request)


def _done(request: HttpRequest) -> HttpResponse:
    messages.success(request, _("Done, and noted in the audit log."))
    return back(request, "rendering:farm")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def farm_team(request: HttpRequest, team_id: str) -> HttpResponse:
    """A team's share of the machines."""
    team = access.get_any_team(request.user, team_id)
    share = TeamShare.objects.filter(team=team).first() or TeamShare(team=team)
    form = ShareForm(request.POST or None, initial={"weight": share.weight, "max_running": share.max_running})
    if request.method == "POST" and form.is_valid():
        services.set_share(actor=signed_in(request), team=team, **form.cleaned_data)
        return _done(request)
    context = {"subject": team, "share": share, "form": form, "events": _events(team.public_id)}
    return render(request, "rendering/farm_team.html", context)


def _events(subject: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(subject=subject).select_related("actor")[:EVENTS])


def _job_context(job: RenderJob) -> dict[str, Any]:
    tries = list(job.tries.select_related("worker").order_by("-number"))
    return {
        "job": job,
        "tries": tries,
        "problem": problem_view(job.error_code) if job.error_code else None,
        "waits": job.state in (JobState.QUEUED, JobState.HELD),
        "mark": mark_of([str(job.revision), job.state, str(job.cancel_requested_at), str(job.priority)]),
    }


@login_required
@require_safe
def farm_job(request: HttpRequest, public_id: str) -> HttpResponse:
    """A job with its attempts and their logs."""
    job = access.get_any_job(request.user, public_id)
    return render(request, "rendering/farm_job.html", {**_job_context(job), "events": _events(job.public_id)})


@login_required
@require_safe
def farm_job_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    context = _job_context(access.get_any_job(request.user, public_id))
    return _part(request, "rendering/_farm_job.html", **context)
