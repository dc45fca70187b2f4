"""Minutes of video that a team has had made this month, and that are still to come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Case, F, Sum, When
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from projects.models import AudioTake, Footage, Team
from rendering.models import UNFINISHED, JobState, Preset, RenderJob


def month_start(at: datetime | None = None) -> datetime:
    local = timezone.localtime(at)
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def rendered_seconds(team: Team, month: datetime) -> float:
    """Counted by the jobs, which stay when a version is deleted. A job that no machine worked at cost nothing."""
    done = RenderJob.objects.filter(team=team, state=JobState.SUCCEEDED, finished_at__gte=month, attempts__gt=0)
    length = Coalesce(F("version__duration_s"), F("take__duration_s"))
    return float(done.aggregate(seconds=Sum(length))["seconds"] or 0)


def planned_seconds(team: Team) -> float:
    """Of what waits or is being made, as far as the lengths are known."""
    waiting = RenderJob.objects.filter(team=team, state__in=UNFINISHED)
    take, footage = (Coalesce(F(f"{name}__duration_s"), 0.0) for name in ("take", "footage"))
    rests = When(batch__preset__when_shorter=Preset.WhenShorter.REST, then=Greatest(take, footage))
    return float(waiting.aggregate(seconds=Sum(Case(rests, default=take)))["seconds"] or 0)


def length(footage: Footage, take: AudioTake, options: Mapping[str, object]) -> float:
    """Seconds of the video that a job would make; 0 when nobody knows yet."""
    if take.duration_s is None:
        return 0.0
    rests = options.get("when_shorter") == Preset.WhenShorter.REST
    return max(take.duration_s, footage.duration_s or 0.0) if rests else take.duration_s
