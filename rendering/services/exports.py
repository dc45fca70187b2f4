"""ZIPs of what was made: chosen here, packed by a worker, never half."""

from __future__ import annotations

import csv
import io
import json
import logging
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django_q.tasks import async_task

from projects.access import require
from projects.models import MediaBlob, Project, Role
from projects.problems import HeyGemError
from projects.services import audit, blobs, disk, work
from projects.storage import StorageUnavailable
from rendering import events, tickets
from rendering.access import require_own_or_manager
from rendering.cells import CellKey
from rendering.layout import load_layout, load_records
from rendering.models import Deliverable, Export, RenderVersion
from rendering.services import file_names

EXPORT_TASK = "rendering.tasks.export"
GIVEN_UP_AFTER = timedelta(hours=1)
"""How long an export waits for a storage that is away."""
logger = logging.getLogger(__name__)


@transaction.atomic
def create_export(
    *,
    actor: User,
    project: Project,
    versions: Iterable[RenderVersion] | None = None,
    cells: Sequence[CellKey] | None = None,
) -> Export:
    """A ZIP to be packed: these versions, or what these cells show, or (neither given) everything published.

    Raises ``HeyGemError('nothing_to_export')``.
    """
    require(actor, project.team, Role.REVIEWER)
    chosen = list(versions) if versions is not None else _shown(project, cells)
    if any(version.deliverable.project_id != project.pk for version in chosen):
        raise ValueError("an export holds versions of one project")
    if not chosen:
        raise HeyGemError("nothing_to_export")
    today = timezone.localdate().isoformat()
    export = Export.objects.create(
        team=project.team,
        project=project,
        created_by=actor,
        total=len(chosen),
        name=f"{file_names.safe(project.name)} {today}.zip",
    )
    export.versions.set(chosen)
    audit.record(action="export.started", actor=actor, team=project.team, subject=export, files=len(chosen))
    async_task(EXPORT_TASK, export.pk, cluster="worker")
    return export


def _shown(project: Project, cells: Sequence[CellKey] | None) -> list[RenderVersion]:
    """Published versions; of cells that were asked for by name also the newest where none is published."""
    if cells is None:
        return list(RenderVersion.objects.filter(pk__in=project.deliverables.values("published")))
    wanted = set(cells)
    places = [cell.place for cell in load_layout(project).cells() if cell.key in wanted]
    records = load_records(Deliverable.objects.filter(project=project))
    found = (records[place] for place in places if place in records)
    return [version for record in found if (version := record.published or record.newest) is not None]


def build_export(export_id: int) -> None:
    """Pack the ZIP and store it. A video that is missing is noted in the manifest and stops nothing else.

    Asked again after a worker was lost, it begins anew; a finished export stays as it is.
    """
    unfinished = Export.objects.filter(pk=export_id, state__in=[Export.State.WAITING, Export.State.RUNNING])
    if not unfinished.update(state=Export.State.RUNNING, done=0):
        return
    export = Export.objects.select_related("team", "project").get(pk=export_id)
    if not disk.can_work(_bytes_of(export)):
        _wait_for_room(export)
        return
    try:
        with work.folder() as folder:
            path = folder / "export.zip"
            packed = _pack(export, path)
            if packed is None:
                return
            if packed == 0:
                _end(export, state=Export.State.FAILED, error_code="video_missing")
                return
            blob = blobs.store(export.team, path, "application/zip", move=True)
    except StorageUnavailable as error:
        logger.warning("export %s: the storage is away: %s", export.public_id, error)
        _wait_for_storage(export)
        return
    except OSError as error:
        if disk.is_full(error):
            _wait_for_room(export)
            return
        logger.exception("export %s could not be written", export.public_id)
        _end(export, state=Export.State.FAILED, error_code="export_failed")
        return
    _end(export, state=Export.State.READY, blob=blob, done=export.total)


def _wait_for_storage(export: Export) -> None:
    """Again a little later; after an hour it has failed."""
    if timezone.now() - export.created_at > GIVEN_UP_AFTER:
        _end(export, state=Export.State.FAILED, error_code="storage_unavailable")
    elif Export.objects.filter(pk=export.pk, state=Export.State.RUNNING).update(state=Export.State.WAITING):
        tickets.wake_later(EXPORT_TASK, export.pk, cluster="worker")


def _bytes_of(export: Export) -> int:
    return int(export.versions.aggregate(size=Sum("video__size"))["size"] or 0)


def _wait_for_room(export: Export) -> None:
    """The disk is too full for it: it waits, and says so, until :func:`resume` finds room."""
    logger.warning("export %s waits: the disk has no room for it", export.public_id)
    running = Export.objects.filter(pk=export.pk, state=Export.State.RUNNING)
    running.update(state=Export.State.WAITING, error_code=disk.DISK_FULL, done=0)


