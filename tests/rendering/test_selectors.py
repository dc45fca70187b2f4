"""What the board shows, what changed, where a job stands in line and how long it takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from projects.models import AnalysisState, AudioTake, Footage, Project, ScriptVersion, Team
from rendering import selectors, states
from rendering.fingerprint import fingerprint
from rendering.models import JobState, RenderAttempt, RenderJob, TeamShare, WorkerNode
from rendering.selectors import CellState, boards
from rendering.services import stopping
from rendering.services.batches import retry_failed, start_batch
from rendering.services.presets import create_preset
from tests import factories
from tests.cast import browser
from tests.rendering import making


def the_cell(project: Project) -> selectors.CellView:
    (cell,) = selectors.board(project).cells
    return cell


@pytest.fixture
def single(team: Team) -> Project:
    """A board of one cell that can be rendered."""
    return making.ready_project(team, rows=1, columns=1)


def test_an_empty_cell_can_be_rendered(single: Project) -> None:
    cell = the_cell(single)
    assert cell.state == CellState.EMPTY
    assert cell.can_render
    assert (cell.percent, cell.queue_position, cell.eta_s, cell.version) == (None, None, None, None)


@pytest.mark.parametrize(
    ("spoil", "state", "code"),
    [
        (lambda: Footage.objects.all().delete(), CellState.NO_FOOTAGE, "no_footage"),
        (lambda: AudioTake.objects.all().delete(), CellState.NO_TAKE, "no_take"),
        (
            lambda: Footage.objects.update(state=AnalysisState.REFUSED, error_code="face_small"),
            CellState.REFUSED,
            "face_small",
        ),
        (
            lambda: AudioTake.objects.update(state=AnalysisState.REFUSED, error_code="silent_audio"),
            CellState.REFUSED,
            "silent_audio",
        ),
    ],
)
def test_a_cell_says_what_it_lacks(single: Project, spoil: Callable[[], Any], state: CellState, code: str) -> None:
    spoil()
    cell = the_cell(single)
    assert cell.state == state
    assert cell.problem is not None
    assert cell.problem.code == code
    assert cell.problem.sentence
    assert cell.problem.remedy
    assert not cell.can_render


def test_a_cell_whose_footage_is_being_analysed_waits_and_may_be_queued(bob: User, single: Project) -> None:
    Footage.objects.update(state=AnalysisState.WAITING)
    assert the_cell(single).state == CellState.WAITING
    assert selectors.board(single).counts.empty == 1, "fill empty takes it"
    start_batch(actor=bob, project=single)
    cell = the_cell(single)
    assert (cell.state, cell.can_render, cell.can_cancel) == (CellState.WAITING, False, True)


def test_a_cell_that_waits_for_its_footage_tells_how_far_all_of_the_analysis_is(single: Project) -> None:
    percents = []
    for stage, progress in (("probe", 100), ("track", 1), ("track", 100), ("profile", 50)):
        Footage.objects.update(state=AnalysisState.RUNNING, stage=stage, progress=progress, **factories.leased())
        percents.append(the_cell(single).percent)
    assert percents == sorted(percents)
    assert percents[0] == 3


def test_a_job_is_seen_from_line_to_video(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    cell = the_cell(single)
    assert (cell.state, cell.queue_position) == (CellState.QUEUED, 1)
    claim = making.claim_next()
    states.report(claim.job, claim.token, "compose", 40)
    cell = the_cell(single)
    assert (cell.state, cell.percent, cell.stage_label) == (CellState.RUNNING, 40, "Composing")
    states.succeed(claim.job, claim.token, making.finished(single.team))
    cell = the_cell(single)
    assert (cell.state, cell.version.number, cell.sync) == (CellState.DONE, 1, 0.61)  # type: ignore[union-attr]


def test_a_cell_that_has_a_video_stays_done_while_another_is_made_of_it(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    assert selectors.board(single).counts.done == 0
    making.succeed_next()
    assert selectors.board(single).counts.done == 1
    key = the_cell(single).key
    Footage.objects.update(blob=factories.blob(single.team))
    start_batch(actor=bob, project=single, cells=[key])
    claim = making.claim_next()
    assert the_cell(single).state == CellState.RUNNING
    assert selectors.board(single).counts.done == 1
    states.fail(claim.job, claim.token, "no_face")
    counts = selectors.board(single).counts
    assert (counts.done, counts.failed, counts.total) == (1, 1, 1)


def test_cells_of_refused_material_are_told_apart_and_not_waited_for(single: Project) -> None:
    Footage.objects.update(state=AnalysisState.REFUSED, error_code="no_face")
    counts = selectors.board(single).counts
    assert (counts.cells, counts.refused, counts.total, counts.done) == (1, 1, 0, 0)


def test_a_failed_cell_says_why_in_plain_words(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    making.fail_next("face_turned")
    cell = the_cell(single)
    assert cell.state == CellState.FAILED
    assert cell.problem is not None
    assert "side" in cell.problem.sentence
    assert selectors.board(single).counts.failed == 1


def test_held_and_cancelled(bob: User, single: Project) -> None:
    batch = start_batch(actor=bob, project=single)
    stopping.hold(actor=bob, job=batch.jobs.get())
    assert the_cell(single).state == CellState.HELD
    stopping.cancel_batch(actor=bob, batch=batch)
    assert the_cell(single).state == CellState.CANCELLED
    assert the_cell(single).can_render
    assert selectors.batch_progress(batch).state == "cancelled"


def test_a_cell_goes_out_of_date_with_newer_footage_a_newer_take_or_a_newer_engine(
    bob: User, single: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_batch(actor=bob, project=single)
    version = making.succeed_next()
    presenter, script = version.deliverable.presenter, version.deliverable.script
    assert the_cell(single).state == CellState.DONE

    factories.footage(presenter, AnalysisState.WAITING)
    assert the_cell(single).state == CellState.DONE, "not before the new footage can be used"
    Footage.objects.update(state=AnalysisState.READY)
    cell = the_cell(single)
    assert (cell.state, cell.stale_because) == (CellState.STALE, ("footage",))
    Footage.objects.exclude(pk=version.footage_id).delete()

    newer = factories.take(script, state=AnalysisState.WAITING)
    assert the_cell(single).stale_because == ("take",)
    AudioTake.objects.filter(pk=newer.pk).update(state=AnalysisState.REFUSED, error_code="silent_audio")
    assert the_cell(single).state == CellState.DONE, "a refused take is never used"

    monkeypatch.setattr(boards, "ENGINE_VERSION", "9.9")
    monkeypatch.setattr(boards, "fingerprint", partial(fingerprint, engine="9.9"))
    assert the_cell(single).stale_because == ("engine",)


def test_a_video_whose_footage_another_tracker_has_followed_since_is_out_of_date(bob: User, single: Project) -> None:
    Footage.objects.update(analysis_tracker="face-alignment-0123456789abcdef")
    start_batch(actor=bob, project=single)
    version = making.succeed_next(tracker="face-alignment-0123456789abcdef")
    assert the_cell(single).state == CellState.DONE
    Footage.objects.update(analysis_tracker="")
    cell = the_cell(single)
    assert (cell.state, cell.stale_because) == (CellState.STALE, ("tracker",))
    assert "followed anew" in browser(bob).get(f"/cells/{version.deliverable.public_id}/").content.decode()


def test_a_video_of_another_face_is_out_of_date(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    version = making.succeed_next()
    Footage.objects.update(chosen_face=[0.7, 0.4])
    cell = the_cell(single)
    assert (cell.state, cell.stale_because) == (CellState.STALE, ("face",))
    assert version.footage is not None
    factories.footage(version.deliverable.presenter, blob=version.footage.blob)
    assert the_cell(single).state == CellState.DONE, "the same file, with no other face chosen"


def test_a_video_made_before_the_words_were_known_is_out_of_date(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    making.succeed_next()
    ScriptVersion.objects.update(text="Mum, bring my map.")
    cell = the_cell(single)
    assert (cell.state, cell.stale_because) == (CellState.STALE, ("words",))


def test_the_same_file_uploaded_again_leaves_a_cell_as_it_is(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    version = making.succeed_next()
    assert version.footage is not None
    factories.footage(version.deliverable.presenter, blob=version.footage.blob)
    assert the_cell(single).state == CellState.DONE


def test_a_newer_version_waits_beside_the_published_one(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    making.succeed_next()
    wide = create_preset(actor=bob, team=single.team, name="Wide", amplitude=1.2)
    start_batch(actor=bob, project=single, cells=[the_cell(single).key], preset=wide)
    making.succeed_next()
    cell = the_cell(single)
    assert cell.version is not None
    assert cell.newest is not None
    assert (cell.version.number, cell.newest.number, cell.has_unpublished) == (1, 2, True)


def test_changes_are_the_cells_that_moved_and_no_others(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=3, columns=2)
    start_batch(actor=bob, project=project)
    seen = selectors.board(project)
    assert selectors.changes(project, seen.revision).cells == ()
    stopping.cancel_job(actor=bob, job=RenderJob.objects.last())  # type: ignore[arg-type]
    changed = selectors.changes(project, seen.revision)
    assert CellState.CANCELLED in {cell.state for cell in changed.cells}
    assert changed.revision > seen.revision
    assert selectors.changes(project, changed.revision).cells == ()
    assert changed.layout == seen.layout
    assert changed.counts.total == 6


def test_a_new_row_is_another_layout(team: Team) -> None:
    project = making.ready_project(team)
    before = selectors.board(project).layout
    project.rows.create(presenter=factories.presenter(team), position=9)
    assert selectors.changes(project, 0).layout != before


def test_rows_and_columns_stand_as_they_were_put(team: Team) -> None:
    script = factories.script(team, "Hello")
    for language in ("en", "de"):
        factories.take(script, language)
    silent = factories.script(team, "Silent")
    view = selectors.board(factories.project(team, presenters=[factories.presenter(team)], scripts=[silent, script]))
    assert [(column.title, column.language) for column in view.columns] == [
        ("Silent", ""),
        ("Hello", "de"),
        ("Hello", "en"),
    ]
    assert [cell.state for cell in view.cells] == [CellState.NO_FOOTAGE] * 3


def queries_of(look: Callable[[], object]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        look()
    return len(captured)


def test_a_board_of_five_hundred_cells_takes_no_more_queries_than_a_small_one(bob: User, team: Team) -> None:
    small = making.ready_project(team, rows=1, columns=2)
    large = making.ready_project(team, rows=25, columns=20)
    for project, priority in ((large, 0), (small, 1)):
        start_batch(actor=bob, project=project, priority=priority)
        making.succeed_next()
    assert len(selectors.board(large).cells) == 500
    counts = {queries_of(lambda project=project: selectors.board(project)) for project in (small, large)}  # type: ignore[misc]
    assert max(counts) <= 24
    assert len(counts) == 1
    assert queries_of(lambda: selectors.changes(large, 10)) <= 24
    assert queries_of(lambda: selectors.home(team)) <= 8
    assert queries_of(lambda: selectors.batches_of(large)) <= 12


def test_home_counts_what_is_made_and_what_runs(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=4, columns=1, name="Spring")
    factories.project(team, "Autumn")
    start_batch(actor=bob, project=project)
    making.succeed_next()
    making.fail_next()
    making.claim_next()
    view = selectors.home(team)
    assert [card.project.name for card in view.projects] == ["Autumn", "Spring"]
    card = view.projects[1]
    assert (card.made, card.running, card.queued, card.failed) == (1, 1, 1, 1)
    assert (card.presenters, card.scripts) == (4, 1)
    assert (view.running, view.queued, view.workers) == (1, 1, 1)


def test_the_cell_page_shows_versions_tries_and_words(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    making.fail_next("bad_media")
    retry_failed(actor=bob, project=single)
    version = making.succeed_next()
    view = selectors.cell_detail(version.deliverable)
    assert [entry.number for entry in view.versions] == [1]
    assert [entry.job.state for entry in view.jobs] == [JobState.SUCCEEDED, JobState.FAILED]
    assert [len(entry.attempts) for entry in view.jobs] == [1, 1]
    assert view.jobs[0].problem is None
    assert view.jobs[1].problem is not None
    assert view.text == "Hello."
    assert view.cell.state == CellState.DONE


def test_nothing_is_promised_before_anything_was_measured(bob: User, single: Project) -> None:
    making.worker()
    job = start_batch(actor=bob, project=single).jobs.get()
    assert selectors.estimate(job) is None
    assert selectors.queue_position(job) == 1


def test_a_job_that_no_machine_can_do_is_promised_neither_a_place_nor_a_time(bob: User, single: Project) -> None:
    measured(bob, single, 4.0)
    lively = create_preset(actor=bob, team=single.team, name="Lively", amplitude=1.3)
    job = start_batch(actor=bob, project=single, cells=[the_cell(single).key], preset=lively).jobs.get()
    assert (the_cell(single).queue_position, the_cell(single).nobody_can) == (1, False)
    assert selectors.estimate(job) is not None
    RenderJob.objects.filter(pk=job.pk).update(backend="wav2lip")
    WorkerNode.objects.update(backends=["exemplar", "neural"])
    cell = the_cell(single)
    assert (cell.state, cell.queue_position, cell.eta_s, cell.nobody_can) == (CellState.QUEUED, None, None, True)
    page = browser(bob).get(f"/cells/{job.deliverable.public_id}/").content.decode()
    assert "No machine at work can make it so." in page


def measured(bob: User, project: Project, seconds: float) -> None:
    """One cell of ``project`` was rendered in ``seconds`` (its video lasts 8 seconds)."""
    start_batch(actor=bob, project=project, cells=[selectors.board(project).cells[0].key])
    making.succeed_next()
    ended = timezone.now()
    RenderAttempt.objects.update(started_at=ended - timedelta(seconds=seconds), ended_at=ended)


def test_an_estimate_is_what_was_measured_times_what_is_ahead(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=5, columns=1)
    measured(bob, project, 16)
    batch = start_batch(actor=bob, project=project)
    first, *_, last = batch.jobs.all()
    assert selectors.estimate(first) == pytest.approx(16, rel=0.05)
    assert selectors.estimate(last) == pytest.approx(64, rel=0.05)
    assert selectors.batch_progress(batch).eta_s == pytest.approx(64, rel=0.05)
    making.worker("other/gpu")
    assert selectors.estimate(last) == pytest.approx(40, rel=0.05)


def test_nothing_is_promised_when_no_machine_is_at_work(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=2, columns=1)
    measured(bob, project, 16)
    job = start_batch(actor=bob, project=project).jobs.get()
    making.WorkerNode.objects.update(last_seen_at=timezone.now() - timedelta(hours=1))
    assert selectors.estimate(job) is None


def test_a_running_job_is_judged_by_its_own_speed(bob: User, single: Project) -> None:
    start_batch(actor=bob, project=single)
    claim = making.claim_next()
    RenderJob.objects.update(started_at=timezone.now() - timedelta(seconds=30), progress=75)
    claim.job.refresh_from_db()
    assert selectors.estimate(claim.job) == pytest.approx(10, abs=0.5)


def test_places_in_line_follow_priority_and_turns(bob: User, team: Team, charlie: User) -> None:
    ours = start_batch(actor=bob, project=making.ready_project(team, rows=3, columns=1))
    other = charlie.teams.get()
    theirs = start_batch(actor=charlie, project=making.ready_project(other, rows=1, columns=1))
    places = [selectors.queue_position(job) for job in ours.jobs.all()]
    assert places == [2, 3, 4], "the other team's one job may go first"
    assert [selectors.queue_position(job) for job in theirs.jobs.all()] == [2]
    urgent = start_batch(actor=bob, project=making.ready_project(team, rows=1, columns=1), priority=5)
    assert selectors.queue_position(urgent.jobs.get()) == 1
    assert selectors.queue_position(ours.jobs.all()[0]) == 3
    TeamShare.objects.update_or_create(team=team, defaults={"paused_at": timezone.now()})
    assert selectors.queue_position(urgent.jobs.get()) is None
    assert selectors.queue_position(theirs.jobs.get()) == 1


def test_x_of_n_moves_with_every_job(bob: User, team: Team) -> None:
    batch = start_batch(actor=bob, project=making.ready_project(team, rows=4, columns=1))
    making.succeed_next()
    claim = making.claim_next()
    states.report(claim.job, claim.token, "compose", 60)
    view = selectors.batch_progress(batch)
    assert (view.finished, view.total, view.running, view.queued, view.percent) == (1, 4, 1, 2, 40)
    assert view.state == "running"
    assert not view.is_finished
