"""Which job is next, and what is taken back."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, Team
from projects.services import waking
from rendering import queue, states, tickets, workers
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode
from tests import factories
from tests.rendering.work import claimed, finished, new_job

pytestmark = pytest.mark.django_db

DEAD = 2**22 + 1
"""No process has this number: it is above the kernel's limit."""


def node(name: str = "one", **fields: object) -> WorkerNode:
    known = {"host": name, "cluster": "gpu", "pid": DEAD, "last_seen_at": timezone.now()}
    return WorkerNode.objects.create(name=f"{name}/gpu", **(known | fields))


@pytest.fixture
def worker() -> WorkerNode:
    return node()


def take_next(worker: WorkerNode) -> RenderJob | None:
    claim = queue.claim_next(worker)
    return claim.job if claim else None


def finish_next(worker: WorkerNode) -> str:
    """Claim one, finish it; whose it was."""
    claim = queue.claim_next(worker)
    assert claim is not None
    states.succeed(claim.job, claim.token, finished(claim.job))
    return claim.job.team.name


def test_teams_take_turns_and_each_teams_oldest_goes_first(worker: WorkerNode) -> None:
    for name, number in (("A", 4), ("B", 2), ("C", 1)):
        team = factories.team(name)
        for _ in range(number):
            new_job(team)
    assert [finish_next(worker) for _ in range(7)] == ["A", "B", "C", "A", "B", "A", "A"]


def test_the_team_with_the_fewest_running_jobs_for_its_weight_is_next(worker: WorkerNode) -> None:
    light, heavy = factories.team("light"), factories.team("heavy")
    TeamShare.objects.create(team=heavy, weight=3)
    for team in (light, heavy):
        for _ in range(8):
            new_job(team)
    names = [job.team.name for _ in range(8) if (job := take_next(worker))]
    assert names.count("heavy") == 6
    assert names.count("light") == 2


def test_priority_goes_before_fairness(worker: WorkerNode) -> None:
    a, b = factories.team("A"), factories.team("B")
    new_job(b)
    jobs = [new_job(a, priority=number) for number in (0, 5, 1)]
    claimed_jobs = [take_next(worker) for _ in range(3)]
    assert claimed_jobs[:2] == [jobs[1], jobs[2]]
    assert claimed_jobs[2] is not None
    assert claimed_jobs[2].team == b


def test_a_team_gets_no_more_than_it_may_run_at_once(worker: WorkerNode) -> None:
    team = factories.team()
    TeamShare.objects.create(team=team, max_running=2)
    for _ in range(3):
        new_job(team)
    first = queue.claim_next(worker)
    assert first is not None
    assert take_next(worker)
    assert take_next(worker) is None
    states.succeed(first.job, first.token, finished(first.job))
    assert take_next(worker)


def test_paused_teams_held_jobs_and_back_offs_are_passed_over(worker: WorkerNode, team: Team) -> None:
    paused = factories.team()
    TeamShare.objects.create(team=paused, paused_at=timezone.now())
    new_job(paused)
    new_job(team, held=True)
    later = new_job(team)
    RenderJob.objects.filter(pk=later.pk).update(not_before=timezone.now() + timedelta(seconds=60))
    assert take_next(worker) is None
    assert not queue.startable()


@pytest.mark.parametrize("state", ["paused", "draining", "quarantined"])
def test_a_worker_that_is_not_active_gets_nothing(worker: WorkerNode, team: Team, state: str) -> None:
    new_job(team)
    WorkerNode.objects.update(state=state)
    assert take_next(worker) is None


def test_a_job_waits_for_the_analysis_of_its_footage_and_take(worker: WorkerNode, team: Team) -> None:
    footage = factories.footage(factories.presenter(team), state=AnalysisState.WAITING)
    take = factories.take(factories.script(team), state=AnalysisState.WAITING)
    job = new_job(team, footage=footage, take=take)
    assert take_next(worker) is None
    type(footage).objects.update(state=AnalysisState.READY, analysis=factories.analysis(team, really=False))
    assert take_next(worker) is None
    type(take).objects.update(state=AnalysisState.WARNINGS)
    assert take_next(worker) == job


