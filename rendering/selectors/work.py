"""One cell, one batch, one ZIP, and the front page: what the pages beside the board show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count, Max, Q, QuerySet

from projects.models import MediaBlob, Presenter, Project, Script, ScriptVersion, Team
from rendering.layout import Cell, load_records
from rendering.material import footage_by_presenter, takes_by_script
from rendering.models import (
    UNFINISHED,
    Deliverable,
    Export,
    JobState,
    Preset,
    RenderBatch,
    RenderJob,
    RenderVersion,
)
from rendering.selectors.boards import cell_view, line_for, problem_view
from rendering.selectors.line import Line, machines_at_work
from rendering.selectors.shapes import (
    BatchView,
    CellDetail,
    CellView,
    ExportView,
    HomeView,
    JobView,
    ProjectCard,
)

JOBS_SHOWN = 10


def cell(deliverable: Deliverable) -> CellView:
    """One cell as the board shows it."""
    material = Cell(
        presenter=deliverable.presenter,
        script=deliverable.script,
        language=deliverable.language,
        footage=footage_by_presenter([deliverable.presenter_id]).get(deliverable.presenter_id),
        take=takes_by_script([deliverable.script_id]).get((deliverable.script_id, deliverable.language)),
    )
    records = load_records(Deliverable.objects.filter(pk=deliverable.pk))
    return cell_view(material, records[material.place], line_for(deliverable.project, records.values()))


def cell_detail(deliverable: Deliverable) -> CellDetail:
    versions = deliverable.versions.select_related(
        "video", "poster", "created_by", "footage__blob", "footage__preview", "take__blob", "job"
    )
    jobs = deliverable.jobs.select_related("batch__created_by", "worker").prefetch_related("tries__worker")
    words = ScriptVersion.objects.filter(script=deliverable.script, language=deliverable.language).order_by("-number")
    return CellDetail(
        cell=cell(deliverable),
        deliverable=deliverable,
        versions=tuple(versions),
        jobs=tuple(_job_view(job) for job in jobs.order_by("-pk")[:JOBS_SHOWN]),
        text=words.values_list("text", flat=True).first() or "",
    )


def _job_view(job: RenderJob) -> JobView:
    return JobView(
        job=job,
        attempts=tuple(job.tries.all()),
        problem=problem_view(job.error_code) if job.error_code and job.state != JobState.SUCCEEDED else None,
    )


def _jobs_that_count() -> QuerySet[RenderJob]:
    """Jobs that have not been tried again: a retry takes the place of what failed."""
    return (
        RenderJob.objects.filter(retries=None)
        .select_related("deliverable__presenter", "deliverable__script", "take", "footage", "batch", "version")
        .defer("take__waveform", "take__speech_spans", "footage__speech_spans", "footage__figures")
    )


def _batch_view(batch: RenderBatch, jobs: Iterable[RenderJob], line: Line | None) -> BatchView:
    jobs = tuple(jobs)
    states = [job.state for job in jobs]
    unfinished = [job for job in jobs if not job.is_final]
    waits = [line.eta_s(job) for job in unfinished] if line else []
    known = [wait for wait in waits if wait is not None]
    points = sum(100 if job.is_final else job.progress for job in jobs)
    return BatchView(
        batch=batch,
        total=len(jobs),
        done=states.count(JobState.SUCCEEDED),
        failed=states.count(JobState.FAILED),
        cancelled=states.count(JobState.CANCELLED),
        running=states.count(JobState.RUNNING),
        queued=states.count(JobState.QUEUED),
        held=states.count(JobState.HELD),
        percent=points // len(jobs) if jobs else 100,
        eta_s=max(known) if known and len(known) == len(unfinished) else None,
        jobs=jobs,
    )


def batch_progress(batch: RenderBatch) -> BatchView:
    """X of N, and how long it will take."""
    jobs = list(_jobs_that_count().filter(batch=batch).order_by("pk"))
    line = Line(batch.team) if any(not job.is_final for job in jobs) else None
    return _batch_view(batch, jobs, line)


def batches_of(project: Project, *, limit: int = 10) -> tuple[BatchView, ...]:
    """The newest batches of a project."""
    batches = list(RenderBatch.objects.filter(project=project).select_related("created_by", "team")[:limit])
    by_batch: dict[int, list[RenderJob]] = {batch.pk: [] for batch in batches}
    for job in _jobs_that_count().filter(batch__in=batches).order_by("pk"):
        by_batch[job.batch_id].append(job)
    busy = any(not job.is_final for jobs in by_batch.values() for job in jobs)
    line = Line(project.team) if busy else None
    return tuple(_batch_view(batch, by_batch[batch.pk], line) for batch in batches)


def export_progress(export: Export) -> ExportView:
    return ExportView(
        export=export,
        percent=100 * export.done // export.total if export.total else 0,
        problem=problem_view(export.error_code) if export.error_code else None,
    )


def presets_of(team: Team) -> QuerySet[Preset]:
    """The team's presets, the default first."""
    return Preset.objects.filter(team=team)


def home(team: Team) -> HomeView:
    """The front page of a team, in a number of queries that does not depend on how many projects it has."""
    projects = list(
        Project.objects.filter(team=team, archived_at=None)
        .annotate(rows_on_board=Count("rows", distinct=True), columns_on_board=Count("columns", distinct=True))
        .order_by("-pk")
    )
    jobs = _jobs_by_project(team)
    made = {
        project: (cells, newest)
        for project, cells, newest in RenderVersion.objects.filter(deliverable__project__team=team)
        .order_by()
        .values_list("deliverable__project")
        .annotate(cells=Count("deliverable", distinct=True), newest=Max("pk"))
    }
    newest = RenderVersion.objects.filter(pk__in=[pk for _, pk in made.values()]).select_related("poster")
    posters: dict[int, tuple[MediaBlob | None, datetime]] = {row.pk: (row.poster, row.created_at) for row in newest}
    cards = []
    for project in projects:
        cells, last = made.get(project.pk, (0, 0))
        poster, updated = posters.get(last, (None, project.created_at))
        running, queued, failed = jobs.get(project.pk, (0, 0, 0))
        cards.append(
            ProjectCard(
                project=project,
                presenters=project.rows_on_board,
                scripts=project.columns_on_board,
                made=cells,
                running=running,
                queued=queued,
                failed=failed,
                poster=poster,
                updated=updated,
            )
        )
    return HomeView(
        team=team,
        projects=tuple(cards),
        presenters=Presenter.objects.filter(team=team, archived_at=None).count(),
        scripts=Script.objects.filter(team=team, archived_at=None).count(),
        running=sum(card.running for card in cards),
        queued=sum(card.queued for card in cards),
        workers=machines_at_work(),
    )


def _jobs_by_project(team: Team) -> dict[int, tuple[int, int, int]]:
    """Running, waiting, and failed jobs that nothing has come after, by project."""
    last = RenderJob.objects.filter(team=team).order_by().values("deliverable").annotate(last=Max("pk")).values("last")
    rows = (
        RenderJob.objects.filter(pk__in=last, state__in=[*UNFINISHED, JobState.FAILED])
        .order_by()
        .values_list("deliverable__project")
        .annotate(
            running=Count("pk", filter=Q(state=JobState.RUNNING)),
            queued=Count("pk", filter=Q(state__in=[JobState.QUEUED, JobState.HELD])),
            failed=Count("pk", filter=Q(state=JobState.FAILED)),
        )
    )
    return {project: (running, queued, failed) for project, running, queued, failed in rows}
