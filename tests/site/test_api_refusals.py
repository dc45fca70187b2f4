"""What is not understood is refused in words, never with a stack trace, whatever was sent."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonschema
import pytest
import yaml
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from projects.models import KeyedRequest, Team, Upload
from tests.cast import browser
from tests.site.fuzz import SNAPSHOT
from tests.site.test_api import PRESENTERS, assert_problem, post, program

DESCRIPTION = yaml.load(SNAPSHOT.read_text(encoding="utf-8"), yaml.CSafeLoader)
SHAPES = DESCRIPTION["components"]["schemas"]


@pytest.mark.parametrize(
    "body",
    [
        '{"team": "x", "team": "y", "name": "Ada"}',
        '{"team": "x", "name": NaN}',
        "[" * 100_000,
        '{"team": "x", "name": 1' + "0" * 5000 + "}",
        '{"team": "x", "name": "\\ud800"}',
        '{"team": "x", "name": "a\\u0000b"}',
        '{"team": "x", "name": true}',
        '["team"]',
        "\xff",
    ],
    ids=["a key twice", "NaN", "deep", "a long number", "half a character", "NUL", "a truth", "a list", "not UTF-8"],
)
def test_a_body_that_is_not_what_was_asked_for_is_a_bad_request(bob: User, team: Team, body: str) -> None:
    sent = body.replace('"x"', f'"{team.public_id}"').encode("latin-1")
    answer = program(bob).generic("POST", PRESENTERS, sent, content_type="application/json")
    assert_problem(answer, 400, "bad_request")
    assert not team.presenters.exists()


def test_a_body_that_is_too_large_is_told_so(bob: User, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert_problem(post(program(bob), PRESENTERS, {"name": "x" * 1000}), 413, "body_too_large")


def test_another_kind_of_body_is_told_so(bob: User) -> None:
    assert_problem(program(bob).post(PRESENTERS, {"name": "Ada"}), 415, "bad_content")


def test_what_is_wrong_deep_inside_is_named_by_its_place(bob: User, team: Team) -> None:
    body = {"team": team.public_id, "name": "Spring", "presenters": ["a", "b" * 17], "scripts": ["c", 5]}
    errors = assert_problem(post(program(bob), "/api/v1/projects/", body), 400, "bad_request")["errors"]
    assert list(errors) == ["scripts"]
    errors = assert_problem(post(program(bob), "/api/v1/projects/", {**body, "scripts": []}), 400, "bad_request")[
        "errors"
    ]
    assert list(errors) == ["presenters.1"]


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=" + base64.b64encode(b"p=abc").decode(),
        "cursor=" + base64.b64encode(b"p=" + b"9" * 30).decode(),
        "cursor=" + base64.b64encode(b"p=%00").decode(),
        "limit=0",
        "limit=many",
        "limit=" + "9" * 30,
        "archived=perhaps",
        "archived=",
        "search=%00",
    ],
)
def test_a_list_that_is_asked_for_wrongly_is_a_bad_request(bob: User, team: Team, query: str) -> None:
    assert_problem(program(bob).get(f"{PRESENTERS}?{query}"), 400, "bad_request")


@pytest.mark.parametrize("path", ["/api/v1/nowhere/", "/api/v1/presenters/%00/", "/uploads/nowhere/more/"])
def test_an_address_that_is_none_is_a_problem_for_programs(bob: User, path: str) -> None:
    assert_problem(program(bob).get(path), 404, "not_found")


def test_what_no_database_keeps_is_at_no_address_and_in_no_form(alice: User, team: Team) -> None:
    client = browser(alice)
    for address in (f"/t/{team.public_id}/presenters/?search=%00", "/presenters/%00/"):
        assert client.get(address).status_code == 404
    answer = client.post(f"/t/{team.public_id}/presenters/new/", {"name": "Ada", "notes": "a\x00b"})
    assert (answer.status_code, team.presenters.count()) == (404, 0)


def test_notes_are_no_place_for_a_whole_book(alice: User, team: Team) -> None:
    """A page of a list holds two hundred of them."""
    new = {"team": team.public_id, "name": "Ada", "notes": "x" * 10_001}
    assert list(assert_problem(post(program(alice), PRESENTERS, new), 400, "bad_request")["errors"]) == ["notes"]
    browser(alice).post(f"/t/{team.public_id}/presenters/new/", new)
    assert len(team.presenters.get().notes) == 10_000


def test_whatever_a_program_accepts_it_is_answered(bob: User) -> None:
    assert program(bob).get(PRESENTERS, headers={"Accept": "image/png"}).status_code == 200


def announce(client: Client, team: Team, **headers: str) -> Any:
    said = {"filename": "a.mp4", "purpose": "footage", "team": team.public_id}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": metadata}
    return client.post("/uploads/", headers=tus | headers)


def test_an_upload_announced_twice_with_one_key_is_one(bob: User, team: Team) -> None:
    client = program(bob)
    first, second = (announce(client, team, **{"Idempotency-Key": "u1"}) for _ in range(2))
    assert (first.status_code, second.status_code, first["Location"]) == (201, 201, second["Location"])
    assert second["Idempotency-Replayed"] == "true"
    assert Upload.objects.count() == 1
    other = announce(client, team, **{"Idempotency-Key": "u1", "Upload-Length": "10"})
    assert_problem(other, 422, "key_reused")
    KeyedRequest.objects.update(status=None)
    assert_problem(announce(client, team, **{"Idempotency-Key": "u1"}), 409, "key_in_flight")
    assert_problem(announce(client, team, **{"Idempotency-Key": "é" * 3}), 400, "bad_key")


def test_a_refused_upload_may_use_its_key_again(bob: User, team: Team) -> None:
    client = program(bob)
    assert_problem(announce(client, team, **{"Idempotency-Key": "u1", "Upload-Length": "0"}), 400, "empty_upload")
    assert announce(client, team, **{"Idempotency-Key": "u1"}).status_code == 201


def test_uploads_refuse_in_problems_too(bob: User, team: Team) -> None:
    client = program(bob)
    place = announce(client, team)["Location"]
    assert_problem(client.get(place), 405, "bad_method")
    assert client.get(place)["Allow"] == "HEAD, PATCH, DELETE, OPTIONS"
    assert_problem(client.post("/uploads/"), 412, "bad_tus_version")
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    assert_problem(client.patch(place, b"x", content_type="text/plain", headers=tus), 415, "bad_content")
    answer = client.patch(
        place, b"x", content_type="application/offset+octet-stream", headers=tus | {"Upload-Offset": "5"}
    )
    assert_problem(answer, 409, "upload_conflict")
    assert_problem(client.delete("/uploads/nowhere/", headers=tus), 404, "not_found")


def test_a_page_that_is_not_the_site_s_changes_nothing(bob: User, team: Team) -> None:
    client = Client(enforce_csrf_checks=True)
    assert_problem(announce(client, team), 401, "signed_out")
    client.force_login(bob, backend="django.contrib.auth.backends.ModelBackend")
    assert_problem(announce(client, team), 403, "not_from_page")


def plain(shape: Any) -> Any:
    """OpenAPI 3.0's schema as JSON Schema: references put in, ``nullable`` written out."""
    if isinstance(shape, list):
        return [plain(item) for item in shape]
    if not isinstance(shape, dict):
        return shape
    if "$ref" in shape:
        return plain(SHAPES[shape["$ref"].rpartition("/")[2]])
    made = {key: plain(value) for key, value in shape.items() if key not in ("nullable", "example")}
    return {"anyOf": [made, {"type": "null"}]} if shape.get("nullable") else made


