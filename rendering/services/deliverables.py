"""Cells of the board: made when first needed, and marked as changed when what they are made from changes."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from projects.models import AudioTake, Footage, Project, ProjectPresenter, ProjectScript, ScriptVersion
from rendering import queue
from rendering.models import Board, Deliverable
from rendering.services import limits

Place = tuple[int, int, str]
"""Primary keys of presenter and script, and the language."""


def next_revision(project: Project) -> int:
    """Take the board's next number. The row stays locked until the transaction ends: that orders all changes."""
    if not Board.objects.filter(project=project).update(revision=F("revision") + 1):
        Board.objects.get_or_create(project=project)
        Board.objects.filter(project=project).update(revision=F("revision") + 1)
    return Board.objects.values_list("revision", flat=True).get(project=project)


def ensure_deliverables(project: Project, places: Iterable[Place]) -> dict[Place, Deliverable]:
    """The rows of these cells, made where they are missing. Call inside a transaction."""
    wanted = set(places)
    Deliverable.objects.bulk_create(
        [
            Deliverable(project=project, presenter_id=presenter, script_id=script, language=language)
            for presenter, script, language in sorted(wanted - set(_rows(project, wanted)))
        ],
        ignore_conflicts=True,
    )
    return _rows(project, wanted)


def _rows(project: Project, wanted: set[Place]) -> dict[Place, Deliverable]:
    rows = Deliverable.objects.filter(
        project=project,
        presenter_id__in={place[0] for place in wanted},
        script_id__in={place[1] for place in wanted},
    ).select_related("presenter", "script")
    found = {(row.presenter_id, row.script_id, row.language): row for row in rows}
    return {place: row for place, row in found.items() if place in wanted}


def cell_of(project: Project, presenter_id: int, script_id: int, language: str) -> Deliverable:
    """One cell's row, made when it is missing."""
    place = (presenter_id, script_id, language)
    with transaction.atomic():
        return ensure_deliverables(project, [place])[place]


@transaction.atomic
def touch_cells(project: Project, places: Iterable[Place]) -> None:
    """Tell open boards that these cells look different now."""
    wanted = set(places)
    if not wanted:
        return
    revision = next_revision(project)
    rows = ensure_deliverables(project, wanted)
    Deliverable.objects.filter(pk__in=[row.pk for row in rows.values()]).update(revision=revision)


def touch_footage(footage: Footage) -> None:
    """Every cell of the presenter, on every board it stands on."""
    rows = ProjectPresenter.objects.filter(presenter=footage.presenter_id, project__archived_at=None)
    for row in rows.select_related("project"):
        scripts = ProjectScript.objects.filter(project=row.project).values("script")
        columns = ScriptVersion.objects.filter(script__in=scripts).values_list("script_id", "language").distinct()
        touch_cells(row.project, [(row.presenter_id, script, language) for script, language in columns])


def touch_take(take: AudioTake) -> None:
    """Every cell of the take's script and language, on every board it stands on."""
    script, language = take.script_version.script_id, take.script_version.language
    columns = ProjectScript.objects.filter(script=script, project__archived_at=None)
    for column in columns.select_related("project"):
        presenters = ProjectPresenter.objects.filter(project=column.project).values_list("presenter_id", flat=True)
        touch_cells(column.project, [(presenter, script, language) for presenter in presenters])


def touch_material(item: Footage | AudioTake) -> None:
    """Every cell that is made from it."""
    if isinstance(item, Footage):
        touch_footage(item)
    else:
        touch_take(item)


def material_settled(item: Footage | AudioTake) -> None:
    """Its analysis has ended, one way or the other: jobs that waited for it may start, or fail with its code."""
    touch_material(item)
    if isinstance(item, AudioTake):
        limits.refuse_beyond(item)
    queue.fail_refused(item)
    queue.top_up()
