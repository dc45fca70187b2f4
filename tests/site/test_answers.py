"""What every answer carries: strict headers, an id, a line in the log; and whether the site is well."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from heygem_site import accounts
from heygem_site.logs import Context, OneLine


def test_nothing_inline_and_nothing_foreign_runs(db: None) -> None:
    response = Client().get("/accounts/login/")
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"


def test_with_a_bucket_files_may_be_fetched_from_it_and_nothing_else(db: None, settings: Settings) -> None:
    settings.S3_ORIGIN = "https://s3.example.com"
    policy = Client().get("/accounts/login/")["Content-Security-Policy"].split("; ")
    assert [part.split()[0] for part in policy if "s3.example.com" in part] == ["connect-src", "img-src", "media-src"]


def test_pages_keep_to_the_policy_they_send(db: None) -> None:
    page = Client().get("/accounts/login/").content.decode()
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert page.count("<script") == page.count("src=") - page.count("<img")


def test_a_page_is_not_kept_for_the_next_person(alice: User) -> None:
    client = Client()
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    assert "private" in client.get("/accounts/email/")["Cache-Control"]


def test_an_answer_has_an_id_that_is_in_the_log(db: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="heygem.request"):
        response = Client().get("/accounts/login/")
    assert len(response["X-Request-ID"]) == 8
    assert "GET /accounts/login/ 200" in caplog.text


def test_a_proxys_id_is_kept_and_a_strange_one_is_not(db: None) -> None:
    assert Client().get("/healthz", headers={"X-Request-ID": "abc-12345"})["X-Request-ID"] == "abc-12345"
    assert Client().get("/healthz", headers={"X-Request-ID": "a b; rm"})["X-Request-ID"] != "a b; rm"


def test_what_lets_somebody_in_is_not_in_the_log(db: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="heygem.request"):
        Client().get("/accounts/once/sesame/")
        Client().get("/invitations/sesame/")
    assert "GET /accounts/once/…/ 410" in caplog.text
    assert "sesame" not in caplog.text


def test_a_page_that_is_not_there_is_a_page(db: None) -> None:
    response = Client().get("/nowhere/", headers={"Accept-Language": "en"})
    assert response.status_code == 404
    assert "· HeyGem</title>" in response.content.decode()


def test_a_failure_of_ours_is_a_page_that_needs_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_token: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(accounts, "_holder", fail)
    client = Client(raise_request_exception=False)
    response = client.get("/accounts/once/any/", headers={"Accept-Language": "en"})
    assert response.status_code == 500
    assert "· HeyGem</title>" in response.content.decode()


def test_a_form_from_another_site_is_refused_in_words(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/accounts/login/", {"login": "a"}, headers={"Accept-Language": "en"})
    assert response.status_code == 403
    assert "· HeyGem</title>" in response.content.decode()


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("heygem.jobs", logging.INFO, "", 0, message, None, None)
    made.__dict__.update(extra)
    Context().filter(made)
    return made


def test_a_line_names_the_job_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projects.trace._process", {})  # a test before this one may have been a worker
    assert OneLine().format(record("claimed", job="abc123")).endswith("heygem.jobs [job=abc123] claimed")


def test_a_message_cannot_pass_for_another_event() -> None:
    text = OneLine().format(record("name\n2026-11-21 03:10:02 INFO    heygem.jobs forged"))
    first, second = text.splitlines()
    assert first.endswith("name")
    assert second.startswith("    | ")


@pytest.mark.parametrize(("wanted", "given"), [("zh-CN,zh;q=0.9", "zh-hans"), ("fr", "en")])
def test_a_browsers_language_is_followed(db: None, wanted: str, given: str) -> None:
    assert Client().get("/accounts/login/", headers={"Accept-Language": wanted})["Content-Language"] == given


def test_a_choice_of_language_is_remembered(db: None) -> None:
    client = Client()
    client.post("/i18n/setlang/", {"language": "zh-hans", "next": "/accounts/login/"})
    assert client.get("/accounts/login/", headers={"Accept-Language": "en"})["Content-Language"] == "zh-hans"


def test_a_well_site_says_so(db: None) -> None:
    response = Client().get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok", "media": "ok"}
    assert "no-store" in response["Cache-Control"]


def test_a_load_balancer_may_ask_by_address_and_plainly(db: None, settings: Settings) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["heygem.example.com"], True
    assert Client().get("/healthz", headers={"Host": "10.0.0.7:8000"}).status_code == 200
    assert Client().get("/accounts/login/", headers={"Host": "10.0.0.7:8000"}, secure=True).status_code == 400


def test_a_site_without_its_media_folder_is_ill(db: None, settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "gone"
    response = Client().get("/healthz")
    assert response.status_code == 503
    assert response.json()["media"] == "ill"
