"""Teams: switching between them, who belongs to one, and asking others in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects import access, selectors
from projects.context import remember_team
from projects.models import Membership, Role, Team
from projects.problems import HeyGemError
from projects.services import teams as services
from projects.views.base import page, signed_in


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def team_new(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return render(request, "projects/team_new.html")
    team = services.create_team(actor=signed_in(request), name=request.POST.get("name", ""))
    remember_team(request, team)
    return redirect("/")


@login_required
@require_POST
def team_switch(request: HttpRequest, team_id: str) -> HttpResponse:
    remember_team(request, access.get_team_for_user(request.user, team_id))
    return redirect("/")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def team_settings(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    if request.method == "POST":
        services.rename_team(actor=signed_in(request), team=team, name=request.POST.get("name", ""))
        return redirect("projects:team_settings", team.public_id)
    return page(request, "projects/team_settings.html", team, events=selectors.recent_events(team))


def _roles(role: str | None) -> list[tuple[str, str]]:
    """The roles that somebody with ``role`` may give."""
    return [(value, str(label)) for value, label in Role.choices if access.includes(role, value)]


def _members_page(request: HttpRequest, team: Team, *, link: str = "") -> HttpResponse:
    role = access.role_of(request.user, team)
    manages = access.includes(role, Role.MANAGER)
    rows = [
        {
            "membership": membership,
            "self": membership.user_id == request.user.pk,
            "changeable": manages and access.includes(role, membership.role),
        }
        for membership in selectors.members(team)
    ]
    return page(
        request,
        "projects/members.html",
        team,
        rows=rows,
        invitations=selectors.open_invitations(team) if manages else [],
        roles=_roles(role) if manages else [],
        link=link,
    )


@login_required
@require_safe
def members(request: HttpRequest, team_id: str) -> HttpResponse:
    return _members_page(request, access.get_team_for_user(request.user, team_id))


def _role(request: HttpRequest) -> str:
    role = request.POST.get("role", "")
    if role not in Role.values:
        raise Http404
    return role


@never_cache
@login_required
@require_POST
def invite(request: HttpRequest, team_id: str) -> HttpResponse:
    """Answers with the page itself: the link is shown this once and never again."""
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    _invitation, token = services.invite(actor=signed_in(request), team=team, role=_role(request))
    link = request.build_absolute_uri(reverse("projects:invitation", args=[token]))
    return _members_page(request, team, link=link)


@login_required
@require_POST
def invitation_revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    found = access.get_invitation_for_user(request.user, public_id)
    services.revoke_invitation(actor=signed_in(request), invitation=found)
    return redirect("projects:members", found.team.public_id)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Show who asks, also to somebody who has no account yet; pressing the button joins."""
    if request.method == "POST":
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        membership = services.accept_invitation(actor=signed_in(request), token=token)
        remember_team(request, membership.team)
        return redirect("/")
    found = services.open_invitation(token)
    if access.role_of(request.user, found.team) is not None:
        raise HeyGemError("already_member")
    return render(request, "projects/invitation.html", {"invitation": found})


def _membership(request: HttpRequest, team_id: str, number: int, need: Role) -> Membership:
    team = access.get_team_for_user(request.user, team_id, need=need)
    found = Membership.objects.select_related("team", "user").filter(team=team, pk=number).first()
    if found is None:
        raise Http404
    return found


@login_required
@require_POST
def member_role(request: HttpRequest, team_id: str, number: int) -> HttpResponse:
    found = _membership(request, team_id, number, Role.MANAGER)
    services.change_role(actor=signed_in(request), membership=found, role=_role(request))
    return redirect("projects:members", team_id)


@login_required
@require_POST
def member_remove(request: HttpRequest, team_id: str, number: int) -> HttpResponse:
    """Managers take others out; everybody may leave."""
    found = _membership(request, team_id, number, Role.VIEWER)
    leaving = found.user_id == request.user.pk
    services.remove_member(actor=signed_in(request), membership=found)
    return redirect("/") if leaving else redirect("projects:members", team_id)
