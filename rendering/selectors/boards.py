"""The board: what every cell shows, and what has changed since a page last looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from projects import problems
from projects.models import AnalysisState, AudioTake, Footage, Project
from projects.selectors import percent_of
from rendering.fingerprint import ENGINE_VERSION, fingerprint
from rendering.layout import Cell, Layout, Record, load_layout, load_records
from rendering.material import PENDING
from rendering.models import Board, Deliverable, JobState, RenderJob, RenderVersion
from rendering.selectors.line import Line
from rendering.selectors.shapes import (
    BoardView,
    CellState,
    CellView,
    ChangesView,
    ColumnView,
    Counts,
    ProblemView,
    RowView,
)

NEAR = 20
"""Cells this near to the front of the line are sent again with any change, so that their places are seen to move."""


def problem_view(code: str, *, level: str = "refused", figure: float | None = None) -> ProblemView:
    """A code of the catalogue in the reader's language."""
    problem = problems.get(code)
    return ProblemView(code=code, sentence=problem.said(figure), remedy=str(problem.remedy), level=level, figure=figure)


def stale_because(version: RenderVersion, cell: Cell) -> tuple[str, ...]:
    """Why rendering the cell again with the version's own options would give another video; empty when it would not.

    A base or mouth model that was learnt since then, or another checkpoint, is no reason: what is done stays done until
    somebody renders it.
    The version's footage and take and the cell's blobs should be loaded.
    """
    if cell.footage is None or cell.take is None:
        return ()
    if AnalysisState.REFUSED in (cell.footage.state, cell.take.state):
        return ()
    made_with = {"base": version.base, "weights": version.weights, "mouths": version.mouths}
    if fingerprint(cell.footage, cell.take, version.preset, **made_with) == version.fingerprint:
        return ()
    reasons = []
    if version.footage is None or version.footage.blob_id != cell.footage.blob_id:
        reasons.append("footage")
    elif version.tracker != cell.footage.analysis_tracker:
        reasons.append("tracker")
    if version.take is None or version.take.blob_id != cell.take.blob_id:
        reasons.append("take")
    if version.engine != ENGINE_VERSION:
        reasons.append("engine")
    if not reasons and cell.footage.chosen_face:  # the same file, and yet another video
        reasons.append("face")
    elif not reasons and cell.take.script_version.text:
        reasons.append("words")
    return tuple(reasons)


@dataclass
class _Seen:
    """What a cell was found to be."""

    state: CellState
    stage: str = ""
    percent: int | None = None
    problem: ProblemView | None = None
    stale_because: tuple[str, ...] = ()


def _look(cell: Cell, record: Record | None) -> _Seen:
    job = record.job if record else None
    if job is not None and not job.is_final:
        return _look_at_work(job)
    if job is not None and job.state == JobState.FAILED:
        return _Seen(CellState.FAILED, problem=problem_view(job.error_code))
    if record is not None and record.newest is not None:
        reasons = stale_because(record.newest, cell)
        return _Seen(CellState.STALE if reasons else CellState.DONE, stale_because=reasons)
    return _look_at_material(cell, was_cancelled=job is not None)


def _look_at_work(job: RenderJob) -> _Seen:
    if job.state == JobState.RUNNING:
        return _Seen(CellState.RUNNING, stage=job.stage, percent=job.progress)
    if job.state == JobState.HELD:
        return _Seen(CellState.HELD)
    for material in (job.footage, job.take):
        if not material.is_usable:
            return _waiting_for(material)
    return _Seen(CellState.QUEUED)


def _look_at_material(cell: Cell, *, was_cancelled: bool) -> _Seen:
    if cell.footage is None:
        return _Seen(CellState.NO_FOOTAGE, problem=problem_view("no_footage", level="info"))
    if cell.take is None:
        return _Seen(CellState.NO_TAKE, problem=problem_view("no_take", level="info"))
    for material in (cell.footage, cell.take):
        if material.state == AnalysisState.REFUSED:
            code = material.error_code
            figure = next((found.get("figure") for found in material.findings if found.get("code") == code), None)
            return _Seen(CellState.REFUSED, problem=problem_view(code, figure=figure))
    for material in (cell.footage, cell.take):
        if material.state in PENDING:
            return _waiting_for(material)
    return _Seen(CellState.CANCELLED if was_cancelled else CellState.EMPTY)