@pytest.mark.parametrize("name", sorted(name for name in SHAPES if "example" in SHAPES[name]))
def test_every_example_is_what_the_description_says(name: str) -> None:
    example = SHAPES[name]["example"]
    jsonschema.validate(json.loads(json.dumps(example)), plain(SHAPES[name]))
    assert example.keys() <= SHAPES[name]["properties"].keys()


def test_everything_asked_and_answered_has_an_example() -> None:
    used: set[str] = set()
    for operations in DESCRIPTION["paths"].values():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (kind for body in bodies for kind in body.get("content", {}).values()):
                reference = content["schema"].get("$ref", "").rpartition("/")[2]
                used |= {reference} if reference and not reference.startswith("Paginated") else set()
    assert {name for name in used - {"Problem"} if "example" not in SHAPES[name]} == set()


def test_every_operation_says_what_it_is_for_and_how_it_refuses() -> None:
    for path, operations in DESCRIPTION["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            refusals = {code: answer for code, answer in operation["responses"].items() if code >= "400"}
            assert {"401", "429"} <= refusals.keys(), (method, path)
            for answer in refusals.values():
                assert answer["content"]["application/problem+json"]["examples"]


def test_the_page_to_try_it_needs_nothing_from_elsewhere_and_nothing_inline(db: None) -> None:
    answer = Client().get("/api/v1/docs/")
    page = answer.content.decode()
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "<style" not in page
    assert page.count("<script") == page.count('<script defer src="/static/')
    for part in page.split('"'):
        assert not part.startswith(("http:", "https:", "//")), part
        if part.startswith("/static/"):
            assert finders.find(part.removeprefix("/static/")), part
