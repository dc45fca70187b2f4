"""Limits of a team: set by operators, and kept when work is started. (Uploads are looked at in ``projects``.)"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.template.defaultfilters import filesizeformat
from django.utils import formats

from projects.models import AudioTake, Team, TeamLimits
from projects.problems import HeyGemError
from projects.services import audit
from projects.services.limits import kept_bytes, limits_of
from rendering import minutes, states
from rendering.access import require_operator
from rendering.models import JobState, RenderJob

OVER_MONTH = "render_minutes_over"
"""The code of a job whose length was not known when it was ordered, and that went beyond the month's minutes."""
BYTES = range(1 << 20, 1 << 50)
MINUTES = range(1, 10_000_001)
SECONDS = range(1, 24 * 3600 + 1)


@transaction.atomic
def set_limits(
    *,
    actor: User,
    team: Team,
    storage_bytes: int | None,
    render_minutes: int | None,
    file_bytes: int | None,
    take_seconds: int | None,
    reason: str = "",
) -> TeamLimits:
    """What the team may keep, have made and send; None: what the installation's settings say. Raises ``bad_limit``.

    What is there already stays, also above a new limit.
    """
    require_operator(actor)
    wanted: dict[str, Any] = {
        "storage_bytes": storage_bytes,
        "render_minutes": render_minutes,
        "file_bytes": file_bytes,
        "take_seconds": take_seconds,
    }
    allowed = {"storage_bytes": BYTES, "render_minutes": MINUTES, "file_bytes": BYTES, "take_seconds": SECONDS}
    if any(value is not None and value not in allowed[name] for name, value in wanted.items()):
        raise HeyGemError("bad_limit")
    kept, _ = TeamLimits.objects.select_for_update().get_or_create(team=team)
    was = {name: getattr(kept, name) for name in wanted}
    changed = {name: value for name, value in wanted.items() if value != was[name]}
    if changed:
        TeamLimits.objects.filter(pk=kept.pk).update(**changed)
        kept.refresh_from_db()
        told = {"was": {name: was[name] for name in changed}, **changed}
        why = {"reason": reason.strip()[:300]} if reason.strip() else {}
        audit.record(action="team.limits_changed", actor=actor, team=team, subject=team, **told, **why)
    return kept


def check_room(team: Team) -> None:
    """Whether results may still be stored. Raises ``team_storage_spent``."""
    limit = limits_of(team).storage_bytes
    if limit is not None and (used := kept_bytes(team, enough=limit - 1)) >= limit:
        raise HeyGemError("team_storage_spent", team=team.name, used=filesizeformat(used), limit=filesizeformat(limit))


def has_month_limit(team: Team) -> bool:
    return limits_of(team).render_minutes is not None


def check_minutes(team: Team, lengths: Sequence[float]) -> None:
    """Whether videos of these ``lengths`` (seconds; 0: not known yet) may be made this month.

    Raises ``render_minutes_spent`` when none may, ``render_minutes_short`` when only the first few. Call it in the
    transaction that orders them: it locks the team, so that two orders that fit one by one cannot pass together.
    """
    limit = limits_of(team).render_minutes
    if limit is None or not lengths:
        return
    Team.objects.select_for_update().get(pk=team.pk)
    month = minutes.month_start()
    used = minutes.rendered_seconds(team, month) + minutes.planned_seconds(team)
    left = max(limit * 60 - used, 0.0)
    if left > 0 and sum(lengths) <= left:
        return
    fits, sum_ = 0, 0.0
    for length in lengths if left > 0 else ():
        sum_ += length
        if sum_ > left:
            break
        fits += 1
    raise HeyGemError(
        "render_minutes_short" if fits else "render_minutes_spent",
        team=team.name,
        limit=limit,
        used=_minutes(used),
        left=_minutes(left),
        asked=_minutes(sum(lengths)),
        count=len(lengths),
        fits=fits,
        renewed=formats.date_format((month + timedelta(days=32)).replace(day=1)),
    )


def _minutes(seconds: float) -> str:
    return formats.number_format(round(seconds / 60, 1), decimal_pos=1)


def refuse_beyond(take: AudioTake) -> int:
    """The take's length has become known: jobs that go beyond the month's minutes fail, newest first."""
    team = take.script_version.script.team
    limit = limits_of(team).render_minutes
    length = AudioTake.objects.filter(pk=take.pk).values_list("duration_s", flat=True).first()
    if limit is None or not length:
        return 0
    over = minutes.rendered_seconds(team, minutes.month_start()) + minutes.planned_seconds(team) - limit * 60
    refused = 0
    waiting = RenderJob.objects.filter(take=take, state__in=[JobState.QUEUED, JobState.HELD], attempts=0)
    for job in waiting.order_by("-pk"):
        if over <= 0:
            break
        if states.refuse(job, OVER_MONTH):
            over -= length
            refused += 1
    return refused