def test_a_job_whose_footage_is_refused_fails_with_the_same_code(team: Team) -> None:
    footage = factories.footage(factories.presenter(team), state=AnalysisState.REFUSED)
    job = new_job(team, footage=footage)
    queue.tidy()
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.FAILED, "no_face")


def test_inside_a_team_a_job_goes_to_another_worker_than_the_one_that_failed_it(worker: WorkerNode, team: Team) -> None:
    failed, other = new_job(team), new_job(team)
    states.fail(failed, claimed(failed, worker), "device_error", kind="suspect")
    RenderJob.objects.update(not_before=timezone.now())
    assert take_next(worker) == other
    states.fail(other, RenderJob.objects.get(pk=other.pk).lease_token, "device_error", kind="suspect")  # type: ignore[arg-type]
    RenderJob.objects.update(not_before=timezone.now())
    assert take_next(node("two")) == failed


def test_the_next_team_is_found_with_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(5):
        new_job(factories.team())
    with django_assert_num_queries(1):
        assert queue.startable()


def test_reaping_takes_back_only_what_is_over(worker: WorkerNode, team: Team) -> None:
    lost, alive = new_job(team), new_job(team)
    for job in (lost, alive):
        claimed(job, worker)
    RenderJob.objects.filter(pk=lost.pk).update(lease_expires_at=timezone.now())
    assert queue.reap() == 1
    assert queue.reap() == 0
    lost.refresh_from_db()
    alive.refresh_from_db()
    assert (lost.state, lost.error_code, lost.attempts) == (JobState.QUEUED, "worker_lost", 1)
    assert alive.state == JobState.RUNNING


def test_a_job_that_loses_every_worker_fails_with_a_code(worker: WorkerNode, team: Team) -> None:
    job = new_job(team)
    for _ in range(3):
        claimed(job, worker)
        RenderJob.objects.update(lease_expires_at=timezone.now())
        queue.reap()
    job.refresh_from_db()
    assert (job.state, job.error_code, job.attempts) == (JobState.FAILED, "worker_lost", 3)


def test_tickets_are_topped_up_without_counting_those_that_somebody_holds(team: Team) -> None:
    for _ in range(3):
        new_job(team)
    assert tickets.waiting() == 3
    assert queue.top_up() == 0
    OrmQ.objects.update(lock=timezone.now() + timedelta(hours=4))
    assert queue.top_up() == 3
    assert OrmQ.objects.count() == 6


def test_a_large_batch_makes_no_more_tickets_than_are_of_use(team: Team) -> None:
    for _ in range(tickets.MOST_WAITING + 5):
        new_job(team)
    queue.reap()
    assert OrmQ.objects.count() == tickets.MOST_WAITING


def test_a_cluster_that_starts_finds_the_tickets_of_its_dead_predecessor(team: Team) -> None:
    new_job(team)
    waking.wake_analysers()
    OrmQ.objects.update(lock=timezone.now() + timedelta(hours=1))
    assert tickets.deliver_again("gpu") == 0
    assert tickets.deliver_again("worker") == 1
    assert (tickets.waiting("worker"), tickets.waiting("gpu")) == (1, 0)


def fail_on(worker: WorkerNode, job: RenderJob) -> None:
    states.fail(job, claimed(job, worker), "device_error", kind="suspect")
    workers.note_failure(worker, job)
    worker.refresh_from_db()


def test_three_different_jobs_in_a_row_quarantine_a_worker(worker: WorkerNode, team: Team) -> None:
    node("two")
    for number in range(3):
        assert worker.state == WorkerNode.State.ACTIVE, number
        fail_on(worker, new_job(team))
    assert worker.state == WorkerNode.State.QUARANTINED


