"""Starting and trying again: what a press of a button does to many cells at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from projects.access import require
from projects.models import AnalysisState, AudioTake, Footage, MouthModel, Project, Role, Team, TeamBase
from projects.problems import HeyGemError
from projects.services import analysis, audit, blobs
from rendering import capabilities, events, minutes, states
from rendering.cells import CellKey
from rendering.fingerprint import ENGINE_VERSION, fingerprint
from rendering.layout import Cell, Record, load_layout, load_records
from rendering.models import Deliverable, JobState, Preset, RenderBatch, RenderJob, RenderVersion, drawn_with
from rendering.services import bases, limits, mouths
from rendering.services.deliverables import Place, ensure_deliverables, next_revision
from rendering.services.presets import default_preset


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A cell that would be rendered, and from what."""

    cell: Cell
    footage: Footage
    take: AudioTake
    base: TeamBase | None
    mouths: MouthModel | None
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A cell that is left out. ``code`` is in the catalogue."""

    key: CellKey
    code: str


@dataclass(frozen=True, kw_only=True)
class MadeWith:
    """The same for all cells: the options, and what a team and its machines have to make them with."""

    options: Mapping[str, object]
    automatic: bool
    base: TeamBase | None
    weights: capabilities.Weights
    mouths: Mapping[int, MouthModel] = field(default_factory=dict)
    """By footage; empty where none is to draw."""

    def drawn(self, footage: Footage) -> tuple[MouthModel | None, dict[str, object]]:
        """The footage's mouth model, if that is to draw it, and what the engine is told then."""
        model = self.mouths.get(footage.pk)
        return model, drawn_with(self.options, automatic=self.automatic, has_mouths=model is not None)


def _made_with(team: Team, options: Mapping[str, object], *, automatic: bool, cells: Iterable[Cell] = ()) -> MadeWith:
    wanted = options["backend"] == mouths.NEURAL or (automatic and capabilities.somebody_draws(mouths.NEURAL))
    footage = [cell.footage for cell in cells if cell.footage is not None] if wanted else []
    return MadeWith(
        options=options,
        automatic=automatic,
        base=bases.current(team),
        weights=capabilities.weights_for(options),
        mouths=mouths.current_of(footage) if footage else {},
    )


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    ready: tuple[Planned, ...]
    skipped: tuple[Skipped, ...]


def plan_batch(
    *, actor: User, project: Project, cells: Sequence[CellKey] | None = None, preset: Preset | None = None
) -> BatchPlan:
    """What :func:`start_batch` would do now. ``cells=None``: those that nothing was made for yet."""
    require(actor, project.team, Role.VIEWER)
    return _plan(project, cells, preset or default_preset(project.team))


@transaction.atomic
def start_batch(
    *,
    actor: User,
    project: Project,
    cells: Sequence[CellKey] | None = None,
    preset: Preset | None = None,
    priority: int = 0,
) -> RenderBatch:
    """Queue every cell that can be rendered; a cell that cannot never stops the others (see :func:`plan_batch`).

    What the team has rendered before from the same bytes with the same options is done at once. Footage and takes may
    still be waiting for their analysis; footage that an older engine analysed is looked at again. When nothing is
    left: raises the cells' common reason, or ``nothing_to_render``. What goes beyond a limit of the team is refused as
    a whole (``rendering.services.limits``), with how much would fit.
    """
    require(actor, project.team, Role.CREATOR)
    if preset is not None and preset.team_id != project.team_id:
        raise ValueError("a team renders with its own presets")
    preset = preset or default_preset(project.team)
    next_revision(project)  # two presses of the button take turns
    plan = _plan(project, cells, preset)
    if not plan.ready:
        raise HeyGemError(_why_nothing(plan.skipped, capabilities.weights_for(preset.snapshot()).lacking))
    _check_limits(project.team, plan.ready, preset.snapshot())
    engines = capabilities.live_engines() or {ENGINE_VERSION}  # old and new, while an installation is upgraded
    analysis.renew((item.footage for item in plan.ready), engines=engines)
    batch = RenderBatch.objects.create(
        team=project.team,
        project=project,
        created_by=actor,
        preset_name=preset.name,
        preset=preset.snapshot(),
        automatic=preset.is_automatic,
    )
    _fill(batch, plan.ready, priority)
    audit.record(
        action="batch.started",
        actor=actor,
        team=project.team,
        subject=batch,
        project=project.public_id,
        cells=len(plan.ready),
        preset=preset.name,
    )
    return batch


