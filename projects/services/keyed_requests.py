"""A creation asked for twice with one ``Idempotency-Key`` happens once: for a day its answer is given again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.access import carried_by
from projects.models import KeyedRequest
from projects.problems import HeyGemError

LONGEST_KEY = 200
KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=10)
"""Nothing that is asked for takes so long: its process has died."""


def key_of(headers: Mapping[str, str]) -> str:
    """The request's ``Idempotency-Key``; empty without one. Raises ``bad_key`` for what cannot be one."""
    key = headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise HeyGemError("bad_key")
    return key


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    """What JSON can hold."""
    is_replayed: bool = False


def once(*, actor: User, key: str, address: str, body: bytes, make: Callable[[], Answer]) -> Answer:
    """What ``make`` answers; with a ``key`` it is made once and answered the same for a day.

    Raises ``key_in_flight`` or ``key_reused``. What was refused may be tried again with the same key.
    """
    if not key:
        return make()
    kept = _begin(actor, key, address, body)
    if kept.status is not None:
        return Answer(kept.status, kept.body, is_replayed=True)
    try:
        answer = make()
    except BaseException:
        KeyedRequest.objects.filter(pk=kept.pk, status=None).delete()
        raise
    KeyedRequest.objects.filter(pk=kept.pk).update(status=answer.status, body=answer.body)
    return answer


def _reach(actor: User) -> str:
    """Of the token that was sent, when it is for some teams only: it is not answered what was made beyond them."""
    token = carried_by(actor)
    if token is None or token.all_teams:
        return ""
    return f"{sorted(token.teams.order_by().values_list('public_id', flat=True))}\n"


def _begin(actor: User, key: str, address: str, body: bytes) -> KeyedRequest:
    """What is to be made now (``status`` None), or was made."""
    now = timezone.now()
    asked = hashlib.sha256(_reach(actor).encode() + address.encode() + b"\n" + body).hexdigest()
    own = KeyedRequest.objects.filter(user=actor, key=key)
    with transaction.atomic():
        own.filter(created_at__lt=now - KEPT).delete()
        own.filter(status=None, created_at__lt=now - ABANDONED).delete()
        kept, new = KeyedRequest.objects.get_or_create(user=actor, key=key, defaults={"asked": asked})
    if kept.asked != asked:
        raise HeyGemError("key_reused")
    if kept.status is None and not new:
        raise HeyGemError("key_in_flight")
    return kept


def clean() -> int:
    """Remove answers that are a day old. Returns how many."""
    return KeyedRequest.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
