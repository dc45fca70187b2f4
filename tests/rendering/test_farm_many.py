"""What operators do to many jobs at once, to a team as a whole and to workers at once; and the pages that show it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from projects.models import AuditEvent, Team
from projects.problems import HeyGemError
from projects.services import audit
from rendering import queue, states
from rendering.execution import live_log
from rendering.models import JobState, RenderAttempt, RenderJob, TeamShare, WorkerNode
from rendering.selectors import farm as farm_selectors
from rendering.selectors import farm_work, waiting
from rendering.services import farm as services
from rendering.services import farm_many, presets
from tests import factories
from tests.cast import browser
from tests.rendering import making
from tests.rendering.work import claimed, new_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> User:
    """Runs the installation, and is in none of its teams."""
    return factories.user("olga", is_staff=True)


@pytest.fixture
def worker() -> WorkerNode:
    return making.worker()


def lines() -> list[tuple[str, str, object]]:
    """Action, subject and reason of the audit log's lines, the newest first."""
    return [(event.action, event.subject, event.detail.get("reason")) for event in AuditEvent.objects.all()]


def state_of(*jobs: RenderJob) -> list[str]:
    return [RenderJob.objects.get(pk=job.pk).state for job in jobs]


# Workers


@pytest.mark.parametrize("act", ["paused", "draining", "quarantined", "stopped", "restart"])
def test_at_once_gives_the_running_job_back_and_the_try_does_not_count(
    olga: User, team: Team, worker: WorkerNode, act: str
) -> None:
    job = new_job(team)
    claimed(job, worker)
    WorkerNode.objects.update(busy_since=timezone.now(), last_seen_at=timezone.now())
    worker.refresh_from_db()
    if act == "restart":
        services.restart_worker(actor=olga, worker=worker, at_once=True, reason="hot")
    else:
        services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State(act), at_once=True, reason="hot")
    job.refresh_from_db()
    worker.refresh_from_db()
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert job.tries.get().outcome == RenderAttempt.Outcome.RETURNED
    event = AuditEvent.objects.latest("pk")
    assert (event.subject, event.label) == (f"worker/{worker.pk}", worker.name)
    assert (event.detail["at_once"], event.detail["given_back"], event.detail["reason"]) == (True, 1, "hot")
    assert worker.asked == ("restart_now" if act in ("stopped", "restart") else "hand_back")


def test_a_worker_that_finishes_after_a_pause_may_still_be_told_to_stop_at_once(olga: User, worker: WorkerNode) -> None:
    WorkerNode.objects.update(busy_since=timezone.now())
    worker.refresh_from_db()
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.PAUSED)
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.PAUSED, at_once=True)
    worker.refresh_from_db()
    assert (worker.state, worker.asked) == ("paused", "hand_back")


def test_releasing_a_worker_forgets_what_was_asked_of_it(olga: User, worker: WorkerNode) -> None:
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.STOPPED)
    worker.refresh_from_db()
    assert worker.asked == "restart"
    services.set_worker_state(actor=olga, worker=worker, state=WorkerNode.State.ACTIVE)
    worker.refresh_from_db()
    assert (worker.state, worker.asked) == ("active", "")


def test_a_worker_that_is_not_heard_of_cannot_be_restarted(olga: User, worker: WorkerNode) -> None:
    WorkerNode.objects.update(last_seen_at=timezone.now() - timedelta(hours=1))
    worker.refresh_from_db()
    with pytest.raises(HeyGemError, match="no_such_act"):
        services.restart_worker(actor=olga, worker=worker)
    assert not AuditEvent.objects.exists()


# Many jobs


def test_ticked_jobs_are_changed_together_and_noted_one_by_one(olga: User, team: Team, worker: WorkerNode) -> None:
    jobs = [new_job(team) for _ in range(3)]
    running = new_job(team)
    claimed(running, worker)
    ids = [job.public_id for job in (*jobs, running)]
    told = farm_many.act_on_jobs(actor=olga, jobs=ids, act="hold", reason="later")
    assert told == farm_many.Told(done=3, left=0)
    assert state_of(*jobs, running) == ["held", "held", "held", "running"]
    assert sorted(lines()) == sorted(("job.held", job.public_id, "later") for job in jobs)
    with pytest.raises(HeyGemError, match="nothing_chosen"):
        farm_many.act_on_jobs(actor=olga, jobs=ids, act="hold")
    farm_many.act_on_jobs(actor=olga, jobs=ids, act="requeue")
    assert state_of(running) == ["queued"]
    farm_many.act_on_jobs(actor=olga, jobs=ids, act="cancel")
    assert set(state_of(*jobs, running)) == {"cancelled"}
    farm_many.act_on_jobs(actor=olga, jobs=ids, act="retry")
    assert RenderJob.objects.filter(retry_of__in=[*jobs, running], state=JobState.QUEUED).count() == 4


