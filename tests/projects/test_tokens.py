"""What an API token reaches: the teams it is for, unless their managers shut it out; the farm only when it says so."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from projects.models import ApiToken, AuditEvent, Presenter, Role, Team
from projects.problems import HeyGemError
from projects.services import tokens
from tests import factories
from tests.cast import browser

PRESENTERS = "/api/v1/presenters/"


@pytest.fixture
def second(bob: User) -> Team:
    """Another team that Bob belongs to."""
    return factories.team("Second", owner=bob)


def robot(user: User, scope: str = "write", **more: Any) -> Client:
    _token, secret = tokens.create_token(actor=user, name="Robot", scope=scope, **more)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def test_a_token_for_one_team_finds_nothing_of_another(
    bob: User, team: Team, second: Team, presenter: Presenter
) -> None:
    client = robot(bob, teams=[second])
    assert [row["id"] for row in client.get("/api/v1/teams/").json()["results"]] == [second.public_id]
    assert client.get(PRESENTERS).json()["results"] == []
    assert client.get(f"{PRESENTERS}{presenter.public_id}/").status_code == 404
    body = {"team": team.public_id, "name": "Eve"}
    assert client.post(PRESENTERS, body, content_type="application/json").status_code == 404
    film = factories.blob(team, b"film")
    assert client.get(f"/media/{film.public_id}/a.mp4").status_code == 404
    assert robot(bob).get(f"{PRESENTERS}{presenter.public_id}/").status_code == 200


def test_a_token_is_not_answered_what_another_made_beyond_its_teams(bob: User, team: Team, second: Team) -> None:
    made = {"data": {"team": team.public_id, "name": "Eve"}, "content_type": "application/json"}
    again: dict[str, Any] = {**made, "headers": {"Idempotency-Key": "one"}}
    assert robot(bob).post(PRESENTERS, **again).status_code == 201
    answer = robot(bob, teams=[second]).post(PRESENTERS, **again)
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert robot(bob).post(PRESENTERS, **again)["Idempotency-Replayed"] == "true"
    own = robot(bob, teams=[second]), robot(bob, teams=[second])  # the second was made when the first was lost
    again |= {"data": {"team": second.public_id, "name": "Eve"}, "headers": {"Idempotency-Key": "two"}}
    assert [client.post(PRESENTERS, **again).status_code for client in own] == [201, 201]
    assert second.presenters.count() == 1


def test_a_token_for_every_team_reaches_one_that_is_joined_later(bob: User, team: Team) -> None:
    client = robot(bob)
    later = factories.team("Later", owner=bob)
    assert later.public_id in {row["id"] for row in client.get("/api/v1/teams/").json()["results"]}


def test_a_token_whose_only_team_is_gone_reaches_nothing(bob: User, team: Team, second: Team) -> None:
    client = robot(bob, teams=[second])
    second.delete()
    assert client.get("/api/v1/teams/").json()["results"] == []


def test_a_token_for_chosen_teams_makes_no_new_one(bob: User, second: Team) -> None:
    answer = robot(bob, teams=[second]).post("/api/v1/teams/", {"name": "Third"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "token_new_team")
    assert robot(bob).post("/api/v1/teams/", {"name": "Third"}, content_type="application/json").status_code == 201


def test_a_token_for_no_team_or_another_s_team_is_not_made(bob: User, charlie: User) -> None:
    for teams in ([], [charlie.teams.get()]):
        with pytest.raises(HeyGemError, match="token_nowhere"):
            tokens.create_token(actor=bob, name="Robot", scope="write", teams=teams)


def test_managers_see_which_tokens_reach_their_team_and_shut_one_out(
    bob: User, mona: User, victor: User, team: Team, second: Team, presenter: Presenter
) -> None:
    client = robot(bob)
    robot(bob, teams=[second])
    manager = browser(mona)
    address = f"/t/{team.public_id}/tokens/"
    assert manager.get(address).content.count(b"hg_") == 1
    token = ApiToken.objects.get(all_teams=True)
    manager.post(f"{address}{token.public_id}/act/", {"act": "shut_out"})
    assert client.get(f"{PRESENTERS}{presenter.public_id}/").status_code == 404
    assert [row["id"] for row in client.get("/api/v1/teams/").json()["results"]] == [second.public_id]
    assert "shut out of Alice&#x27;s team by its managers" in browser(bob).get("/tokens/").content.decode()
    manager.post(f"{address}{token.public_id}/act/", {"act": "let_in"})
    assert client.get(f"{PRESENTERS}{presenter.public_id}/").status_code == 200
    events = AuditEvent.objects.filter(team=team, actor=mona).order_by("pk").values_list("action", flat=True)
    assert list(events) == ["token.shut_out", "token.let_in"]


def test_a_token_that_does_not_reach_the_team_is_not_the_managers_to_shut_out(
    bob: User, mona: User, team: Team, second: Team
) -> None:
    token, _secret = tokens.create_token(actor=bob, name="Robot", scope="read", teams=[second])
    answer = browser(mona).post(f"/t/{team.public_id}/tokens/{token.public_id}/act/", {"act": "shut_out"})
    assert answer.status_code == 404
    with pytest.raises(HeyGemError, match="not_allowed"):
        tokens.shut_out(actor=bob, token=token, team=team)


def test_the_page_makes_a_token_for_the_ticked_teams(bob: User, team: Team, second: Team) -> None:
    form = {"name": "Robot", "scope": "read", "days": "30", "team": [second.public_id]}
    assert b"Second" in browser(bob).post("/tokens/", form).content
    token = ApiToken.objects.get()
    assert (token.all_teams, list(token.teams.all())) == (False, [second])
    browser(bob).post("/tokens/", form | {"team": []})
    assert ApiToken.objects.latest("pk").all_teams
    stranger = factories.team("Elsewhere")
    assert browser(bob).post("/tokens/", form | {"team": [stranger.public_id]}).status_code == 404


def test_only_operators_make_tokens_for_the_farm(bob: User) -> None:
    form = {"name": "Robot", "scope": "operate", "days": "30"}
    assert browser(bob).post("/tokens/", form).status_code == 404
    with pytest.raises(HeyGemError, match="not_allowed"):
        tokens.create_token(actor=bob, name="Robot", scope="operate")
    olga = factories.user("olga", is_staff=True)
    assert browser(olga).post("/tokens/", form).status_code == 200


def test_operators_see_every_token_and_withdraw_it(bob: User, team: Team) -> None:
    olga = factories.user("olga", is_staff=True, is_superuser=True)
    token, _secret = tokens.create_token(actor=bob, name="Nightly", scope="write")
    client = browser(olga)
    page = client.get("/admin/projects/apitoken/").content.decode()
    assert "Nightly" in page
    assert token.token_hash not in client.get(f"/admin/projects/apitoken/{token.pk}/change/").content.decode()
    client.post("/admin/projects/apitoken/", {"action": "withdraw", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert AuditEvent.objects.get(action="token.revoked").actor == olga


def test_a_program_is_told_who_it_acts_for(bob: User, team: Team) -> None:
    told = robot(bob, "read", teams=[team]).get("/api/v1/me/").json()
    assert told["email"] == bob.email
    assert (told["token"]["scope"], told["token"]["teams"]) == ("read", [team.public_id])
    assert browser(bob).get("/api/v1/me/").json()["token"] is None


def test_a_role_in_one_team_stays_out_of_another(bob: User, team: Team, second: Team) -> None:
    roles = {row["id"]: row["role"] for row in robot(bob).get("/api/v1/teams/").json()["results"]}
    assert roles == {team.public_id: Role.CREATOR, second.public_id: Role.OWNER}
