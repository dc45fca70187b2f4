"""What monitoring is told: readiness part by part, numbers that Prometheus can read, rules that name what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from heygem_site import health, http_metrics
from heygem_site import metrics as site_metrics
from projects.models import Team
from projects.services import disk
from rendering import states
from rendering.models import RenderAttempt, StorageSample, Tally, WorkerNode
from rendering.selectors import numbers
from rendering.services import tally
from tests import factories
from tests.cast import browser
from tests.postgres import free_port
from tests.rendering import making
from tests.rendering.work import claimed, finished, new_job

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a token for Prometheus alone"


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    health.look.forget()
    site_metrics.read.forget()
    yield
    health.look.forget()
    site_metrics.read.forget()
    health.migrations.are_made = False


@pytest.fixture
def crew(db: None) -> list[WorkerNode]:
    """One worker of each cluster, heard of just now."""
    now = timezone.now()
    return [
        WorkerNode.objects.create(name=f"box/{cluster}", host="box", cluster=cluster, last_seen_at=now)
        for cluster in ("worker", "gpu")
    ]


def ready(**query: str) -> tuple[int, dict[str, str]]:
    health.look.forget()
    answer = Client().get("/readyz", query)
    return answer.status_code, answer.json()


def scrape() -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, which are in the order of their names."""
    site_metrics.read.forget()
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.content.decode())
    samples = (sample for family in families for sample in family.samples)
    return {
        (sample.name, *(value for _label, value in sorted(sample.labels.items()))): sample.value for sample in samples
    }


# Readiness


def test_a_whole_installation_is_ready(crew: list[WorkerNode]) -> None:
    parts = dict.fromkeys(("database", "migrations", "storage", "workers", "queue"), "ok")
    assert ready() == (200, {"status": "ready", **parts})
    assert ready(whole="yes")[0] == 200


def test_a_cluster_that_is_away_is_told_and_takes_no_web_host_out(crew: list[WorkerNode]) -> None:
    WorkerNode.objects.filter(cluster="gpu").update(last_seen_at=timezone.now() - timedelta(hours=1))
    status, parts = ready()
    assert (status, parts["status"], parts["workers"]) == (200, "degraded", "away")
    assert ready(whole="yes")[0] == 503


def test_a_full_disk_is_told_and_still_shows_what_is_there(crew: list[WorkerNode], settings: Settings) -> None:
    settings.DISK_KEEP_FREE_BYTES = disk.space().free * 2
    status, parts = ready()
    assert (status, parts["status"], parts["storage"]) == (200, "degraded", "full")