def test_a_batch_moved_to_the_front_goes_before_all_and_keeps_its_order(
    olga: User, team: Team, worker: WorkerNode
) -> None:
    other = factories.team()
    TeamShare.objects.create(team=other, priority=5)
    new_job(other, priority=10)
    first = new_job(team)
    batch = first.batch
    second = new_job(team)
    RenderJob.objects.filter(pk=second.pk).update(batch=batch)
    farm_many.act_on_batch(actor=olga, batch=batch, act="front", reason="today")
    assert [making.claim_next().job for _ in range(2)] == [first, second]
    assert lines()[0] == ("batch.prioritised", batch.public_id, "today")
    event = AuditEvent.objects.latest("pk")
    assert (event.detail["jobs"], event.detail["priority"]) == (2, 16)


def test_a_press_changes_a_thousand_at_most_and_says_what_is_left(
    olga: User, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        new_job(team)
    monkeypatch.setattr(farm_many, "MOST", 2)
    assert farm_many.act_on_team(actor=olga, team=team, act="cancel") == farm_many.Told(done=2, left=1)
    assert farm_many.act_on_team(actor=olga, team=team, act="cancel") == farm_many.Told(done=1, left=0)


# Teams


def test_a_teams_priority_goes_before_the_fair_turns(olga: User, team: Team, worker: WorkerNode) -> None:
    other = factories.team()
    earlier, urgent = new_job(other), new_job(team)
    services.set_team_priority(actor=olga, team=team, priority=2, reason="launch")
    assert lines()[0] == ("team.prioritised", team.public_id, "launch")
    assert making.claim_next().job == urgent
    states.requeue(urgent)
    services.move_team_to_front(actor=olga, team=other)
    assert making.claim_next().job == earlier
    with pytest.raises(HeyGemError, match="bad_share"):
        services.set_team_priority(actor=olga, team=team, priority=2000)


def test_a_retry_policy_has_bounds(olga: User, team: Team) -> None:
    services.set_retry_policy(actor=olga, team=team, max_attempts=5, backoff_seconds=None, reason="flaky disk")
    assert new_job(team).max_attempts == 5
    assert lines()[0] == ("team.retry_policy_changed", team.public_id, "flaky disk")
    for attempts, seconds in ((0, None), (21, None), (None, 3601), (None, -1)):
        with pytest.raises(HeyGemError, match="bad_retry_policy"):
            services.set_retry_policy(actor=olga, team=team, max_attempts=attempts, backoff_seconds=seconds)


def test_a_team_owner_without_the_staff_mark_may_do_none_of_it(alice: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    acts: list[Callable[[], object]] = [
        lambda: services.restart_worker(actor=alice, worker=worker),
        lambda: services.requeue_job(actor=alice, job=job),
        lambda: services.set_team_priority(actor=alice, team=team, priority=1),
        lambda: services.move_team_to_front(actor=alice, team=team),
        lambda: services.set_retry_policy(actor=alice, team=team, max_attempts=1, backoff_seconds=1),
        lambda: farm_many.act_on_jobs(actor=alice, jobs=[job.public_id], act="hold"),
        lambda: farm_many.act_on_batch(actor=alice, batch=job.batch, act="hold"),
        lambda: farm_many.act_on_team(actor=alice, team=team, act="cancel"),
    ]
    for act in acts:
        with pytest.raises(Http404):
            act()
    assert not AuditEvent.objects.exists()


# Why and where


def test_a_job_far_back_is_told_its_place(team: Team, worker: WorkerNode) -> None:
    other = factories.team()
    for _ in range(3):
        new_job(other)
        last = new_job(team)
    TeamShare.objects.filter(team=other).update(priority=1)
    told = waiting.why_and_where(last)
    assert told is not None
    assert (told.why, told.place) == (waiting.Why.TURN, 6)
    order = []
    while (claim := queue.claim_next(worker)) is not None:
        order.append(claim.job)
    assert order.index(last) == 5


def test_the_list_of_jobs_is_narrowed_and_costs_the_same_for_many(olga: User, team: Team, worker: WorkerNode) -> None:
    client, url = browser(olga), reverse("rendering:farm_jobs")
    held, other = new_job(team, held=True), new_job(factories.team("Elsewhere"))
    assert {row.job for row in client.get(url).context["rows"]} == {held, other}
    assert [row.job for row in client.get(url, {"state": "held"}).context["rows"]] == [held]
    assert [row.job for row in client.get(url, {"q": "elsewhere"}).context["rows"]] == [other]
    assert [row.job for row in client.get(url, {"team": team.public_id}).context["rows"]] == [held]

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url).status_code == 200
        return len(captured)

    few = queries()
    for _ in range(10):
        new_job(factories.team())
    assert queries() == few <= 15


# Logs


def test_a_log_is_asked_for_what_is_new_alone(olga: User, team: Team, worker: WorkerNode) -> None:
    job, client = new_job(team), browser(olga)
    url = reverse("rendering:farm_job_log", args=[job.public_id])
    assert client.get(url).json() == {"number": 0, "running": True, "end": 0, "text": "", "cut": False}
    token = claimed(job, worker)
    states.write_log(job, worker, "one\n", 4)
    part = client.get(url).json()
    assert (part["number"], part["text"], part["cut"]) == (1, "one\n", True)
    states.write_log(job, worker, "one\ntwo\n", 8)
    part = client.get(url, {"seen": "1", "from": "4"}).json()
    assert (part["text"], part["cut"], part["end"]) == ("two\n", False, 8)
    assert client.get(url, {"seen": "1", "from": "8"}).json()["text"] == ""
    states.write_log(job, worker, "x" * 100, 5000)  # more was written than is kept
    part = client.get(url, {"seen": "1", "from": "8"}).json()
    assert (part["cut"], len(part["text"])) == (True, 100)
    states.fail(job, token, "no_face")
    assert client.get(url, {"seen": "1", "from": "5000"}).json()["running"] is False
    assert client.get(url, {"try": "2"}).status_code == 404


def test_a_tail_reads_a_growing_file_in_pieces_and_counts_what_it_drops(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "LOG_LIMIT", 10)
    path = tmp_path_factory.mktemp("log") / "log"
    with path.open("wb", buffering=0) as writer, path.open("rb") as reader:
        tail = live_log.LogTail(reader.fileno())
        assert not tail.read_on()
        writer.write("größe".encode()[:4])  # in the middle of a letter
        tail.read_on()
        writer.write("größe".encode()[4:] + b" is 12345678")
        assert tail.read_on()
        assert (tail.text, tail.end) == ("s 12345678", 17)
        assert not tail.read_on()


def test_a_teams_makers_read_the_log_of_what_failed_without_the_machines_folders(
    bob: User, victor: User, team: Team, worker: WorkerNode
) -> None:
    job = new_job(team)
    token = claimed(job, worker)
    log = "cannot read /srv/heygem/media/blobs/ab/clip.mp4: 3/4 done, see https://example.org/a/b; cwd:/srv/heygem/now"
    states.write_log(job, worker, log, len(log))
    states.fail(job, token, "bad_media")
    url = reverse("rendering:cell", args=[job.deliverable.public_id])
    page = browser(bob).get(url).content.decode()
    assert "cannot read …/clip.mp4: 3/4 done, see https://example.org/a/b; cwd:…/now" in page
    assert "/srv/" not in page
    assert "cannot read" not in browser(victor).get(url).content.decode()
    api = browser(victor).get(reverse("api:job-attempts", args=[job.public_id])).json()
    assert "/srv/" not in str(api)


# The audit log


def test_the_audit_log_is_found_by_who_what_where_and_when(olga: User, alice: User, team: Team) -> None:
    audit.record(action="job.held", actor=olga, team=team, subject="abc", label="Ada / Greeting", reason="=1+1")
    audit.record(action="team.renamed", actor=alice, team=team, subject=team)
    old = audit.record(action="worker.paused", actor=olga, subject="worker/1", label="box/gpu")
    AuditEvent.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    today = timezone.localdate()
    client, url = browser(olga), reverse("rendering:farm_audit")

    def found(**asked: str) -> list[str]:
        return [event.action for event in client.get(url, asked).context["page_obj"]]

    assert found() == ["worker.paused", "team.renamed", "job.held"]
    assert found(action="job.held") == ["job.held"]
    assert found(actor="alice@") == ["team.renamed"]
    assert found(team="alice") == ["team.renamed", "job.held"]
    assert found(subject="worker/1") == ["worker.paused"]
    assert found(subject="greet") == ["job.held"]
    assert found(since=today.isoformat()) == ["team.renamed", "job.held"]
    assert found(until=(today - timedelta(days=1)).isoformat()) == ["worker.paused"]
    assert found(since="yesterday-ish") == found(until="9999-12-31") == found()
    answer = client.get(reverse("rendering:farm_audit_csv"), {"team": "alice"})
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["action"] for row in rows] == ["team.renamed", "job.held"]
    assert rows[1]["reason"] == "'=1+1"  # no spreadsheet runs it


