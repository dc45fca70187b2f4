"""What the API does beyond lists: a matrix in one call, presets, tries with their logs, usage, and the farm."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from projects.models import AuditEvent, Project, Team
from rendering import queue, states
from rendering.models import RenderAttempt, RenderVersion, WorkerNode
from rendering.services import batches
from tests import factories
from tests.rendering import making
from tests.site.test_api import assert_problem, post, program

BATCHES = "/api/v1/batches/"


@pytest.fixture
def board(team: Team, settings: Any) -> Project:
    settings.ANALYSIS_TASK = "rendering.tasks.analyse"
    return making.ready_project(team)


def test_one_call_renders_every_presenter_in_every_script_and_language(bob: User, team: Team, board: Project) -> None:
    new = factories.presenter(team, "Cleo")
    factories.footage(new, blob=factories.blob(team, b"cleo"))
    script = board.scripts.first()
    factories.take(script, "de", blob=factories.blob(team, b"guten tag", "audio/wav"))
    rows = [new.public_id, board.presenters.first().public_id]
    body = {
        "project": board.public_id,
        "presenters": rows,
        "scripts": [script.public_id],
        "languages": ["en", "DE", "fr"],
    }
    started = post(program(bob), BATCHES, body)
    assert started.status_code == 201
    told = started.json()
    assert (told["total"], told["queued"]) == (4, 4)
    assert {(skip["cell"].split(".")[0], skip["cell"][-2:], skip["code"]) for skip in told["skipped"]} == {
        (row, "fr", "no_take") for row in rows
    }
    assert board.presenters.filter(pk=new.pk).exists()


def test_without_lists_the_matrix_is_the_whole_board(bob: User, board: Project) -> None:
    assert post(program(bob), BATCHES, {"project": board.public_id, "languages": ["en"]}).json()["total"] == 4


def test_a_matrix_of_more_cells_than_an_answer_can_tell_is_refused(bob: User, team: Team, board: Project) -> None:
    """A hundred languages of which no script has a word cost nothing to ask for."""
    names = [f"{first}{second}" for first in "abcdefghij" for second in "abcdefghij"]
    people = [factories.presenter(team).public_id for _ in range(260)]
    body = {"project": board.public_id, "presenters": people, "languages": names}
    problem = assert_problem(post(program(bob), BATCHES, body), 400, "bad_request")
    assert list(problem["errors"]) == ["languages"]
    assert board.presenters.count() == 2


def test_a_matrix_of_another_team_s_presenters_is_not_found(bob: User, board: Project, charlie: User) -> None:
    theirs = factories.presenter(charlie.teams.get())
    body = {"project": board.public_id, "presenters": [theirs.public_id]}
    assert_problem(post(program(bob), BATCHES, body), 404, "not_found")


def test_cells_and_a_matrix_at_once_are_refused(bob: User, board: Project) -> None:
    body = {"project": board.public_id, "cells": [], "languages": ["en"]}
    problem = assert_problem(post(program(bob), BATCHES, body), 400, "bad_request")
    assert list(problem["errors"]) == ["cells"]


def test_presets_are_made_changed_chosen_and_deleted(bob: User, board: Project) -> None:
    client, team = program(bob), board.team
    presets = "/api/v1/presets/"
    made = post(client, presets, {"team": team.public_id, "name": "Small", "crf": 24}).json()
    assert (made["crf"], made["speed"], made["is_default"]) == (24, "veryfast", False)
    changed = client.patch(f"{presets}{made['id']}/", {"crf": 26}, content_type="application/json").json()
    assert (changed["name"], changed["crf"]) == ("Small", 26)
    assert_problem(post(client, presets, {"team": team.public_id, "name": "Small"}), 409, "preset_name_taken")
    assert_problem(post(client, presets, {"team": team.public_id, "name": "Tiny", "crf": 99}), 400, "bad_request")
    batch = post(client, BATCHES, {"project": board.public_id, "preset": made["id"]}).json()
    assert batch["batch"]["preset"]["crf"] == 26
    assert post(client, f"{presets}{made['id']}/default/", {}).json()["is_default"]
    assert_problem(client.delete(f"{presets}{made['id']}/"), 409, "default_preset")
    names = {row["name"]: row["is_default"] for row in client.get(presets).json()["results"]}
    assert names == {"Small": True, "Standard": False}


def said_in(language: str) -> dict[str, str]:
    return {"Accept-Language": language}


def attempt_in(client: Client, address: str, language: str) -> dict[str, Any]:
    (attempt,) = client.get(f"{address}attempts/", headers=said_in(language)).json()
    return dict(attempt)


def test_what_did_not_fail_has_no_sentence_and_why_another_drew_has_one(bob: User, team: Team, board: Project) -> None:
    batches.start_batch(actor=bob, project=board)
    claim = queue.claim_next(making.worker())
    assert claim is not None
    states.succeed(claim.job, claim.token, making.finished(team))
    client = program(bob)
    job = client.get(f"/api/v1/jobs/{claim.job.public_id}/").json()
    assert (job["error_code"], job["error_title"], job["error_detail"]) == ("", "", "")
    address = f"/api/v1/versions/{job['version']}/"
    version = client.get(address).json()
    assert (version["instead"], version["instead_title"], version["instead_detail"]) == ("", "", "")
    RenderVersion.objects.update(instead="no_mouths")
    version = client.get(address).json()
    assert version["instead_title"] == "The footage has no mouth model, so the presenter's own mouths were used."
    assert version["instead_detail"].startswith("Train one for this footage")


def test_creators_read_the_log_of_a_try_and_try_again(bob: User, victor: User, board: Project) -> None:
    batch = batches.start_batch(actor=bob, project=board)
    failed = making.fail_next()
    RenderAttempt.objects.filter(job=failed).update(log="no face in frame 12")
    address = f"/api/v1/jobs/{failed.public_id}/"
    client = program(bob)
    (attempt,) = client.get(f"{address}attempts/").json()
    assert (attempt["outcome"], attempt["error_code"], attempt["log"]) == ("failed", "no_face", "no face in frame 12")
    assert_problem(program(victor, "read").get(f"{address}attempts/"), 403, "not_allowed")
    for language, title, detail in (
        ("en", "No face could be followed", "Use footage in which one face"),
        ("zh-hans", "无法在整段素材中跟踪", "请使用"),
    ):
        for told in (attempt_in(client, address, language), client.get(address, headers=said_in(language)).json()):
            assert told["error_title"].startswith(title)
            assert told["error_detail"].startswith(detail)
    again = post(client, f"{address}retry/", {}).json()
    assert (again["batch"], again["state"]) == (batch.public_id, "queued")
    assert again["id"] != failed.public_id
    assert_problem(post(client, f"{address}retry/", {}), 409, "nothing_to_retry")


def test_a_board_is_tried_again_and_cancelled_as_a_whole_or_by_cell(bob: User, board: Project) -> None:
    batches.start_batch(actor=bob, project=board)
    failed = making.fail_next()
    client, address = program(bob), f"/api/v1/projects/{board.public_id}/"
    (again,) = post(client, f"{address}retry/", {}).json()
    assert again["presenter"] == failed.deliverable.presenter.public_id
    cell = f"{again['presenter']}.{again['script']}.{again['language']}"
    assert post(client, f"{address}cancel/", {"cells": [cell]}).json() == {"cancelled": 1}
    assert post(client, f"{address}cancel/", {}).json() == {"cancelled": 3}
    assert_problem(post(client, f"{address}cancel/", {"cells": ["x"]}), 404, "cell_unknown")


def test_managers_put_a_job_first(mona: User, board: Project) -> None:
    batches.start_batch(actor=mona, project=board)
    last = board.team.batches.get().jobs.last()
    post(program(mona), f"/api/v1/jobs/{last.public_id}/front/", {})
    claim = queue.claim_next(making.worker())
    assert claim is not None
    assert claim.job == last


def test_usage_says_what_is_used_and_what_applies(victor: User, board: Project) -> None:
    used = program(victor, "read").get(f"/api/v1/teams/{board.team.public_id}/usage/").json()
    assert used["bytes"] == sum(used["by_kind"].values()) + used["uploads"]
    assert used["by_kind"]["footage"] > 0
    assert used["limits"].keys() == {"storage_bytes", "render_minutes", "file_bytes", "take_seconds"}


def test_words_are_listed_newest_first(bob: User, team: Team) -> None:
    script, client = factories.script(team), program(bob)
    for text in ("Hello.", "Hello there."):
        post(client, f"/api/v1/scripts/{script.public_id}/write/", {"language": "en", "text": text})
    words = client.get(f"/api/v1/scripts/{script.public_id}/versions/").json()["results"]
    assert [(version["number"], version["text"]) for version in words] == [(2, "Hello there."), (1, "Hello.")]


@pytest.fixture
def olga(db: None) -> User:
    """An operator who belongs to no team."""
    return factories.user("olga", is_staff=True)


def test_operators_act_on_the_farm_and_every_act_has_its_reason(olga: User, alice: User, board: Project) -> None:
    batch = batches.start_batch(actor=alice, project=board)
    node, job, team = making.worker(), batch.jobs.first(), board.team
    client = program(olga, "operate")
    farm = client.get("/api/v1/farm/").json()
    assert (farm["queued"], farm["teams"][0]["team"]) == (4, team.public_id)
    assert [row["name"] for row in client.get("/api/v1/workers/").json()["results"]] == [node.name]
    told = {"reason": "A new driver."}
    drained = post(client, f"/api/v1/workers/{node.pk}/act/", {"act": "drain", **told}).json()
    assert drained["state"] == WorkerNode.State.DRAINING
    assert post(client, f"/api/v1/farm/jobs/{job.public_id}/act/", {"act": "hold", **told}).json()["state"] == "held"
    held = post(client, f"/api/v1/farm/batches/{batch.public_id}/act/", {"act": "hold", **told}).json()
    assert held == {"done": 3, "left": 0}
    paused = post(client, f"/api/v1/farm/teams/{team.public_id}/act/", {"act": "pause", **told}).json()
    assert paused["paused_at"] is not None
    change = {"weight": 3, "max_attempts": 5, **told}
    share = client.patch(f"/api/v1/farm/teams/{team.public_id}/", change, content_type="application/json").json()
    assert (share["weight"], share["max_running"], share["max_attempts"]) == (3, None, 5)
    events = AuditEvent.objects.filter(actor=olga).exclude(action="token.created")
    assert {event.detail["reason"] for event in events} == {"A new driver."}
    assert events.count() == 6
    assert_problem(post(client, f"/api/v1/workers/{node.pk}/act/", {"act": "drain"}), 409, "no_such_act")


def test_the_farm_wants_an_operator_with_a_token_for_it(olga: User, alice: User) -> None:
    assert_problem(program(olga, "write").get("/api/v1/farm/"), 403, "token_no_farm")
    assert_problem(program(olga, "read").get("/api/v1/workers/"), 403, "token_no_farm")
    assert_problem(program(alice).get("/api/v1/workers/"), 404, "not_found")


def test_a_token_for_the_farm_dies_with_the_office(olga: User) -> None:
    client = program(olga, "operate")
    User.objects.filter(pk=olga.pk).update(is_staff=False)
    assert_problem(client.get("/api/v1/farm/"), 404, "not_found")
