"""What managers do with a team's webhooks, and the outbox that fills with what happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone, translation
from rest_framework.utils.encoders import JSONEncoder

from projects import outbound
from projects.access import require
from projects.models import Role, Team, Webhook, WebhookDelivery, new_public_id
from projects.problems import HeyGemError
from projects.services import audit, waking
from projects.services import webhook_secrets as keys

EVENTS = (
    *("batch.started", "batch.finished"),
    *("job.succeeded", "job.failed", "job.cancelled"),
    *("version.created", "version.published"),
    *("export.ready", "export.failed"),
    *("footage.ready", "footage.refused"),
    *("take.ready", "take.refused"),
    *("mouths.ready", "mouths.refused", "mouths.cancelled", "mouths.removed"),
)
PING = "ping"
API_VERSION = "v1"
MOST_WEBHOOKS = 20
OVERLAP = timedelta(hours=24)
"""For how long the previous secret signs too after a rotation."""

State = WebhookDelivery.State


@dataclass(frozen=True)
class Told:
    """``data`` in the API's own shape; ``links`` are paths of this site."""

    data: Mapping[str, Any]
    links: Mapping[str, str]


def _clean_events(events: Iterable[str]) -> list[str]:
    """The known ones, in the order they are told. Raises ``webhook_no_events``."""
    wanted = set(events)
    chosen = [event for event in EVENTS if event in wanted]
    if not chosen or len(chosen) < len(wanted):
        raise HeyGemError("webhook_no_events")
    return chosen


def _clean_url(url: str) -> str:
    try:
        outbound.parse(url.strip())
    except outbound.Refused as error:
        raise HeyGemError(error.code) from None
    return url.strip()


@transaction.atomic
def create_webhook(
    *, actor: User, team: Team, url: str, events: Iterable[str], description: str = ""
) -> tuple[Webhook, str]:
    """The webhook and, this once, its signing secret. Raises the reason why ``url`` may not be called."""
    require(actor, team, Role.MANAGER)
    if Webhook.objects.filter(team=team).count() >= MOST_WEBHOOKS:
        raise HeyGemError("webhook_too_many", limit=MOST_WEBHOOKS)
    seed = keys.new_seed()
    webhook = Webhook.objects.create(
        team=team,
        url=_clean_url(url),
        description=description.strip()[:200],
        events=_clean_events(events),
        seed=seed,
        hint=keys.hint_of(seed),
        created_by=actor,
    )
    audit.record(action="webhook.created", actor=actor, team=team, subject=webhook, events=webhook.events)
    return webhook, keys.secret_of(seed)


@transaction.atomic
def change_webhook(
    *,
    actor: User,
    webhook: Webhook,
    url: str | None = None,
    events: Iterable[str] | None = None,
    description: str | None = None,
    is_active: bool | None = None,
) -> Webhook:
    """Change what is not None. Switched on again it begins anew; switched off, what waits for it is given up."""
    require(actor, webhook.team, Role.MANAGER)
    if url is not None:
        webhook.url = _clean_url(url)
    if events is not None:
        webhook.events = _clean_events(events)
    if description is not None:
        webhook.description = description.strip()[:200]
    webhook.save(update_fields=["url", "events", "description"])
    if is_active is False:
        stop(webhook, Webhook.Stopped.PERSON)
    elif is_active:
        Webhook.objects.filter(pk=webhook.pk, is_active=False).update(
            is_active=True, disabled_reason="", disabled_at=None, failures_in_row=0, failing_since=None
        )
    webhook.refresh_from_db()
    audit.record(
        action="webhook.changed",
        actor=actor,
        team=webhook.team,
        subject=webhook,
        events=webhook.events,
        active=webhook.is_active,
    )
    return webhook


@transaction.atomic
def delete_webhook(*, actor: User, webhook: Webhook) -> None:
    """Forget it with its log; nothing more is sent."""
    require(actor, webhook.team, Role.MANAGER)
    audit.record(action="webhook.deleted", actor=actor, team=webhook.team, subject=webhook)
    Webhook.objects.filter(pk=webhook.pk).delete()