def _check_limits(team: Team, planned: Sequence[Planned], options: Mapping[str, object]) -> None:
    """What the team has made before is free."""
    limits.check_room(team)
    if limits.has_month_limit(team):
        known = _known_versions(team, {item.fingerprint for item in planned})
        new = [item for item in planned if item.fingerprint not in known]
        limits.check_minutes(team, [minutes.length(item.footage, item.take, options) for item in new])


def _plan(project: Project, keys: Sequence[CellKey] | None, preset: Preset) -> BatchPlan:
    board = {cell.key: cell for cell in load_layout(project).cells()}
    records = load_records(Deliverable.objects.filter(project=project))
    made_with = _made_with(project.team, preset.snapshot(), automatic=preset.is_automatic, cells=board.values())
    ready: list[Planned] = []
    skipped: list[Skipped] = []
    for key in dict.fromkeys(board if keys is None else keys):
        cell = board.get(key)
        record = records.get(cell.place) if cell else None
        if keys is None and record is not None and (record.is_busy or record.newest or record.has_failed):
            continue
        answer = _plan_cell(key, cell, record, made_with)
        if isinstance(answer, Planned):
            ready.append(answer)
        else:
            skipped.append(answer)
    again = _made_but_lost(skipped, board, records, made_with)
    left = {item.cell.key for item in again}
    return BatchPlan(ready=(*ready, *again), skipped=tuple(skip for skip in skipped if skip.key not in left))


def _made_but_lost(
    skipped: Sequence[Skipped],
    board: Mapping[CellKey, Cell],
    records: Mapping[Place, Record],
    made_with: MadeWith,
) -> list[Planned]:
    """Cells that would be up to date if the storage had not lost their video."""
    made = [board[skip.key] for skip in skipped if skip.code == "up_to_date"]
    newest = {cell.key: version for cell in made if (version := records[cell.place].newest) is not None}
    lost = _lost(newest.values())
    answers = [_plan_cell(cell.key, cell, None, made_with) for cell in made if newest[cell.key].pk in lost]
    return [answer for answer in answers if isinstance(answer, Planned)]


def _plan_cell(key: CellKey, cell: Cell | None, record: Record | None, made_with: MadeWith) -> Planned | Skipped:
    if cell is None:
        return Skipped(key=key, code="cell_unknown")
    if cell.footage is None:
        return Skipped(key=key, code="no_footage")
    if cell.take is None:
        return Skipped(key=key, code="no_take")
    for material in (cell.footage, cell.take):
        if material.state == AnalysisState.REFUSED:
            return Skipped(key=key, code=material.error_code)
    if record is not None and record.is_busy:
        return Skipped(key=key, code="already_rendering")
    base, weights = made_with.base, made_with.weights
    model, options = made_with.drawn(cell.footage)
    mark = fingerprint(
        cell.footage,
        cell.take,
        options,
        base=base.identity if base else "",
        weights=capabilities.weights_used(options, has_mouths=model is not None),
        mouths=model.identity if model else "",
    )
    newest = record.newest if record else None
    if newest is not None and newest.fingerprint == mark:
        return Skipped(key=key, code="up_to_date")
    if weights.lacking:
        return Skipped(key=key, code=weights.lacking)
    return Planned(cell=cell, footage=cell.footage, take=cell.take, base=base, mouths=model, fingerprint=mark)


def _why_nothing(skipped: Sequence[Skipped], lacking: str) -> str:
    codes = {skip.code for skip in skipped}
    if lacking in codes:  # whatever else is the matter with other cells
        return lacking
    return codes.pop() if len(codes) == 1 else "nothing_to_render"


def _fill(batch: RenderBatch, planned: Sequence[Planned], priority: int) -> None:
    """One job per cell; when all are there, those whose video the team has already are done at once."""
    rows = ensure_deliverables(batch.project, [item.cell.place for item in planned])
    known = _known_versions(batch.team, {item.fingerprint for item in planned})
    jobs = [
        states.enqueue(
            batch=batch,
            deliverable=rows[item.cell.place],
            footage=item.footage,
            take=item.take,
            fingerprint=item.fingerprint,
            base=item.base,
            mouths=item.mouths,
            priority=priority,
        )
        for item in planned
    ]
    events.batch_started(batch)
    for job in jobs:
        if job is not None and job.fingerprint in known:
            states.succeed_at_once(job, known[job.fingerprint])