def _waiting_for(material: Footage | AudioTake) -> _Seen:
    return _Seen(CellState.WAITING, stage=material.stage, percent=percent_of(material) if material.stage else None)


def cell_view(cell: Cell, record: Record | None, line: Line | None) -> CellView:
    """One cell, from what was loaded. ``line`` is needed when its job is unfinished."""
    seen = _look(cell, record)
    job = record.job if record else None
    newest = record.newest if record else None
    version = (record.published if record else None) or newest
    poster = (version.poster if version else None) or (cell.footage.poster if cell.footage else None)
    in_line = job if job is not None and line is not None and not job.is_final else None
    return CellView(
        key=cell.key,
        presenter_name=cell.presenter.name,
        script_title=cell.script.title,
        language=cell.language,
        state=seen.state,
        deliverable=record.deliverable if record else None,
        job=job,
        version=version,
        newest=newest,
        poster=poster,
        footage=cell.footage,
        take=cell.take,
        stage=seen.stage,
        percent=seen.percent,
        queue_position=line.position(in_line) if in_line is not None and line and in_line.state == "queued" else None,
        eta_s=line.eta_s(in_line) if in_line is not None and line else None,
        nobody_can=in_line is not None and line is not None and line.nobody_can(in_line),
        problem=seen.problem,
        stale_because=seen.stale_because,
        revision=record.deliverable.revision if record else 0,
        updated=_updated(job, newest),
    )


def _updated(job: RenderJob | None, version: RenderVersion | None) -> datetime | None:
    times = [job.created_at, job.started_at, job.finished_at] if job else []
    times.append(version.created_at if version else None)
    return max((time for time in times if time is not None), default=None)


def line_for(project: Project, records: Iterable[Record]) -> Line | None:
    """The queue, if any of these cells has unfinished work."""
    return Line(project.team) if any(record.is_busy for record in records) else None


def count(cells: Iterable[CellView]) -> Counts:
    cells = list(cells)
    return Counts(
        cells=len(cells),
        by_state=dict(Counter(cell.state.value for cell in cells)),
        done=sum(cell.version is not None for cell in cells),
        empty=sum(cell.is_fillable for cell in cells),
    )


def last_eta(cells: Iterable[CellView]) -> float | None:
    """Seconds until the last unfinished job is done; None when none is, or when it is not known of each."""
    waits = [cell.eta_s for cell in cells if cell.can_cancel]
    known = [wait for wait in waits if wait is not None]
    return max(known) if known and len(known) == len(waits) else None


def board(project: Project) -> BoardView:
    """The whole board, in a number of queries that does not depend on its size."""
    # Read first: what changes while the rest is read will be told again, not lost.
    revision = _revision(project)
    layout = load_layout(project)
    views = _views(layout)
    rows = tuple(
        RowView(
            presenter=presenter.public_id,
            name=presenter.name,
            footage=(footage := layout.footage.get(presenter.pk)),
            poster=footage.poster if footage else None,
            cells=tuple(views[layout.cell(presenter, script, language).place] for script, language in layout.columns),
        )
        for presenter in layout.presenters
    )
    columns = tuple(
        ColumnView(
            script=script.public_id,
            title=script.title,
            language=language,
            take=layout.takes.get((script.pk, language)),
        )
        for script, language in layout.columns
    )
    return BoardView(
        project=project,
        revision=revision,
        layout=layout.digest,
        rows=rows,
        columns=columns,
        counts=count(views.values()),
        eta_s=last_eta(views.values()),
    )


def changes(project: Project, since: int) -> ChangesView:
    """The cells that look different than at revision ``since``."""
    revision = _revision(project)
    layout = load_layout(project)
    views = _views(layout)
    moved = revision > since
    changed = tuple(
        view
        for view in views.values()
        if view.revision > since or (moved and view.queue_position is not None and view.queue_position <= NEAR)
    )
    return ChangesView(
        revision=revision,
        layout=layout.digest,
        cells=changed,
        counts=count(views.values()),
        eta_s=last_eta(views.values()),
    )


def _views(layout: Layout) -> Mapping[Any, CellView]:
    records = load_records(Deliverable.objects.filter(project=layout.project))
    line = line_for(layout.project, records.values())
    return {cell.place: cell_view(cell, records.get(cell.place), line) for cell in layout.cells()}


def _revision(project: Project) -> int:
    return Board.objects.filter(project=project).values_list("revision", flat=True).first() or 0
