"""How much the farm has made and how often it failed: the last hour, day and week, and the failures by code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Max
from django.db.models.functions import TruncHour, TruncMinute
from django.utils import timezone

from rendering.models import RenderAttempt
from rendering.selectors.boards import problem_view
from rendering.selectors.shapes import ProblemView

HEIGHT = 48
"""Of a chart, in its own units."""
STEP = 10
"""From one bar to the next."""
FAILED = (RenderAttempt.Outcome.FAILED, RenderAttempt.Outcome.LOST)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A span of time; what failed stands on what was done."""

    start: datetime
    done: int
    failed: int
    x: int
    done_y: int
    done_height: int
    failed_y: int
    failed_height: int


@dataclass(frozen=True, kw_only=True)
class Chart:
    name: str
    """hour, day or week."""
    bars: tuple[Bar, ...]
    done: int
    failed: int
    width: int
    height: int = HEIGHT

    @property
    def failed_percent(self) -> int | None:
        """Of the attempts that ended; None when none did."""
        return round(100 * self.failed / (self.done + self.failed)) if self.done + self.failed else None


@dataclass(frozen=True, kw_only=True)
class FailureCount:
    problem: ProblemView
    attempts: int
    latest: datetime


@dataclass(frozen=True)
class _Count:
    at: datetime
    done: int
    failed: int


def charts() -> tuple[Chart, ...]:
    """Two queries."""
    now = timezone.now().astimezone(UTC)
    minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    minutes = _counts(TruncMinute("ended_at", tzinfo=UTC), minute - timedelta(hours=1))
    hours = _counts(TruncHour("ended_at", tzinfo=UTC), hour - timedelta(days=7))
    return (
        _chart("hour", minutes, minute, bars=12, span=timedelta(minutes=5)),
        _chart("day", hours, hour, bars=24, span=timedelta(hours=1)),
        _chart("week", hours, hour, bars=14, span=timedelta(hours=12)),
    )


def _counts(moment: TruncMinute | TruncHour, since: datetime) -> list[_Count]:
    ended = RenderAttempt.objects.filter(ended_at__gte=since, outcome__in=[RenderAttempt.Outcome.SUCCEEDED, *FAILED])
    rows = ended.order_by().annotate(at=moment).values_list("at", "outcome").annotate(number=Count("pk"))
    return [
        _Count(at, 0 if outcome in FAILED else number, number if outcome in FAILED else 0)
        for at, outcome, number in rows
    ]


def _chart(name: str, counts: Iterable[_Count], end: datetime, *, bars: int, span: timedelta) -> Chart:
    """Bars up to ``end``, which is a whole minute or hour as the counts are; the highest fills the chart."""
    begin = end - bars * span
    done, failed = [0] * bars, [0] * bars
    for count in counts:
        if begin <= count.at < end:
            place = (count.at - begin) // span
            done[place] += count.done
            failed[place] += count.failed
    peak = max(1, *(good + bad for good, bad in zip(done, failed, strict=True)))
    drawn = []
    for number, (good, bad) in enumerate(zip(done, failed, strict=True)):
        good_height, bad_height = (-(-HEIGHT * value // peak) for value in (good, bad))
        good_height = min(good_height, HEIGHT - bad_height)
        drawn.append(
            Bar(
                start=begin + number * span,
                done=good,
                failed=bad,
                x=number * STEP,
                done_y=HEIGHT - good_height,
                done_height=good_height,
                failed_y=HEIGHT - good_height - bad_height,
                failed_height=bad_height,
            )
        )
    return Chart(name=name, bars=tuple(drawn), done=sum(done), failed=sum(failed), width=bars * STEP)


def failures() -> tuple[FailureCount, ...]:
    """The week's failed attempts by code, the most frequent first. One query."""
    since = timezone.now() - timedelta(days=7)
    rows = RenderAttempt.objects.filter(ended_at__gte=since, outcome__in=FAILED).exclude(error_code="")
    counted = rows.order_by().values("error_code").annotate(number=Count("pk"), latest=Max("ended_at"))
    return tuple(
        FailureCount(problem=problem_view(row["error_code"]), attempts=row["number"], latest=row["latest"])
        for row in counted.order_by("-number", "error_code")
    )
