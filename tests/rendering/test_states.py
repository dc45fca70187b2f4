"""One job's life, change by change."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import Team
from rendering import states
from rendering.models import Board, JobState, RenderAttempt, RenderJob, RenderVersion, TeamShare, WorkerNode
from tests import factories
from tests.rendering.work import claimed, finished, new_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker() -> WorkerNode:
    return WorkerNode.objects.create(name="one/gpu", host="one", cluster="gpu", last_seen_at=timezone.now())


@pytest.fixture
def job(team: Team) -> RenderJob:
    return new_job(team)


def outcomes(job: RenderJob) -> list[str]:
    return list(RenderAttempt.objects.filter(job=job).values_list("outcome", flat=True))


def test_a_claimed_job_has_a_lease_an_attempt_and_a_worker(job: RenderJob, worker: WorkerNode) -> None:
    claimed(job, worker)
    assert job.state == JobState.RUNNING
    assert job.attempts == 1
    assert job.worker == worker
    assert job.lease_expires_at is not None
    assert timedelta(seconds=80) < job.lease_expires_at - timezone.now() <= timedelta(seconds=90)
    assert outcomes(job) == ["running"]


def test_a_job_is_claimed_once(job: RenderJob, worker: WorkerNode) -> None:
    claimed(job, worker)
    assert states.claim(job, worker) is None


def test_a_finished_job_gives_its_cell_a_version_and_publishes_the_first(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    states.write_log(job, worker, "all went well", 13)
    version = states.succeed(job, token, finished(job))
    job.refresh_from_db()
    job.deliverable.refresh_from_db()
    assert (job.state, job.progress, job.lease_token) == (JobState.SUCCEEDED, 100, None)
    assert (version.number, version.job, version.fingerprint) == (1, job, job.fingerprint)
    assert job.deliverable.published == version
    assert RenderAttempt.objects.get(job=job).log == "all went well"
    again = new_job(job.team, cell=job.deliverable)
    second = states.succeed(again, claimed(again, worker), finished(again))
    job.deliverable.refresh_from_db()
    assert second.number == 2
    assert job.deliverable.published == version


def test_a_late_finisher_is_refused_and_leaves_nothing(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    assert states.lose(job) == JobState.QUEUED
    for late in (
        lambda: states.succeed(job, token, finished(job)),
        lambda: states.report(job, token, "compose", 50),
        lambda: states.fail(job, token, "io_error"),
        lambda: states.cancelled(job, token),
        lambda: states.give_back(job, token),
    ):
        with pytest.raises(states.LeaseLost):
            late()
    assert not RenderVersion.objects.exists()
    job.refresh_from_db()
    assert (job.state, job.progress) == (JobState.QUEUED, 0)


def test_the_token_of_an_earlier_lease_is_worth_nothing_on_a_later_one(job: RenderJob, worker: WorkerNode) -> None:
    old = claimed(job, worker)
    states.lose(job)
    claimed(job, worker)
    with pytest.raises(states.LeaseLost):
        states.report(job, old, "compose", 10)
    with pytest.raises(states.LeaseLost):
        states.succeed(job, uuid.uuid4(), finished(job))


def test_only_progress_extends_the_lease(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    RenderJob.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() + timedelta(seconds=1))
    states.check(job, token)
    job.refresh_from_db()
    assert job.lease_expires_at is not None
    assert job.lease_expires_at < timezone.now() + timedelta(seconds=2)
    states.report(job, token, "compose", 40)
    job.refresh_from_db()
    assert job.lease_expires_at > timezone.now() + timedelta(seconds=60)
    assert (job.stage, job.progress) == ("compose", 40)


def test_progress_that_no_page_would_show_changes_no_revision(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    states.report(job, token, "compose", 40)
    before = Board.objects.get().revision
    states.report(job, token, "compose", 40)
    assert Board.objects.get().revision == before
    states.report(job, token, "compose", 41)
    assert Board.objects.get().revision == before + 1


def test_every_change_gives_the_cell_the_boards_next_revision(job: RenderJob, worker: WorkerNode) -> None:
    seen = []

    def look() -> None:
        job.refresh_from_db()
        job.deliverable.refresh_from_db()
        assert job.deliverable.revision == Board.objects.get(project=job.deliverable.project).revision
        seen.append((job.deliverable.revision, job.revision))

    look()
    for change in (states.hold, states.release):
        assert change(job)
        look()
    token = claimed(job, worker)
    states.report(job, token, "compose", 10)
    look()
    states.succeed(job, token, finished(job))
    look()
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("kind", ["transient", "suspect"])
def test_a_machines_fault_is_tried_again_later_and_later_until_attempts_are_spent(
    job: RenderJob, worker: WorkerNode, settings: Settings, kind: states.Kind
) -> None:
    settings.BACKOFF_SECONDS = 10
    waits = []
    for state in (JobState.QUEUED, JobState.QUEUED, JobState.FAILED):
        token = claimed(job, worker)
        assert states.fail(job, token, "out_of_memory", kind=kind) == state
        job.refresh_from_db()
        waits.append(round((job.not_before - timezone.now()).total_seconds(), -1))
    assert waits[:2] == [10, 20]
    assert (job.state, job.error_code, job.attempts) == (JobState.FAILED, "out_of_memory", 3)
    assert job.finished_at is not None
    assert outcomes(job) == ["failed"] * 3


def test_a_fault_of_the_input_is_final_at_once(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    assert states.fail(job, token, "no_face", kind="permanent", detail="frame 7") == JobState.FAILED
    job.refresh_from_db()
    assert (job.error_code, job.error_detail, job.attempts) == ("no_face", "frame 7", 1)


def test_a_back_off_wakes_a_machine_when_it_is_over(job: RenderJob, worker: WorkerNode, settings: Settings) -> None:
    settings.BACKOFF_SECONDS = 100
    token = claimed(job, worker)
    OrmQ.objects.all().delete()
    states.fail(job, token, "io_error", kind="transient")
    job.refresh_from_db()
    assert OrmQ.objects.get(key="gpu").lock == job.not_before


def test_a_job_with_progress_since_it_was_read_is_not_lost(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    stale = RenderJob.objects.get(pk=job.pk)
    states.report(job, token, "compose", 40)
    assert states.lose(stale) is None
    job.refresh_from_db()
    assert job.state == JobState.RUNNING


def test_waiting_work_is_cancelled_at_once(job: RenderJob) -> None:
    assert states.request_cancel(job)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert not states.request_cancel(job)


def test_running_work_is_told_and_then_cancelled(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    assert states.request_cancel(job)
    for stop in (
        lambda: states.check(job, token),
        lambda: states.report(job, token, "compose", 5),
        lambda: states.succeed(job, token, finished(job)),
    ):
        with pytest.raises(states.CancelRequested):
            stop()
    states.cancelled(job, token)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert outcomes(job) == ["cancelled"]
    assert not RenderVersion.objects.exists()


@pytest.mark.parametrize("how", ["lost", "failed"])
def test_a_cancelled_job_is_not_tried_again(job: RenderJob, worker: WorkerNode, how: str) -> None:
    token = claimed(job, worker)
    states.request_cancel(job)
    state = states.lose(job) if how == "lost" else states.fail(job, token, "io_error", kind="transient")
    assert state == JobState.CANCELLED


def test_a_worker_that_is_stopped_gives_the_attempt_back(job: RenderJob, worker: WorkerNode) -> None:
    for _ in range(5):
        states.give_back(job, claimed(job, worker))
    job.refresh_from_db()
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert outcomes(job) == ["returned"] * 5


def test_a_job_that_is_given_back_while_it_is_being_cancelled_is_cancelled(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    states.request_cancel(job)
    states.give_back(job, token)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert outcomes(job) == ["cancelled"]


def test_a_job_taken_from_its_worker_waits_again_and_the_worker_is_told(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    states.write_log(job, worker, "half of it", 10)
    assert states.requeue(job)
    with pytest.raises(states.LeaseLost):
        states.check(job, token)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.progress) == (JobState.QUEUED, 0, 0)
    assert outcomes(job) == ["returned"]
    assert not states.requeue(job)
    states.write_log(job, worker, "too late", 20)
    assert RenderAttempt.objects.get(job=job).log == "half of it"


def test_a_teams_own_policy_says_how_often_and_how_soon_its_jobs_are_tried_again(
    team: Team, worker: WorkerNode, settings: Settings
) -> None:
    settings.MAX_ATTEMPTS, settings.BACKOFF_SECONDS = 3, 10
    TeamShare.objects.create(team=team, max_attempts=2, backoff_seconds=100)
    job = new_job(team)
    assert states.fail(job, claimed(job, worker), "io_error", kind="transient") == JobState.QUEUED
    job.refresh_from_db()
    assert round((job.not_before - timezone.now()).total_seconds(), -1) == 100
    assert states.fail(job, claimed(job, worker), "io_error", kind="transient") == JobState.FAILED


def test_a_held_job_is_not_claimed_until_it_is_released(job: RenderJob, worker: WorkerNode) -> None:
    assert states.hold(job)
    assert not states.hold(job)
    assert states.claim(job, worker) is None
    assert states.release(job)
    assert states.claim(job, worker) is not None


def test_final_states_never_change(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    states.fail(job, token, "no_face")
    assert not states.request_cancel(job)
    assert not states.hold(job)
    assert not states.release(job)
    assert not states.refuse(job, "bad_media")
    assert states.claim(job, worker) is None
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.FAILED, "no_face")


def test_a_retry_is_a_new_job_and_a_cell_has_one_at_a_time(job: RenderJob, worker: WorkerNode) -> None:
    assert states.retry(job) is None
    states.fail(job, claimed(job, worker), "no_face")
    job.refresh_from_db()
    second = states.retry(job)
    assert second is not None
    assert (second.retry_of, second.batch, second.state) == (job, job.batch, JobState.QUEUED)
    assert states.retry(job) is None


def test_what_the_team_has_already_is_done_at_once(job: RenderJob, worker: WorkerNode) -> None:
    known = states.succeed(job, claimed(job, worker), finished(job))
    other = new_job(job.team)
    version = states.succeed_at_once(other, known)
    assert version is not None
    assert (version.video, version.deliverable, version.number) == (known.video, other.deliverable, 1)
    other.refresh_from_db()
    assert (other.state, other.attempts) == (JobState.SUCCEEDED, 0)


def test_a_rolled_back_press_of_the_button_leaves_no_ticket(team: Team) -> None:
    with transaction.atomic():
        new_job(team)
        transaction.set_rollback(True)
    assert not OrmQ.objects.exists()
    assert not RenderJob.objects.exists()


def test_the_end_of_a_long_log_is_kept(job: RenderJob, worker: WorkerNode) -> None:
    token = claimed(job, worker)
    states.write_log(job, worker, "x" * states.LOG_LIMIT + "the end", states.LOG_LIMIT + 7)
    states.fail(job, token, "no_face")
    attempt = RenderAttempt.objects.get(job=job)
    assert len(attempt.log) == states.LOG_LIMIT
    assert attempt.log.endswith("the end")
    assert attempt.log_end == states.LOG_LIMIT + 7


def test_the_poster_and_figures_of_a_version_are_the_workers(job: RenderJob, worker: WorkerNode) -> None:
    poster = factories.blob(job.team, content_type="image/jpeg")
    version = states.succeed(job, claimed(job, worker), finished(job, poster=poster, seconds={"compose": 2.5}))
    assert version.poster == poster
    assert version.seconds == {"compose": 2.5}
