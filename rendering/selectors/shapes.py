"""What pages are given: frozen views, already filtered by access and complete (a template asks for nothing more)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from projects.models import AudioTake, Footage, MediaBlob, Project, Team
    from rendering.cells import CellKey
    from rendering.models import Deliverable, Export, RenderAttempt, RenderBatch, RenderJob, RenderVersion


class CellState(StrEnum):
    """What a cell shows. The first that is true, from top to bottom of :data:`STATE_LABELS`."""

    RUNNING = "running"
    WAITING = "waiting"
    QUEUED = "queued"
    HELD = "held"
    FAILED = "failed"
    STALE = "stale"
    DONE = "done"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    NO_FOOTAGE = "no_footage"
    NO_TAKE = "no_take"
    EMPTY = "empty"


STATE_LABELS: dict[CellState, Promise] = {
    CellState.RUNNING: _("Rendering"),
    CellState.WAITING: _("Waiting for analysis"),
    CellState.QUEUED: _("Waiting in line"),
    CellState.HELD: _("On hold"),
    CellState.FAILED: _("Failed"),
    CellState.STALE: _("Out of date"),
    CellState.DONE: _("Done"),
    CellState.REFUSED: _("Cannot be used"),
    CellState.CANCELLED: _("Cancelled"),
    CellState.NO_FOOTAGE: _("Needs footage"),
    CellState.NO_TAKE: _("Needs a take"),
    CellState.EMPTY: _("Empty"),
}

STAGE_LABELS: dict[str, Promise] = {
    "fetch": _("Fetching the files"),
    "probe": _("Looking at the file"),
    "track": _("Following the face"),
    "listen": _("Listening"),
    "learn": _("Learning the voice"),
    "profile": _("Collecting mouths"),
    "prepare": _("Preparing"),
    "lip-sync": _("Planning the mouth"),
    "compose": _("Composing"),
    "encode": _("Encoding"),
    "check": _("Checking"),
    "publish": _("Storing"),
}


def stage_label(stage: str) -> str:
    """A stage of analysis or rendering in plain words; an unknown one (from a newer engine) as it is."""
    return str(STAGE_LABELS.get(stage, stage))


@dataclass(frozen=True, kw_only=True)
class ProblemView:
    """Why something did not work and what to do, in the reader's language."""

    code: str
    sentence: str
    remedy: str
    level: str = "refused"
    """``refused``, ``warning`` or ``info``."""
    figure: float | None = None


@dataclass(frozen=True, kw_only=True)
class CellView:
    """One cell of the board."""

    key: CellKey
    presenter_name: str
    script_title: str
    language: str
    state: CellState
    deliverable: Deliverable | None = None
    job: RenderJob | None = None
    """The unfinished job, or the last one that ended."""
    version: RenderVersion | None = None
    """The published version, or the newest when none is published."""
    newest: RenderVersion | None = None
    poster: MediaBlob | None = None
    """Of the version, else of the footage."""
    footage: Footage | None = None
    """What a render pressed now would use."""
    take: AudioTake | None = None
    stage: str = ""
    percent: int | None = None
    """0..100 of the whole job (of the whole analysis while waiting for it); None when nothing is running."""
    queue_position: int | None = None
    """1 is next; None when not in line."""
    eta_s: float | None = None
    """Seconds until done; None when it is not known."""
    nobody_can: bool = False
    """It waits, and no machine that takes jobs can do it."""
    problem: ProblemView | None = None
    stale_because: tuple[str, ...] = ()
    """Any of ``footage``, ``tracker``, ``take``, ``engine``, ``face``, ``words``."""
    revision: int = 0
    updated: datetime | None = None

    @property
    def dom_id(self) -> str:
        return "cell-" + str(self.key).replace(".", "-")

    @property
    def label(self) -> str:
        return str(STATE_LABELS[self.state])

    @property
    def stage_label(self) -> str:
        return stage_label(self.stage)

    @property
    def sync(self) -> float | None:
        """Sync score of the shown version, -1..1."""
        return self.version.quality.get("sync") if self.version else None

    @property
    def has_unpublished(self) -> bool:
        """A newer version than the published one waits for eyes."""
        return self.newest is not None and self.version is not None and self.newest.pk != self.version.pk

    @property
    def can_render(self) -> bool:
        return self.state in (
            CellState.EMPTY,
            CellState.DONE,
            CellState.STALE,
            CellState.FAILED,
            CellState.CANCELLED,
            CellState.WAITING,
        ) and (self.job is None or self.job.is_final)

    @property
    def is_fillable(self) -> bool:
        """Nothing was made of it yet, nothing is under way, and nothing is missing: "fill empty" would render it."""
        waiting_idly = self.state == CellState.WAITING and not self.can_cancel
        return waiting_idly or self.state in (CellState.EMPTY, CellState.CANCELLED)

    @property
    def can_cancel(self) -> bool:
        return self.job is not None and not self.job.is_final


