"""Signing in: by address and password, once by link, by invitation, and not without end."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone, translation
from django.utils.html import escape
from pytest_django.fixtures import Settings

from heygem_site import accounts
from heygem_site.owner import ensure_owner
from projects.models import Invitation, Membership, Role, Team
from projects.services import teams

PASSWORD = "correct horse battery"


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def dora(db: None) -> User:
    return User.objects.create_user("dora", "dora@example.com", PASSWORD)


def sign_in(client: Client, address: str, password: str, **headers: str):  # type: ignore[no-untyped-def]
    return client.post("/accounts/login/", {"login": address, "password": password}, **headers)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_address_and_password_sign_in(client: Client, dora: User) -> None:
    sign_in(client, "Dora@Example.com", PASSWORD)
    assert is_signed_in(client)


def test_a_wrong_password_does_not(client: Client, dora: User) -> None:
    assert sign_in(client, dora.email, "wrong").status_code == 200
    assert not is_signed_in(client)


def test_what_is_wrong_with_a_new_password_is_told_in_the_reader_s_language() -> None:
    for language, said in (("en", "at least 10 characters"), ("zh-hans", "至少要有 10 个字符")):
        with translation.override(language), pytest.raises(ValidationError) as refused:
            validate_password("x4Tq!")
        assert said in str(refused.value)


def test_after_too_many_tries_even_the_right_password_waits(client: Client, dora: User, settings: Settings) -> None:
    settings.AXES_ENABLED, settings.AXES_FAILURE_LIMIT = True, 3
    for _ in range(3):
        response = sign_in(client, dora.email, "wrong")
    assert response.status_code == 429
    assert sign_in(client, dora.email.upper(), PASSWORD).status_code == 429
    assert not is_signed_in(client)


def test_somebody_elses_failures_lock_nobody_out(client: Client, dora: User, settings: Settings) -> None:
    settings.AXES_ENABLED, settings.AXES_FAILURE_LIMIT = True, 3
    for _ in range(4):
        sign_in(client, dora.email, "wrong", REMOTE_ADDR="192.0.2.66")
    sign_in(client, dora.email, PASSWORD, REMOTE_ADDR="192.0.2.1")
    assert is_signed_in(client)


def test_a_visitor_cannot_choose_the_address_that_is_counted(settings: Settings) -> None:
    from django.test import RequestFactory

    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="203.0.113.9, 198.51.100.7")
    assert accounts.client_address(request) == "192.0.2.1"
    settings.BEHIND_PROXY = True
    assert accounts.client_address(request) == "198.51.100.7"


def test_the_link_signs_in_once(client: Client, dora: User) -> None:
    path = accounts.one_time_path(dora)
    assert client.get(path).status_code == 200
    assert not is_signed_in(client), "fetching the page must not use the link up"
    assert client.post(path).status_code == 302
    assert is_signed_in(client)
    other = Client()
    assert other.post(path).status_code == 410
    assert not is_signed_in(other)


def test_the_link_dies_with_the_hour(client: Client, dora: User, settings: Settings) -> None:
    path = accounts.one_time_path(dora)
    settings.ONE_TIME_LINK_SECONDS = -1
    assert client.post(path).status_code == 410


def test_the_link_dies_when_the_password_changes(client: Client, dora: User) -> None:
    path = accounts.one_time_path(dora)
    dora.set_password("another password")
    dora.save()
    assert client.post(path).status_code == 410


def test_a_changed_link_signs_nobody_in(client: Client, dora: User) -> None:
    path = accounts.one_time_path(dora)
    assert client.post(path[:-3] + "xx/").status_code == 410


def test_the_link_of_somebody_switched_off_is_dead(client: Client, dora: User) -> None:
    path = accounts.one_time_path(dora)
    User.objects.filter(pk=dora.pk).update(is_active=False)
    assert client.post(path).status_code == 410


def test_a_new_link_is_one_command_away(client: Client, dora: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("one_time_link", "dora@example.com", site="http://site")
    link = capsys.readouterr().out.strip()
    assert link.startswith("http://site/accounts/once/")
    client.post(link.removeprefix("http://site"))
    assert is_signed_in(client)
    with pytest.raises(CommandError, match="has the address"):
        call_command("one_time_link", "nobody@example.com")


def join(client: Client, address: str, target: str):  # type: ignore[no-untyped-def]
    fields = {"email": address, "password1": PASSWORD, "password2": PASSWORD, "next": target}
    return client.post("/accounts/signup/", fields)


def test_nobody_signs_up_uninvited(client: Client, db: None) -> None:
    join(client, "eve@example.com", "/")
    assert not User.objects.filter(email="eve@example.com").exists()
    join(client, "eve@example.com", "/invitations/guess/")
    assert not User.objects.filter(email="eve@example.com").exists()


def test_who_holds_an_invitation_signs_up_and_comes_back_to_it(client: Client, alice: User, team: Team) -> None:
    _invitation, token = teams.invite(actor=alice, team=team, role=Role.CREATOR)
    target = f"/invitations/{token}/"
    assert client.get(f"/accounts/signup/?next={quote(target)}").status_code == 200
    response = join(client, "eve@example.com", target)
    assert response.status_code == 302
    assert response["Location"] == target
    assert is_signed_in(client)


def test_an_invitation_greets_who_has_no_account_and_shows_both_ways_in(
    client: Client, alice: User, team: Team
) -> None:
    _invitation, token = teams.invite(actor=alice, team=team, role=Role.CREATOR)
    target = f"/invitations/{token}/"
    page = client.get(target).content.decode()
    assert f"Join {escape(team.name)}" in page
    assert f"/accounts/signup/?next={target}" in page
    assert f"/accounts/login/?next={target}" in page
    assert client.post(target)["Location"] == f"/accounts/login/?next={target}", "joining needs somebody who joins"
    assert client.get("/invitations/guess/").status_code == 410


def test_an_invitation_that_is_over_opens_no_door(client: Client, alice: User, team: Team) -> None:
    invitation, token = teams.invite(actor=alice, team=team, role=Role.CREATOR)
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now() - timedelta(days=1))
    join(client, "eve@example.com", f"/invitations/{token}/")
    assert not User.objects.filter(email="eve@example.com").exists()


def test_an_open_house_lets_everybody_sign_up(client: Client, db: None, settings: Settings) -> None:
    settings.SIGNUP_OPEN = True
    join(client, "eve@example.com", "/")
    assert User.objects.filter(email="eve@example.com").exists()


def test_the_way_to_an_account_is_on_the_sign_in_page(client: Client, db: None, settings: Settings) -> None:
    assert "/accounts/signup/" not in client.get("/accounts/login/").content.decode()
    assert "/accounts/signup/" in client.get("/accounts/login/?next=/invitations/abc/").content.decode()
    settings.SIGNUP_OPEN = True
    assert "/accounts/signup/" in client.get("/accounts/login/").content.decode()


def test_the_first_owner_owns_a_team_and_runs_the_place(db: None) -> None:
    owner, password = ensure_owner("Owner@Example.com")
    assert password
    assert len(password) >= 16
    assert owner.check_password(password)
    assert owner.is_superuser
    assert owner.email == "owner@example.com"
    assert Membership.objects.get(user=owner).role == Role.OWNER


def test_the_second_start_makes_no_second_owner(db: None) -> None:
    first, _ = ensure_owner("owner@example.com")
    again, password = ensure_owner("another@example.com")
    assert again == first
    assert password is None
    assert User.objects.count() == 1
    assert Team.objects.count() == 1


def test_an_owners_address_must_be_one(db: None) -> None:
    with pytest.raises(ImproperlyConfigured, match="HEYGEM_OWNER_EMAIL must be an email address, not 'me'"):
        ensure_owner("me")
