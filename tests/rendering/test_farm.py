"""The operators' farm: what it says, what may be done there, and that nobody else finds it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from django_q.models import OrmQ

from heygem_site.owner import ensure_owner
from projects.models import AnalysisState, AuditEvent, Team
from projects.problems import HeyGemError
from rendering import queue, states
from rendering.engine.errors import FAILURES
from rendering.models import JobState, RenderAttempt, RenderJob, TeamShare, WorkerNode
from rendering.problems import remedy_for_operators
from rendering.selectors import farm, rates
from rendering.selectors.farm import Why, Word
from rendering.services import farm as services
from rendering.templatetags.farm import detail_words
from tests import factories
from tests.cast import browser
from tests.rendering import making
from tests.rendering.work import claimed, finished, new_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> User:
    """Runs the installation, and is in none of its teams."""
    return factories.user("olga", is_staff=True)


@pytest.fixture
def worker() -> WorkerNode:
    return making.worker()


def whys() -> dict[int, tuple[Why, int | None]]:
    return {item.job.pk: (item.why, item.place) for item in farm.farm().waiting}


def told() -> tuple[str, str, dict[str, object]]:
    event = AuditEvent.objects.latest("pk")
    assert event.actor is not None
    return event.action, event.actor.username, event.detail


# Workers


@pytest.mark.parametrize("state", ["paused", "draining", "quarantined"])
def test_a_worker_put_aside_gets_no_job_until_it_is_activated(
    olga: User, team: Team, worker: WorkerNode, state: str
) -> None:
    new_job(team)
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State(state), reason=" too hot ")
    assert told() == (f"worker.{state}", "olga", {"was": "active", "reason": "too hot"})
    assert queue.claim_next(worker) is None
    worker.refresh_from_db()
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.ACTIVE)
    assert told() == ("worker.active", "olga", {"was": state})
    assert queue.claim_next(worker) is not None


def test_a_draining_worker_finishes_what_it_runs(olga: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    token = claimed(job, worker)
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.DRAINING)
    states.report(job, token, "compose", 50)
    states.succeed(job, token, finished(job))
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED


def test_release_from_quarantine_forgives_the_failures_and_wakes_the_machines(
    olga: User, team: Team, worker: WorkerNode
) -> None:
    new_job(team)
    OrmQ.objects.all().delete()
    WorkerNode.objects.update(state="quarantined", failures_in_row=3)
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.ACTIVE)
    worker.refresh_from_db()
    assert (worker.state, worker.failures_in_row) == ("active", 0)
    assert OrmQ.objects.filter(key="gpu").exists()


def test_an_act_that_no_longer_fits_is_refused_and_leaves_no_line(olga: User, worker: WorkerNode) -> None:
    with pytest.raises(HeyGemError, match="no_such_act"):
        services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.ACTIVE)
    assert not AuditEvent.objects.exists()


# Jobs


def test_a_job_is_held_released_and_cancelled(olga: User, team: Team) -> None:
    job = new_job(team)
    for act, state, action in (
        (services.hold_job, JobState.HELD, "job.held"),
        (services.release_job, JobState.QUEUED, "job.released"),
        (services.cancel_job, JobState.CANCELLED, "job.cancelled"),
    ):
        act(actor=olga, job=job, reason="why not")
        job.refresh_from_db()
        assert job.state == state
        assert told()[:2] == (action, "olga")
        assert told()[2]["reason"] == "why not"
    with pytest.raises(HeyGemError, match="no_such_act"):
        services.hold_job(actor=olga, job=job)


def test_a_running_job_is_asked_to_stop(olga: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    token = claimed(job, worker)
    services.cancel_job(actor=olga, job=job)
    with pytest.raises(states.CancelRequested):
        states.check(job, token)


def test_a_job_moved_to_the_front_is_next(olga: User, team: Team, worker: WorkerNode) -> None:
    first = new_job(team, priority=5)
    last = new_job(factories.team())
    services.move_to_front(actor=olga, job=last)
    assert told() == ("job.prioritised", "olga", {"was": 0, "priority": 6})
    claim = queue.claim_next(worker)
    assert claim is not None
    assert claim.job == last
    assert first.state == JobState.QUEUED


def test_a_priority_has_bounds_and_is_for_what_waits(olga: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    with pytest.raises(HeyGemError, match="bad_share"):
        services.set_priority(actor=olga, job=job, priority=1001)
    claimed(job, worker)
    with pytest.raises(HeyGemError, match="no_such_act"):
        services.set_priority(actor=olga, job=job, priority=3)


def test_a_failed_job_is_tried_again_by_a_new_one(olga: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    states.fail(job, claimed(job, worker), "no_face")
    job.refresh_from_db()
    again = services.retry_job(actor=olga, job=job)
    assert (again.retry_of, again.state) == (job, JobState.QUEUED)
    assert told() == ("job.retried", "olga", {"of": job.public_id})
    with pytest.raises(HeyGemError, match="no_such_act"):
        services.retry_job(actor=olga, job=job)


# Teams


def test_a_paused_team_waits_until_it_is_resumed(olga: User, team: Team, worker: WorkerNode) -> None:
    new_job(team)
    services.pause_team(actor=olga, team=team, reason="unpaid")
    assert told() == ("team.paused", "olga", {"reason": "unpaid"})
    assert queue.claim_next(worker) is None
    services.resume_team(actor=olga, team=team)
    assert queue.claim_next(worker) is not None


def test_a_share_is_set_within_bounds(olga: User, team: Team) -> None:
    services.set_share(actor=olga, team=team, weight=3, max_running=2)
    share = TeamShare.objects.get(team=team)
    assert (share.weight, share.max_running) == (3, 2)
    services.set_share(actor=olga, team=team, weight=1, max_running=None)
    was = {"weight": 3, "max_running": 2}
    assert told()[2] == {"was": was, "weight": 1, "max_running": None}
    for weight, limit in ((0, None), (101, None), (1, 0)):
        with pytest.raises(HeyGemError, match="bad_share"):
            services.set_share(actor=olga, team=team, weight=weight, max_running=limit)


def test_nobody_but_an_operator_may_do_any_of_it(alice: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    acts: list[Callable[[], object]] = [
        lambda: services.set_worker_state(actor=alice, worker=worker, state=WorkerNode.State.PAUSED),
        lambda: services.hold_job(actor=alice, job=job),
        lambda: services.release_job(actor=alice, job=job),
        lambda: services.cancel_job(actor=alice, job=job),
        lambda: services.set_priority(actor=alice, job=job, priority=1),
        lambda: services.move_to_front(actor=alice, job=job),
        lambda: services.retry_job(actor=alice, job=job),
        lambda: services.pause_team(actor=alice, team=team),
        lambda: services.resume_team(actor=alice, team=team),
        lambda: services.set_share(actor=alice, team=team, weight=1, max_running=None),
    ]
    for act in acts:
        with pytest.raises(Http404):
            act()
    assert not AuditEvent.objects.exists()


# What the page says


def test_every_waiting_job_says_why(team: Team, worker: WorkerNode) -> None:
    busy, paused = factories.team("busy"), factories.team("paused")
    running = new_job(busy)
    claimed(running, worker)
    TeamShare.objects.filter(team=busy).update(max_running=1)
    TeamShare.objects.create(team=paused, paused_at=timezone.now())
    raw_footage = factories.footage(factories.presenter(team), state=AnalysisState.WAITING)
    raw_take = factories.take(factories.script(team), state=AnalysisState.WAITING)
    later = new_job(team)
    RenderJob.objects.filter(pk=later.pk).update(not_before=timezone.now() + timedelta(minutes=1))
    expected = {
        new_job(team, held=True).pk: (Why.HELD, None),
        new_job(team, footage=raw_footage).pk: (Why.FOOTAGE, None),
        new_job(team, take=raw_take).pk: (Why.TAKE, None),
        new_job(paused).pk: (Why.PAUSED, None),
        new_job(busy).pk: (Why.LIMIT, None),
        later.pk: (Why.BACKOFF, None),
        new_job(team).pk: (Why.TURN, 1),
        new_job(team).pk: (Why.TURN, 2),
    }
    assert whys() == expected


def test_places_are_the_order_in_which_jobs_are_claimed(worker: WorkerNode) -> None:
    for name, number, weight in (("A", 4, 1), ("B", 3, 2), ("C", 1, 1)):
        team = factories.team(name)
        TeamShare.objects.create(team=team, weight=weight)
        for _ in range(number):
            new_job(team, priority=int(name == "C"))
    places = {pk: place for pk, (_why, place) in whys().items()}
    order = []
    while (claim := queue.claim_next(worker)) is not None:
        order.append(places[claim.job.pk])
    assert order == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_farm_in_one_word(olga: User, team: Team, worker: WorkerNode) -> None:
    def said() -> tuple[Word, str]:
        view = farm.farm()
        return view.word, view.reason

    assert said() == (Word.IDLE, "nothing_waits")
    job = new_job(team)
    assert said() == (Word.WAITING, "about_to_start")
    OrmQ.objects.update(lock=timezone.now() - timedelta(minutes=2))
    assert said() == (Word.BROKEN, "nobody_comes")
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.PAUSED)
    assert said() == (Word.WAITING, "workers_paused")
    WorkerNode.objects.update(state="quarantined")
    assert said() == (Word.BROKEN, "no_worker")
    WorkerNode.objects.update(state="active")
    claimed(job, worker)
    assert said() == (Word.ACTIVE, "running")
    RenderJob.objects.update(state="held", lease_token=None, lease_expires_at=None)
    assert said() == (Word.WAITING, "nothing_startable")


def test_charts_count_what_was_made_and_what_failed(team: Team, worker: WorkerNode) -> None:
    for ago, outcome in ((1, "succeeded"), (50, "failed"), (60 * 20, "lost"), (60 * 24 * 6, "succeeded")):
        job = new_job(team)
        RenderAttempt.objects.create(
            job=job,
            number=1,
            worker=worker,
            outcome=outcome,
            error_code="" if outcome == "succeeded" else "no_face",
            ended_at=timezone.now() - timedelta(minutes=ago),
        )
    counts = {chart.name: (chart.done, chart.failed, chart.failed_percent) for chart in rates.charts()}
    assert counts == {"hour": (1, 1, 50), "day": (1, 2, 67), "week": (2, 2, 50)}
    for chart in rates.charts():
        for bar in chart.bars:
            assert 0 <= bar.failed_y <= bar.done_y <= chart.height
            assert bar.done_height + bar.failed_height <= chart.height
    assert [(item.problem.code, item.attempts) for item in rates.failures()] == [("no_face", 2)]


def test_the_page_says_that_its_figures_count_tries(olga: User) -> None:
    page = browser(olga).get("/farm/").content.decode()
    assert "Tries: made and failed" in page
    assert "Failed tries of the last week, by kind" in page
    assert "counts here once for each try" in page


def test_operators_are_told_what_to_do_and_not_to_tell_themselves(olga: User, team: Team, worker: WorkerNode) -> None:
    for code in [*FAILURES, "storage_unavailable", "render_minutes_over", "team_storage_spent", "of_a_newer_engine"]:
        remedy = remedy_for_operators(code)
        assert remedy
        assert "operator" not in remedy.lower(), code
    job = new_job(team)
    states.fail(job, claimed(job, worker), "device_error")
    WorkerNode.objects.update(refused={"wav2lip": "unsafe_checkpoint"})
    client = browser(olga)
    for address, words in (
        ("/farm/", "See what the driver"),
        (f"/farm/jobs/{job.public_id}/", "See what the driver"),
        (f"/farm/workers/{worker.pk}/", "Set WAV2LIP_CHECKPOINT to a file that holds weights alone"),
    ):
        page = client.get(address).content.decode()
        assert words in page, address
        assert "the operator " not in page.replace("the operator supplied", ""), address


def test_the_page_takes_as_many_queries_for_many_jobs_as_for_few(olga: User, team: Team, worker: WorkerNode) -> None:
    client = browser(olga)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse("rendering:farm")).status_code == 200
        return len(captured)

    claimed(new_job(team), worker)
    new_job(team)
    new_job(team, held=True)
    states.fail(failed := new_job(team), claimed(failed, worker), "no_face")
    few = queries()
    for _ in range(5):
        for group in (team, factories.team()):
            TeamShare.objects.get_or_create(team=group)
            new_job(group)
            new_job(group, held=True)
            states.fail(failed := new_job(group), claimed(failed, worker), "no_face")
    assert queries() == few <= 25


def test_the_fragment_is_silent_until_something_changes(olga: User, team: Team, worker: WorkerNode) -> None:
    client, url = browser(olga), reverse("rendering:farm_now")
    job = new_job(team)
    mark = client.get(url).context["mark"]
    assert client.get(url, {"seen": mark}).status_code == 204
    services.hold_job(actor=olga, job=job)
    assert client.get(url, {"seen": mark}).status_code == 200


def test_an_operator_acts_from_the_page_with_a_reason(olga: User, team: Team, worker: WorkerNode) -> None:
    client, job = browser(olga), new_job(team)
    for name, key, act in (
        ("farm_worker_act", worker.pk, "drain"),
        ("farm_job_act", job.public_id, "hold"),
        ("farm_team_act", team.public_id, "pause"),
    ):
        answer = client.post(reverse(f"rendering:{name}", args=[key]), {"act": act, "reason": "noise"})
        assert answer.status_code == 302
        assert told()[2]["reason"] == "noise"
        assert client.post(reverse(f"rendering:{name}", args=[key]), {"act": "explode"}).status_code == 409
    page = client.get(reverse("rendering:farm")).content.decode()
    for sentence in ("Waiting", "Draining", "A person put it on hold.", "Paused"):
        assert sentence in page
    share = reverse("rendering:farm_team", args=[team.public_id])
    assert client.post(share, {"weight": "4", "max_running": ""}).status_code == 302
    assert client.post(share, {"weight": "0"}).status_code == 200
    assert TeamShare.objects.get(team=team).weight == 4
    priority = reverse("rendering:farm_job_act", args=[job.public_id])
    assert client.post(priority, {"act": "priority", "priority": "7"}).status_code == 302
    assert client.post(priority, {"act": "priority", "priority": "much"}).status_code == 400


def test_each_try_is_there_with_its_log(olga: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    token = claimed(job, worker)
    states.write_log(job, worker, "disk <full>", 11)
    states.fail(job, token, "io_error", kind="transient")
    page = browser(olga).get(reverse("rendering:farm_job", args=[job.public_id])).content.decode()
    assert "disk &lt;full&gt;" in page
    assert "io_error" in page


def test_the_first_owner_of_an_installation_opens_the_farm_and_finds_it_in_the_menu() -> None:
    owner, _password = ensure_owner("first@example.com")
    assert owner.is_staff
    page = browser(owner).get("/")
    assert reverse("rendering:farm") in page.content.decode()
    assert browser(owner).get(reverse("rendering:farm")).status_code == 200


def test_a_member_does_not_see_the_way(alice: User, team: Team) -> None:
    assert "/farm/" not in browser(alice).get("/").content.decode()


def test_the_log_has_words_for_what_it_notes() -> None:
    noted = {"face": 2, "event": "take.ready", "template": "{script}", "language": "en"}
    with translation.override("zh-hans"):
        told = detail_words(AuditEvent(detail=noted))
    assert not any(f"{name}:" in told for name in noted)
    assert "2" in told