@dataclass(frozen=True, kw_only=True)
class RowView:
    """A presenter on the board."""

    presenter: str
    """Public id."""
    name: str
    poster: MediaBlob | None
    footage: Footage | None
    cells: tuple[CellView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ColumnView:
    """One language of a script on the board. ``language`` is empty for a script without any text yet."""

    script: str
    """Public id."""
    title: str
    language: str
    take: AudioTake | None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many cells are in which state."""

    cells: int = 0
    by_state: dict[str, int] = field(default_factory=dict)
    done: int = 0
    """Cells that have a video, also while another is made of them or when that failed."""
    empty: int = 0
    """Cells that "fill empty" would render."""

    def of(self, *states: CellState) -> int:
        return sum(self.by_state.get(state.value, 0) for state in states)

    @property
    def total(self) -> int:
        """Cells that can become a video: not those whose footage or take was refused, which wait for other material."""
        return self.cells - self.refused

    @property
    def refused(self) -> int:
        return self.of(CellState.REFUSED)

    @property
    def unfinished(self) -> int:
        return self.of(CellState.RUNNING, CellState.QUEUED, CellState.HELD, CellState.WAITING)

    @property
    def in_line(self) -> int:
        return self.of(CellState.QUEUED, CellState.WAITING)

    @property
    def running(self) -> int:
        return self.of(CellState.RUNNING)

    @property
    def failed(self) -> int:
        return self.of(CellState.FAILED)

    @property
    def stale(self) -> int:
        return self.of(CellState.STALE)

    @property
    def percent_done(self) -> int:
        return round(100 * self.done / self.total) if self.total else 0


@dataclass(frozen=True, kw_only=True)
class BoardView:
    """A project's board: presenters down, script languages across."""

    project: Project
    revision: int
    layout: str
    """Changes when rows or columns do: a page that shows another layout must be loaded again."""
    rows: tuple[RowView, ...]
    columns: tuple[ColumnView, ...]
    counts: Counts
    eta_s: float | None
    """Seconds until every job of the board is done; None when nothing runs or it is not known."""

    @property
    def cells(self) -> tuple[CellView, ...]:
        return tuple(cell for row in self.rows for cell in row.cells)

    @property
    def is_moving(self) -> bool:
        return self.counts.unfinished > 0


@dataclass(frozen=True, kw_only=True)
class ChangesView:
    """Cells that changed after revision ``since``."""

    revision: int
    layout: str
    cells: tuple[CellView, ...]
    counts: Counts
    eta_s: float | None

    @property
    def is_moving(self) -> bool:
        return self.counts.unfinished > 0


@dataclass(frozen=True, kw_only=True)
class BatchView:
    """How far one press of the button has come: ``done`` of ``total``."""

    batch: RenderBatch
    total: int
    done: int
    failed: int
    cancelled: int
    running: int
    queued: int
    held: int
    percent: int
    """0..100 over all of its jobs, progress of the running ones included."""
    eta_s: float | None
    jobs: tuple[RenderJob, ...] = ()

    @property
    def finished(self) -> int:
        return self.done + self.failed + self.cancelled

    @property
    def is_finished(self) -> bool:
        return self.finished == self.total

    @property
    def state(self) -> str:
        """Derived: ``running``, ``queued``, ``held``, or finished as ``done``, ``failed`` or ``cancelled``."""
        if self.running:
            return "running"
        if self.queued:
            return "queued"
        if self.held:
            return "held"
        if self.failed:
            return "failed"
        return "done" if self.done or not self.cancelled else "cancelled"


@dataclass(frozen=True, kw_only=True)
class ProjectCard:
    """A project on the front page."""

    project: Project
    presenters: int
    scripts: int
    made: int
    """Cells with at least one version."""
    running: int
    queued: int
    failed: int
    """Cells whose last job failed."""
    poster: MediaBlob | None
    updated: datetime


@dataclass(frozen=True, kw_only=True)
class HomeView:
    """The front page after sign-in."""

    team: Team
    projects: tuple[ProjectCard, ...]
    presenters: int
    scripts: int
    running: int
    queued: int
    workers: int
    """Machines that are taking work now."""


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One job with its tries, for the cell page."""

    job: RenderJob
    attempts: tuple[RenderAttempt, ...]
    problem: ProblemView | None


@dataclass(frozen=True, kw_only=True)
class CellDetail:
    """The cell page."""

    cell: CellView
    deliverable: Deliverable
    versions: tuple[RenderVersion, ...]
    """Newest first; creator, video, poster, footage and its blob are loaded."""
    jobs: tuple[JobView, ...]
    """The last ten, newest first."""
    text: str
    """What is said: the newest text of the script in this language."""

    @property
    def with_video(self) -> tuple[RenderVersion, ...]:
        """Retention may have taken the videos of superseded ones."""
        return tuple(version for version in self.versions if version.video_id is not None)


@dataclass(frozen=True, kw_only=True)
class ExportView:
    """A ZIP and how far it is."""

    export: Export
    percent: int
    problem: ProblemView | None
