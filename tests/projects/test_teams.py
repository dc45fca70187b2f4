"""Belonging to a team: links, roles, and the owner that must remain."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.models import Invitation, Membership, Role
from projects.problems import HeyGemError
from projects.services import teams


def code_of(call, **arguments) -> str:
    with pytest.raises(HeyGemError) as error:
        call(**arguments)
    return error.value.code


def membership(team, user) -> Membership:
    return Membership.objects.get(team=team, user=user)


def test_a_link_lets_one_person_in_once(team, alice, charlie, django_user_model):
    invitation, token = teams.invite(actor=alice, team=team, role=Role.CREATOR)
    assert token not in str(vars(invitation))
    assert teams.accept_invitation(actor=charlie, token=token).role == Role.CREATOR
    late = django_user_model.objects.create_user("late")
    assert code_of(teams.accept_invitation, actor=late, token=token) == "invitation_closed"
    assert not Membership.objects.filter(user=late).exists()


def test_a_revoked_expired_or_invented_link_lets_nobody_in(team, alice, charlie):
    revoked, first = teams.invite(actor=alice, team=team, role=Role.VIEWER)
    teams.revoke_invitation(actor=alice, invitation=revoked)
    expired, second = teams.invite(actor=alice, team=team, role=Role.VIEWER)
    Invitation.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for token in (first, second, "invented"):
        assert code_of(teams.accept_invitation, actor=charlie, token=token) == "invitation_closed"


def test_a_member_who_follows_a_link_keeps_their_role_and_the_link(team, alice, bob):
    _invitation, token = teams.invite(actor=alice, team=team, role=Role.VIEWER)
    assert code_of(teams.accept_invitation, actor=bob, token=token) == "already_member"
    assert membership(team, bob).role == Role.CREATOR
    assert teams.open_invitation(token)


def test_managers_give_every_role_but_owner(team, mona, bob, alice):
    assert teams.change_role(actor=mona, membership=membership(team, bob), role=Role.MANAGER).role == Role.MANAGER
    assert code_of(teams.change_role, actor=mona, membership=membership(team, bob), role=Role.OWNER) == "not_allowed"
    assert code_of(teams.invite, actor=mona, team=team, role=Role.OWNER) == "not_allowed"
    assert code_of(teams.change_role, actor=mona, membership=membership(team, alice), role=Role.VIEWER) == "not_allowed"
    assert code_of(teams.remove_member, actor=mona, membership=membership(team, alice)) == "not_allowed"


def test_the_last_owner_neither_leaves_nor_steps_down(team, alice, bob):
    own = membership(team, alice)
    assert code_of(teams.remove_member, actor=alice, membership=own) == "last_owner"
    assert code_of(teams.change_role, actor=alice, membership=own, role=Role.VIEWER) == "last_owner"
    teams.change_role(actor=alice, membership=membership(team, bob), role=Role.OWNER)
    teams.remove_member(actor=alice, membership=own)
    assert [kept.user for kept in team.memberships.all()] == [bob]


def test_members_may_leave_but_not_remove_others(team, bob, victor):
    assert code_of(teams.remove_member, actor=bob, membership=membership(team, victor)) == "not_allowed"
    teams.remove_member(actor=victor, membership=membership(team, victor))
    assert not Membership.objects.filter(user=victor).exists()


def test_only_managers_invite_and_rename(team, bob, mona):
    assert code_of(teams.invite, actor=bob, team=team, role=Role.VIEWER) == "not_allowed"
    assert code_of(teams.rename_team, actor=bob, team=team, name="Bob's") == "not_allowed"
    assert teams.rename_team(actor=mona, team=team, name="Ours").name == "Ours"
