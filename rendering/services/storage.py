"""What the daily upkeep notes and mends: samples of storage, and database against storage both ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.models import AudioTake, Footage, MediaBlob, MouthModel, TeamBase
from projects.services import analysis, audit, blobs, disk
from projects.storage import StoredFile
from rendering.access import require_operator
from rendering.models import Export, RenderVersion, StorageSample
from rendering.selectors.storage import DISK_TOTAL, DISK_USED, sizes_by_team
from rendering.selectors.usage import Kind, with_kind
from rendering.services import bases, mouths

SAMPLES_KEPT = timedelta(days=400)
YOUNG = timedelta(days=1)
"""What is younger may be on its way: between being stored and being pointed at, or the other way round."""
MOST_LISTED = 200
"""Orphans; their count is of all."""


@transaction.atomic
def take_sample(day: date | None = None) -> int:
    """Note what every team has stored and what the disk holds. Asked again on the same day, newer figures count.

    Returns the number of rows.
    """
    day = day or timezone.localdate()
    space = disk.space()
    rows = [
        StorageSample(day=day, team_id=team, kind=kind, size=size)
        for team, kinds in sizes_by_team().items()
        for kind, size in kinds.items()
    ]
    rows += [
        StorageSample(day=day, kind=DISK_USED, size=space.used),
        StorageSample(day=day, kind=DISK_TOTAL, size=space.total),
    ]
    StorageSample.objects.filter(day=day).delete()
    StorageSample.objects.filter(day__lt=day - SAMPLES_KEPT).delete()
    return len(StorageSample.objects.bulk_create(rows))


# Database and storage, both ways


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A row whose bytes are not there, or not all of them."""

    blob: MediaBlob
    kind: Kind
    belongs_to: str
    """The names of what shows or needs it."""
    found: int | None
    """Bytes that are there; None: nothing."""

    @property
    def can_be_made_again(self) -> bool:
        return self.kind in (Kind.ANALYSIS, Kind.BASES, Kind.MOUTHS, Kind.PREVIEWS)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found. Younger than a day is not looked at."""

    files: int
    """Stored files that were looked at."""
    orphans: int
    orphan_bytes: int
    orphan_list: tuple[StoredFile, ...]
    lost: int
    lost_list: tuple[Lost, ...]
    is_whole: bool
    """Whether it got through in the time it had."""

    @property
    def is_sound(self) -> bool:
        return self.is_whole and not self.orphans and not self.lost


def check(*, seconds: float | None = None) -> Checked:
    """Compare every stored file with the rows that know them. Gives up after ``seconds``."""
    return _compare(lambda orphan: None, seconds)


def _compare(take: Callable[[StoredFile], None], seconds: float | None = None) -> Checked:
    """``take`` is given every orphan."""
    until = None if seconds is None else time.monotonic() + seconds
    before = timezone.now() - YOUNG
    rows = dict(MediaBlob.objects.values_list("path", "size").iterator())
    orphans: list[StoredFile] = []
    count = size = files = 0
    lost: dict[str, int | None] = {}
    is_whole = True
    for stored in blobs.all_keys():
        files += 1
        known = rows.pop(stored.key, None)
        if known is None and stored.modified < before:
            count, size = count + 1, size + stored.size
            orphans += [stored] if len(orphans) < MOST_LISTED else []
            take(stored)
        elif known is not None and known != stored.size:
            lost[stored.key] = stored.size
        if until is not None and time.monotonic() > until:
            is_whole = False
            break
    if is_whole:
        lost |= dict.fromkeys(rows)
    old = [entry for entry in _lost(lost) if entry.blob.created_at < before]
    return Checked(
        files=files,
        orphans=count,
        orphan_bytes=size,
        orphan_list=tuple(orphans),
        lost=len(old),
        lost_list=tuple(old),
        is_whole=is_whole,
    )


def _lost(paths: dict[str, int | None]) -> Iterator[Lost]:
    """Rows that a delete has taken meanwhile are not lost."""
    names = list(paths)
    for start in range(0, len(names), 500):
        some = MediaBlob.objects.filter(path__in=names[start : start + 500]).select_related("team")
        for blob in with_kind(some).order_by("pk"):
            kind = Kind(blob.kind)
            yield Lost(blob=blob, kind=kind, belongs_to=", ".join(owners(blob)), found=paths[blob.path])


def owners(blob: MediaBlob) -> Iterator[str]:
    """What points at a stored file, in names."""
    for column in ("blob", "preview", "poster", "filmstrip", "analysis"):
        for footage in Footage.objects.filter(**{column: blob}).select_related("presenter"):
            yield f"{footage.presenter.name} / {footage.name}"
    for take in AudioTake.objects.filter(blob=blob).select_related("script_version__script"):
        yield f"{take.script_version.script.title} / {take.name}"
    for column in ("video", "poster"):
        versions = RenderVersion.objects.filter(**{column: blob})
        for version in versions.select_related("deliverable__presenter", "deliverable__script"):
            yield str(version)
    for export in Export.objects.filter(blob=blob):
        yield export.name
    for base in TeamBase.objects.filter(blob=blob).select_related("team"):
        yield str(base)
    for column in ("blob", "checkpoint", "picture"):
        for model in MouthModel.objects.filter(**{column: blob}).select_related("footage__presenter"):
            yield f"{model.footage.presenter.name} / {model}"


def mend(*, actor: User | None = None) -> tuple[Checked, int]:
    """Remove old orphans and have lost analyses, previews and pictures made again.

    Returns what was found and the footage that waits to be looked at. Footage, takes, videos and ZIPs that are lost
    cannot be made from anything here: they come back from a backup.
    """
    if actor is not None:
        require_operator(actor)
    found = _compare(_remove)
    waiting = _make_again(entry.blob for entry in found.lost_list if entry.can_be_made_again)
    if found.orphans or waiting:
        told: dict[str, Any] = {"orphans": found.orphans, "bytes": found.orphan_bytes, "analysed_again": waiting}
        audit.record(action="storage.mended", actor=actor, **told)
    return found, waiting


def _remove(orphan: StoredFile) -> None:
    if not MediaBlob.objects.filter(path=orphan.key).exists():  # it may have come since the rows were read
        blobs.delete_key(orphan.key)


def _make_again(lost: Iterable[MediaBlob]) -> int:
    """Let go of the lost files and look at their footage again. Returns the footage that waits for it."""
    waiting = 0
    lost = list(lost)
    bases.lost(lost)
    mouths.lost(lost)
    for blob in lost:
        RenderVersion.objects.filter(poster=blob).update(poster=None)
        for column in ("preview", "poster", "filmstrip", "analysis"):
            for footage in Footage.objects.filter(**{column: blob}):
                # One analysis makes all of them.
                Footage.objects.filter(pk=footage.pk, **{column: blob}).update(**{"analysis": None, column: None})
                waiting += analysis.renew([footage], engines=())
    return waiting
