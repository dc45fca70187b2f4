"""What webhooks are told of work and its results: in the API's shapes, once each, and only of what has happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.db import transaction

from projects.api.webhook_events import SHAPES
from projects.models import Team, Webhook, WebhookDelivery
from projects.services import webhooks
from projects.services.webhooks import EVENTS
from rendering import queue, states
from rendering.models import RenderBatch, RenderJob
from rendering.services import batches, exports, stopping, versions
from tests import factories
from tests.cast import browser
from tests.rendering import making
from tests.sites import NewSite

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hook(alice: User, team: Team) -> Webhook:
    return webhooks.create_webhook(actor=alice, team=team, url="https://example.com/", events=EVENTS)[0]


def _told(event: str = "") -> list[dict[str, Any]]:
    """The payloads so far, the oldest first."""
    rows = WebhookDelivery.objects.order_by("pk")
    return [json.loads(row.body) for row in (rows.filter(event=event) if event else rows)]


def _types() -> list[str]:
    return [event["type"] for event in _told()]


def _batch(alice: User, team: Team, **size: int) -> RenderBatch:
    return batches.start_batch(actor=alice, project=making.ready_project(team, **size))


def test_a_batch_tells_of_its_start_its_jobs_their_versions_and_its_end(alice: User, team: Team, hook: Webhook) -> None:
    batch = _batch(alice, team, rows=1)
    version = making.succeed_next()
    making.fail_next("no_face")
    assert _types() == [
        *("batch.started", "version.created", "version.published", "job.succeeded"),
        *("job.failed", "batch.finished"),
    ]
    started, finished = _told("batch.started")[0], _told("batch.finished")[0]
    assert (started["data"]["total"], started["data"]["is_finished"]) == (2, False)
    assert finished["data"]["batch"]["id"] == batch.public_id
    assert (finished["data"]["done"], finished["data"]["failed"], finished["data"]["is_finished"]) == (1, 1, True)
    assert _told("job.succeeded")[0]["data"]["version"] == version.public_id
    assert _told("job.failed")[0]["data"]["error_code"] == "no_face"
    assert _told("version.created")[0]["data"]["sha256"] == version.video.sha256
    batch.refresh_from_db()
    assert batch.finished_at is not None


def test_what_is_told_is_what_the_api_answers(alice: User, team: Team, hook: Webhook) -> None:
    batch = _batch(alice, team, rows=1, columns=1)
    making.succeed_next()
    export = exports.create_export(actor=alice, project=batch.project)
    exports.build_export(export.pk)
    client = browser(alice)
    for event in ("batch.finished", "job.succeeded", "version.published", "export.ready"):
        (told,) = _told(event)
        answer = client.get(told["links"]["api"])
        assert answer.status_code == 200
        assert told["data"] == answer.json(), event
        assert client.get(told["links"]["page"]).status_code == 200, event


def test_the_description_has_a_shape_for_every_event() -> None:
    described = yaml.load((ROOT / "docs" / "openapi.yaml").read_text(), yaml.CSafeLoader)
    assert list(described["x-webhooks"]) == list(EVENTS)
    assert set(SHAPES.values()) <= set(described["components"]["schemas"])


def test_a_batch_that_is_done_at_once_is_finished_after_its_last_job(alice: User, team: Team, hook: Webhook) -> None:
    """Everything is known already: each job ends while the batch is being started."""
    first = _batch(alice, team, rows=2)
    making.succeed_all()
    WebhookDelivery.objects.all().delete()
    again = making.ready_project(team, rows=0, columns=0)
    for presenter in first.project.presenters.all():
        again.presenters.add(presenter)
    for script in first.project.scripts.all():
        again.scripts.add(script)
    batches.start_batch(actor=alice, project=again)
    assert RenderJob.objects.filter(batch__project=again, state="succeeded").count() == 4
    types = _types()
    assert (types[0], types[-1]) == ("batch.started", "batch.finished")
    assert [types.count(event) for event in ("job.succeeded", "batch.finished")] == [4, 1]


def test_a_retry_opens_the_batch_and_it_is_finished_once_more(alice: User, team: Team, hook: Webhook) -> None:
    batch = _batch(alice, team, rows=1, columns=1)
    making.fail_next()
    batches.retry_failed(actor=alice, batch=batch)
    batch.refresh_from_db()
    assert batch.finished_at is None
    making.succeed_next()
    assert [type for type in _types() if type.startswith("batch.")] == [
        *("batch.started", "batch.finished", "batch.finished")
    ]


def test_a_failure_that_is_tried_again_is_not_told_yet(alice: User, team: Team, hook: Webhook) -> None:
    _batch(alice, team, rows=1, columns=1)
    claim = making.claim_next()
    states.fail(claim.job, claim.token, "oom", kind="transient")
    assert _types() == ["batch.started"]


def test_cancelling_a_batch_tells_of_each_job_and_of_the_end_once(alice: User, team: Team, hook: Webhook) -> None:
    batch = _batch(alice, team)
    claim = making.claim_next()
    stopping.cancel_batch(actor=alice, batch=batch)
    assert "batch.finished" not in _types(), "one is still being stopped"
    states.cancelled(claim.job, claim.token)
    assert _types().count("job.cancelled") == 4
    assert _types().count("batch.finished") == 1


def test_publishing_another_version_is_told_and_publishing_the_same_is_not(
    alice: User, team: Team, hook: Webhook
) -> None:
    batch = _batch(alice, team, rows=1, columns=1)
    first = making.succeed_next()
    cell = first.deliverable
    second = making.version(batch.project, cell.presenter, cell.script)
    WebhookDelivery.objects.all().delete()
    versions.publish(actor=alice, version=second)
    versions.publish(actor=alice, version=second)
    (told,) = _told()
    assert (told["type"], told["data"]["id"], told["data"]["published"]) == (
        *("version.published", second.public_id),
        True,
    )


def test_an_export_that_fails_is_told(alice: User, team: Team, hook: Webhook) -> None:
    project = making.ready_project(team, rows=1, columns=1)
    batches.start_batch(actor=alice, project=project)
    version = making.succeed_next()
    export = exports.create_export(actor=alice, project=project, versions=[version])
    factories.path_of(version.video).unlink()
    exports.build_export(export.pk)
    (told,) = _told("export.failed")
    assert told["data"]["error_code"] == "video_missing"


def test_nobody_hears_of_another_team_s_work(alice: User, charlie: User, team: Team, hook: Webhook) -> None:
    theirs = charlie.teams.get()
    _batch(charlie, theirs, rows=1, columns=1)
    making.succeed_next()
    assert _types() == []


def test_what_is_taken_back_is_not_told(alice: User, team: Team, hook: Webhook) -> None:
    with transaction.atomic():
        _batch(alice, team)
        transaction.set_rollback(True)
    assert _types() == []
    assert queue.claim_next(making.worker()) is None


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_jobs_that_end_at_the_same_moment_finish_their_batch_exactly_once(new_site: NewSite, kind: Any) -> None:
    told = new_site(kind).call("end_together", jobs=8)
    assert told["batch.finished"] == 1
    assert (told["job.succeeded"], told["job.failed"], told["version.created"]) == (4, 4, 4)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_several_workers_never_carry_the_same_delivery(new_site: NewSite, kind: Any) -> None:
    told = new_site(kind).call("claim_deliveries", claimers=4, webhooks=6, each=10)
    assert told == {"claimed": 60, "twice": 0, "delivered": 60}
