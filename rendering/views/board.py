"""The board of a project: what every cell shows, and the buttons above it.

The page asks ``changes?since=r`` again and again and swaps only what changed (htmx out-of-band). Every button answers
in the same way, so that its effect is seen at once.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from projects import access
from projects.context import may
from projects.models import Project, Role
from projects.problems import HeyGemError, get
from projects.sentences import joined
from projects.views.base import page, signed_in
from rendering import queue, selectors
from rendering.access import get_batch_for_user
from rendering.cells import CellKey
from rendering.models import Preset
from rendering.services import batches, exports, stopping
from rendering.services.presets import default_preset

LARGEST_REVISION = 2**62
BATCHES_SHOWN = 3


@login_required
@require_safe
def board(request: HttpRequest, public_id: str) -> HttpResponse:
    project = access.get_project_for_user(request.user, public_id)
    default_preset(project.team)
    queue.reap()  # who looks should not see work that nobody does any more
    return page(
        request,
        "rendering/board.html",
        project.team,
        project=project,
        board=selectors.board(project),
        batches=_open_batches(project),
        presets=selectors.presets_of(project.team),
    )


@login_required
@require_safe
def changes(request: HttpRequest, public_id: str) -> HttpResponse:
    """Cells that changed after ``since``; 204 when none did."""
    project = access.get_project_for_user(request.user, public_id)
    return _changes(request, project)


def _open_batches(project: Project) -> list[selectors.BatchView]:
    return [view for view in selectors.batches_of(project, limit=20) if not view.is_finished][:BATCHES_SHOWN]


def _since(request: HttpRequest) -> int:
    given = request.GET.get("since") or request.POST.get("since") or "0"
    return min(int(given), LARGEST_REVISION) if given.isascii() and given.isdigit() else 0


def _changes(request: HttpRequest, project: Project, **said: Any) -> HttpResponse:
    since = _since(request)
    changed = selectors.changes(project, since)
    layout = request.GET.get("layout") or request.POST.get("layout")
    if layout and layout != changed.layout:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    if changed.revision == since and not said and not changed.cells:
        return HttpResponse(status=204)
    role = access.role_of(request.user, project.team)
    context = {
        "team": project.team,
        "project": project,
        "role": role,
        "may": may(role),
        "board": changed,
        "batches": _open_batches(project),
        **said,
    }
    return render(request, "rendering/_changes.html", context)


def _cells(request: HttpRequest) -> list[CellKey] | None:
    """The cells that a form names; None when it means the whole board (``all``)."""
    if request.POST.get("all"):
        return None
    try:
        return [CellKey.parse(text) for text in request.POST.getlist("cell")]
    except ValueError as error:
        raise Http404 from error


def _preset(request: HttpRequest, project: Project) -> Preset | None:
    if not (public_id := request.POST.get("preset")):
        return None
    preset = Preset.objects.filter(team=project.team, public_id=public_id).first()
    if preset is None:
        raise Http404
    return preset


@login_required
@require_POST
def render_cells(request: HttpRequest, public_id: str) -> HttpResponse:
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    actor, cells, preset = signed_in(request), _cells(request), _preset(request, project)
    plan = batches.plan_batch(actor=actor, project=project, cells=cells, preset=preset)
    batches.start_batch(actor=actor, project=project, cells=cells, preset=preset)
    started, skipped = len(plan.ready), [skip for skip in plan.skipped if cells is not None]
    sentence = ngettext("%(n)d cell is in line.", "%(n)d cells are in line.", started) % {"n": started}
    return _changes(request, project, sentence=sentence, level="success", remedy=_left_out(skipped))


def _left_out(skipped: list[batches.Skipped]) -> str:
    """Which cells were not started, and why, in a sentence for each reason."""
    by_code: dict[str, int] = {}
    for skip in skipped:
        by_code[skip.code] = by_code.get(skip.code, 0) + 1
    return joined(
        *(
            ngettext("%(n)d left out: %(why)s", "%(n)d left out: %(why)s", number)
            % {"n": number, "why": get(code).sentence}
            for code, number in by_code.items()
        )
    )


@login_required
@require_POST
def retry(request: HttpRequest, public_id: str) -> HttpResponse:
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    jobs = batches.retry_failed(actor=signed_in(request), project=project)
    sentence = ngettext("%(n)d cell is tried again.", "%(n)d cells are tried again.", len(jobs)) % {"n": len(jobs)}
    return _changes(request, project, sentence=sentence, level="success")


@login_required
@require_POST
def cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    number = stopping.cancel_cells(actor=signed_in(request), project=project, cells=_cells(request))
    return _changes(request, project, **_cancelled(number))


def _cancelled(number: int) -> dict[str, str]:
    if not number:
        return {"sentence": _("Nothing of yours was waiting or being rendered there."), "level": "info"}
    return {
        "sentence": ngettext("%(n)d render was cancelled.", "%(n)d renders were cancelled.", number) % {"n": number},
        "level": "success",
    }


@login_required
@require_POST
def batch_cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    batch = get_batch_for_user(request.user, public_id, need=Role.CREATOR)
    number = stopping.cancel_batch(actor=signed_in(request), batch=batch)
    return _changes(request, batch.project, **_cancelled(number))


@login_required
@require_POST
def export(request: HttpRequest, public_id: str) -> HttpResponse:
    """A ZIP of the chosen cells, or of everything published; packed by a worker, fetched from the downloads page."""
    project = access.get_project_for_user(request.user, public_id, need=Role.REVIEWER)
    cells = _cells(request)
    if cells is not None and not cells:
        raise HeyGemError("nothing_to_export")
    exports.create_export(actor=signed_in(request), project=project, cells=cells)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = f"/t/{project.team.public_id}/exports/"
    return response
