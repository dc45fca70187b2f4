"""Who may do what."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import Http404

from projects import access
from projects.models import Role, Team
from projects.problems import HeyGemError
from tests import factories


def everything_of(team: Team, owner: User) -> dict[str, object]:
    """One of each kind of thing that has an address."""
    from projects.services import teams, uploads

    presenter, script = factories.presenter(team), factories.script(team)
    upload = uploads.start(actor=owner, team=team, purpose="take", name="a.wav", size=10, target={})
    invitation, _ = teams.invite(actor=owner, team=team, role=Role.VIEWER)
    return {
        "team": team,
        "project": factories.project(team),
        "presenter": presenter,
        "footage": factories.footage(presenter),
        "script": script,
        "take": factories.take(script),
        "blob": factories.blob(team),
        "invitation": invitation,
        "upload": upload,
    }


KINDS = ("team", "project", "presenter", "footage", "script", "take", "blob", "invitation", "upload")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_and_somebody_signed_out_find_nothing(kind, team, alice, charlie):
    getter = getattr(access, f"get_{kind}_for_user")
    thing = everything_of(team, alice)[kind]
    for nobody in (charlie, AnonymousUser()):
        with pytest.raises(Http404):
            getter(nobody, thing.public_id)
    assert getter(alice, thing.public_id) == thing


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_id_is_not_found_by_its_own_team(kind, team, alice):
    with pytest.raises(Http404):
        getattr(access, f"get_{kind}_for_user")(alice, "2222222222222222")


@pytest.mark.parametrize("kind", ["project", "presenter", "footage", "script", "take", "blob"])
def test_a_viewer_reads_but_is_told_no_when_writing(kind, team, alice, victor):
    getter = getattr(access, f"get_{kind}_for_user")
    thing = everything_of(team, alice)[kind]
    assert getter(victor, thing.public_id) == thing
    with pytest.raises(HeyGemError) as no:
        getter(victor, thing.public_id, need=Role.CREATOR)
    assert (no.value.code, no.value.problem.status) == ("not_allowed", 403)


def test_every_role_includes_the_ones_below_it(team):
    roles = [Role.OWNER, Role.MANAGER, Role.CREATOR, Role.REVIEWER, Role.VIEWER]
    for held, role in enumerate(roles):
        for needed, need in enumerate(roles):
            assert access.includes(role, need) == (held <= needed)
    assert not access.includes(None, Role.VIEWER)


def test_an_upload_is_there_only_for_the_member_who_began_it(team, alice, bob):
    upload = everything_of(team, alice)["upload"]
    with pytest.raises(Http404):
        access.get_upload_for_user(bob, upload.public_id)


def test_teams_of_somebody_are_only_their_own(team, alice, charlie):
    assert list(access.teams_of(alice)) == [team]
    assert team not in access.teams_of(charlie)
    assert not access.teams_of(AnonymousUser()).exists()
