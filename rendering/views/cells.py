"""One cell: its video beside the original, what is being done, its versions, and comparing two of them."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from projects.models import Role
from projects.problems import HeyGemError
from projects.views.base import fragment, mark_of, offer_undo, page, signed_in
from rendering import selectors
from rendering.access import get_deliverable_for_user, get_job_for_user, get_version_for_user
from rendering.models import Deliverable, RenderVersion
from rendering.services import batches, presets, stopping, versions


@login_required
@require_safe
def cell(request: HttpRequest, public_id: str) -> HttpResponse:
    deliverable = get_deliverable_for_user(request.user, public_id)
    detail = selectors.cell_detail(deliverable)
    presets.default_preset(deliverable.project.team)
    return page(
        request,
        "rendering/cell.html",
        deliverable.project.team,
        project=deliverable.project,
        detail=detail,
        cell=detail.cell,
        version=_wanted(request.GET.get("version"), detail) or detail.cell.version,
        presets=selectors.presets_of(deliverable.project.team),
        last_preset=detail.jobs[0].job.batch.preset_name if detail.jobs else "",
        mark=mark_of(_marks(detail.cell)),
        shown=_number(detail.cell),
    )


def _wanted(number: str | None, detail: selectors.CellDetail) -> RenderVersion | None:
    """The version that ``?version=3`` asks to see. Raises ``Http404`` for one that is not there."""
    if not number:
        return None
    found = next((version for version in detail.versions if str(version.number) == number), None)
    if found is None:
        raise Http404
    return found


def _marks(view: selectors.CellView) -> list[str]:
    job = view.job
    work = (job.pk, job.revision, job.state, job.cancel_requested_at) if job else ()
    return [str(part) for part in (view.state, view.stage, view.percent, view.queue_position, _number(view), *work)]


def _number(view: selectors.CellView) -> str:
    """The newest version's number; empty before the first."""
    return str(view.newest.number) if view.newest else ""


@login_required
@require_safe
def cell_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    """How the work on the cell stands. ``shown`` is the newest version that the page knows of.

    The first version loads the page again; a later one is only announced, because another may be playing.
    """
    deliverable = get_deliverable_for_user(request.user, public_id)
    view, shown = selectors.cell(deliverable), request.GET.get("shown", "")
    if _number(view) and not shown:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return fragment(
        request,
        "rendering/_cell_work.html",
        deliverable.project.team,
        _marks(view),
        project=deliverable.project,
        cell=view,
        shown=shown,
        news=_number(view) != shown,
    )


@login_required
@require_POST
def cell_render(request: HttpRequest, public_id: str) -> HttpResponse:
    deliverable = get_deliverable_for_user(request.user, public_id, need=Role.CREATOR)
    team = deliverable.project.team
    preset = selectors.presets_of(team).filter(public_id=request.POST.get("preset", "")).first()
    batches.start_batch(
        actor=signed_in(request), project=deliverable.project, cells=[selectors.cell(deliverable).key], preset=preset
    )
    return redirect("rendering:cell", deliverable.public_id)


@login_required
@require_safe
def compare(request: HttpRequest, public_id: str) -> HttpResponse:
    """Two versions side by side: ``?a=1&b=2``, by default the published one and the newest other."""
    deliverable = get_deliverable_for_user(request.user, public_id)
    detail = selectors.cell_detail(deliverable)
    if len(detail.with_video) < 2:
        return redirect("rendering:cell", deliverable.public_id)
    newer = _wanted(request.GET.get("b"), detail) or detail.with_video[0]
    older = _wanted(request.GET.get("a"), detail) or _other(detail, newer)
    if newer.video_id is None or older.video_id is None:
        raise HeyGemError("video_removed")
    return page(
        request,
        "rendering/compare.html",
        deliverable.project.team,
        project=deliverable.project,
        detail=detail,
        cell=detail.cell,
        older=older,
        newer=newer,
        pair=(older, newer),
    )


def _other(detail: selectors.CellDetail, shown: RenderVersion) -> RenderVersion:
    published = detail.cell.version
    if published is not None and published.video_id is not None and published.pk != shown.pk:
        return next(version for version in detail.versions if version.pk == published.pk)
    return next(version for version in detail.with_video if version.pk != shown.pk)


@login_required
@require_POST
def version_publish(request: HttpRequest, public_id: str) -> HttpResponse:
    """Publish a version; an older one is restored the same way, and either can be taken back."""
    version = get_version_for_user(request.user, public_id, need=Role.REVIEWER)
    was = version.deliverable.published
    versions.publish(actor=signed_in(request), version=version)
    if was is not None and was.pk != version.pk:
        offer_undo(
            request,
            sentence=_("Version %(number)d is published.") % {"number": version.number},
            url=reverse("rendering:version_publish", args=[was.public_id]),
        )
    return _to_cell(version.deliverable)


def _to_cell(deliverable: Deliverable) -> HttpResponse:
    return redirect("rendering:cell", deliverable.public_id)


@login_required
@require_POST
def version_delete(request: HttpRequest, public_id: str) -> HttpResponse:
    version = get_version_for_user(request.user, public_id, need=Role.MANAGER)
    versions.delete_version(actor=signed_in(request), version=version)
    return _to_cell(version.deliverable)


@login_required
@require_POST
def job_cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    job = get_job_for_user(request.user, public_id, need=Role.CREATOR)
    stopping.cancel_job(actor=signed_in(request), job=job)
    return _to_cell(job.deliverable)


@login_required
@require_POST
def job_hold(request: HttpRequest, public_id: str) -> HttpResponse:
    job = get_job_for_user(request.user, public_id, need=Role.CREATOR)
    stopping.hold(actor=signed_in(request), job=job)
    return _to_cell(job.deliverable)


@login_required
@require_POST
def job_release(request: HttpRequest, public_id: str) -> HttpResponse:
    job = get_job_for_user(request.user, public_id, need=Role.CREATOR)
    stopping.release(actor=signed_in(request), job=job)
    return _to_cell(job.deliverable)


@login_required
@require_POST
def job_to_front(request: HttpRequest, public_id: str) -> HttpResponse:
    job = get_job_for_user(request.user, public_id, need=Role.MANAGER)
    stopping.move_to_front(actor=signed_in(request), job=job)
    return _to_cell(job.deliverable)
