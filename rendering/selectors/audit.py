"""The audit log of the whole installation, for operators."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from projects.models import AuditEvent


def events(asked: Mapping[str, str]) -> QuerySet[AuditEvent]:
    """``action``, ``actor`` (part of an address), ``team`` (part of a name, or its id), ``subject`` (its id, or part of
    its name), ``since`` and ``until`` (days, both included). What is not a day is passed over. Newest first."""
    found = AuditEvent.objects.all()
    if action := asked.get("action", ""):
        found = found.filter(action=action)
    if actor := asked.get("actor", "").strip():
        found = found.filter(Q(actor__email__icontains=actor) | Q(actor__username__icontains=actor))
    if team := asked.get("team", "").strip():
        found = found.filter(Q(team__public_id=team) | Q(team__name__icontains=team))
    if subject := asked.get("subject", "").strip():
        found = found.filter(Q(subject=subject) | Q(label__icontains=subject))
    if since := _day(asked.get("since", "")):
        found = found.filter(created_at__gte=_begin(since))
    if until := _day(asked.get("until", "")):
        found = found.filter(created_at__lt=_begin(until + timedelta(days=1)))
    return found.select_related("actor", "team").order_by("-pk")


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return day if date.min.year < day.year < date.max.year else None  # beyond these there is no next day


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=timezone.get_current_timezone()).astimezone(UTC)