def _known_versions(team: Team, fingerprints: set[str]) -> dict[str, RenderVersion]:
    """Versions of the team, by fingerprint, whose video is still there."""
    versions = RenderVersion.objects.filter(fingerprint__in=fingerprints, deliverable__project__team=team)
    found = {version.fingerprint: version for version in versions.select_related("video", "poster").order_by("pk")}
    lost = _lost(found.values())
    return {mark: version for mark, version in found.items() if version.pk not in lost}


def _lost(versions: Iterable[RenderVersion]) -> set[int]:
    """Primary keys of those whose video is not stored any more."""
    asked = list(versions)
    gone = blobs.missing(version.video for version in asked if version.video is not None)
    return {version.pk for version in asked if version.video_id is None or version.video_id in gone}


def know_material(item: Footage | AudioTake) -> int:
    """What an upload's bytes are is known only now: jobs that wait for it get their true fingerprint.

    Those whose video the team has already are done at once; returns how many.
    """
    waiting = RenderJob.objects.filter(state__in=[JobState.QUEUED, JobState.HELD])
    of_item = waiting.filter(footage=item) if isinstance(item, Footage) else waiting.filter(take=item)
    done = 0
    loaded = of_item.select_related("team", "batch", "deliverable", "footage__blob", "base", "mouths")
    for job in loaded.select_related("take__blob", "take__script_version"):
        footage, take = (item, job.take) if isinstance(item, Footage) else (job.footage, item)
        job.fingerprint = fingerprint(
            footage,
            take,
            job.options,
            base=job.base.identity if job.base else "",
            weights=capabilities.weights_used(job.options, has_mouths=job.mouths is not None),
            mouths=job.mouths.identity if job.mouths else "",
        )
        RenderJob.objects.filter(pk=job.pk).update(fingerprint=job.fingerprint)
        if known := _known_versions(job.team, {job.fingerprint}):
            done += states.succeed_at_once(job, known[job.fingerprint]) is not None
    return done


@transaction.atomic
def retry_failed(
    *, actor: User, batch: RenderBatch | None = None, project: Project | None = None, job: RenderJob | None = None
) -> list[RenderJob]:
    """A new job, in the same batch, for each cell whose last job failed; made from what would be used today.

    Of a batch, of a project, or one ``job`` alone (with its batch). Cells that still have nothing usable are left out.
    Raises ``nothing_to_retry``, or what is wrong with the operator's weights where all of them lack those.
    """
    board = batch.project if batch is not None else project
    if board is None:
        raise ValueError("retry_failed needs a batch or a project")
    require(actor, board.team, Role.CREATOR)
    next_revision(board)
    failed = failed_now(RenderJob.objects.filter(deliverable__project=board))
    if batch is not None:
        failed = failed.filter(batch=batch)
    if job is not None:
        failed = failed.filter(pk=job.pk)
    cells = {cell.place: cell for cell in load_layout(board).cells()}
    lacking = set()
    again: list[tuple[RenderJob, Planned]] = []
    for old in failed.select_related("batch", "deliverable__project"):
        cell = cells.get((old.deliverable.presenter_id, old.deliverable.script_id, old.deliverable.language))
        if cell is None:
            continue
        made_with = _made_with(board.team, old.batch.preset, automatic=old.batch.automatic, cells=[cell])
        answer = _plan_cell(cell.key, cell, None, made_with)
        if isinstance(answer, Planned):
            again.append((old, answer))
        elif answer.code == made_with.weights.lacking:
            lacking.add(answer.code)
    limits.check_room(board.team)
    lengths = [minutes.length(answer.footage, answer.take, old.batch.preset) for old, answer in again]
    limits.check_minutes(board.team, lengths)
    started = [job for old, answer in again if (job := _again(old, answer)) is not None]
    if not started:
        raise HeyGemError(lacking.pop() if lacking else "nothing_to_retry")
    audit.record(action="batch.retried", actor=actor, team=board.team, subject=batch or board, jobs=len(started))
    return started


def _again(old: RenderJob, planned: Planned) -> RenderJob | None:
    return states.enqueue(
        batch=old.batch,
        deliverable=old.deliverable,
        footage=planned.footage,
        take=planned.take,
        fingerprint=planned.fingerprint,
        base=planned.base,
        mouths=planned.mouths,
        priority=old.priority,
        retry_of=old,
    )


def failed_now(jobs: QuerySet[RenderJob]) -> QuerySet[RenderJob]:
    """Failed jobs that nothing has come after."""
    later = RenderJob.objects.filter(deliverable=OuterRef("deliverable"), pk__gt=OuterRef("pk"))
    return jobs.filter(state=JobState.FAILED).exclude(Exists(later))
