"""Who may do what. The only place that decides.

A stranger gets 404: that a thing exists is already more than they may know. A member whose role is too small gets 403
with the catalogue's sentence.
"""

from __future__ import annotations

from typing import TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model, QuerySet
from django.http import Http404

from projects import trace
from projects.models import (
    ApiToken,
    AudioTake,
    Footage,
    Invitation,
    MediaBlob,
    Membership,
    Presenter,
    Project,
    Role,
    Script,
    Team,
    Upload,
    Webhook,
    WebhookDelivery,
)
from projects.problems import HeyGemError

AnyUser = User | AnonymousUser | AbstractBaseUser
M = TypeVar("M", bound=Model)

RANK: dict[str, int] = {
    Role.OWNER: 5,
    Role.MANAGER: 4,
    Role.CREATOR: 3,
    Role.REVIEWER: 2,
    Role.VIEWER: 1,
}


def includes(role: str | None, need: str) -> bool:
    """Whether ``role`` may do what ``need`` may do; nobody's role (None) may do nothing."""
    return role is not None and RANK[role] >= RANK[need]


def carried_by(user: AnyUser) -> ApiToken | None:
    """The token that a program sent in the user's place (``projects.signing_in``); None for a person at a browser."""
    return getattr(user, "api_token", None)


def _within_reach(teams: QuerySet[Team], user: AnyUser) -> QuerySet[Team]:
    """Those of ``teams`` that the user's token, if that is what they came with, may reach."""
    token = carried_by(user)
    if token is None:
        return teams
    teams = teams.exclude(pk__in=token.shut_out_of.order_by().values("pk"))
    return teams if token.all_teams else teams.filter(pk__in=token.teams.order_by().values("pk"))


def role_of(user: AnyUser, team: Team) -> Role | None:
    """The user's role in the team, or None for a stranger."""
    if not user.is_authenticated:
        return None
    own = Membership.objects.filter(team=team, user_id=user.pk)
    if carried_by(user) is not None:
        own = own.filter(team__in=_within_reach(Team.objects.filter(pk=team.pk), user).order_by())
    role = own.values_list("role", flat=True).first()
    return Role(role) if role else None


def teams_of(user: AnyUser) -> QuerySet[Team]:
    """The teams the user belongs to, by name."""
    if not user.is_authenticated:
        return Team.objects.none()
    return _within_reach(Team.objects.filter(memberships__user_id=user.pk), user)


def require(user: AnyUser, team: Team, need: Role = Role.VIEWER) -> Role:
    """The user's role in ``team``. Raises ``Http404`` for a stranger, ``HeyGemError('not_allowed')`` below ``need``."""
    trace.note(team=team.public_id)
    role = role_of(user, team)
    if role is None:
        raise Http404
    if not includes(role, need):
        raise HeyGemError("not_allowed")
    return role


def _get(queryset: QuerySet[M], user: AnyUser, public_id: str, need: Role, team_path: str) -> M:
    found = queryset.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    team: object = found
    for step in team_path.split("."):
        team = getattr(team, step)
    assert isinstance(team, Team)  # noqa: S101 - a wrong path is a programming error
    require(user, team, need)
    return found


def get_team_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Team:
    team = Team.objects.filter(public_id=public_id).first()
    if team is None:
        raise Http404
    require(user, team, need)
    return team


def get_project_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Project:
    return _get(Project.objects.select_related("team"), user, public_id, need, "team")


def get_presenter_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Presenter:
    return _get(Presenter.objects.select_related("team"), user, public_id, need, "team")


def get_footage_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Footage:
    footage = Footage.objects.select_related("presenter__team", "blob", "poster", "filmstrip", "preview")
    return _get(footage, user, public_id, need, "presenter.team")


def get_script_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> Script:
    return _get(Script.objects.select_related("team"), user, public_id, need, "team")


def get_take_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> AudioTake:
    takes = AudioTake.objects.select_related("script_version__script__team", "blob")
    return _get(takes, user, public_id, need, "script_version.script.team")


def get_blob_for_user(user: AnyUser, public_id: str, *, need: Role = Role.VIEWER) -> MediaBlob:
    return _get(MediaBlob.objects.select_related("team"), user, public_id, need, "team")


def get_invitation_for_user(user: AnyUser, public_id: str, *, need: Role = Role.MANAGER) -> Invitation:
    return _get(Invitation.objects.select_related("team"), user, public_id, need, "team")


def get_token_for_user(user: AnyUser, public_id: str) -> ApiToken:
    """An API token is its own user's: for everybody else it is not there."""
    token = ApiToken.objects.filter(public_id=public_id).first()
    if token is None or token.user_id != user.pk:
        raise Http404
    return token


def get_webhook_for_user(user: AnyUser, public_id: str, *, need: Role = Role.MANAGER) -> Webhook:
    """Webhooks are managers' business: their log shows what the team makes and where that is sent."""
    return _get(Webhook.objects.select_related("team"), user, public_id, need, "team")


def get_delivery_for_user(user: AnyUser, public_id: str, *, need: Role = Role.MANAGER) -> WebhookDelivery:
    return _get(WebhookDelivery.objects.select_related("webhook__team"), user, public_id, need, "webhook.team")


def get_upload_for_user(user: AnyUser, public_id: str, *, need: Role = Role.CREATOR) -> Upload:
    """An upload belongs to whoever began it: for everybody else it is not there."""
    upload = _get(Upload.objects.select_related("team", "user"), user, public_id, need, "team")
    if upload.user_id != user.pk:
        raise Http404
    return upload
