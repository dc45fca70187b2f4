"""Presenters and their footage: what there is, what the analysis says of it, and bringing in more."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from projects import access, selectors
from projects.models import Footage, Presenter, Role, Team
from projects.services import footage as footage_services
from projects.services import presenters as services
from projects.views.base import back, fragment, mark_of, number, numbered, offer_undo, page, signed_in

PAGE, FOOTAGE_PAGE = 48, 20


def _listing(request: HttpRequest, team: Team) -> dict[str, Any]:
    search, archived = request.GET.get("q", "").strip(), "archived" in request.GET
    shown = numbered(request, selectors.presenters(team, search=search, archived=archived), size=PAGE)
    cards = selectors.presenter_cards(shown)
    query = request.GET.copy()
    query.pop("seen", None)
    query.pop("page", None)
    return {
        "page_obj": shown,
        "cards": cards,
        "marks": [card.mark for card in cards],
        "moving": any(card.footage and not card.footage.settled for card in cards),
        "search": search,
        "archived": archived,
        "query": query.urlencode(),
    }


@login_required
@require_safe
def presenters(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id)
    listing = _listing(request, team)
    return page(request, "projects/presenters.html", team, mark=mark_of(listing["marks"]), **listing)


@login_required
@require_safe
def presenters_changes(request: HttpRequest, team_id: str) -> HttpResponse:
    """The cards of one page of the list, as they are now."""
    team = access.get_team_for_user(request.user, team_id)
    listing = _listing(request, team)
    return fragment(request, "projects/_presenter_cards.html", team, listing["marks"], **listing)


@login_required
@require_POST
def presenter_new(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id, need=Role.CREATOR)
    made = services.create_presenter(
        actor=signed_in(request), team=team, name=request.POST.get("name", ""), notes=request.POST.get("notes", "")
    )
    return redirect("projects:presenter", made.public_id)


def _footage(request: HttpRequest, presenter: Presenter) -> dict[str, Any]:
    page_obj = numbered(request, selectors.footage_of(presenter), size=FOOTAGE_PAGE)
    shown = [selectors.analysed(footage) for footage in page_obj]
    return {
        "presenter": presenter,
        "page_obj": page_obj,
        "footage": shown,
        # What the page's poller says back, so that only what changed is sent.
        "marks": [view.mark for view in shown],
        "moving": ",".join(view.item.public_id for view in shown if not view.settled),
        "last": max((view.item.pk for view in shown), default=0),
    }


@login_required
@require_safe
def presenter(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_presenter_for_user(request.user, public_id)
    context = _footage(request, found)
    return page(
        request,
        "projects/presenter.html",
        found.team,
        mark=mark_of(context["marks"]),
        archived_footage=list(selectors.footage_of(found, archived=True)),
        **context,
    )


@login_required
@require_safe
def presenter_changes(request: HttpRequest, public_id: str) -> HttpResponse:
    """The footage that was ``moving`` when the page was drawn, as it is now, and what came after ``last``."""
    found = access.get_presenter_for_user(request.user, public_id)
    context = _footage(request, found)
    moving, last = request.GET.get("moving", "").split(","), number(request.GET.get("last"))
    return fragment(
        request,
        "projects/_footage_changes.html",
        found.team,
        context["marks"],
        changed=[view for view in context["footage"] if view.item.public_id in moving and view.item.pk <= last],
        # Each goes before the first: the newest last.
        fresh=[view for view in reversed(context["footage"]) if view.item.pk > last],
        first=not last,
        **context,
    )


@login_required
@require_POST
def presenter_edit(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_presenter_for_user(request.user, public_id, need=Role.CREATOR)
    services.rename_presenter(
        actor=signed_in(request),
        presenter=found,
        name=request.POST.get("name", ""),
        notes=request.POST.get("notes"),
    )
    return redirect("projects:presenter", found.public_id)


@login_required
@require_POST
def presenter_archive(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_presenter_for_user(request.user, public_id, need=Role.CREATOR)
    services.archive_presenter(actor=signed_in(request), presenter=found)
    offer_undo(
        request,
        sentence=_("%(name)s is in the archive now.") % {"name": found.name},
        url=reverse("projects:presenter_restore", args=[found.public_id]),
    )
    return redirect("projects:presenters", found.team.public_id)


@login_required
@require_POST
def presenter_restore(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_presenter_for_user(request.user, public_id, need=Role.CREATOR)
    services.restore_presenter(actor=signed_in(request), presenter=found)
    return redirect("projects:presenter", found.public_id)


@login_required
@require_safe
def footage(request: HttpRequest, public_id: str) -> HttpResponse:
    """Footage is shown on its presenter's page."""
    found = access.get_footage_for_user(request.user, public_id)
    return redirect(f"{_page_of(found)}#footage-{found.public_id}")


def _page_of(footage: Footage) -> str:
    """The page of its presenter's that shows it."""
    newer = selectors.footage_of(footage.presenter).filter(pk__gt=footage.pk).count()
    address = reverse("projects:presenter", args=[footage.presenter.public_id])
    return address if newer < FOOTAGE_PAGE else f"{address}?page={newer // FOOTAGE_PAGE + 1}"


@login_required
@require_POST
def footage_archive(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_footage_for_user(request.user, public_id, need=Role.CREATOR)
    footage_services.archive_footage(actor=signed_in(request), footage=found)
    offer_undo(
        request,
        sentence=_("%(name)s is in the archive now.") % {"name": found.name},
        url=reverse("projects:footage_restore", args=[found.public_id]),
    )
    return back(request, _page_of(found))


@login_required
@require_POST
def footage_restore(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_footage_for_user(request.user, public_id, need=Role.CREATOR)
    footage_services.restore_footage(actor=signed_in(request), footage=found)
    return back(request, _page_of(found))


@login_required
@require_POST
def footage_analyse(request: HttpRequest, public_id: str) -> HttpResponse:
    """Look at it again."""
    found = access.get_footage_for_user(request.user, public_id, need=Role.CREATOR)
    footage_services.reanalyse_footage(actor=signed_in(request), footage=found)
    return back(request, _page_of(found))


@login_required
@require_POST
def footage_face(request: HttpRequest, public_id: str) -> HttpResponse:
    """One of the faces in it is the presenter's: look at it again, at that one."""
    found = access.get_footage_for_user(request.user, public_id, need=Role.CREATOR)
    # Without a choice there is no such face.
    chosen = number(request.POST.get("face")) - 1
    footage_services.choose_face(actor=signed_in(request), footage=found, number=chosen)
    return back(request, _page_of(found))
