"""What may be done with API tokens: made once, shown once, withdrawn at any time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from projects.models import ApiToken
from projects.problems import HeyGemError
from projects.services import audit, names

START = "hg"
LIFETIMES = (30, 90, 365)
"""Days that a person may choose from; none is for ever."""
SEEN_EVERY = timedelta(minutes=1)
"""``last_used_at`` is no more exact than that: a busy program would otherwise write a row for each question."""


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def create_token(*, actor: User, name: str, scope: str, days: int | None = None) -> tuple[ApiToken, str]:
    """The token and, this once, what the program sends: ``hg_<prefix>_<secret>``. ``days`` None: for ever."""
    prefix, secret = secrets.token_hex(6), secrets.token_hex(32)
    token = ApiToken.objects.create(
        user=actor,
        name=names.clean(name, limit=80),
        scope=ApiToken.Scope(scope),
        prefix=prefix,
        token_hash=_hash(secret),
        expires_at=None if days is None else timezone.now() + timedelta(days=days),
    )
    audit.record(action="token.created", actor=actor, subject=token, scope=token.scope)
    return token, f"{START}_{prefix}_{secret}"


@transaction.atomic
def revoke_token(*, actor: User, token: ApiToken) -> None:
    if ApiToken.objects.filter(pk=token.pk, user=actor, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(action="token.revoked", actor=actor, subject=token)


def open_token(text: str) -> ApiToken:
    """The token a program has sent. Raises ``HeyGemError('bad_token')`` for one that is not, or no longer, good."""
    start, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    token = ApiToken.objects.select_related("user").filter(prefix=prefix).first() if start == START else None
    good = token is not None and hmac.compare_digest(token.token_hash, _hash(secret))
    if token is None or not good or not token.is_open or not token.user.is_active:
        raise HeyGemError("bad_token")
    now = timezone.now()
    long_ago = Q(last_used_at=None) | Q(last_used_at__lt=now - SEEN_EVERY)
    ApiToken.objects.filter(long_ago, pk=token.pk).update(last_used_at=now)
    return token
