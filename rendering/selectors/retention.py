"""What would go by itself, and why: files older than a team's rule allows, and what can be made again and is too much.

::

    work                  unfinished uploads (after three days at the latest) and the logs of attempts
    previews              copies of footage that browsers play; not looked at since. Another analysis makes them again
    analysis              not rendered from since, and no job waits for it. Made again when the footage is rendered next
    mouths                models that nothing was drawn with since. The presenter's own mouths are used until one is
                          learnt again, which costs minutes of a machine
    exports               ZIPs, since they were packed. What is in them stays
    versions              superseded ones lose their video, since a newer one was made and another was published last.
                          They stay in their cell's history. Kept: what is published, the newest of each cell, what an
                          unfinished ZIP is to hold, and a video that a kept version shares

Beyond the rules, analyses and previews of any team go least recently used first when all of them together are more than
``REBUILDABLE_GB``, or when the disk they lie on is nearly full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Length
from django.utils import timezone

from projects.models import USABLE, AnalysisState, Footage, MediaBlob, MouthModel, Team, Upload
from projects.services import disk
from projects.services.uploads import FORGOTTEN_AFTER
from rendering.models import UNFINISHED, Deliverable, Export, RenderAttempt, RenderJob, RenderVersion, RetentionRule

IN_USE = timedelta(hours=1)
"""What was used so lately is not made room of."""


class Part(StrEnum):
    """What a rule speaks of; the fields of ``RetentionRule`` are ``<part>_days``."""

    WORK = "work"
    PREVIEWS = "preview"
    ANALYSIS = "analysis"
    MOUTHS = "mouth"
    EXPORTS = "export"
    VERSIONS = "version"


class Why(StrEnum):
    AGE = "age"
    BUDGET = "budget"
    DISK = "disk"


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """One thing that would go."""

    part: Part
    why: Why
    team: Team
    pk: int
    """Of the upload, footage, mouth model, export or version; 0 for a team's logs."""
    what: str
    since: datetime
    """When it was last used, made or superseded."""
    size: int
    """Bytes."""
    blob: int | None = None
    """The stored file that it frees, unless something else needs that too."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One team's things of one part, for one reason."""

    team: Team
    part: Part
    why: Why
    days: int | None
    count: int
    size: int
    things: tuple[Leaving, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    things: tuple[Leaving, ...]
    days: dict[tuple[int, Part], int]
    """Of each team's rule."""

    @property
    def size(self) -> int:
        """Bytes that would be freed, a shared file once."""
        return _size(self.things)

    @property
    def lines(self) -> list[Line]:
        groups: dict[tuple[int, Part, Why], list[Leaving]] = {}
        for thing in self.things:
            groups.setdefault((thing.team.pk, thing.part, thing.why), []).append(thing)
        return [
            Line(
                team=group[0].team,
                part=part,
                why=why,
                days=self.days.get((team, part)) if why == Why.AGE else None,
                count=len(group),
                size=_size(group),
                things=tuple(group),
            )
            for (team, part, why), group in groups.items()
        ]


def _size(things: Iterable[Leaving]) -> int:
    seen: set[int] = set()
    total = 0
    for thing in things:
        if thing.blob is None or thing.blob not in seen:
            total += thing.size
        if thing.blob is not None:
            seen.add(thing.blob)
    return total


def plan(team: Team | None = None) -> Plan:
    """What would go now, of one team or of all. Making room for all is left out when a team is named."""
    now = timezone.now()
    rules = RetentionRule.objects.select_related("team").order_by("team__name", "pk")
    if team is not None:
        rules = rules.filter(team=team)
    days = {
        (rule.team_id, part): number for rule in rules for part in Part if (number := getattr(rule, f"{part}_days"))
    }
    things = [
        thing
        for rule in rules
        for part, find in FINDERS.items()
        if (rule.team_id, part) in days
        for thing in find(rule.team, now - timedelta(days=days[rule.team_id, part]))
    ]
    if team is None:
        things += _room(things)
    return Plan(things=tuple(things), days=days)


def room_plan() -> Plan:
    """What would go now only to make room."""
    return Plan(things=tuple(_room(())), days={})


def is_disk_low() -> bool:
    """Whether the disk has less than twice the room that is kept free: the next uploads would be refused."""
    return disk.holds_media() and disk.space().free < 2 * settings.DISK_KEEP_FREE_BYTES


# By age


def uploads_left(team: Team, before: datetime) -> QuerySet[Upload]:
    latest = max(before, timezone.now() - FORGOTTEN_AFTER)
    return Upload.objects.filter(team=team, finished_at=None, created_at__lt=latest)


def logs(team: Team, before: datetime) -> QuerySet[RenderAttempt]:
    return RenderAttempt.objects.filter(job__team=team, ended_at__lt=before).exclude(log="")


def logs_of_mouths(team: Team, before: datetime) -> QuerySet[MouthModel]:
    return MouthModel.objects.filter(footage__presenter__team=team, analysed_at__lt=before).exclude(log="")


def _work(team: Team, before: datetime) -> Iterator[Leaving]:
    for upload in uploads_left(team, before):
        yield Leaving(
            part=Part.WORK, why=Why.AGE, team=team, pk=upload.pk, what=upload.name, since=upload.created_at,
            size=upload.offset,
        )  # fmt: skip
    both = (logs(team, before), logs_of_mouths(team, before))
    found = [each.order_by().aggregate(number=Count("pk"), size=Sum(Length("log"))) for each in both]
    if number := sum(each["number"] for each in found):
        size = sum(each["size"] or 0 for each in found)
        yield Leaving(part=Part.WORK, why=Why.AGE, team=team, pk=0, what=str(number), since=before, size=size)


def idle(column: str) -> QuerySet[Any]:
    """Footage of which ``column`` (``preview`` or ``analysis``) could go, with ``used``: when that was used last."""
    working = RenderJob.objects.filter(footage=OuterRef("pk"), state__in=UNFINISHED)
    used = Coalesce(F(f"{column}__used_at"), F(f"{column}__created_at"))
    rows = Footage.objects.filter(state__in=USABLE, **{f"{column}__isnull": False})
    return rows.exclude(Exists(working)).annotate(used=used).select_related(column, "presenter__team")


def unused(column: str, team: Team, before: datetime) -> QuerySet[Any]:
    return idle(column).filter(presenter__team=team, used__lt=before)


def _from_footage(part: Part, why: Why, footage: Any) -> Leaving:
    blob: MediaBlob = getattr(footage, part.value)
    return Leaving(
        part=part, why=why, team=footage.presenter.team, pk=footage.pk,
        what=f"{footage.presenter.name} / {footage.name}", since=footage.used, size=blob.size, blob=blob.pk,
    )  # fmt: skip


def _previews(team: Team, before: datetime) -> Iterator[Leaving]:
    for footage in unused("preview", team, before):
        yield _from_footage(Part.PREVIEWS, Why.AGE, footage)


def _analyses(team: Team, before: datetime) -> Iterator[Leaving]:
    for footage in unused("analysis", team, before):
        yield _from_footage(Part.ANALYSIS, Why.AGE, footage)


def idle_mouths(team: Team, before: datetime) -> QuerySet[Any]:
    """Mouth models that nothing was drawn with since then, with ``used``: when they were, or were made."""
    wanted = RenderJob.objects.filter(mouths=OuterRef("pk"), state__in=UNFINISHED)
    rows = MouthModel.objects.filter(footage__presenter__team=team, state=AnalysisState.READY, blob__isnull=False)
    rows = rows.exclude(Exists(wanted)).annotate(used=Coalesce(F("blob__used_at"), F("analysed_at"))).defer("log")
    return rows.filter(used__lt=before).select_related("blob", "footage__presenter")


def _mouths(team: Team, before: datetime) -> Iterator[Leaving]:
    for model in idle_mouths(team, before):
        yield Leaving(
            part=Part.MOUTHS, why=Why.AGE, team=team, pk=model.pk,
            what=f"{model.footage.presenter.name} / {model.footage.name}", since=model.used, size=model.blob.size,
            blob=model.blob_id,
        )  # fmt: skip


def old_exports(team: Team, before: datetime) -> QuerySet[Export]:
    ended = [Export.State.READY, Export.State.FAILED]
    return Export.objects.filter(team=team, state__in=ended, finished_at__lt=before)


def _exports(team: Team, before: datetime) -> Iterator[Leaving]:
    for export in old_exports(team, before).select_related("blob"):
        yield Leaving(
            part=Part.EXPORTS, why=Why.AGE, team=team, pk=export.pk, what=export.name,
            since=export.finished_at or before, size=export.blob.size if export.blob else 0, blob=export.blob_id,
        )  # fmt: skip


def superseded(team: Team, before: datetime) -> QuerySet[Any]:
    """Versions with a video that were superseded before then, with ``superseded_at``; see the module's head."""
    newer = RenderVersion.objects.filter(deliverable=OuterRef("deliverable"), number__gt=OuterRef("number"))
    packing = Export.objects.filter(versions=OuterRef("pk"), state__in=[Export.State.WAITING, Export.State.RUNNING])
    cell = F("deliverable__published_at")
    return (
        RenderVersion.objects.filter(deliverable__project__team=team, video__isnull=False, created_at__lt=before)
        .annotate(superseded_at=Subquery(newer.order_by("number").values("created_at")[:1]))
        .filter(superseded_at__lt=before)
        .filter(Q(deliverable__published_at=None) | Q(deliverable__published_at__lt=before))
        .exclude(Exists(Deliverable.objects.filter(published=OuterRef("pk"))))
        .exclude(Exists(packing))
        .annotate(published_since=cell)
    )


def _versions(team: Team, before: datetime) -> Iterator[Leaving]:
    sharing = RenderVersion.objects.filter(video=OuterRef("video")).order_by().values("video")
    rows = list(
        superseded(team, before)
        .annotate(sharing=Subquery(sharing.annotate(number=Count("pk")).values("number")))
        .select_related("deliverable__presenter", "deliverable__script", "video")
        .order_by("pk")
    )
    going = Counter(version.video_id for version in rows)
    for version in rows:
        if going[version.video_id] < version.sharing:
            continue  # a version that stays shows the same video
        since = max(filter(None, (version.superseded_at, version.published_since)))
        yield Leaving(
            part=Part.VERSIONS, why=Why.AGE, team=team, pk=version.pk, what=str(version), since=since,
            size=version.video.size, blob=version.video_id,
        )  # fmt: skip


FINDERS = {
    Part.WORK: _work,
    Part.PREVIEWS: _previews,
    Part.ANALYSIS: _analyses,
    Part.MOUTHS: _mouths,
    Part.EXPORTS: _exports,
    Part.VERSIONS: _versions,
}


# To make room


def rebuildable_bytes() -> int:
    """Analyses and previews of all teams, a shared file once."""
    return sum(
        int(MediaBlob.objects.filter(Exists(Footage.objects.filter(**{column: OuterRef("pk")})))
            .aggregate(size=Sum("size"))["size"] or 0)
        for column in (Part.ANALYSIS.value, Part.PREVIEWS.value)
    )  # fmt: skip


def _room(leaving: Iterable[Leaving]) -> Iterator[Leaving]:
    """The least recently used of what can be made again, until the rest fits and the disk has room."""
    known = {(thing.part, thing.pk) for thing in leaving}
    over = {Why.BUDGET: 0, Why.DISK: 0}
    if settings.REBUILDABLE_BYTES:
        over[Why.BUDGET] = rebuildable_bytes() - settings.REBUILDABLE_BYTES
    if is_disk_low():
        over[Why.DISK] = 2 * settings.DISK_KEEP_FREE_BYTES - disk.space().free
    freed = sum(thing.size for thing in leaving)
    over[Why.DISK] -= freed
    over[Why.BUDGET] -= sum(thing.size for thing in leaving if thing.part in (Part.ANALYSIS, Part.PREVIEWS))
    if max(over.values()) <= 0:
        return
    lately = timezone.now() - IN_USE
    rows = [
        (footage.used, part, footage)
        for part in (Part.ANALYSIS, Part.PREVIEWS)
        for footage in idle(part.value).filter(used__lt=lately)
        if (part, footage.pk) not in known
    ]
    for _, part, footage in sorted(rows, key=lambda row: row[0]):
        why = next((reason for reason, size in over.items() if size > 0), None)
        if why is None:
            return
        thing = _from_footage(part, why, footage)
        yield thing
        over = {reason: size - thing.size for reason, size in over.items()}
