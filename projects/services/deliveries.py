"""Carrying the outbox to its receivers: claim, send, settle, and take back what a lost worker held.

One receiver never keeps the others waiting: a webhook has one delivery under way at a time, several webhooks are served
side by side, one that failed is left alone for a while, and a ticket ends after :data:`TICKET_S` and lets the cluster's
other work have its turn.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from django.db import DatabaseError, connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from projects import outbound
from projects.models import Webhook, WebhookDelivery
from projects.services import audit, letters, waking
from projects.services import webhook_secrets as keys
from projects.services.webhooks import PING, stop

log = logging.getLogger("heygem.webhooks")

State = WebhookDelivery.State
PAUSES_S = (60, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 12 * 3600, 12 * 3600)
"""Before the second try and those that follow: about 42 hours in all."""
JITTER = 0.2
"""Pauses are this much shorter or longer, so that those that failed together do not return together."""
LONGEST_RETRY_AFTER_S = 12 * 3600
REST = timedelta(seconds=60)
"""A receiver that has just failed is not tried with its other deliveries meanwhile."""
LEASE = timedelta(seconds=60)
"""Several times what one try can take."""
GIVE_UP_AFTER = timedelta(days=3)
GIVE_UP_FAILURES = 20
"""A webhook is stopped when nothing has reached it for so long, in at least so many tries."""
KEPT = timedelta(days=30)
SIDE_BY_SIDE = 8
TICKET_S = 20.0
SHOWN = 2000
"""Letters of an answer that are kept."""
GONE = 410
TOO_MANY = 429
AGENT = "HeyGem-Webhooks/1"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one try went. ``code`` is empty when it arrived."""

    code: str = ""
    status: int | None = None
    retry_after: str = ""
    response: str = ""
    ms: int = 0


def run_ticket() -> str:
    """Deliver what is due, for a while. Returns what became of it, for django-q2's log."""
    reap()
    until = time.monotonic() + TICKET_S
    tried: set[int] = set()
    served: set[int] = set()  # in this round: who has thousands waiting takes turns with who has one
    delivered = failed = 0
    flying: dict[Future[Result], WebhookDelivery] = {}
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="webhook") as pool:
        while True:
            while len(flying) < SIDE_BY_SIDE and time.monotonic() < until:
                busy = {delivery.webhook_id for delivery in flying.values()} | tried
                delivery = claim_next(leave_out=busy | served) or (claim_next(leave_out=busy) if served else None)
                if delivery is None:
                    break
                if delivery.webhook_id in served:
                    served.clear()  # the next round
                served.add(delivery.webhook_id)
                flying[pool.submit(send, delivery)] = delivery
            if not flying:
                break
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                delivery, result = flying.pop(future), future.result()
                settle(delivery, result)
                if result.code:
                    tried.add(delivery.webhook_id)
                    failed += 1
                else:
                    delivered += 1
    if _claimable(tried).exists():
        waking.wake_couriers()
    return f"{delivered} delivered, {failed} failed" if delivered or failed else "nothing to do"


_beside: threading.Thread | None = None


def run_beside() -> None:
    """What is due is delivered by a thread of its own, while an hour of footage keeps this process busy."""
    global _beside
    if (_beside is None or not _beside.is_alive()) and _claimable(set()).exists():
        _beside = threading.Thread(target=_carry, name="couriers", daemon=True)
        _beside.start()


def _carry() -> None:
    try:
        run_ticket()
    except DatabaseError:
        log.exception("what is due could not be delivered")
    finally:
        connections.close_all()  # this thread's


def due() -> QuerySet[WebhookDelivery]:
    """What may be tried now: its time has come, and its webhook is in use (a ping: also while it is not)."""
    now = timezone.now()
    return WebhookDelivery.objects.filter(
        Q(webhook__is_active=True) | Q(event=PING), state=State.WAITING, next_try_at__lte=now
    )


def _claimable(leave_out: set[int]) -> QuerySet[WebhookDelivery]:
    under_way = WebhookDelivery.objects.filter(state=State.RUNNING, lease_expires_at__gt=timezone.now())
    return due().exclude(webhook__in=leave_out).exclude(webhook__in=under_way.values("webhook"))


def claim_next(*, leave_out: set[int]) -> WebhookDelivery | None:
    """The delivery that has been due for longest, of a webhook that has none under way. None: there is none."""
    now = timezone.now()
    rows = _claimable(leave_out)
    while (found := rows.order_by("next_try_at", "pk").first()) is not None:
        token = uuid.uuid4()
        if WebhookDelivery.objects.filter(pk=found.pk, state=State.WAITING).update(
            state=State.RUNNING, attempts=F("attempts") + 1, lease_token=token, lease_expires_at=now + LEASE
        ):
            return WebhookDelivery.objects.select_related("webhook__team").get(pk=found.pk)
        # Another worker got there first.
    return None


