"""The diary: who did what, when."""

from __future__ import annotations

from typing import Any

from projects.access import AnyUser
from projects.models import AuditEvent, Team


def record(
    *,
    action: str,
    actor: AnyUser | None,
    team: Team | None = None,
    subject: object = "",
    label: str = "",
    **detail: Any,
) -> AuditEvent:
    """Note ``noun.verb`` in the same transaction as the change. ``subject``: a kept thing or its public id."""
    return AuditEvent.objects.create(
        team=team,
        actor_id=actor.pk if actor is not None and actor.is_authenticated else None,
        action=action,
        subject=str(getattr(subject, "public_id", subject)),
        label=(label or ("" if isinstance(subject, str) else str(subject)))[:255],
        detail=detail,
    )
