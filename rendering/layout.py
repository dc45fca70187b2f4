"""A board before anything is rendered: its rows, its columns, and what each cell would be made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Prefetch, QuerySet

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
    """A dozen queries at most, whatever the number of cells.

    Prefetched rather than joined: hundreds of cells share a few footages and takes, and each is read once.
    """
    rows = list(deliverables)
    cells = deliverables.order_by().values("pk")
    last_jobs = (
        RenderJob.objects.filter(deliverable__in=cells).order_by().values("deliverable").annotate(last=Max("pk"))
    )
    job_rows = RenderJob.objects.filter(pk__in=last_jobs.values("last")).prefetch_related("batch", *_material())
    jobs = {job.deliverable_id: job for job in job_rows}
    last_versions = (
        RenderVersion.objects.filter(deliverable__in=cells).order_by().values("deliverable").annotate(last=Max("pk"))
    )
    newest = {version.deliverable_id: version for version in _shown(last_versions.values("last"))}
    versions = {version.pk: version for version in newest.values()}
    older = [row.published_id for row in rows if row.published_id and row.published_id not in versions]
    versions |= {version.pk: version for version in _shown(older)}
    return {
        (row.presenter_id, row.script_id, row.language): Record(
            deliverable=row,
            job=jobs.get(row.pk),
            newest=newest.get(row.pk),
            published=versions.get(row.published_id) if row.published_id else None,
        )
        for row in rows
    }


def _shown(versions: Any) -> QuerySet[RenderVersion]:
    """These versions (keys, or a query for them) with all that a cell shows of them."""
    chosen = RenderVersion.objects.filter(pk__in=versions).select_related("video")
    return chosen.prefetch_related("poster", "created_by", *_material())


def _material() -> tuple[Prefetch, ...]:
    """Footage and take without the long lists of their analyses, which a board never shows."""
    return (
        Prefetch("footage", Footage.objects.defer("speech_spans", "figures")),
        Prefetch("take", AudioTake.objects.defer("waveform", "speech_spans")),
    )
