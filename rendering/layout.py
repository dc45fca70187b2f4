"""A board before anything is rendered: its rows, its columns, and what each cell would be made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Max, QuerySet

from projects.models import (
    AudioTake,
    Footage,
    Presenter,
    Project,
    ProjectPresenter,
    ProjectScript,
    Script,
    ScriptVersion,
)
from rendering.cells import CellKey
from rendering.material import footage_by_presenter, takes_by_script
from rendering.models import Deliverable, JobState, RenderJob, RenderVersion
from rendering.services.deliverables import Place


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell and its material."""

    presenter: Presenter
    script: Script
    language: str
    footage: Footage | None
    take: AudioTake | None

    @property
    def key(self) -> CellKey:
        return CellKey(self.presenter.public_id, self.script.public_id, self.language)

    @property
    def place(self) -> Place:
        return (self.presenter.pk, self.script.pk, self.language)


@dataclass(frozen=True, kw_only=True)
class Layout:
    project: Project
    presenters: tuple[Presenter, ...]
    columns: tuple[tuple[Script, str], ...]
    """Script and language; a script without any words yet has one column with an empty language."""
    footage: dict[int, Footage]
    """By presenter."""
    takes: dict[tuple[int, str], AudioTake]
    """By script and language."""

    def cell(self, presenter: Presenter, script: Script, language: str) -> Cell:
        return Cell(
            presenter=presenter,
            script=script,
            language=language,
            footage=self.footage.get(presenter.pk),
            take=self.takes.get((script.pk, language)),
        )

    def cells(self) -> Iterator[Cell]:
        """Row by row."""
        for presenter in self.presenters:
            for script, language in self.columns:
                yield self.cell(presenter, script, language)

    @property
    def digest(self) -> str:
        """Changes when rows or columns do, in what they are, in their order or in what they are called."""
        parts = [f"{presenter.public_id} {presenter.name}" for presenter in self.presenters]
        parts += [f"{script.public_id} {language} {script.title}" for script, language in self.columns]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def load_layout(project: Project) -> Layout:
    """Five queries, whatever the size of the board."""
    rows = ProjectPresenter.objects.filter(project=project, presenter__archived_at=None).select_related("presenter")
    presenters = tuple(row.presenter for row in rows)
    scripts = [
        column.script
        for column in ProjectScript.objects.filter(project=project, script__archived_at=None).select_related("script")
    ]
    ids = [script.pk for script in scripts]
    spoken: dict[int, set[str]] = {}
    written = ScriptVersion.objects.filter(script_id__in=ids).order_by()
    for script_id, language in written.values_list("script_id", "language").distinct():
        spoken.setdefault(script_id, set()).add(language)
    return Layout(
        project=project,
        presenters=presenters,
        columns=tuple((script, language) for script in scripts for language in sorted(spoken.get(script.pk, {""}))),
        footage=footage_by_presenter(presenter.pk for presenter in presenters),
        takes=takes_by_script(ids),
    )


@dataclass(frozen=True, kw_only=True)
class Record:
    """What has become of a cell so far."""

    deliverable: Deliverable
    job: RenderJob | None
    """The last one."""
    newest: RenderVersion | None
    published: RenderVersion | None

    @property
    def is_busy(self) -> bool:
        return self.job is not None and not self.job.is_final

    @property
    def has_failed(self) -> bool:
        """Its last job failed: it wants a retry, not a first try."""
        return self.job is not None and self.job.state == JobState.FAILED


def load_records(deliverables: QuerySet[Deliverable]) -> dict[Place, Record]:
    """Three queries, whatever the number of cells."""
    rows = list(deliverables.select_related("published__video", "published__poster", "published__created_by"))

    cells = deliverables.order_by().values("pk")
    last_jobs = (
        RenderJob.objects.filter(deliverable__in=cells).order_by().values("deliverable").annotate(last=Max("pk"))
    )
    job_rows = RenderJob.objects.filter(pk__in=last_jobs.values("last")).select_related("footage", "take", "batch")
    jobs = {job.deliverable_id: job for job in job_rows.defer(*_LONG)}
    last_versions = (
        RenderVersion.objects.filter(deliverable__in=cells).order_by().values("deliverable").annotate(last=Max("pk"))
    )
    version_rows = RenderVersion.objects.filter(pk__in=last_versions.values("last")).select_related(
        "video", "poster", "created_by", "footage__blob", "take__blob"
    )
    newest = {version.deliverable_id: version for version in version_rows.defer(*_LONG)}
    return {
        (row.presenter_id, row.script_id, row.language): Record(
            deliverable=row, job=jobs.get(row.pk), newest=newest.get(row.pk), published=row.published
        )
        for row in rows
    }


_LONG = ("footage__speech_spans", "footage__figures", "take__waveform", "take__speech_spans")
"""Lists of an analysis that a board never shows."""
