"""What may be done with API tokens: made once, shown once, withdrawn at any time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.utils import timezone

from projects.access import require, teams_of
from projects.models import ApiToken, Role, Team
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
def create_token(
    *, actor: User, name: str, scope: str, days: int | None = None, teams: Iterable[Team] | None = None
) -> tuple[ApiToken, str]:
    """The token and, this once, what the program sends: ``hg_<prefix>_<secret>``.

    ``days`` None: for ever. ``teams`` None: every team that the actor belongs to, also later. Raises ``not_allowed``
    for the farm's scope of somebody who is no operator, ``token_nowhere`` for no teams at all.
    """
    if scope == ApiToken.Scope.OPERATE and not actor.is_staff:
        raise HeyGemError("not_allowed")
    chosen = None if teams is None else list(teams_of(actor).filter(pk__in=[team.pk for team in teams]))
    if chosen is not None and not chosen:
        raise HeyGemError("token_nowhere")
    prefix, secret = secrets.token_hex(6), secrets.token_hex(32)
    token = ApiToken.objects.create(
        user=actor,
        name=names.clean(name, limit=80),
        scope=ApiToken.Scope(scope),
        all_teams=chosen is None,
        prefix=prefix,
        token_hash=_hash(secret),
        expires_at=None if days is None else timezone.now() + timedelta(days=days),
    )
    token.teams.set(chosen or [])
    reach = "all" if chosen is None else [team.public_id for team in chosen]
    audit.record(action="token.created", actor=actor, subject=token, scope=token.scope, teams=reach)
    return token, f"{START}_{prefix}_{secret}"


@transaction.atomic
def revoke_token(*, actor: User, token: ApiToken) -> None:
    """For good and everywhere: for its own person, and for operators."""
    if actor.pk != token.user_id and not actor.is_staff:
        raise Http404
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(action="token.revoked", actor=actor, subject=token)


@transaction.atomic
def shut_out(*, actor: User, token: ApiToken, team: Team) -> None:
    """The token finds this team no more; what it reaches elsewhere stays its person's affair."""
    require(actor, team, Role.MANAGER)
    if not token.shut_out_of.filter(pk=team.pk).exists():
        token.shut_out_of.add(team)
        audit.record(action="token.shut_out", actor=actor, team=team, subject=token)


@transaction.atomic
def let_in(*, actor: User, token: ApiToken, team: Team) -> None:
    require(actor, team, Role.MANAGER)
    if token.shut_out_of.filter(pk=team.pk).exists():
        token.shut_out_of.remove(team)
        audit.record(action="token.let_in", actor=actor, team=team, subject=token)


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
    token.user.api_token = token  # type: ignore[attr-defined]  # projects.access keeps them to what it may reach
    return token