def test_the_audit_log_tells_what_was_noted_in_words(olga: User, alice: User, team: Team) -> None:
    audit.record(action="webhook.created", actor=alice, team=team, events=["job.failed", "export.ready"])
    audit.record(action="footage.uploaded", actor=alice, team=team, size=2048)
    audit.record(action="member.role_changed", actor=alice, team=team, role="manager", was="viewer")
    was = {"storage_bytes": None, "take_seconds": 60}
    audit.record(action="team.limits_changed", actor=olga, team=team, was=was, storage_bytes=2**30, take_seconds=3)
    audit.record(action="project.script_added", actor=alice, team=team, what="m6jcydm8nx79b2bc", what_label="Greeting")
    presets.create_preset(actor=alice, team=team, name="Lively", backend="exemplar")
    page = unescape(browser(olga).get(reverse("rendering:farm_audit")).content.decode()).replace("\xa0", " ")
    for words in (
        "events: job.failed, export.ready",
        "size: 2.0 KB",
        "role: Manager",
        "before: Viewer",
        "seconds of one take: 60",
        "storage: 1.0 GB",
        "seconds of one take: 3",
        "which: Greeting",
        "way of making the mouth: The presenter's own mouths (exemplar)",
        "even out loudness: no",
    ):
        assert words in page
    assert "m6jcydm8nx79b2bc" not in page


