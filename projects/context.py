"""What every page knows about the person looking at it (a context processor)."""

from __future__ import annotations

from typing import Any

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
    teams = list(access.teams_of(request.user))
    last = request.session.get(SESSION_KEY)
    return next((team for team in teams if team.public_id == last), teams[0] if teams else None)


def may(role: str | None) -> dict[str, bool]:
    """``may.create`` and friends: what to show in a template. The services check again."""
    return {
        "review": access.includes(role, Role.REVIEWER),
        "create": access.includes(role, Role.CREATOR),
        "manage": access.includes(role, Role.MANAGER),
        "own": access.includes(role, Role.OWNER),
    }


def teams(request: HttpRequest) -> dict[str, Any]:
    """``my_teams`` for the switch. Views themselves give ``team``, ``role`` and ``may``."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"my_teams": []}
    return {"my_teams": list(access.teams_of(user))}