def resume() -> int:
    """Begin again what waited for room on the disk. Returns how many. Runs every minute."""
    waiting = Export.objects.filter(state=Export.State.WAITING, error_code=disk.DISK_FULL)
    begun = 0
    for export in waiting.order_by("pk"):
        if not disk.can_work(_bytes_of(export)):
            break
        with transaction.atomic():
            if waiting.filter(pk=export.pk).update(error_code=""):
                async_task(EXPORT_TASK, export.pk, cluster="worker")
                begun += 1
    return begun


@transaction.atomic
def _end(export: Export, *, state: Export.State, **changes: Any) -> None:
    running = Export.objects.filter(pk=export.pk, state=Export.State.RUNNING)
    if running.update(state=state, finished_at=timezone.now(), **changes):
        events.export_ended(export, state)


def _pack(export: Export, path: Path) -> int | None:
    """Write the ZIP to ``path``: how many videos are in it, or None when the export was deleted meanwhile."""
    entries = list(_entries(export))
    packed = 0
    # Videos do not get smaller by compression; stored, the ZIP is written as fast as the disk.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, (version, entry) in enumerate(entries, 1):
            if version.video is not None and blobs.is_stored(version.video):
                _add(archive, entry["file"], version, version.video)
                packed += 1
            else:
                entry |= {"file": "", "problem": "video_missing"}
            if not Export.objects.filter(pk=export.pk, state=Export.State.RUNNING).update(done=number):
                return None
        rows = [entry for _, entry in entries]
        archive.writestr("manifest.csv", manifest_csv(rows))
        archive.writestr("manifest.json", manifest_json(export, rows))
    return packed


def _add(archive: zipfile.ZipFile, name: str, version: RenderVersion, video: MediaBlob) -> None:
    entry = zipfile.ZipInfo(name, date_time=timezone.localtime(version.created_at).timetuple()[:6])
    entry.external_attr = 0o644 << 16
    with archive.open(entry, "w", force_zip64=True) as target:
        for chunk in blobs.read(video):
            target.write(chunk)


def _entries(export: Export) -> Iterator[tuple[RenderVersion, dict[str, Any]]]:
    """Versions in the board's order, each with its line of the manifest."""
    project = export.project
    rank = {cell.place: number for number, cell in enumerate(load_layout(project).cells())}
    versions = export.versions.select_related(
        "deliverable__presenter", "deliverable__script", "video", "footage", "take", "created_by"
    )
    names = file_names.Names()

    def order(version: RenderVersion) -> tuple[int, int, int]:
        cell = version.deliverable
        return (rank.get((cell.presenter_id, cell.script_id, cell.language), len(rank)), cell.pk, version.number)

    for version in sorted(versions, key=order):
        yield version, _entry(project, version, names)


def _entry(project: Project, version: RenderVersion, names: file_names.Names) -> dict[str, Any]:
    cell = version.deliverable
    fields = {
        "project": project.name,
        "presenter": cell.presenter.name,
        "script": cell.script.title,
        "language": cell.language,
        "version": str(version.number),
        "date": timezone.localdate(version.created_at).isoformat(),
    }
    return {
        "file": names.take(file_names.fill(project.file_name_template, fields), ".mp4"),
        **fields,
        "version": version.number,
        "duration_s": round(version.duration_s, 3),
        "width": version.width,
        "height": version.height,
        "fps": round(version.fps, 3),
        "bytes": version.video.size if version.video else None,
        "sha256": version.video.sha256 if version.video else "",
        "sync": version.quality.get("sync"),
        "footage": version.footage.name if version.footage else "",
        "take": version.take.name if version.take else "",
        "engine": version.engine,
        "wav2lip_checkpoint": version.weights,
        "made_by": str(version.created_by or ""),
        "made_at": version.created_at.isoformat(timespec="seconds"),
        "id": version.public_id,
        "problem": "",
    }


def manifest_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """One line per video, with the mark by which Excel knows UTF-8."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["file"])
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _harmless(value: object) -> object:
    """Words that a spreadsheet would run as a formula stay words."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def manifest_json(export: Export, rows: Sequence[dict[str, Any]]) -> bytes:
    whole = {
        "project": export.project.name,
        "export": export.public_id,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "videos": rows,
    }
    return json.dumps(whole, ensure_ascii=False, indent=2).encode()


@transaction.atomic
def delete_export(*, actor: User, export: Export) -> None:
    """Forget a ZIP, also while it is being packed; the videos in it stay. The file goes when nothing needs it."""
    require_own_or_manager(actor, export.team, export.created_by_id, own=Role.REVIEWER)
    audit.record(action="export.deleted", actor=actor, team=export.team, subject=export.public_id, label=export.name)
    export.delete()
