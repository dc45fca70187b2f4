"""What a team uses of the installation: bytes by kind, minutes rendered this month, and what limits apply."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from django.db.models import Case, CharField, Count, Exists, Model, OuterRef, QuerySet, Sum, Value, When

from projects.models import AudioTake, Footage, MediaBlob, MouthModel, Team, TeamBase
from projects.services.limits import Limits, arriving_bytes, limits_of
from rendering.minutes import month_start, planned_seconds, rendered_seconds
from rendering.models import UNFINISHED, Export, JobState, RenderJob, RenderVersion

WARN_PERCENT = 80
"""From here on pages say how near the limit is."""


class Kind(StrEnum):
    """What a stored file is kept for. One that serves several things counts once, as the first of these."""

    FOOTAGE = "footage"
    TAKES = "takes"
    VERSIONS = "versions"
    EXPORTS = "exports"
    ANALYSIS = "analysis"
    BASES = "bases"
    """What was learnt from the team's footage about mouths in general."""
    MOUTHS = "mouths"
    """What was learnt of one piece of footage: to draw its presenter's mouths. Unfinished trainings, too."""
    PREVIEWS = "previews"
    """Posters, filmstrips, and copies that browsers play."""
    UNUSED = "unused"
    """Nothing needs it any more: it goes with the next cleaning."""


POINTERS: tuple[tuple[Kind, type[Model], str], ...] = (
    (Kind.FOOTAGE, Footage, "blob"),
    (Kind.TAKES, AudioTake, "blob"),
    (Kind.VERSIONS, RenderVersion, "video"),
    (Kind.EXPORTS, Export, "blob"),
    (Kind.ANALYSIS, Footage, "analysis"),
    (Kind.BASES, TeamBase, "blob"),
    (Kind.MOUTHS, MouthModel, "blob"),
    (Kind.MOUTHS, MouthModel, "checkpoint"),
    (Kind.PREVIEWS, RenderVersion, "poster"),
    (Kind.PREVIEWS, Footage, "poster"),
    (Kind.PREVIEWS, Footage, "filmstrip"),
    (Kind.PREVIEWS, Footage, "preview"),
    (Kind.PREVIEWS, MouthModel, "picture"),
)

TEAM_OF: dict[type[Model], str] = {
    Footage: "presenter__team",
    AudioTake: "script_version__script__team",
    RenderVersion: "deliverable__project__team",
    Export: "team",
    TeamBase: "team",
    MouthModel: "footage__presenter__team",
}
"""Where a row's team is found; the file it points at is that team's too."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Bytes unless said otherwise."""

    footage: int
    takes: int
    versions: int
    exports: int
    analysis: int
    bases: int
    mouths: int
    previews: int
    unused: int
    uploads: int
    """What unfinished uploads have announced."""
    files: int
    """Stored files."""
    month: date
    """Its first day, in the installation's time zone."""
    rendered_seconds: float
    """Of video that was made this month. What was reused from an earlier render is free."""
    planned_seconds: float
    """Of video that waits or is being made, as far as the takes' lengths are known."""
    versions_made: int
    """That are kept, whenever they were made."""
    jobs_running: int
    jobs_waiting: int
    jobs_held: int
    limits: Limits

    @property
    def bytes(self) -> int:
        """Everything that counts against the storage limit: all but what nothing needs any more."""
        return sum(getattr(self, kind.value) for kind in Kind if kind != Kind.UNUSED) + self.uploads

    @property
    def storage_percent(self) -> int | None:
        return _percent(self.bytes, self.limits.storage_bytes)

    @property
    def render_seconds(self) -> float:
        """Everything that counts against the month's minutes."""
        return self.rendered_seconds + self.planned_seconds

    @property
    def render_minutes(self) -> float:
        return self.render_seconds / 60

    @property
    def render_percent(self) -> int | None:
        limit = self.limits.render_minutes
        return _percent(self.render_seconds, None if limit is None else limit * 60)


def _percent(used: float, limit: int | None) -> int | None:
    """Rounded down, so that 100 means full; None without a limit."""
    if limit is None:
        return None
    return int(100 * used / limit) if limit else 100


def usage(team: Team) -> Usage:
    """Six queries, however much there is."""
    sizes, files = dict.fromkeys(Kind, 0), 0
    for kind, number, size in bytes_by_kind(team).values_list("kind", "files", "size"):
        sizes[Kind(kind)], files = size, files + number
    month = month_start()
    jobs = dict(
        RenderJob.objects.filter(team=team, state__in=UNFINISHED)
        .order_by()
        .values_list("state")
        .annotate(number=Count("pk"))
    )
    return Usage(
        **{kind.value: size for kind, size in sizes.items()},
        uploads=arriving_bytes(team),
        files=files,
        month=month.date(),
        rendered_seconds=rendered_seconds(team, month),
        planned_seconds=planned_seconds(team),
        versions_made=RenderVersion.objects.filter(deliverable__project__team=team).count(),
        jobs_running=jobs.get(JobState.RUNNING, 0),
        jobs_waiting=jobs.get(JobState.QUEUED, 0),
        jobs_held=jobs.get(JobState.HELD, 0),
        limits=limits_of(team),
    )


def with_kind(blobs: QuerySet[MediaBlob]) -> QuerySet[Any]:
    """Stored files with what they are kept for as ``kind``."""
    whens = [
        When(Exists(model._default_manager.filter(**{field: OuterRef("pk")})), then=Value(kind.value))
        for kind, model, field in POINTERS
    ]
    return blobs.annotate(kind=Case(*whens, default=Value(Kind.UNUSED.value), output_field=CharField()))


def bytes_by_kind(team: Team | None = None, *by: str) -> QuerySet[Any, Any]:
    """Rows of ``kind``, ``files``, ``size`` and the columns named in ``by``: of a team's stored files, or of all.

    Each table that points at files is read once, which is far cheaper than to ask it for every file.
    """
    mine: dict[str, Any] = {} if team is None else {"team": team}
    whens = []
    for kind, model, field in POINTERS:
        own = {} if team is None else {TEAM_OF[model]: team}
        pointing = model._default_manager.filter(**own).exclude(**{field: None}).order_by().values(field)
        whens.append(When(pk__in=pointing, then=Value(kind.value)))
    kinds = Case(*whens, default=Value(Kind.UNUSED.value), output_field=CharField())
    blobs = MediaBlob.objects.filter(**mine).annotate(kind=kinds)
    return blobs.order_by().values(*by, "kind").annotate(files=Count("pk"), size=Sum("size"))


def has_limits(team: Team) -> bool:
    """Whether the team's storage or render minutes are limited at all."""
    limits = limits_of(team)
    return limits.storage_bytes is not None or limits.render_minutes is not None