@transaction.atomic
def rotate_secret(*, actor: User, webhook: Webhook) -> str:
    """The new secret, this once. The old one signs beside it for :data:`OVERLAP`."""
    require(actor, webhook.team, Role.MANAGER)
    seed = keys.new_seed()
    webhook.previous_seed = webhook.seed if keys.is_known(webhook) else ""
    webhook.previous_until = timezone.now() + OVERLAP
    webhook.seed, webhook.hint = seed, keys.hint_of(seed)
    webhook.save(update_fields=["previous_seed", "previous_until", "seed", "hint"])
    audit.record(action="webhook.secret_rotated", actor=actor, team=webhook.team, subject=webhook)
    return keys.secret_of(seed)


@transaction.atomic
def ping(*, actor: User, webhook: Webhook) -> WebhookDelivery:
    """One try, whatever the webhook listens to, and also while it is switched off."""
    require(actor, webhook.team, Role.MANAGER)
    delivery = _queue(webhook, _event(webhook.team, PING, Told({"webhook": webhook.public_id}, {})), asked_by=actor)
    waking.wake_couriers()
    return delivery


@transaction.atomic
def redeliver(*, actor: User, delivery: WebhookDelivery) -> WebhookDelivery:
    """The same event with the same id once more, as a delivery of its own. Raises ``webhook_stopped``."""
    webhook = delivery.webhook
    require(actor, webhook.team, Role.MANAGER)
    if not webhook.is_active and delivery.event != PING:
        raise HeyGemError("webhook_stopped")
    again = WebhookDelivery.objects.create(
        webhook=webhook, event=delivery.event, event_id=delivery.event_id, body=delivery.body, asked_by=actor
    )
    audit.record(action="webhook.redelivered", actor=actor, team=webhook.team, subject=webhook, event=delivery.event_id)
    waking.wake_couriers()
    return again


def stop(webhook: Webhook, reason: Webhook.Stopped) -> bool:
    """Call it no more; what waits for it is given up. Returns whether it was called until now."""
    now = timezone.now()
    stopped = Webhook.objects.filter(pk=webhook.pk, is_active=True).update(
        is_active=False, disabled_reason=reason, disabled_at=now
    )
    if stopped:
        WebhookDelivery.objects.filter(webhook=webhook, state=State.WAITING).update(
            state=State.FAILED, error_code="webhook_stopped", finished_at=now
        )
    return bool(stopped)


# The outbox


def emit(*, team_id: int, event: str, tell: Callable[[], Told]) -> int:
    """Tell the team's webhooks, in the transaction of what has happened: they hear of it only if it has.

    One small query when nobody listens; ``tell`` is called only when somebody does. Returns how many listen.
    """
    hooks = Webhook.objects.filter(team_id=team_id, is_active=True).select_related("team")
    listening = [hook for hook in hooks if event in hook.events]
    if listening:
        with translation.override(settings.LANGUAGE_CODE):  # a program hears the same, whoever was the cause
            told = _event(listening[0].team, event, tell())
        with transaction.atomic():
            for hook in listening:
                _queue(hook, told)
            waking.wake_couriers()
    return len(listening)


def _event(team: Team, event: str, told: Told) -> dict[str, Any]:
    return {
        "id": f"evt_{new_public_id()}",
        "type": event,
        "api_version": API_VERSION,
        "created_at": timezone.now(),
        "team": team.public_id,
        "data": told.data,
        "links": {name: f"{settings.SITE_URL}{path}" for name, path in told.links.items()},
    }


def _queue(webhook: Webhook, told: dict[str, Any], *, asked_by: User | None = None) -> WebhookDelivery:
    return WebhookDelivery.objects.create(
        webhook=webhook,
        event=told["type"],
        event_id=told["id"],
        body=json.dumps(told, cls=JSONEncoder, ensure_ascii=False),
        asked_by=asked_by,
    )
