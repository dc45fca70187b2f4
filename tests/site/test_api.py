"""The API: who may ask, in which words it refuses, and that it is what its description says."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from projects.models import ApiToken, AuditEvent, KeyedRequest, Presenter, Team
from projects.services import tokens
from tests import factories
from tests.cast import browser
from tests.rendering import making

ROOT = Path(__file__).resolve().parents[2]
PRESENTERS = "/api/v1/presenters/"


def program(user: User, scope: str = "write") -> Client:
    """A client that sends a token and checks CSRF as a real site does."""
    _token, secret = tokens.create_token(actor=user, name="Robot", scope=scope)
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {secret}"})


def post(client: Client, address: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(address, body, content_type="application/json", headers=headers)


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_a_token_acts_for_its_person(bob: User, team: Team) -> None:
    answer = post(program(bob), PRESENTERS, {"team": team.public_id, "name": "Ada"})
    assert answer.status_code == 201
    made = Presenter.objects.get(public_id=answer.json()["id"])
    assert made.team == team
    assert AuditEvent.objects.get(action="presenter.created").actor == bob


def test_a_reading_token_looks_but_does_not_write(bob: User, team: Team) -> None:
    client = program(bob, "read")
    assert client.get(PRESENTERS).status_code == 200
    assert_problem(post(client, PRESENTERS, {"team": team.public_id, "name": "Ada"}), 403, "token_reads_only")
    answer = client.post("/uploads/", headers={"Tus-Resumable": "1.0.0"})
    assert (answer.status_code, answer.json()["code"]) == (403, "token_reads_only")


@pytest.mark.parametrize(
    "change",
    [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(seconds=1)}, {"token_hash": "0" * 64}],
    ids=["withdrawn", "expired", "another secret"],
)
def test_a_token_that_is_no_longer_good_opens_nothing(bob: User, team: Team, change: dict[str, Any]) -> None:
    client = program(bob)
    ApiToken.objects.update(**change)
    answer = client.get(PRESENTERS)
    assert_problem(answer, 401, "bad_token")
    assert answer["WWW-Authenticate"] == "Bearer"
    assert client.post("/uploads/", headers={"Tus-Resumable": "1.0.0"}).status_code == 401


def test_a_token_dies_with_its_person(bob: User, team: Team) -> None:
    client = program(bob)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert_problem(client.get(PRESENTERS), 401, "bad_token")


def test_only_the_hash_of_a_token_is_kept_and_its_use_is_noted(bob: User) -> None:
    token, secret = tokens.create_token(actor=bob, name="Robot", scope="read")
    assert secret.rpartition("_")[2] not in str(vars(token))
    Client(headers={"Authorization": f"Bearer {secret}"}).get(PRESENTERS)
    token.refresh_from_db()
    assert token.last_used_at is not None


def test_a_token_is_shown_once_and_can_be_withdrawn(bob: User) -> None:
    client = browser(bob)
    page = client.post("/tokens/", {"name": "Robot", "scope": "write", "days": "30"}).content.decode()
    found = re.search(r"hg_[0-9a-f]{12}_[0-9a-f]{64}", page)
    assert found
    assert found.group() not in client.get("/tokens/").content.decode()
    robot = Client(headers={"Authorization": f"Bearer {found.group()}"})
    assert robot.get(PRESENTERS).status_code == 200
    client.post(f"/tokens/{ApiToken.objects.get().public_id}/revoke/")
    assert robot.get(PRESENTERS).status_code == 401


def test_a_session_needs_the_page_s_own_token(bob: User, team: Team) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob, backend="django.contrib.auth.backends.ModelBackend")
    assert post(client, PRESENTERS, {"team": team.public_id, "name": "Eve"}).status_code == 403
    assert client.post("/uploads/", headers={"Tus-Resumable": "1.0.0"}).status_code == 403
    assert not Presenter.objects.exists()


def test_a_program_uploads_and_downloads_with_its_token(bob: User, presenter: Presenter) -> None:
    client = program(bob)
    said = {
        "filename": "a.mp4",
        "purpose": "footage",
        "team": presenter.team.public_id,
        "presenter": presenter.public_id,
    }
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
    tus = {"Tus-Resumable": "1.0.0"}
    begun = client.post("/uploads/", headers={**tus, "Upload-Length": "6", "Upload-Metadata": metadata})
    sent = client.patch(
        begun["Location"],
        b"moving",
        content_type="application/offset+octet-stream",
        headers={**tus, "Upload-Offset": "0"},
    )
    footage = client.get(f"/api/v1/footage/{sent['HeyGem-Created-Id']}/").json()
    assert (footage["presenter"], footage["state"]) == (presenter.public_id, "waiting")
    assert b"".join(client.get(footage["url"]).streaming_content) == b"moving"


def test_a_stranger_s_list_is_empty_and_their_filter_finds_nothing(charlie: User, presenter: Presenter) -> None:
    client = program(charlie)
    for address in (PRESENTERS, f"{PRESENTERS}?team={presenter.team.public_id}"):
        assert client.get(address).json()["results"] == []
    assert_problem(client.get(f"{PRESENTERS}{presenter.public_id}/"), 404, "not_found")


def test_a_project_takes_only_what_is_its_team_s(alice: User, team: Team, charlie: User) -> None:
    theirs = factories.presenter(charlie.teams.get())
    body = {"team": team.public_id, "name": "Spring", "presenters": [theirs.public_id]}
    assert_problem(post(program(alice), "/api/v1/projects/", body), 404, "not_found")
    assert not team.projects.exists()


def test_what_is_wrong_with_a_request_is_named(bob: User, team: Team) -> None:
    client = program(bob)
    problem = assert_problem(post(client, PRESENTERS, {"team": team.public_id}), 400, "bad_request")
    assert list(problem["errors"]) == ["name"]
    assert_problem(client.post(PRESENTERS, "{", content_type="application/json"), 400, "bad_request")
    assert_problem(client.delete(PRESENTERS), 405, "bad_method")
    assert_problem(client.get("/api/v1/jobs/?state=asleep"), 400, "bad_request")


def test_problems_come_in_the_asker_s_language(bob: User) -> None:
    answer = program(bob).get(f"{PRESENTERS}nowhere/", headers={"Accept-Language": "zh-CN"})
    assert answer.json()["title"] == "这个地址下什么也没有。"


@pytest.mark.parametrize(
    ("language", "title", "detail"),
    [
        ("en", "The recording is longer than 1:30 minutes", "Cut it into parts, or ask"),
        ("zh-hans", "录音超过 1:30 分钟", "请把它分成几段"),
    ],
)
def test_what_a_machine_found_comes_with_its_sentence_and_what_to_do(
    bob: User, team: Team, language: str, title: str, detail: str
) -> None:
    found = {"code": "take_over_limit", "level": "refused", "figure": 90.0}
    both = [{"code": "odd", "level": "info"}, found]
    take = factories.take(factories.script(team), state="refused", error_code="take_over_limit", findings=both)
    answer = program(bob).get(f"/api/v1/takes/{take.public_id}/", headers={"Accept-Language": language})
    told, unknown = answer.json()["findings"]
    assert found == {name: told[name] for name in found}
    assert told["title"].startswith(title)
    assert told["detail"].startswith(detail)
    assert (unknown["code"], unknown["figure"]) == ("odd", None)
    assert unknown["title"], "one of a newer machine has a sentence too"


def test_lists_come_in_pages_and_can_be_narrowed(bob: User, team: Team) -> None:
    for name in ("Ada", "Bea", "Cleo"):
        factories.presenter(team, name)
    client = program(bob)
    first = client.get(f"{PRESENTERS}?limit=2").json()
    second = client.get(first["next"]).json()
    assert [row["name"] for row in first["results"] + second["results"]] == ["Cleo", "Bea", "Ada"]
    assert second["next"] is None
    assert [row["name"] for row in client.get(f"{PRESENTERS}?search=be").json()["results"]] == ["Bea"]
    team.presenters.filter(name="Ada").update(archived_at=timezone.now())
    assert [row["name"] for row in client.get(f"{PRESENTERS}?archived=true").json()["results"]] == ["Ada"]
    assert len(client.get(f"{PRESENTERS}?archived=false").json()["results"]) == 2


def test_a_list_asks_the_database_no_more_when_it_is_longer(bob: User, team: Team, django_assert_num_queries) -> None:
    project = making.ready_project(team)
    client = program(bob)
    post(client, "/api/v1/batches/", {"project": project.public_id})
    client.get("/api/v1/jobs/")
    with django_assert_num_queries(5):  # the token, its last use, the asker's allowance, which jobs, these jobs
        assert len(client.get("/api/v1/jobs/").json()["results"]) == 4


def test_the_same_key_makes_one_thing(bob: User, team: Team) -> None:
    client, body = program(bob), {"team": team.public_id, "name": "Ada"}
    answers = [post(client, PRESENTERS, body, **{"Idempotency-Key": "k1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotency-Replayed"] == "true"
    assert team.presenters.count() == 1
    other = post(client, PRESENTERS, {**body, "name": "Bea"}, **{"Idempotency-Key": "k1"})
    assert_problem(other, 422, "key_reused")


def test_a_key_under_way_is_told_and_an_old_one_forgotten(bob: User, team: Team) -> None:
    client, body = program(bob), {"team": team.public_id, "name": "Ada"}
    post(client, PRESENTERS, body, **{"Idempotency-Key": "k1"})
    KeyedRequest.objects.update(status=None)
    assert_problem(post(client, PRESENTERS, body, **{"Idempotency-Key": "k1"}), 409, "key_in_flight")
    KeyedRequest.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert post(client, PRESENTERS, body, **{"Idempotency-Key": "k1"}).status_code == 201
    assert team.presenters.count() == 2


def test_a_refused_request_may_use_its_key_again(bob: User, team: Team) -> None:
    client = program(bob)
    assert post(client, PRESENTERS, {"team": "x", "name": "Ada"}, **{"Idempotency-Key": "k1"}).status_code == 404
    body = {"team": team.public_id, "name": "Ada"}
    assert post(client, PRESENTERS, body, **{"Idempotency-Key": "k1"}).status_code == 201


def test_a_matrix_is_rendered_watched_and_published(bob: User, alice: User, team: Team) -> None:
    project = making.ready_project(team)
    client = program(bob)
    board = client.get(f"/api/v1/projects/{project.public_id}/board/").json()
    assert [len(row["cells"]) for row in board["rows"]] == [len(board["columns"])] * 2
    batch = post(client, "/api/v1/batches/", {"project": project.public_id}).json()
    assert (batch["total"], batch["queued"]) == (4, 4)
    job = client.get(f"/api/v1/jobs/?batch={batch['batch']['id']}&state=queued").json()["results"][0]
    assert post(client, f"/api/v1/jobs/{job['id']}/hold/", {}).json()["state"] == "held"
    assert post(client, f"/api/v1/jobs/{job['id']}/release/", {}).json()["state"] == "queued"
    first = making.succeed_next()
    assert client.get(f"/api/v1/versions/{first.public_id}/").json()["published"]
    made = making.version(project, first.deliverable.presenter, first.deliverable.script)
    version = client.get(f"/api/v1/versions/{made.public_id}/").json()
    assert not version["published"]
    assert client.get(version["download_url"])["Content-Disposition"].startswith("attachment")
    assert post(client, f"/api/v1/versions/{made.public_id}/publish/", {}).json()["published"]
    export = post(client, "/api/v1/exports/", {"project": project.public_id}).json()
    assert (export["state"], export["total"], export["download_url"]) == ("waiting", 1, None)
    progress = post(client, f"/api/v1/batches/{batch['batch']['id']}/cancel/", {}).json()
    assert (progress["done"], progress["cancelled"], progress["is_finished"]) == (1, 3, True)
    assert_problem(post(client, f"/api/v1/batches/{batch['batch']['id']}/retry/", {}), 409, "nothing_to_retry")
    assert_problem(
        post(client, "/api/v1/batches/", {"project": project.public_id, "cells": ["x"]}), 404, "cell_unknown"
    )


def test_the_description_is_the_one_that_is_kept(tmp_path: Path) -> None:
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(fresh), validate=True, fail_on_warn=True, lang="en")
    kept = (ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8")
    assert fresh.read_text(encoding="utf-8") == kept, (
        "look at the change, then run: ./heygem manage spectacular --lang en --file docs/openapi.yaml"
    )


def blocks_of(name: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_walk_is_the_same_in_both_languages() -> None:
    assert len(blocks_of("api.md")) > 5
    assert blocks_of("api.zh.md") == blocks_of("api.md")


@pytest.mark.django_db(transaction=True)
def test_the_walk_of_the_documentation_works(live_server: Any, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the walk in docs/api.md was not tried")
    alice = factories.user("alice")
    team = factories.team("Alice's team", owner=alice)
    _token, secret = tokens.create_token(actor=alice, name="Robot", scope="write")
    (tmp_path / "footage.mp4").write_bytes(b"moving pictures")
    (tmp_path / "take.wav").write_bytes(b"spoken words")
    olga = factories.user("olga", is_staff=True)
    _token, operator = tokens.create_token(actor=olga, name="Farm", scope="operate")
    making.worker()
    given = {"HEYGEM": live_server.url, "TOKEN": secret, "OPERATOR": operator}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks_of("api.md"))],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"cancelled":1' in done.stdout
    assert team.batches.get().jobs.get().state == "cancelled"
    assert (team.scripts.count(), team.presets.get(name="Small").crf) == (1, 24)
    acts = AuditEvent.objects.filter(actor=olga).order_by("pk").values_list("action", flat=True)
    assert list(acts)[-5:] == [
        *("worker.draining", "worker.active", "team.share_changed", "team.paused", "team.resumed")
    ]
