"""Jobs and batches of all teams, for operators: lists, pages, logs, and acts on one or many."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from projects.views.base import mark_of, number, numbered, signed_in
from rendering import access
from rendering.models import JobState, RenderJob
from rendering.selectors import farm_work as selectors
from rendering.selectors import problem_view
from rendering.selectors.waiting import why_and_where, with_why
from rendering.services import farm_acts, farm_many
from rendering.views.farm_base import done, done_many, part, priority_of, reason_of

PAGE = 50
STATE_CHOICES: tuple[tuple[str, str | Promise], ...] = (
    ("unfinished", _("Unfinished")),
    ("waiting", _("Waiting or on hold")),
    ("all", _("All")),
    *((state.value, state.label) for state in JobState),
)


@login_required
@require_safe
def farm_jobs(request: HttpRequest) -> HttpResponse:
    """``state``, ``team``, ``batch``, ``worker`` and ``q`` narrow the list."""
    access.require_operator(request.user)
    return render(request, "rendering/farm_jobs.html", _listing(request, request.GET.dict()))


def _listing(request: HttpRequest, asked: dict[str, str]) -> dict[str, Any]:
    shown = numbered(request, selectors.jobs(asked), size=PAGE)
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "page_obj": shown,
        "rows": with_why(shown.object_list),
        "asked": asked,
        "state_choices": STATE_CHOICES,
        "kept": [(name, asked[name]) for name in ("team", "batch", "worker") if asked.get(name)],
        "query": query.urlencode(),
    }


@login_required
@require_POST
def farm_jobs_act(request: HttpRequest) -> HttpResponse:
    """``act``: one of ``farm_many.ACTS``, to every ``job`` that is sent."""
    access.require_operator(request.user)
    told = farm_many.act_on_jobs(jobs=request.POST.getlist("job"), **_many(request))
    return done_many(request, told)


def _many(request: HttpRequest) -> dict[str, Any]:
    act = request.POST.get("act", "")
    asked: dict[str, Any] = {"actor": signed_in(request), "act": act, "reason": reason_of(request)}
    return {**asked, "priority": priority_of(request)} if act == "priority" else asked


@login_required
@require_safe
def farm_batch(request: HttpRequest, public_id: str) -> HttpResponse:
    batch = access.get_any_batch(request.user, public_id)
    numbers = selectors.batch_numbers(batch)
    asked = {"state": "all", **request.GET.dict(), "batch": batch.public_id}
    context = {
        "batch": batch,
        "numbers": [(JobState(state).label, state, count) for state, count in numbers.items()],
        "events": selectors.events_of(batch.public_id),
        **_listing(request, asked),
    }
    return render(request, "rendering/farm_batch.html", context)


@login_required
@require_POST
def farm_batch_act(request: HttpRequest, public_id: str) -> HttpResponse:
    """``act``: one of ``farm_many.ACTS``, to the whole batch."""
    batch = access.get_any_batch(request.user, public_id)
    return done_many(request, farm_many.act_on_batch(batch=batch, **_many(request)))


def _job_context(job: RenderJob) -> dict[str, Any]:
    tries = list(job.tries.select_related("worker").defer("log").order_by("-number"))
    waits = why_and_where(job)
    marks = [str(job.revision), job.state, str(job.cancel_requested_at), str(job.priority)]
    return {
        "job": job,
        "tries": tries,
        "waits": waits,
        "problem": problem_view(job.error_code) if job.error_code else None,
        "mark": mark_of([*marks, f"{waits.why} {waits.place}" if waits else ""]),
    }


@login_required
@require_safe
def farm_job(request: HttpRequest, public_id: str) -> HttpResponse:
    """A job with its attempts, and the log of the one that ``try`` says, else of the newest."""
    job = access.get_any_job(request.user, public_id)
    chosen = number(request.GET.get("try"))
    context = {
        **_job_context(job),
        "chosen": chosen,
        "log": selectors.log_since(job, number=chosen),
        "events": selectors.events_of(job.public_id),
    }
    return render(request, "rendering/farm_job.html", context)


@login_required
@require_safe
def farm_job_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    context = _job_context(access.get_any_job(request.user, public_id))
    return part(request, "rendering/_farm_job.html", **context)


@login_required
@require_safe
def farm_job_log(request: HttpRequest, public_id: str) -> HttpResponse:
    """What is new in the log since character ``from`` of attempt ``seen``; ``try`` stays with one attempt."""
    job = access.get_any_job(request.user, public_id)
    chosen = number(request.GET.get("try"))
    found = selectors.log_since(job, number=chosen, seen=number(request.GET.get("from")))
    if found is None:
        if chosen:
            raise Http404
        return JsonResponse({"number": 0, "running": not job.is_final, "end": 0, "text": "", "cut": False})
    if found.attempt.number != number(request.GET.get("seen")):  # a newer attempt than the reader has
        found = selectors.log_since(job, number=found.attempt.number) or found
        return JsonResponse({**found.as_json(), "cut": True, "running": not job.is_final})
    return JsonResponse({**found.as_json(), "running": not job.is_final})


@login_required
@require_POST
def farm_mouths_act(request: HttpRequest, public_id: str) -> HttpResponse:
    """``act``: one of ``farm_acts.LEARNING_ACTS``."""
    farm_acts.act_on_mouths(model=access.get_any_mouths(request.user, public_id), **_many(request))
    return done(request)


@login_required
@require_POST
def farm_base_act(request: HttpRequest, public_id: str) -> HttpResponse:
    """The same for a team's base model."""
    farm_acts.act_on_base(base=access.get_any_base(request.user, public_id), **_many(request))
    return done(request)


@login_required
@require_POST
def farm_job_act(request: HttpRequest, public_id: str) -> HttpResponse:
    """``act``: one of ``farm_acts.JOB_ACTS``; ``priority`` comes with a number of that name."""
    farm_acts.act_on_job(job=access.get_any_job(request.user, public_id), **_many(request))
    return done(request)
