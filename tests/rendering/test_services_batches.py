"""What a press of the button does to a board."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.http import Http404
from django_q.models import OrmQ

from projects.models import AnalysisState, AuditEvent, Footage, ScriptVersion, Team
from projects.problems import HeyGemError
from rendering import queue
from rendering.cells import CellKey
from rendering.models import JobState, RenderJob, RenderVersion
from rendering.selectors import batch_progress, queue_position
from rendering.services import batches, single, stopping
from rendering.services.batches import plan_batch, retry_failed, start_batch
from rendering.services.presets import create_preset
from tests import factories
from tests.rendering import making


def keys(project: object) -> list[CellKey]:
    return [cell.key for cell in batches.load_layout(project).cells()]  # type: ignore[arg-type]


def test_one_press_queues_every_cell_that_can_be_rendered(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=2, columns=3)
    batch = start_batch(actor=bob, project=project)
    assert batch.jobs.filter(state=JobState.QUEUED).count() == 6
    assert batch.created_by == bob
    assert batch.preset["crf"] == 18


def test_a_press_wakes_the_machines(bob: User, team: Team) -> None:
    start_batch(actor=bob, project=making.ready_project(team))
    assert OrmQ.objects.filter(key="gpu").count() == 4


def test_a_cell_that_cannot_be_rendered_never_stops_the_others(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=3, columns=2)
    without, refused, _fine = (row.presenter for row in project.rows.all())
    without.footage.all().delete()
    refused.footage.update(state=AnalysisState.REFUSED, error_code="face_small")
    plan = plan_batch(actor=bob, project=project)
    assert sorted({skip.code for skip in plan.skipped}) == ["face_small", "no_footage"]
    batch = start_batch(actor=bob, project=project)
    assert batch.jobs.count() == 2


def test_a_press_that_can_do_nothing_says_why(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=1, columns=1)
    project.rows.get().presenter.footage.update(state=AnalysisState.REFUSED, error_code="no_face")
    with pytest.raises(HeyGemError, match="no_face"):
        start_batch(actor=bob, project=project)
    assert not project.batches.exists()


def test_cells_can_be_queued_while_footage_is_still_being_analysed(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=1, columns=1)
    Footage.objects.update(state=AnalysisState.WAITING)
    batch = start_batch(actor=bob, project=project)
    assert batch.jobs.get().state == JobState.QUEUED
    assert queue.claim_next(making.worker()) is None
    Footage.objects.update(state=AnalysisState.READY)
    assert making.claim_next().job == batch.jobs.get()


def test_footage_that_an_older_engine_analysed_is_looked_at_again_first(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=2, columns=1)
    old = Footage.objects.latest("pk")
    Footage.objects.filter(pk=old.pk).update(analysis_engine="0.1")
    start_batch(actor=bob, project=project)
    old.refresh_from_db()
    assert old.state == AnalysisState.WAITING
    assert Footage.objects.exclude(pk=old.pk).get().state == AnalysisState.READY
    assert OrmQ.objects.filter(key="worker").count() == 1


def test_pressing_twice_renders_nothing_twice(bob: User, team: Team) -> None:
    project = making.ready_project(team)
    start_batch(actor=bob, project=project)
    with pytest.raises(HeyGemError, match="nothing_to_render"):
        start_batch(actor=bob, project=project)
    with pytest.raises(HeyGemError, match="already_rendering"):
        start_batch(actor=bob, project=project, cells=keys(project))
    assert RenderJob.objects.count() == 4


def test_fill_empty_leaves_what_is_made_and_what_failed_alone(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=3, columns=1)
    start_batch(actor=bob, project=project, cells=keys(project)[:2])
    making.succeed_next()
    making.fail_next()
    batch = start_batch(actor=bob, project=project)
    assert [str(job.deliverable.presenter) for job in batch.jobs.all()] == ["Presenter 2"]


def test_what_the_team_rendered_before_is_done_at_once_and_for_free(bob: User, team: Team) -> None:
    first = making.ready_project(team, rows=1, columns=1)
    start_batch(actor=bob, project=first)
    made = making.succeed_next()
    second = factories.project(team, presenters=[first.rows.get().presenter], scripts=[first.columns.get().script])
    batch = start_batch(actor=bob, project=second)
    job = batch.jobs.get()
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 0)
    assert job.version.video == made.video
    assert job.version.deliverable.project == second
    job.deliverable.refresh_from_db()
    assert job.deliverable.published == job.version


def test_the_same_recording_with_other_words_is_another_result(bob: User, team: Team) -> None:
    project = making.ready_project(team)
    first = plan_batch(actor=bob, project=project).ready[0]
    ScriptVersion.objects.filter(pk=first.take.script_version_id).update(text="Mum, bring my map.")
    told = plan_batch(actor=bob, project=project).ready[0]
    assert told.fingerprint != first.fingerprint


def test_another_teams_identical_files_are_rendered_anew(bob: User, team: Team, charlie: User) -> None:
    start_batch(actor=bob, project=making.ready_project(team, rows=1, columns=1))
    made = making.succeed_next()
    other = charlie.teams.get()
    presenter, script = factories.presenter(other), factories.script(other)
    factories.footage(presenter, blob=factories.blob(other, factories.path_of(made.footage.blob).read_bytes()))
    factories.take(script, blob=factories.blob(other, factories.path_of(made.take.blob).read_bytes(), "audio/wav"))
    batch = start_batch(actor=charlie, project=factories.project(other, presenters=[presenter], scripts=[script]))
    assert batch.jobs.get().state == JobState.QUEUED


def test_a_video_that_is_no_longer_stored_is_rendered_anew(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=1, columns=1)
    start_batch(actor=bob, project=project)
    made = making.succeed_next()
    with pytest.raises(HeyGemError, match="up_to_date"):
        start_batch(actor=bob, project=project, cells=keys(project))
    factories.path_of(made.video).unlink()
    assert start_batch(actor=bob, project=project, cells=keys(project)).jobs.get().state == JobState.QUEUED


def test_another_preset_makes_another_version(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=1, columns=1)
    start_batch(actor=bob, project=project)
    making.succeed_next()
    wide = create_preset(actor=bob, team=team, name="Wide", amplitude=1.3)
    start_batch(actor=bob, project=project, cells=keys(project), preset=wide)
    assert making.succeed_next().number == 2


def test_a_changed_preset_does_not_change_a_batch(bob: User, team: Team) -> None:
    preset = create_preset(actor=bob, team=team, name="Mine", crf=20)
    batch = start_batch(actor=bob, project=making.ready_project(team), preset=preset)
    batches.Preset.objects.filter(pk=preset.pk).update(crf=30)
    batch.refresh_from_db()
    assert batch.preset["crf"] == 20


def test_retry_makes_new_jobs_of_the_failed_ones_alone(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=3, columns=1)
    batch = start_batch(actor=bob, project=project)
    making.succeed_next()
    failed = [making.fail_next(), making.fail_next("bad_media")]
    again = retry_failed(actor=bob, batch=batch)
    assert {job.retry_of for job in again} == set(failed)
    assert RenderJob.objects.filter(state=JobState.FAILED).count() == 2, "final states never change"
    progress = batch_progress(batch)
    assert (progress.done, progress.total, progress.failed) == (1, 3, 0)
    making.succeed_all()
    assert batch_progress(batch).done == 3
    with pytest.raises(HeyGemError, match="nothing_to_retry"):
        retry_failed(actor=bob, project=project)


def test_a_retry_uses_the_footage_that_came_since(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=1, columns=1)
    start_batch(actor=bob, project=project)
    making.fail_next()
    better = factories.footage(project.rows.get().presenter)
    assert [job.footage for job in retry_failed(actor=bob, project=project)] == [better]


def test_a_cell_that_still_has_nothing_usable_does_not_stop_the_retry_of_others(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=2, columns=1)
    start_batch(actor=bob, project=project)
    first = making.fail_next()
    making.fail_next()
    first.footage.delete()
    assert len(retry_failed(actor=bob, project=project)) == 1


def test_try_it_is_a_board_of_one(bob: User, team: Team) -> None:
    footage = factories.footage(factories.presenter(team, "Ada"), AnalysisState.WAITING)
    take = factories.take(factories.script(team, "Hello"), "fr", AnalysisState.WAITING)
    cell = single.try_it(actor=bob, team=team, footage=footage, take=take)
    assert (cell.presenter.name, cell.script.title, cell.language) == ("Ada", "Hello", "fr")
    assert cell.jobs.get().state == JobState.QUEUED
    assert len(keys(cell.project)) == 1


def test_who_may_start(team: Team, rita: User, victor: User, charlie: User) -> None:
    project = making.ready_project(team)
    for person in (rita, victor):
        with pytest.raises(HeyGemError, match="not_allowed"):
            start_batch(actor=person, project=project)
    with pytest.raises(Http404):
        start_batch(actor=charlie, project=project)
    assert not RenderJob.objects.exists()


def test_cancelling_one_and_all(bob: User, team: Team) -> None:
    batch = start_batch(actor=bob, project=making.ready_project(team))
    running = making.claim_next()
    stopping.cancel_job(actor=bob, job=batch.jobs.last())
    assert batch.jobs.filter(state=JobState.CANCELLED).count() == 1
    assert stopping.cancel_batch(actor=bob, batch=batch) == 3
    assert batch.jobs.filter(state=JobState.CANCELLED).count() == 3
    running.job.refresh_from_db()
    assert running.job.cancel_requested_at is not None, "a running job is stopped by its worker"
    assert AuditEvent.objects.filter(action="job.cancelled").count() == 2


def test_only_managers_cancel_what_others_began(alice: User, bob: User, mona: User, team: Team) -> None:
    project = making.ready_project(team)
    batch = start_batch(actor=alice, project=project)
    with pytest.raises(HeyGemError, match="not_allowed"):
        stopping.cancel_batch(actor=bob, batch=batch)
    assert stopping.cancel_cells(actor=bob, project=project) == 0
    assert stopping.cancel_cells(actor=mona, project=project, cells=keys(project)[:1]) == 1
    assert stopping.cancel_batch(actor=mona, batch=batch) == 3


def test_a_held_job_waits_until_it_is_released(bob: User, team: Team) -> None:
    batch = start_batch(actor=bob, project=making.ready_project(team, rows=1, columns=1))
    job = batch.jobs.get()
    assert stopping.hold(actor=bob, job=job)
    assert queue.claim_next(making.worker()) is None
    assert stopping.release(actor=bob, job=job)
    assert making.claim_next().job == job


def test_a_manager_moves_a_waiting_job_to_the_front(bob: User, mona: User, team: Team) -> None:
    batch = start_batch(actor=bob, project=making.ready_project(team, rows=1, columns=3))
    _first, second, third = batch.jobs.order_by("pk")
    with pytest.raises(HeyGemError, match="not_allowed"):
        stopping.move_to_front(actor=bob, job=second)
    assert stopping.move_to_front(actor=mona, job=third)
    third.refresh_from_db()
    assert not stopping.move_to_front(actor=mona, job=third), "it is there already"
    assert stopping.move_to_front(actor=mona, job=second), "the one that was moved last goes first"
    assert [queue_position(job) for job in batch.jobs.order_by("pk")] == [3, 1, 2]
    assert [making.claim_next().job, making.claim_next().job] == [second, third]
    assert not stopping.move_to_front(actor=mona, job=second), "it runs"
    assert AuditEvent.objects.filter(action="job.moved_to_front").count() == 2


def test_a_managers_front_is_the_front_of_the_team_alone(bob: User, mona: User, team: Team, charlie: User) -> None:
    strangers = factories.team(owner=charlie)
    own = start_batch(actor=bob, project=making.ready_project(team, rows=1, columns=3)).jobs.order_by("pk")
    other = start_batch(actor=charlie, project=making.ready_project(strangers, rows=1, columns=2)).jobs.order_by("pk")
    making.claim_next()
    assert stopping.move_to_front(actor=mona, job=own[2])
    assert [making.claim_next().job for _ in range(3)] == [other[0], own[2], other[1]]


def test_keys_of_another_board_are_left_out(bob: User, team: Team) -> None:
    project, other = making.ready_project(team), making.ready_project(team)
    with pytest.raises(HeyGemError, match="cell_unknown"):
        start_batch(actor=bob, project=project, cells=keys(other))
    assert start_batch(actor=bob, project=project, cells=[*keys(other), keys(project)[0]]).jobs.count() == 1
    assert not RenderVersion.objects.exists()