def test_a_success_in_between_clears_the_worker(worker: WorkerNode, team: Team) -> None:
    node("two")
    for number in range(6):
        fail_on(worker, job := new_job(team))
        if number % 2:
            workers.note_success(worker, job)
    worker.refresh_from_db()
    assert (worker.state, worker.failures_in_row) == (WorkerNode.State.ACTIVE, 0)


def test_one_deadly_job_is_held_against_a_worker_once(worker: WorkerNode, team: Team) -> None:
    node("two")
    job = new_job(team)
    for _ in range(3):
        fail_on(worker, job)
    assert (worker.state, worker.failures_in_row) == (WorkerNode.State.ACTIVE, 1)


def test_the_last_active_worker_is_never_put_aside(worker: WorkerNode, team: Team) -> None:
    node("two", state=WorkerNode.State.PAUSED)
    node("three", last_seen_at=timezone.now() - timedelta(hours=1))
    for _ in range(4):
        fail_on(worker, new_job(team))
    assert (worker.state, worker.failures_in_row) == (WorkerNode.State.ACTIVE, 4)


def test_a_process_takes_the_name_of_a_dead_one_and_another_name_beside_a_living_one(settings: Settings) -> None:
    settings.WORKER_NAME = "box"
    first, replaces = workers.register("gpu")
    assert (first.name, first.pid, replaces) == ("box/gpu", os.getpid(), False)
    assert workers.register("gpu") == (first, False)
    WorkerNode.objects.update(pid=DEAD)
    again, replaces = workers.register("gpu")
    assert (again, again.pid, replaces) == (first, os.getpid(), True)
    WorkerNode.objects.update(pid=os.getppid())
    second, replaces = workers.register("gpu")
    assert (second.name, replaces) == ("box/gpu#2", False)


def test_a_new_process_takes_back_what_its_dead_predecessor_ran(worker: WorkerNode, team: Team) -> None:
    job, others = new_job(team), new_job(team)
    claimed(job, worker)
    claimed(others, node("two"))
    assert queue.forget_predecessor(worker) == 1
    job.refresh_from_db()
    others.refresh_from_db()
    assert (job.state, others.state) == (JobState.QUEUED, JobState.RUNNING)


def test_a_cluster_is_stuck_when_tickets_wait_beside_idle_workers(team: Team, settings: Settings) -> None:
    settings.WORKER_NAME = "box"
    long_ago = timezone.now() - timedelta(minutes=2)
    here = node("box", idle_since=long_ago, pid=os.getpid())
    assert workers.stuck_clusters() == []
    new_job(team)
    assert workers.stuck_clusters() == []
    OrmQ.objects.update(lock=long_ago)
    assert workers.stuck_clusters() == ["gpu"]
    workers.begin(here)
    assert workers.stuck_clusters() == []
    workers.end(here)
    assert workers.stuck_clusters() == []
    WorkerNode.objects.update(idle_since=long_ago)
    assert workers.stuck_clusters() == ["gpu"]
    settings.WORKER_NAME = "another box"
    assert workers.stuck_clusters() == []


def test_a_cluster_that_has_not_started_yet_is_not_stuck(team: Team, settings: Settings) -> None:
    settings.WORKER_NAME = "box"
    long_ago = timezone.now() - timedelta(minutes=2)
    node("box", idle_since=long_ago)
    new_job(team)
    OrmQ.objects.update(lock=long_ago)
    assert workers.stuck_clusters() == []


def test_upkeep_is_scheduled_once() -> None:
    workers.schedule_upkeep()
    for row in Schedule.objects.all():
        row.pk = None
        row.save()
    workers.schedule_upkeep()
    assert Schedule.objects.get(func="rendering.tasks.reap").minutes == 1
    assert set(Schedule.objects.values_list("cluster", flat=True)) == {"worker"}
