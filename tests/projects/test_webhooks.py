"""Webhooks: who may do what with them, what is sent, and what happens when it does not arrive."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from projects import outbound
from projects.models import AuditEvent, Team, Webhook, WebhookDelivery
from projects.problems import HeyGemError
from projects.services import analysis, deliveries, webhooks
from projects.services import webhook_secrets as keys
from projects.services.webhooks import EVENTS, Told
from rendering.execution import upkeep
from rendering.models import WorkerNode
from tests import factories
from tests.cast import browser
from tests.receiver import Receiver, receiving, verify

ROOT = Path(__file__).resolve().parents[2]
State = WebhookDelivery.State


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    settings.WEBHOOK_ALLOW_HTTP = True
    with receiving() as made:
        yield made


def _hook(actor: User, team: Team, receiver: Receiver, *events: str) -> tuple[Webhook, str]:
    return webhooks.create_webhook(actor=actor, team=team, url=receiver.url, events=events or EVENTS)


def _emit(team: Team, event: str = "job.failed", **data: Any) -> int:
    return webhooks.emit(team_id=team.pk, event=event, tell=lambda: Told(data, {"api": "/api/v1/jobs/x/"}))


def _due_now() -> None:
    WebhookDelivery.objects.filter(state=State.WAITING).update(next_try_at=timezone.now())


def _only() -> WebhookDelivery:
    return WebhookDelivery.objects.get()


# What is sent


def test_an_event_arrives_signed_in_the_api_s_envelope(
    alice: User, team: Team, receiver: Receiver, settings: Settings
) -> None:
    settings.SITE_URL = "https://heygem.example"
    _webhook, secret = _hook(alice, team, receiver)
    _emit(team, "job.failed", id="j1", name="早上好")
    assert deliveries.run_ticket() == "1 delivered, 0 failed"
    (heard,) = receiver.heard
    assert verify(secret, heard.headers, heard.body)
    assert not verify(keys.secret_of("other"), heard.headers, heard.body)
    assert not verify(secret, heard.headers, heard.body + b" ")
    assert heard.headers["webhook-id"] == heard.event["id"]
    assert heard.headers["Content-Type"] == "application/json"
    assert heard.event | {"id": "", "created_at": ""} == {
        "id": "",
        "type": "job.failed",
        "api_version": "v1",
        "created_at": "",
        "team": team.public_id,
        "data": {"id": "j1", "name": "早上好"},
        "links": {"api": "https://heygem.example/api/v1/jobs/x/"},
    }
    delivery = _only()
    assert (delivery.state, delivery.status, delivery.attempts) == (State.DELIVERED, 204, 1)
    assert delivery.body.encode() == heard.body


def test_a_change_that_is_rolled_back_is_never_told(alice: User, team: Team, receiver: Receiver) -> None:
    _hook(alice, team, receiver)
    with transaction.atomic():
        _emit(team)
        transaction.set_rollback(True)
    assert WebhookDelivery.objects.count() == 0
    assert OrmQ.objects.count() == 0


def test_nobody_listening_costs_one_query(
    team: Team, alice: User, receiver: Receiver, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def never() -> Told:
        raise AssertionError("nobody listens")

    with django_assert_num_queries(1):
        assert webhooks.emit(team_id=team.pk, event="job.failed", tell=never) == 0
    _hook(alice, team, receiver, "export.ready")
    assert webhooks.emit(team_id=team.pk, event="job.failed", tell=never) == 0
    other = factories.team("Elsewhere")
    assert webhooks.emit(team_id=other.pk, event="export.ready", tell=never) == 0


def test_an_event_wakes_the_worker_cluster(alice: User, team: Team, receiver: Receiver) -> None:
    _hook(alice, team, receiver)
    _emit(team)
    ticket = OrmQ.objects.get()
    assert ticket.key == "worker"
    assert ticket.task["func"] == "projects.tasks.deliver"


def test_footage_and_takes_tell_how_they_were_found(alice: User, team: Team, receiver: Receiver) -> None:
    _hook(alice, team, receiver)
    footage = factories.footage(factories.presenter(team), state="waiting")
    take = factories.take(factories.script(team), state="waiting")
    claim = analysis.claim_for_analysis()
    assert claim is not None
    measured = {"duration_s": 4.0, "loudness_lufs": -16.0, "peak_dbfs": -1.0, "waveform": [1], "speech_spans": []}
    analysis.finish_take(claim, measured=measured, findings=[])
    claim = analysis.claim_for_analysis()
    assert claim is not None
    analysis.refuse(claim, code="no_face")
    deliveries.run_ticket()
    told = {heard.event["type"]: heard.event for heard in receiver.heard}
    assert set(told) == {"take.ready", "footage.refused"}
    assert told["take.ready"]["data"]["id"] == take.public_id
    assert told["footage.refused"]["data"]["error_code"] == "no_face"
    assert told["footage.refused"]["links"]["api"] == f"/api/v1/footage/{footage.public_id}/"


def test_the_documentation_checks_the_signature_as_it_is_made(alice: User, team: Team, receiver: Receiver) -> None:
    (snippet,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.DOTALL | re.M)
    told: dict[str, Any] = {}
    exec(snippet, told)  # noqa: S102 - our own words
    hook, old = _hook(alice, team, receiver)
    new = webhooks.rotate_secret(actor=alice, webhook=hook)
    _emit(team)
    deliveries.run_ticket()
    (heard,) = receiver.heard
    assert told["verify"](old, heard.headers, heard.body)
    assert told["verify"](new, heard.headers, heard.body)
    assert not told["verify"](new, heard.headers, heard.body + b" ")
    heard.headers.replace_header("webhook-timestamp", str(int(time.time()) - 301))
    assert not told["verify"](new, heard.headers, heard.body)


# When it does not arrive


def test_a_failed_delivery_waits_longer_each_time_and_gives_up_after_two_days(
    alice: User, team: Team, receiver: Receiver
) -> None:
    _hook(alice, team, receiver)
    _emit(team)
    receiver.status, receiver.says = 500, b"the database is away"
    pauses = []
    for _ in range(20):
        _due_now()
        began = timezone.now()
        deliveries.run_ticket()
        delivery = _only()
        if delivery.state == State.FAILED:
            break
        assert delivery.state == State.WAITING
        pauses.append((delivery.next_try_at - began).total_seconds())
    assert [
        wanted * 0.8 - 1 <= pause <= wanted * 1.2 + 1 for pause, wanted in zip(pauses, deliveries.PAUSES_S, strict=True)
    ] == [True] * len(deliveries.PAUSES_S)
    assert 24 * 3600 < sum(deliveries.PAUSES_S) < 48 * 3600
    assert (delivery.status, delivery.error_code) == (500, "webhook_answer")
    assert delivery.response == "the database is away"
    assert len(receiver.heard) == delivery.attempts == len(delivery.tries) == len(deliveries.PAUSES_S) + 1
    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1


def test_a_receiver_that_comes_back_gets_what_it_missed(alice: User, team: Team, receiver: Receiver) -> None:
    hook, _ = _hook(alice, team, receiver)
    _emit(team)
    receiver.status = 503
    deliveries.run_ticket()
    hook.refresh_from_db()
    assert hook.failures_in_row == 1
    assert hook.failing_since is not None
    receiver.status = 200
    _due_now()
    deliveries.run_ticket()
    hook.refresh_from_db()
    assert (hook.failures_in_row, hook.failing_since) == (0, None)
    delivery = _only()
    assert (delivery.state, delivery.error_code) == (State.DELIVERED, "")
    assert [(one["status"], one["code"]) for one in delivery.tries] == [(503, "webhook_answer"), (200, "")]


@pytest.mark.parametrize(("asked", "seconds"), [("1800", 1800), ("date", 1800), ("999999999", 12 * 3600)])
def test_retry_after_is_honoured(alice: User, team: Team, receiver: Receiver, asked: str, seconds: int) -> None:
    _hook(alice, team, receiver)
    _emit(team)
    if asked == "date":
        asked = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1800))
    receiver.status, receiver.headers = 429, {"Retry-After": asked}
    deliveries.run_ticket()
    wait = (_only().next_try_at - timezone.now()).total_seconds()
    assert seconds - 60 < wait <= seconds


@pytest.mark.parametrize(
    "asked",
    [
        *("", "soon", "-5", "Thu, 99 Foo"),
        f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
        f"Mon, 01 Jan 2030 00:00:00 +{'9' * 20}",
    ],
)
def test_nonsense_in_retry_after_is_ignored(alice: User, team: Team, receiver: Receiver, asked: str) -> None:
    _hook(alice, team, receiver)
    _emit(team)
    receiver.status, receiver.headers = 503, {"Retry-After": asked}
    deliveries.run_ticket()
    assert (_only().next_try_at - timezone.now()).total_seconds() < 80


def test_a_slow_receiver_is_ended_and_told_as_slow(
    alice: User, team: Team, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "TOTAL_S", 0.3)
    receiver.answer = lambda handler: time.sleep(1)
    _hook(alice, team, receiver)
    _emit(team)
    deliveries.run_ticket()
    assert _only().error_code == "webhook_timeout"


def test_one_slow_receiver_does_not_keep_another_team_waiting(
    alice: User, charlie: User, team: Team, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "TOTAL_S", 1.0)
    receiver.answer = lambda handler: time.sleep(3)
    _hook(alice, team, receiver)
    for _ in range(20):
        _emit(team)
    theirs = charlie.teams.get()
    with receiving() as quick:
        _hook(charlie, theirs, quick)
        for _ in range(20):
            _emit(theirs)
        assert deliveries.run_ticket() == "20 delivered, 1 failed"
        assert len(quick.heard) == 20
    assert len(receiver.heard) == 1, "it is left alone after a failure"
    assert not deliveries.due().exists()


def test_who_has_many_waiting_takes_turns_with_who_has_one(
    alice: User, charlie: User, team: Team, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "SIDE_BY_SIDE", 1)
    theirs = charlie.teams.get()
    _hook(alice, team, receiver)
    _hook(charlie, theirs, receiver)
    for _ in range(5):
        _emit(team)
    _emit(theirs)
    deliveries.run_ticket()
    teams = [heard.event["team"] for heard in receiver.heard]
    assert len(teams) == 6
    assert teams.index(theirs.public_id) == 1


def test_a_receiver_gets_one_delivery_at_a_time_and_in_order(alice: User, team: Team, receiver: Receiver) -> None:
    _hook(alice, team, receiver)
    for number in range(5):
        _emit(team, number=number)
    first = deliveries.claim_next(leave_out=set())
    assert first is not None
    assert deliveries.claim_next(leave_out=set()) is None
    deliveries.settle(first, deliveries.send(first))
    deliveries.run_ticket()
    assert [heard.event["data"]["number"] for heard in receiver.heard] == [0, 1, 2, 3, 4]


def test_what_a_lost_worker_held_is_sent_again_and_the_late_one_writes_nothing(
    alice: User, team: Team, receiver: Receiver
) -> None:
    _hook(alice, team, receiver)
    _emit(team)
    lost = deliveries.claim_next(leave_out=set())
    assert lost is not None
    WebhookDelivery.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    deliveries.run_ticket()
    assert _only().state == State.DELIVERED
    assert not deliveries.settle(lost, deliveries.Result(code="webhook_timeout"))
    assert _only().state == State.DELIVERED
    assert _only().attempts == 2


def test_gone_stops_the_webhook_with_a_line_in_the_diary_and_a_letter(
    alice: User,
    mona: User,
    bob: User,
    team: Team,
    receiver: Receiver,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: Any,
) -> None:
    hook, _ = _hook(alice, team, receiver)
    _emit(team)
    _emit(team)
    receiver.status = 410
    with django_capture_on_commit_callbacks(execute=True):
        deliveries.run_ticket()
    assert [letter.to for letter in mailoutbox] == [["alice@example.com"], ["mona@example.com"]]
    assert f"/webhooks/{hook.public_id}/" in mailoutbox[0].body
    hook.refresh_from_db()
    assert (hook.is_active, hook.disabled_reason) == (False, Webhook.Stopped.GONE)
    assert len(receiver.heard) == 1
    assert set(WebhookDelivery.objects.values_list("state", "error_code")) == {
        (State.FAILED, "webhook_gone"),
        (State.FAILED, "webhook_stopped"),
    }
    event = AuditEvent.objects.get(action="webhook.stopped")
    assert (event.actor, event.subject, event.detail) == (None, hook.public_id, {"reason": "gone"})
    assert _emit(team) == 0


def test_a_webhook_that_fails_for_days_is_stopped_and_one_that_is_switched_on_begins_anew(
    alice: User, team: Team, receiver: Receiver
) -> None:
    hook, _ = _hook(alice, team, receiver)
    receiver.status = 500
    long_ago = timezone.now() - deliveries.GIVE_UP_AFTER - timedelta(minutes=1)
    Webhook.objects.update(failures_in_row=deliveries.GIVE_UP_FAILURES - 2, failing_since=long_ago)
    for _ in range(2):
        hook.refresh_from_db()
        assert hook.is_active
        _emit(team)
        _due_now()
        deliveries.run_ticket()
    hook.refresh_from_db()
    assert (hook.is_active, hook.disabled_reason) == (False, Webhook.Stopped.FAILING)
    hook = webhooks.change_webhook(actor=alice, webhook=hook, is_active=True)
    assert (hook.is_active, hook.failures_in_row, hook.disabled_reason) == (True, 0, "")


def test_an_address_that_became_private_is_not_called_and_says_so(
    alice: User, team: Team, receiver: Receiver, settings: Settings
) -> None:
    _hook(alice, team, receiver)
    _emit(team)
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    deliveries.run_ticket()
    assert receiver.heard == []
    assert _only().error_code == "webhook_private"


def test_old_deliveries_are_forgotten_after_a_month(alice: User, team: Team, receiver: Receiver) -> None:
    _hook(alice, team, receiver)
    for _ in range(2):
        _emit(team)
    deliveries.run_ticket()
    old = WebhookDelivery.objects.first()
    assert old is not None
    WebhookDelivery.objects.filter(pk=old.pk).update(finished_at=timezone.now() - deliveries.KEPT - timedelta(1))
    assert deliveries.clean() == 1


# Secrets


def test_after_a_rotation_both_secrets_sign_for_a_day(alice: User, team: Team, receiver: Receiver) -> None:
    hook, old = _hook(alice, team, receiver)
    new = webhooks.rotate_secret(actor=alice, webhook=hook)
    assert new != old
    _emit(team)
    deliveries.run_ticket()
    Webhook.objects.update(previous_until=timezone.now())
    _emit(team)
    deliveries.run_ticket()
    first, second = receiver.heard
    assert verify(old, first.headers, first.body)
    assert verify(new, first.headers, first.body)
    assert not verify(old, second.headers, second.body)
    assert verify(new, second.headers, second.body)


def test_the_secret_is_nowhere_in_the_database(alice: User, team: Team, receiver: Receiver) -> None:
    hook, secret = _hook(alice, team, receiver)
    row = " ".join(str(value) for value in Webhook.objects.filter(pk=hook.pk).values_list().get())
    assert secret not in row
    assert secret.removeprefix("whsec_") not in row
    assert secret.rstrip("=").endswith(hook.hint)


def test_with_another_installation_key_nothing_is_sent_and_the_reason_is_told(
    alice: User, team: Team, receiver: Receiver, settings: Settings
) -> None:
    hook, _ = _hook(alice, team, receiver)
    _emit(team)
    settings.SECRET_KEY = "another key " * 6
    deliveries.run_ticket()
    assert receiver.heard == []
    assert _only().error_code == "webhook_secret_lost"
    secret = webhooks.rotate_secret(actor=alice, webhook=hook)
    _due_now()
    deliveries.run_ticket()
    (heard,) = receiver.heard
    assert verify(secret, heard.headers, heard.body)
    assert " " not in heard.headers["webhook-signature"]


# People


def test_a_redelivery_is_the_same_event_once_more(alice: User, team: Team, receiver: Receiver) -> None:
    hook, secret = _hook(alice, team, receiver)
    _emit(team)
    deliveries.run_ticket()
    again = webhooks.redeliver(actor=alice, delivery=_only())
    deliveries.run_ticket()
    first, second = receiver.heard
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verify(secret, second.headers, second.body)
    assert again.pk != WebhookDelivery.objects.order_by("pk").first().pk  # type: ignore[union-attr]
    webhooks.change_webhook(actor=alice, webhook=hook, is_active=False)
    again.refresh_from_db()
    with pytest.raises(HeyGemError) as refused:
        webhooks.redeliver(actor=alice, delivery=again)
    assert refused.value.code == "webhook_stopped"


def test_a_ping_is_tried_once_also_while_the_webhook_is_off(alice: User, team: Team, receiver: Receiver) -> None:
    hook, _ = _hook(alice, team, receiver, "job.failed")
    webhooks.change_webhook(actor=alice, webhook=hook, is_active=False)
    receiver.status = 500
    webhooks.ping(actor=alice, webhook=hook)
    deliveries.run_ticket()
    assert receiver.types() == ["ping"]
    hook.refresh_from_db()
    assert (_only().state, hook.failures_in_row) == (State.FAILED, 0)


def test_switching_off_gives_up_what_waits(alice: User, team: Team, receiver: Receiver) -> None:
    hook, _ = _hook(alice, team, receiver)
    _emit(team)
    webhooks.change_webhook(actor=alice, webhook=hook, is_active=False)
    deliveries.run_ticket()
    assert receiver.heard == []
    assert (_only().state, _only().error_code) == (State.FAILED, "webhook_stopped")


def test_managers_alone_have_to_do_with_webhooks(
    alice: User, mona: User, bob: User, victor: User, charlie: User, team: Team, receiver: Receiver
) -> None:
    hook, _ = _hook(mona, team, receiver)
    _emit(team)
    delivery = _only()
    for person, refusal in ((bob, HeyGemError), (victor, HeyGemError), (charlie, Http404)):
        for act in (
            lambda who: webhooks.create_webhook(actor=who, team=team, url=receiver.url, events=EVENTS),
            lambda who: webhooks.change_webhook(actor=who, webhook=hook, description="mine"),
            lambda who: webhooks.rotate_secret(actor=who, webhook=hook),
            lambda who: webhooks.ping(actor=who, webhook=hook),
            lambda who: webhooks.redeliver(actor=who, delivery=delivery),
            lambda who: webhooks.delete_webhook(actor=who, webhook=hook),
        ):
            with pytest.raises(refusal):
                act(person)
    webhooks.delete_webhook(actor=alice, webhook=hook)
    assert not WebhookDelivery.objects.exists()
    assert list(AuditEvent.objects.filter(action__startswith="webhook.").values_list("action", flat=True)) == [
        "webhook.deleted",
        "webhook.created",
    ]


def test_what_cannot_be_a_webhook_is_refused(alice: User, team: Team, settings: Settings) -> None:
    for url, events, code in (
        ("http://example.com/", EVENTS, "webhook_needs_https"),
        ("https://10.0.0.1/", EVENTS, "webhook_private"),
        ("https://example.com/", [], "webhook_no_events"),
        ("https://example.com/", ["job.failed", "job.exploded"], "webhook_no_events"),
    ):
        with pytest.raises(HeyGemError) as refused:
            webhooks.create_webhook(actor=alice, team=team, url=url, events=events)
        assert refused.value.code == code
    for _ in range(webhooks.MOST_WEBHOOKS):
        webhooks.create_webhook(actor=alice, team=team, url="https://example.com/", events=EVENTS)
    with pytest.raises(HeyGemError) as refused:
        webhooks.create_webhook(actor=alice, team=team, url="https://example.com/", events=EVENTS)
    assert refused.value.code == "webhook_too_many"


def test_the_database_refuses_what_makes_no_sense(alice: User, team: Team, receiver: Receiver) -> None:
    from django.db import IntegrityError

    _hook(alice, team, receiver)
    _emit(team)
    for wrong in ({"state": State.RUNNING}, {"state": State.FAILED}):
        with pytest.raises(IntegrityError), transaction.atomic():
            WebhookDelivery.objects.update(**wrong)
    with pytest.raises(IntegrityError), transaction.atomic():
        Webhook.objects.update(is_active=False)
    WebhookDelivery.objects.update(state=State.RUNNING, lease_token=uuid.uuid4(), lease_expires_at=timezone.now())
    assert json.loads(_only().body)["type"] == "job.failed"


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_busy_with_footage_delivers_beside_it(
    alice: User, team: Team, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "DELIVER_S", 0.0)
    _hook(alice, team, receiver)
    _emit(team)
    for cluster, heard in (("gpu", 0), ("worker", 1)):
        node = WorkerNode.objects.create(name=f"box/{cluster}", host="box", cluster=cluster)
        busy = upkeep.Upkeep(node)
        until = time.monotonic() + (0.3 if not heard else 10)
        while len(receiver.heard) == 0 and time.monotonic() < until:
            busy()
            time.sleep(0.02)
        assert len(receiver.heard) == heard
    while not _only().is_settled:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_log_is_narrowed_by_what_there_is_and_nonsense_shows_all(
    alice: User, team: Team, receiver: Receiver
) -> None:
    hook, _ = _hook(alice, team, receiver)
    _emit(team, "job.failed")
    deliveries.run_ticket()
    _emit(team, "export.ready")
    client = browser(alice)
    page = f"/webhooks/{hook.public_id}/"
    for query, events in (
        ("", {"job.failed", "export.ready"}),
        ("?state=delivered", {"job.failed"}),
        ("?event=export.ready", {"export.ready"}),
        ("?state=delivered&event=export.ready", set()),
        ("?state=<script>&event='", {"job.failed", "export.ready"}),
    ):
        answer = client.get(page + query)
        assert answer.status_code == 200
        assert {row.delivery.event for row in answer.context["rows"]} == events
        assert b"<script>&" not in answer.content


def test_a_signing_secret_is_shown_once_and_not_kept_for_a_key(alice: User, team: Team, receiver: Receiver) -> None:
    body = {"team": team.public_id, "url": receiver.url, "events": ["job.failed"]}
    client = browser(alice)
    headers = {"Idempotency-Key": "hook-1"}
    first, second = (
        client.post("/api/v1/webhooks/", body, content_type="application/json", headers=headers) for _ in range(2)
    )
    assert first.status_code == second.status_code == 201
    assert first.json()["secret"].startswith("whsec_")
    assert second.json() == {**first.json(), "secret": None}
    assert Webhook.objects.count() == 1
    shown = client.get(f"/api/v1/webhooks/{first.json()['id']}/").json()
    assert "secret" not in shown
    assert first.json()["secret"].rstrip("=").endswith(shown["secret_hint"])