def send(delivery: WebhookDelivery) -> Result:
    """One try. Touches no database: it runs in a thread of its own."""
    webhook, body = delivery.webhook, delivery.body.encode()
    if not keys.is_known(webhook):
        return Result(code="webhook_secret_lost")
    headers = keys.signed_headers(webhook, event_id=delivery.event_id, body=body, at=timezone.now())
    headers |= {"Content-Type": "application/json", "User-Agent": AGENT, "Accept": "*/*"}
    began = time.monotonic()
    try:
        answer = outbound.post(webhook.url, headers=headers, body=body)
    except (outbound.Refused, outbound.Unreached) as error:
        return Result(code=error.code, ms=_ms(began))
    return Result(
        code=_code(answer.status),
        status=answer.status,
        retry_after=answer.retry_after,
        response=answer.beginning.decode("utf-8", "replace").replace("\x00", "")[:SHOWN],
        ms=_ms(began),
    )


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _code(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return "webhook_redirected"
    return "webhook_gone" if status == GONE else "webhook_answer"


@transaction.atomic
def settle(delivery: WebhookDelivery, result: Result) -> bool:
    """Write how a try went. False: the lease was lost meanwhile, and somebody else has it."""
    now = timezone.now()
    tries = [*delivery.tries, {"at": now.isoformat(), "status": result.status, "code": result.code, "ms": result.ms}]
    told = {
        **{"status": result.status, "response": result.response, "duration_ms": result.ms, "tries": tries},
        **{"lease_token": None, "lease_expires_at": None, "error_code": result.code},
    }
    held = WebhookDelivery.objects.filter(pk=delivery.pk, state=State.RUNNING, lease_token=delivery.lease_token)
    if not result.code:
        if not held.update(state=State.DELIVERED, finished_at=now, **told):
            return False
        _arrived(delivery.webhook)
        return True
    log.info("webhook %s: %s (%s)", delivery.webhook.public_id, result.code, result.status or "no answer")
    later = _next_try(delivery, result, now)
    if later is None:
        changed = held.update(state=State.FAILED, finished_at=now, **told)
    else:
        changed = held.update(state=State.WAITING, next_try_at=later, **told)
    if changed:
        _missed(delivery, result, now)
    return bool(changed)


def _next_try(delivery: WebhookDelivery, result: Result, now: datetime) -> datetime | None:
    """When to try again. None: never; a ping and a webhook that is gone or was stopped get one try."""
    active = Webhook.objects.filter(pk=delivery.webhook_id, is_active=True).exists()
    if delivery.event == PING or result.code == "webhook_gone" or delivery.attempts > len(PAUSES_S) or not active:
        return None
    pause = PAUSES_S[delivery.attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return now + timedelta(seconds=max(pause, _asked_for(result.retry_after, now)))


def _asked_for(retry_after: str, now: datetime) -> float:
    """Seconds from a ``Retry-After`` header, a number or a date; 0 for nonsense."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, OverflowError):  # the receiver may send any digits
            return 0.0
        seconds = (at if at.tzinfo else at.replace(tzinfo=now.tzinfo)).timestamp() - now.timestamp()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _arrived(webhook: Webhook) -> None:
    Webhook.objects.filter(pk=webhook.pk).exclude(failures_in_row=0).update(failures_in_row=0, failing_since=None)


def _missed(delivery: WebhookDelivery, result: Result, now: datetime) -> None:
    """Count it, let the receiver rest, and stop calling one that is gone or has failed for days."""
    webhook = delivery.webhook
    if delivery.event == PING:
        return
    rows = Webhook.objects.filter(pk=webhook.pk)
    rows.filter(failing_since=None).update(failing_since=now)
    rows.update(failures_in_row=F("failures_in_row") + 1)
    rest = max(REST, timedelta(seconds=_asked_for(result.retry_after, now)))
    WebhookDelivery.objects.filter(webhook=webhook, state=State.WAITING, next_try_at__lt=now + rest).exclude(
        event=PING
    ).update(next_try_at=now + rest)
    reason = None
    if result.code == "webhook_gone":
        reason = Webhook.Stopped.GONE
    elif rows.filter(failing_since__lt=now - GIVE_UP_AFTER, failures_in_row__gte=GIVE_UP_FAILURES).exists():
        reason = Webhook.Stopped.FAILING
    if reason is not None and stop(webhook, reason):
        audit.record(action="webhook.stopped", actor=None, team=webhook.team, subject=webhook, reason=reason.value)
        webhook.refresh_from_db()
        transaction.on_commit(lambda: letters.webhook_stopped(webhook))


def reap() -> int:
    """What a lost worker held waits again: it may have arrived, and its receiver knows by the id. Returns how many."""
    lost = WebhookDelivery.objects.filter(state=State.RUNNING, lease_expires_at__lt=timezone.now())
    return lost.update(state=State.WAITING, lease_token=None, lease_expires_at=None)


def clean() -> int:
    """Remove what was settled a month ago. Returns how many."""
    old = timezone.now() - KEPT
    return WebhookDelivery.objects.filter(finished_at__lt=old).delete()[0]
