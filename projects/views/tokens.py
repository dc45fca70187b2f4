"""API tokens: a person's own, and those that reach a team, for its managers."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects import access, selectors
from projects.models import ApiToken, Role, Team
from projects.services import tokens as services
from projects.views.base import number, page, signed_in


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """A new token is answered with the page itself: its secret is shown this once and never again."""
    user, secret = signed_in(request), ""
    scopes = [(value, label) for value, label in ApiToken.Scope.choices if user.is_staff or value != "operate"]
    if request.method == "POST":
        scope = request.POST.get("scope", "")
        days = number(request.POST.get("days"))
        if scope not in dict(scopes) or days not in (0, *services.LIFETIMES):
            raise Http404
        _token, secret = services.create_token(
            actor=user,
            name=request.POST.get("name", ""),
            scope=scope,
            days=days or None,
            teams=_chosen_teams(request, user),
        )
    return render(
        request,
        "projects/tokens.html",
        {
            "secret": secret,
            "tokens": selectors.tokens_of(user),
            "scopes": scopes,
            "lifetimes": services.LIFETIMES,
            "teams": access.teams_of(user),
        },
    )


def _chosen_teams(request: HttpRequest, user: User) -> list[Team] | None:
    """The boxes that are ticked; None for none: every team. Raises ``Http404`` for one of another's."""
    wanted = set(request.POST.getlist("team"))
    if not wanted:
        return None
    chosen = list(access.teams_of(user).filter(public_id__in=wanted))
    if len(chosen) < len(wanted):
        raise Http404
    return chosen


@login_required
@require_POST
def token_revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    user = signed_in(request)
    services.revoke_token(actor=user, token=access.get_token_for_user(user, public_id))
    return redirect("projects:tokens")


@login_required
@require_safe
def team_tokens(request: HttpRequest, team_id: str) -> HttpResponse:
    """Which programs can see and change what the team keeps."""
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    return page(request, "projects/team_tokens.html", team, tokens=selectors.tokens_reaching(team))


@login_required
@require_POST
def team_token_act(request: HttpRequest, team_id: str, public_id: str) -> HttpResponse:
    """``act``: ``shut_out`` or ``let_in``."""
    team = access.get_team_for_user(request.user, team_id, need=Role.MANAGER)
    token = next((token for token in selectors.tokens_reaching(team) if token.public_id == public_id), None)
    act = {"shut_out": services.shut_out, "let_in": services.let_in}.get(request.POST.get("act", ""))
    if token is None or act is None:
        raise Http404
    act(actor=signed_in(request), token=token, team=team)
    return redirect("projects:team_tokens", team.public_id)