def test_a_workers_page_tells_what_is_known_and_what_is_not(olga: User, team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    states.fail(job, claimed(job, worker), "no_face")
    figures = {"temperature_c": 71, "device_memory_mb": 24576, "device_memory_used_mb": 12288}
    WorkerNode.objects.update(device="L4", engine="1.2", backends=["exemplar", "neural+enhancer"], figures=figures)
    page = browser(olga).get(reverse("rendering:farm_worker", args=[worker.pk])).content.decode()
    for words in ("L4", "71 °C", "12.0 / 24.0 GB", "1.2", "no_face", "unknown"):
        assert words in page
    for language, ways in (
        ("en", ("mouths (exemplar)", "own network (mouth model), enhanced")),
        ("zh-hans", ("出镜人自己的嘴（exemplar）", "由出镜人自己的网络绘制（口型模型），经增强")),
    ):
        page = browser(olga).get(f"/farm/workers/{worker.pk}/", headers={"Accept-Language": language}).content.decode()
        assert all(way in page for way in ways)
    WorkerNode.objects.update(device="cpu", figures={})
    page = browser(olga).get(reverse("rendering:farm_worker", args=[worker.pk])).content.decode()
    assert "Temperature" not in page, "a processor has none to tell of"


def test_of_very_many_workers_those_that_need_eyes_are_shown(
    olga: User, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm_selectors, "WORKERS_LISTED", 2)
    for name in ("a", "b", "c", "d"):
        making.worker(f"{name}/gpu")
    WorkerNode.objects.filter(name="d/gpu").update(failures_in_row=1)
    view = farm_selectors.farm()
    assert [worker.node.name for worker in view.workers] == ["a/gpu", "d/gpu"]
    assert view.more_workers == 2
    page = browser(olga).get(reverse("rendering:farm_workers")).content.decode()
    assert all(f"{name}/gpu" in page for name in "abcd")


def test_numbers_of_a_batch_are_of_jobs_that_count(team: Team, worker: WorkerNode) -> None:
    job = new_job(team)
    states.fail(job, claimed(job, worker), "no_face")
    job.refresh_from_db()
    states.retry(job)
    assert farm_work.batch_numbers(job.batch) == {"queued": 1}
