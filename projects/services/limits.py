"""How much a team may keep, send and have made: an operator's word for the team, else the installation's settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.template.defaultfilters import filesizeformat

from projects.models import MediaBlob, Team, TeamLimits, Upload
from projects.problems import HeyGemError
from projects.services import blobs


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What applies to a team; None: no limit."""

    storage_bytes: int | None
    render_minutes: int | None
    """Minutes of video a month."""
    file_bytes: int | None
    """Of one upload. The installation's own limits on footage and takes stand beside it."""
    take_seconds: int | None


def limits_of(team: Team) -> Limits:
    own = TeamLimits.objects.filter(team=team).first() or TeamLimits()

    def pick(value: int | None, default: int) -> int | None:
        return value if value is not None else default or None

    return Limits(
        storage_bytes=pick(own.storage_bytes, settings.TEAM_STORAGE_BYTES),
        render_minutes=pick(own.render_minutes, settings.TEAM_RENDER_MINUTES),
        file_bytes=own.file_bytes,
        take_seconds=pick(own.take_seconds, settings.TEAM_TAKE_SECONDS),
    )


def kept_bytes(team: Team, *, enough: int = 0) -> int:
    """Bytes kept for the team, each stored file once; what nothing needs any more does not count.

    That is looked at only when all of its files together are more than ``enough``: it takes longer.
    """
    stored = _sum(MediaBlob.objects.filter(team=team))
    if stored <= enough:
        return stored
    return stored - _sum(blobs.unreferenced(older_than=timedelta(0)).filter(team=team))


def _sum(files: QuerySet[MediaBlob]) -> int:
    return int(files.aggregate(size=Sum("size"))["size"] or 0)


def arriving_bytes(team: Team) -> int:
    """What the team's unfinished uploads have announced, whether it has arrived yet or not."""
    return int(Upload.objects.filter(team=team, finished_at=None).aggregate(size=Sum("size"))["size"] or 0)


def check_file(team: Team, *, name: str, size: int) -> None:
    """Raises ``team_file_too_large``."""
    limit = limits_of(team).file_bytes
    if limit is not None and size > limit:
        raise HeyGemError(
            "team_file_too_large", name=name, size=filesizeformat(size), limit=filesizeformat(limit), team=team.name
        )


def check_storage(team: Team, *, name: str, size: int) -> None:
    """Whether ``size`` more bytes fit. Raises ``team_storage_full``.

    Call it in the transaction that writes the bytes' row: it locks the team, so that two uploads that fit one by one
    cannot pass together.
    """
    limit = limits_of(team).storage_bytes
    if limit is None:
        return
    Team.objects.select_for_update().get(pk=team.pk)
    arriving = arriving_bytes(team)
    used = kept_bytes(team, enough=limit - size - arriving) + arriving
    if used + size > limit:
        told = {"used": used, "limit": limit, "left": max(limit - used, 0), "size": size}
        words = {key: filesizeformat(value) for key, value in told.items()}
        raise HeyGemError("team_storage_full", name=name, team=team.name, **words)
