"""What every page knows about the person looking at it (a context processor)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F
from django.http import HttpRequest

from projects import access
from projects.models import Role, Team

SESSION_KEY = "team"


def remember_team(request: HttpRequest, team: Team) -> None:
    """The team whose pages were opened last is the one to come back to."""
    if request.session.get(SESSION_KEY) != team.public_id:
        request.session[SESSION_KEY] = team.public_id


def current_team(request: HttpRequest) -> Team | None:
    """The team that was looked at last, else the first of the user's teams, else None."""
    return _last(request, list(access.teams_of(request.user)))


def _last(request: HttpRequest, mine: Sequence[Team]) -> Team | None:
    last = request.session.get(SESSION_KEY)
    return next((team for team in mine if team.public_id == last), mine[0] if mine else None)


def may(role: str | None) -> dict[str, bool]:
    """``may.create`` and friends: what to show in a template. The services check again."""
    return {
        "review": access.includes(role, Role.REVIEWER),
        "create": access.includes(role, Role.CREATOR),
        "manage": access.includes(role, Role.MANAGER),
        "own": access.includes(role, Role.OWNER),
    }


def teams(request: HttpRequest) -> dict[str, Any]:
    """``my_teams`` for the switch; ``my_team`` and what one ``may`` do there, for pages that belong to none.

    Views of a team give their own ``may``.
    """
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"my_teams": [], "my_team": None}
    mine = list(access.teams_of(user).annotate(role=F("memberships__role")))
    last = _last(request, mine)
    return {"my_teams": mine, "my_team": last, "may": may(getattr(last, "role", None))}
