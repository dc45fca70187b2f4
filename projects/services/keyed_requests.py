"""A creation asked for twice with one ``Idempotency-Key`` happens once: for a day its answer is given again."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.models import KeyedRequest
from projects.problems import HeyGemError

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=10)
"""Nothing that is asked for takes so long: its process has died."""


def begin(*, actor: User, key: str, address: str, body: bytes) -> KeyedRequest:
    """What is to be made now (``status`` None), or was made. Raises ``key_in_flight`` or ``key_reused``."""
    now = timezone.now()
    asked = hashlib.sha256(address.encode() + b"\n" + body).hexdigest()
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


def finish(kept: KeyedRequest, *, status: int, body: Any) -> None:
    KeyedRequest.objects.filter(pk=kept.pk).update(status=status, body=body)


def forget(kept: KeyedRequest) -> None:
    """It was refused: the same key may try again."""
    KeyedRequest.objects.filter(pk=kept.pk, status=None).delete()


def clean() -> int:
    """Remove answers that are a day old. Returns how many."""
    return KeyedRequest.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
