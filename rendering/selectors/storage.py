"""Storage at a glance: the disk and when it will be full, each team's part by kind, and what can be made again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from projects.models import Team, Upload
from projects.services import disk
from rendering.models import StorageSample
from rendering.selectors.retention import rebuildable_bytes
from rendering.selectors.usage import Kind, bytes_by_kind

UPLOADS = "uploads"
"""Beside the kinds of stored files: what unfinished uploads have announced."""
DISK_USED, DISK_TOTAL = "disk_used", "disk_total"
WINDOWS = (14, 30)
"""Days that a forecast looks back: the longest for which there are samples over at least half of it."""
LEAST_SAMPLES = 4
FAR_DAYS = 3650
"""What is further away is not told as a number of days."""
CHART_DAYS, HEIGHT, STEP = 30, 48, 10


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A least-squares line through what was used day by day."""

    per_day: float | None
    """Bytes; None: too few samples."""
    window: int
    """Days it looks back."""
    full_in: int | None
    """Days until only what is kept free is left; None: unknown, not growing, or more than ten years."""


@dataclass(frozen=True, kw_only=True)
class TeamPart:
    """What one team has stored."""

    team: Team
    kinds: dict[str, int]
    """Bytes by kind, in the order of the page's columns."""
    total: int
    per_day: float | None
    """Bytes by which it grows."""
    percent: int
    """Of all teams' together."""


@dataclass(frozen=True, kw_only=True)
class Day:
    day: date
    size: int
    x: int
    y: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Storage:
    used: int
    free: int
    total: int
    kept_free: int
    """Bytes below which uploads and work are refused."""
    is_full: bool
    in_bucket: bool
    """Stored files lie in object storage, not on the disk that is told here."""
    teams: tuple[TeamPart, ...]
    sums: dict[str, int]
    """Bytes by kind, of kinds that there are."""
    stored: int
    forecast: Forecast
    days: tuple[Day, ...]
    """What all teams together had stored, for the chart; empty until there are two samples."""
    rebuildable: int
    rebuildable_limit: int

    @property
    def percent(self) -> int:
        """How full the disk is; what the system keeps for itself counts for neither side."""
        there = self.used + self.free
        return 100 * self.used // there if there else 0


def storage() -> Storage:
    """Eight queries; two of them look at every stored file."""
    space = disk.space()
    parts = sizes_by_team()
    today = timezone.localdate()
    history = _history(today)
    names = Team.objects.in_bulk(parts)
    stored = sum(sum(kinds.values()) for kinds in parts.values())
    sums = {
        kind: size
        for kind in (*(kind.value for kind in Kind), UPLOADS)
        if (size := sum(kinds.get(kind, 0) for kinds in parts.values()))
    }
    teams = [
        TeamPart(
            team=names[pk],
            kinds={kind: kinds.get(kind, 0) for kind in sums},
            total=(total := sum(kinds.values())),
            per_day=growth(history[pk])[0],
            percent=100 * total // stored if stored else 0,
        )
        for pk, kinds in parts.items()
        if pk in names
    ]
    room = space.used + space.free - settings.DISK_KEEP_FREE_BYTES
    return Storage(
        used=space.used,
        free=space.free,
        total=space.used + space.free,  # less than the disk has, where some is reserved
        kept_free=settings.DISK_KEEP_FREE_BYTES,
        is_full=not disk.has_room(),
        in_bucket=not disk.holds_media(),
        teams=tuple(sorted(teams, key=lambda part: (-part.total, part.team.name))),
        sums=sums,
        stored=stored,
        forecast=forecast(history[None], used=space.used, room=room),
        days=_chart(_totals(today), today),
        rebuildable=rebuildable_bytes(),
        rebuildable_limit=settings.REBUILDABLE_BYTES,
    )


def sizes_by_team() -> dict[int, dict[str, int]]:
    """Bytes by team and kind."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for team, kind, size in bytes_by_kind(None, "team").values_list("team", "kind", "size"):
        found[team][kind] = size
    arriving = Upload.objects.filter(finished_at=None).order_by().values("team").annotate(bytes=Sum("size"))
    for team, size in arriving.values_list("team", "bytes"):
        found[team][UPLOADS] = size
    return dict(found)


def _history(today: date) -> Mapping[int | None, dict[date, int]]:
    """Bytes by day, of each team and (None) used on the disk."""
    found: dict[int | None, dict[date, int]] = defaultdict(dict)
    since = today - timedelta(days=max(WINDOWS))
    rows = StorageSample.objects.filter(day__gt=since).exclude(kind=DISK_TOTAL).order_by().values("team", "day")
    for team, day, size in rows.annotate(bytes=Sum("size")).values_list("team", "day", "bytes"):
        found[team][day] = size
    return found


def _totals(today: date) -> dict[date, int]:
    since = today - timedelta(days=CHART_DAYS)
    rows = StorageSample.objects.filter(day__gt=since, team__isnull=False).order_by().values("day")
    return dict(rows.annotate(bytes=Sum("size")).values_list("day", "bytes"))


def growth(samples: Mapping[date, int]) -> tuple[float | None, int]:
    """Bytes a day by the least-squares line through the samples, and the days that it looks back."""
    if not samples:
        return None, WINDOWS[0]
    last = max(samples)
    for window in reversed(WINDOWS):
        points = [((day - last).days, size) for day, size in samples.items() if (last - day).days < window]
        span = -min(day for day, _ in points)
        if len(points) >= LEAST_SAMPLES and span >= window // 2:
            return slope(points), window
    points = [((day - last).days, size) for day, size in samples.items()]
    span = -min(day for day, _ in points)
    return (slope(points) if len(points) >= LEAST_SAMPLES and span >= LEAST_SAMPLES - 1 else None), WINDOWS[0]


def slope(points: Sequence[tuple[int, int]]) -> float:
    """Of the least-squares line through (x, y); at least two different x."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    across = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / across


def forecast(samples: Mapping[date, int], *, used: int, room: int) -> Forecast:
    """When ``used`` bytes will have grown to ``room``."""
    per_day, window = growth(samples)
    full_in = None
    if per_day is not None and per_day > 0:
        days = max(room - used, 0) / per_day
        full_in = int(days) if days <= FAR_DAYS else None
    return Forecast(per_day=per_day, window=window, full_in=full_in)


def _chart(totals: Mapping[date, int], today: date) -> tuple[Day, ...]:
    """One bar a day, the last one today; the highest fills the chart. A day without a sample has none."""
    if len(totals) < 2:
        return ()
    peak = max(*totals.values(), 1)
    first = today - timedelta(days=CHART_DAYS - 1)
    drawn = []
    for number in range(CHART_DAYS):
        size = totals.get(first + timedelta(days=number), 0)
        height = -(-HEIGHT * size // peak)
        drawn.append(
            Day(day=first + timedelta(days=number), size=size, x=number * STEP, y=HEIGHT - height, height=height)
        )
    return tuple(drawn)
