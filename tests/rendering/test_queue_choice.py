"""Which team, then which of its jobs, and which worker may have it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, Footage, Team
from rendering import capabilities, queue, states, workers
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import RenderJob, TeamShare, WorkerNode
from rendering.selectors import queue_position, waiting
from rendering.selectors.waiting import Why
from tests import factories
from tests.rendering.work import claimed, new_job

pytestmark = pytest.mark.django_db


def node(name: str = "one", **fields: object) -> WorkerNode:
    known = {"host": name, "cluster": "gpu", "last_seen_at": timezone.now(), "engine": "2", "backends": ["exemplar"]}
    return WorkerNode.objects.create(name=f"{name}/gpu", **(known | fields))


@pytest.fixture
def worker() -> WorkerNode:
    return node()


def take_next(worker: WorkerNode) -> RenderJob | None:
    claim = queue.claim_next(worker)
    return claim.job if claim else None


def why(job: RenderJob) -> Why:
    return Why(waiting.waiting_with_why(waiting.standing()).get(pk=job.pk).why)


# Teams


def test_a_teams_priority_is_added_to_that_of_its_jobs(worker: WorkerNode) -> None:
    low, high = factories.team(), factories.team()
    urgent, usual, favoured = new_job(low, priority=3), new_job(low), new_job(high)
    TeamShare.objects.filter(team=high).update(priority=2)
    assert [take_next(worker) for _ in range(3)] == [urgent, favoured, usual]


def test_a_team_that_cannot_start_anything_does_not_keep_others_from_it(worker: WorkerNode) -> None:
    first, second = factories.team(), factories.team()
    waits = factories.footage(factories.presenter(first), state=AnalysisState.WAITING)
    for _ in range(queue.WINDOW + 1):
        new_job(first, footage=waits, priority=9)
    analysed, others = new_job(first), new_job(second)
    assert {take_next(worker), take_next(worker)} == {analysed, others}
    assert take_next(worker) is None


def test_a_team_of_an_older_web_process_is_given_its_share(worker: WorkerNode, team: Team) -> None:
    job = new_job(team)
    TeamShare.objects.all().delete()
    queue.tidy()
    assert take_next(worker) == job


def test_a_held_head_of_the_line_lets_the_next_go_first(worker: WorkerNode, team: Team) -> None:
    head, after = new_job(team), new_job(team)
    assert states.hold(head)
    assert take_next(worker) == after


# Warm footage


def test_inside_a_team_a_job_with_footage_at_hand_goes_first(worker: WorkerNode, team: Team) -> None:
    cold, warm = new_job(team), new_job(team)
    workers.note_success(worker, warm)
    assert take_next(worker) == warm
    assert take_next(worker) == cold


def test_footage_at_hand_gives_no_team_an_advantage(worker: WorkerNode) -> None:
    first, second = new_job(factories.team()), new_job(factories.team())
    workers.note_success(worker, second)
    assert take_next(worker) == first


def test_managers_word_goes_before_footage_at_hand(worker: WorkerNode, team: Team) -> None:
    warm, preferred = new_job(team), new_job(team)
    states.prefer(preferred, 1)
    workers.note_success(worker, warm)
    assert take_next(worker) == preferred


def test_a_cold_job_is_passed_over_a_few_times_and_no_more(worker: WorkerNode, team: Team) -> None:
    cold, presenter = new_job(team), factories.presenter(team)
    footage = factories.footage(presenter)
    warm = [new_job(team, footage=footage) for _ in range(queue.PASSES + 3)]
    workers.note_success(worker, warm[0])
    taken = [take_next(worker) for _ in range(queue.PASSES + 3)]
    assert taken.index(cold) == queue.PASSES
    assert taken[queue.PASSES + 1] in warm


def test_a_worker_remembers_what_it_used_last(worker: WorkerNode, team: Team) -> None:
    jobs = [new_job(team) for _ in range(3)]
    for job in (*jobs, jobs[0]):
        workers.note_success(worker, job)
    worker.refresh_from_db()
    assert worker.warm == [jobs[0].footage_id, jobs[2].footage_id, jobs[1].footage_id]


def test_a_job_that_failed_on_a_worker_goes_elsewhere_though_its_footage_is_at_hand(
    worker: WorkerNode, team: Team
) -> None:
    failed, other = new_job(team), new_job(team)
    workers.note_success(worker, failed)
    states.fail(failed, claimed(failed, worker), "device_error", kind="suspect")
    RenderJob.objects.update(not_before=timezone.now())
    assert take_next(worker) == other


# Abilities


def test_a_worker_gets_only_jobs_of_back_ends_that_its_engine_has(worker: WorkerNode, team: Team) -> None:
    job = new_job(team)
    assert job.backend == "exemplar"
    RenderJob.objects.update(backend="other")
    assert take_next(worker) is None
    assert why(job) == Why.NO_CAPABLE_WORKER
    able = node("two", backends=["exemplar", "other"])
    assert why(job) == Why.TURN
    assert take_next(able) == job


def test_a_job_that_needs_nothing_in_particular_and_a_worker_that_said_nothing_yet_fit(team: Team) -> None:
    new_job(team)
    RenderJob.objects.update(backend="")
    assert take_next(node())
    new_job(team)
    RenderJob.objects.filter(state="queued").update(backend="other")
    assert take_next(node("silent", engine="", backends=[]))


@pytest.mark.parametrize(("has", "may"), [(None, False), (7999, False), (8000, True)])
def test_a_back_end_that_needs_memory_runs_where_there_is_as_much(
    team: Team, settings: Settings, has: int | None, *, may: bool
) -> None:
    settings.BACKEND_MEMORY_MB = {"exemplar": 8000}
    job = new_job(team)
    assert (take_next(node(device_memory_mb=has)) == job) is may


def test_footage_is_rendered_by_workers_with_the_engine_that_analysed_it(team: Team) -> None:
    old, new = node("old", engine="1"), node("new", engine="2")
    jobs = {}
    for engine in ("1", "2"):
        footage = factories.footage(factories.presenter(team), analysis_engine=engine)
        jobs[engine] = new_job(team, footage=footage)
    queue.tidy()
    assert take_next(new) == jobs["2"]
    assert take_next(new) is None
    assert take_next(old) == jobs["1"]


@pytest.mark.parametrize("gone", [{"last_seen_at": timezone.now() - timedelta(hours=1)}, {"state": "draining"}])
def test_footage_of_an_engine_that_no_worker_has_any_more_is_analysed_anew(team: Team, gone: dict[str, object]) -> None:
    old, new = node("old", engine="1"), node("new", engine="2")
    footage = factories.footage(factories.presenter(team), analysis_engine="1")
    kept = factories.footage(factories.presenter(team), analysis_engine="1")
    job = new_job(team, footage=footage)
    WorkerNode.objects.filter(pk=old.pk).update(**gone)
    queue.tidy()
    assert Footage.objects.get(pk=footage.pk).state == AnalysisState.WAITING
    assert Footage.objects.get(pk=kept.pk).state == AnalysisState.READY, "nothing waits for it"
    assert OrmQ.objects.filter(key="worker").count() == 1
    assert why(job) == Why.FOOTAGE
    Footage.objects.filter(pk=footage.pk).update(state=AnalysisState.READY, analysis_engine="2")
    queue.tidy()
    assert take_next(new) == job


def test_nothing_is_analysed_anew_while_no_worker_is_heard_of(team: Team) -> None:
    footage = factories.footage(factories.presenter(team), analysis_engine="1")
    new_job(team, footage=footage)
    queue.tidy()
    assert capabilities.live_engines() == set()
    assert Footage.objects.get(pk=footage.pk).state == AnalysisState.READY


def test_a_process_that_replaces_one_of_another_version_forgets_what_that_one_could_do(settings: Settings) -> None:
    settings.WORKER_NAME, settings.VERSION = "box", "9"
    node("box", engine="1", version="8", pid=0)
    registered, _ = workers.register("gpu")
    assert (registered.engine, registered.version, registered.backends) == (ENGINE_VERSION, "9", [])
    workers.describe(registered, engine="2", backends=["exemplar"], device="cpu")
    again, _ = workers.register("gpu")
    assert again.pk == registered.pk


# Tickets


def test_tickets_are_made_for_what_could_start_and_for_nothing_else(team: Team) -> None:
    full, paused = factories.team(), factories.team()
    claimed(new_job(full), node())
    for group in (full, paused):
        new_job(group)
    TeamShare.objects.filter(team=full).update(max_running=1)
    TeamShare.objects.filter(team=paused).update(paused_at=timezone.now())
    OrmQ.objects.all().delete()
    assert queue.top_up() == 0
    new_job(team)
    OrmQ.objects.all().delete()
    assert queue.top_up() == 1


def test_what_was_claimed_and_never_begun_waits_again_without_counting_the_attempt(
    worker: WorkerNode, team: Team
) -> None:
    job, others = new_job(team), new_job(team)
    claimed(job, worker)
    claimed(others, node("two"))
    queue.give_back_all(worker)
    job.refresh_from_db()
    others.refresh_from_db()
    assert (job.state, job.attempts, others.state) == ("queued", 0, "running")
    assert take_next(worker) == job


# The same rules, told to people


def test_the_line_on_the_farm_page_is_the_order_of_the_claims(worker: WorkerNode) -> None:
    """Teams of different weight, priority and running jobs, jobs of different priority."""
    for number in range(5):
        group = factories.team()
        jobs = [new_job(group, priority=place % 2) for place in range(4)]
        states.prefer(jobs[number % 4], 1)
        TeamShare.objects.filter(team=group).update(
            weight=1 + number % 3, priority=number % 2, last_served_at=timezone.now() - timedelta(seconds=number)
        )
        if number % 2:
            claimed(jobs[3], worker)
    rows = RenderJob.objects.filter(state="queued").values_list("pk", "team", "priority", "team_priority")
    told = waiting.line_up(rows, waiting.standing())
    order = []
    while (job := take_next(node(f"worker {len(order)}"))) is not None:
        order.append(job.pk)
    assert order == told
    assert len(order) == 18


def test_a_board_tells_the_place_that_a_teams_priority_gives(worker: WorkerNode) -> None:
    low, high = factories.team(), factories.team()
    usual, favoured = new_job(low), new_job(high)
    assert (queue_position(usual), queue_position(favoured)) == (2, 2), "the later place is told"
    TeamShare.objects.filter(team=high).update(priority=2)
    assert (queue_position(usual), queue_position(favoured)) == (2, 1)
