"""Minutes of video that a team has had made this month, and that are still to come."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from projects.models import Team
from rendering.models import UNFINISHED, JobState, RenderJob


def month_start(at: datetime | None = None) -> datetime:
    local = timezone.localtime(at)
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def rendered_seconds(team: Team, month: datetime) -> float:
    """Counted by the jobs, which stay when a version is deleted. A job that no machine worked at cost nothing."""
    done = RenderJob.objects.filter(team=team, state=JobState.SUCCEEDED, finished_at__gte=month, attempts__gt=0)
    length = Coalesce(F("version__duration_s"), F("take__duration_s"))
    return float(done.aggregate(seconds=Sum(length))["seconds"] or 0)


def planned_seconds(team: Team) -> float:
    waiting = RenderJob.objects.filter(team=team, state__in=UNFINISHED)
    return float(waiting.aggregate(seconds=Sum("take__duration_s"))["seconds"] or 0)