def test_a_lost_media_folder_is_503(crew: list[WorkerNode], settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "unmounted"
    status, parts = ready()
    assert (status, parts["status"], parts["storage"]) == (503, "unready", "away")


def test_a_database_that_waits_for_migrations_is_503(crew: list[WorkerNode]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'rendering' AND name LIKE '0003%%'")
    status, parts = ready()
    assert (status, parts["migrations"], parts["workers"]) == (503, "waiting", "unknown")


def test_a_database_that_is_away_is_503(crew: list[WorkerNode], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise DatabaseError("away")

    monkeypatch.setattr(health.migrations, "word", fail)
    status, parts = ready()
    assert (status, parts["database"]) == (503, "away")


def test_tickets_that_nobody_takes_are_a_queue_that_stands_still(crew: list[WorkerNode], team: Team) -> None:
    new_job(team)
    OrmQ.objects.all().delete()
    assert ready()[1]["queue"] == "ok"
    OrmQ.objects.create(key="gpu", payload="-", lock=timezone.now() - timedelta(minutes=5))
    assert ready()[1]["queue"] == "stuck"
    WorkerNode.objects.filter(cluster="gpu").update(state="paused")  # somebody wanted it so
    assert ready()[1]["queue"] == "ok"


def test_a_job_without_a_ticket_is_noticed(crew: list[WorkerNode], team: Team) -> None:
    job = new_job(team)
    OrmQ.objects.all().delete()
    type(job).objects.update(not_before=timezone.now() - timedelta(hours=1))
    assert ready()[1]["queue"] == "stuck"


def test_readiness_is_looked_at_once_in_a_while_however_many_ask(crew: list[WorkerNode]) -> None:
    Client().get("/readyz")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(5):
            Client().get("/readyz")
    assert not queries.captured_queries


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_load_balancer_asks_by_any_name_and_plainly(db: None, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


# Numbers


@pytest.fixture
def prometheus(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN


def test_only_a_token_or_an_operator_sees_the_numbers(db: None, alice: User, settings: Settings) -> None:
    olga = factories.user("olga", is_staff=True)
    given = {"Authorization": f"Bearer {TOKEN}"}
    assert Client().get("/metrics", headers=given).status_code == 404
    assert Client().get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    settings.METRICS_TOKEN = TOKEN
    assert Client().get("/metrics").status_code == 404
    assert browser(alice).get("/metrics").status_code == 404
    assert Client().get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    assert Client().get("/metrics", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 404
    assert browser(olga).get("/metrics").status_code == 200
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/metrics", headers={**given, "Host": "10.1.2.3"}).status_code == 200


def test_the_numbers_are_those_of_the_database(prometheus: None, team: Team, crew: list[WorkerNode]) -> None:
    gpu = crew[1]
    waits = [new_job(team) for _ in range(3)]
    states.hold(waits[0])
    done, lost, refused = (new_job(team) for _ in range(3))
    states.succeed(done, claimed(done, gpu), finished(done, seconds={"compose": 4.0, "encode": 70.0}))
    states.fail(lost, claimed(lost, gpu), "out_of_memory", kind="transient")
    states.fail(refused, claimed(refused, gpu), "no_face")
    type(lost).objects.filter(pk=waits[1].pk).update(created_at=timezone.now() - timedelta(hours=2))
    WorkerNode.objects.filter(pk=gpu.pk).update(failures_in_row=2, state="draining")
    StorageSample.objects.create(day=date(2026, 1, 1), team=team, kind="footage", size=1)
    StorageSample.objects.create(day=date(2026, 1, 2), team=team, kind="footage", size=2000)
    assert tally.advance() == 3
    found = scrape()
    name = team.public_id
    assert found["heygem_jobs", "queued", name] == 3
    assert found["heygem_jobs", "held", name] == 1
    assert ("heygem_jobs", "running", name) not in found
    assert 7200 <= found["heygem_job_oldest_age_seconds", "queued", name] < 7300
    assert found["heygem_attempts_total", "succeeded"] == 1
    assert found["heygem_attempts_total", "failed"] == 2
    assert found["heygem_attempts_total", "lost"] == 0
    assert found["heygem_attempt_failures_total", "out_of_memory"] == 1
    assert found["heygem_attempt_failures_total", "no_face"] == 1
    assert found["heygem_stage_seconds_sum", "exemplar", "encode"] == 70.0
    assert found["heygem_stage_seconds_count", "exemplar", "compose"] == 1
    assert found["heygem_stage_seconds_bucket", "exemplar", "60.0", "encode"] == 0
    assert found["heygem_stage_seconds_bucket", "exemplar", "120.0", "encode"] == 1
    assert found["heygem_workers_heard", "gpu"] == 1
    assert found["heygem_worker_state", "gpu", "draining", "box/gpu"] == 1
    assert found["heygem_worker_state", "gpu", "active", "box/gpu"] == 0
    assert found["heygem_worker_failures_in_row", "gpu", "box/gpu"] == 2
    assert found["heygem_worker_heartbeat_age_seconds", "gpu", "box/gpu"] < 60
    assert found["heygem_storage_bytes", "footage", name] == 2000
    assert found["heygem_tickets_waiting", "gpu"] == OrmQ.objects.filter(key="gpu", lock__lte=timezone.now()).count()
    assert found[("heygem_database_up",)] == 1
    assert found[("heygem_disk_free_bytes",)] > 0


def test_an_attempt_is_counted_once_and_stays_counted(prometheus: None, team: Team, crew: list[WorkerNode]) -> None:
    job = new_job(team)
    states.fail(job, claimed(job, crew[1]), "no_face")
    claimed(new_job(team), crew[1])  # has not ended
    assert (tally.advance(), tally.advance()) == (1, 0)
    RenderAttempt.objects.all().delete()
    assert tally.advance() == 0
    assert scrape()["heygem_attempt_failures_total", "no_face"] == 1


def test_more_than_a_chunk_is_counted_at_once(
    team: Team, crew: list[WorkerNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "CHUNK", 2)
    job, now = new_job(team), timezone.now()
    RenderAttempt.objects.bulk_create(
        RenderAttempt(job=job, number=number, outcome="lost", error_code="worker_lost", ended_at=now)
        for number in range(1, 6)
    )
    assert tally.advance() == 5
    assert Tally.objects.get(first="lost").number == 5


def test_requests_are_counted_by_route_and_never_by_address(prometheus: None, alice: User, team: Team) -> None:
    before = scrape()
    client = browser(alice)
    for _ in range(3):
        assert client.get(reverse("projects:presenters", args=[team.public_id])).status_code == 200
    Client().get("/no/such/page/1")
    Client().get("/no/such/page/2")
    found = scrape()

    def more(*sample: str) -> float:
        return found.get(sample, 0.0) - before.get(sample, 0.0)

    assert more("heygem_http_requests_total", "GET", "projects:presenters", "200") == 3
    assert more("heygem_http_request_seconds_count", "GET", "projects:presenters") == 3
    assert more("heygem_http_requests_total", "GET", "none", "404") == 2
    assert not any(team.public_id in label for sample in found for label in sample if "http" in sample[0])


def test_the_number_of_queries_does_not_grow(prometheus: None, team: Team, crew: list[WorkerNode]) -> None:
    def asked() -> int:
        site_metrics.read.forget()
        with CaptureQueriesContext(connection) as queries:
            site_metrics.read()
        return len(queries)

    few = asked()
    for number in range(5):
        other = factories.team(f"Team {number}")
        new_job(other)
        StorageSample.objects.create(day=date(2026, 1, 1), team=other, kind="takes", size=1)
    assert asked() <= few + 1  # the samples of the day, once there is one
    assert few <= 9


def test_teams_beyond_the_most_are_told_together(
    prometheus: None, monkeypatch: pytest.MonkeyPatch, crew: list[WorkerNode]
) -> None:
    monkeypatch.setattr(numbers, "MOST_TEAMS", 1)
    large, *small = (factories.team() for _ in range(3))
    for team in (large, large, *small):
        new_job(team)
    found = {sample: value for sample, value in scrape().items() if sample[0] == "heygem_jobs"}
    assert found == {
        ("heygem_jobs", "queued", large.public_id): 2,
        ("heygem_jobs", "queued", "other"): 2,
    }


def test_a_database_that_is_away_leaves_the_rest_to_be_told(
    prometheus: None, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(site_metrics, "numbers", fail)
    found = scrape()
    assert found[("heygem_database_up",)] == 0
    assert not any(sample[0] == "heygem_jobs" for sample in found)


def test_two_web_processes_add_up(tmp_path: Path) -> None:
    """Gunicorn as in the Procfile: whichever process is asked tells of both."""
    port = free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PROMETHEUS_"))},
        "SECRET_KEY": "a key for tests alone: " + "0123456789abcdef" * 3,
        "HEYGEM_VAR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "MEDIA_ROOT": str(tmp_path),
        "METRICS_TOKEN": TOKEN,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    line = next(line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:"))
    words = re.sub(r"\$(\w+)", lambda match: env[match[1]], line.partition(":")[2]).split()
    with subprocess.Popen(words, cwd=ROOT, env=env) as server:
        try:
            asked, until = 1, time.monotonic() + 30
            _asked(port, "/healthz")
            while len(list(tmp_path.glob("metrics/*/counter_*.db"))) < 2 and time.monotonic() < until:
                with ThreadPoolExecutor(16) as many:  # one process alone would not be asked by so many at once
                    asked += len(list(many.map(lambda _: _asked(port, "/healthz"), range(32))))
            texts = [_asked(port, "/metrics") for _ in range(8)]
        finally:
            server.terminate()
    counts = [
        sample.value
        for text in texts
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "heygem_http_requests_total" and sample.labels["route"] == "healthz"
    ]
    assert counts == [asked] * 8
    assert len(list(tmp_path.glob("metrics/*/counter_*.db"))) == 2, "both processes should have answered"


def _asked(port: int, path: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())
        except OSError:
            assert time.monotonic() < until, "the site did not come up"
            time.sleep(0.2)


def test_numbers_of_servers_that_are_gone_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEYGEM_VAR", str(tmp_path))
    monkeypatch.delenv(http_metrics.FOLDER, raising=False)
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    gone, elsewhere = tmp_path / "metrics" / "box.99999999", tmp_path / "metrics" / "other.99999999"
    gone.mkdir(parents=True)
    elsewhere.mkdir()
    http_metrics.share()
    assert os.environ[http_metrics.FOLDER] == str(tmp_path / "metrics" / f"box.{os.getppid()}")
    monkeypatch.delenv(http_metrics.FOLDER)
    assert not gone.exists()
    assert elsewhere.exists()


# Rules


def rules() -> list[dict[str, Any]]:
    kept = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in kept["groups"] for rule in group["rules"]]


def test_the_rules_name_only_numbers_that_there_are(prometheus: None, team: Team, crew: list[WorkerNode]) -> None:
    job = new_job(team)
    states.fail(job, claimed(job, crew[1]), "no_face")
    new_job(team)
    making.worker()
    tally.advance()
    Client().get("/healthz")
    there = {sample[0] for sample in scrape()} | {"up"}
    named = {word for rule in rules() for word in re.findall(r"\b(?:heygem_\w+|up)\b", rule["expr"])}
    assert named <= there
    assert len(named) > 10


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    assert len(rules()) > 8
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule
        assert set(rule["annotations"]) == {"summary", "remedy"}, rule
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["expr"].count("(") == rule["expr"].count(")")
