"""What may be done with teams: who belongs to them, and how others are asked in."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.access import carried_by, includes, require
from projects.models import Invitation, Membership, Role, Team
from projects.problems import HeyGemError
from projects.services import audit, names

INVITATION_DAYS = 14


@transaction.atomic
def create_team(*, actor: User, name: str) -> Team:
    """A new team, owned by ``actor``. Raises ``token_new_team`` for a program whose token is for chosen teams."""
    token = carried_by(actor)
    if token is not None and not token.all_teams:
        raise HeyGemError("token_new_team")
    team = Team.objects.create(name=names.clean(name, limit=120))
    Membership.objects.create(team=team, user=actor, role=Role.OWNER)
    audit.record(action="team.created", actor=actor, team=team, subject=team)
    return team


@transaction.atomic
def rename_team(*, actor: User, team: Team, name: str) -> Team:
    require(actor, team, Role.MANAGER)
    was, team.name = team.name, names.clean(name, limit=120)
    team.save(update_fields=["name"])
    audit.record(action="team.renamed", actor=actor, team=team, subject=team, was=was)
    return team


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def invite(*, actor: User, team: Team, role: str, days: int = INVITATION_DAYS) -> tuple[Invitation, str]:
    """A link's token that lets one person join as ``role``. It is shown once: only its hash is kept."""
    _may_give(actor, team, role)
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        team=team,
        role=Role(role),
        token_hash=_hash(token),
        invited_by=actor,
        expires_at=timezone.now() + timedelta(days=days),
    )
    audit.record(action="member.invited", actor=actor, team=team, subject=invitation, role=role)
    return invitation, token


def open_invitation(token: str) -> Invitation:
    """The invitation behind a link. Raises ``HeyGemError('invitation_closed')``, for unknown tokens too."""
    invitation = Invitation.objects.select_related("team", "invited_by").filter(token_hash=_hash(token)).first()
    if invitation is None or not invitation.is_open:
        raise HeyGemError("invitation_closed")
    return invitation


@transaction.atomic
def accept_invitation(*, actor: User, token: str) -> Membership:
    invitation = open_invitation(token)
    if Membership.objects.filter(team=invitation.team, user=actor).exists():
        raise HeyGemError("already_member")
    taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
        accepted_by=actor, accepted_at=timezone.now()
    )
    if not taken:  # somebody else followed the link first
        raise HeyGemError("invitation_closed")
    membership = Membership.objects.create(team=invitation.team, user=actor, role=invitation.role)
    audit.record(
        action="member.joined", actor=actor, team=invitation.team, subject=invitation, label=actor.get_username()
    )
    return membership


@transaction.atomic
def revoke_invitation(*, actor: User, invitation: Invitation) -> None:
    require(actor, invitation.team, Role.MANAGER)
    if Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(action="invitation.revoked", actor=actor, team=invitation.team, subject=invitation)


@transaction.atomic
def change_role(*, actor: User, membership: Membership, role: str) -> Membership:
    """Managers change everybody but owners; only an owner makes or unmakes an owner."""
    team = _locked(membership.team)
    _may_give(actor, team, role)
    _may_touch(actor, membership)
    if membership.role == Role.OWNER and role != Role.OWNER:
        _keep_an_owner(team)
    was, membership.role = membership.role, Role(role)
    membership.save(update_fields=["role"])
    name = membership.user.get_username()
    audit.record(action="member.role_changed", actor=actor, team=team, label=name, was=was, role=role)
    return membership


@transaction.atomic
def remove_member(*, actor: User, membership: Membership) -> None:
    """Take somebody out of the team; anybody may take out themselves."""
    team = _locked(membership.team)
    if membership.user_id != actor.pk:
        require(actor, team, Role.MANAGER)
        _may_touch(actor, membership)
    if membership.role == Role.OWNER:
        _keep_an_owner(team)
    name = membership.user.get_username()
    membership.delete()
    audit.record(action="member.removed", actor=actor, team=team, label=name)


def _locked(team: Team) -> Team:
    """Changes of who owns a team go one after another, so that two owners cannot unmake each other at once."""
    return Team.objects.select_for_update().get(pk=team.pk)


def _may_give(actor: User, team: Team, role: str) -> None:
    """Managers give every role but owner; owners give any."""
    own = require(actor, team, Role.MANAGER)
    if not includes(own, Role(role)):
        raise HeyGemError("not_allowed")


def _may_touch(actor: User, membership: Membership) -> None:
    if not includes(require(actor, membership.team, Role.MANAGER), membership.role):
        raise HeyGemError("not_allowed")


def _keep_an_owner(team: Team) -> None:
    if team.memberships.filter(role=Role.OWNER).count() < 2:
        raise HeyGemError("last_owner")
