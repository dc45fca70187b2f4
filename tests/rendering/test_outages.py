"""The database goes away while clusters work, wait and claim. It is a server of their own, which no other needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Server, binaries, free_port, running
from tests.rendering.sites import ROOT, Site, environment, manage
from tests.rendering.test_qcluster import done_once, worker_of

pytestmark = [pytest.mark.qcluster, pytest.mark.postgres]
LEASE = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL's server binaries are not on this machine (Debian: postgresql)")
    with running(found, keeps=True) as server:
        url = server.new_database("migrated")
        manage(environment(tmp_path_factory.mktemp("migrated"), url), "migrate", "--verbosity=0")
        yield server


@pytest.fixture
def site(server: Server, tmp_path: Path) -> Iterator[Site]:
    url = server.new_database(f"site{time.monotonic_ns()}", "migrated")
    site = Site(tmp_path, url, LEASE_SECONDS=LEASE)
    yield site
    site.close()


def restart(server: Server, *, away_s: float = 2.0) -> None:
    """As after a crash: no connection is said good-bye to."""
    server.stop("immediate")
    time.sleep(away_s)
    server.start_again()


def started_once(site: Site) -> bool:
    """No cluster has had to start its processes again."""
    return "starts afresh" not in site.logs() and all(cluster.process.poll() is None for cluster in site.clusters)


def only_successes(job: dict[str, Any]) -> bool:
    return done_once(job) and job["tries"] == ["succeeded"] and job["attempts"] == 1


def test_a_render_goes_on_while_the_database_restarts(site: Site, server: Server) -> None:
    long, *others = site.call("order", team="A", modes=["ok:5", "ok:0.05", "ok:0.05"])
    site.cluster()
    site.wait(lambda jobs: jobs[long]["progress"] > 5)
    worker = worker_of(site, site.job(long)["worker"])
    restart(server)
    jobs = site.wait_until_all_end()
    assert all(only_successes(jobs[job]) for job in (long, *others)), f"{jobs}\n{site.logs()}"
    assert worker_of(site, jobs[long]["worker"]) == worker
    assert "the database is away" in site.logs()
    assert started_once(site)


def test_a_video_that_is_finished_while_the_database_is_away_is_handed_in_when_it_is_back(
    site: Site, server: Server
) -> None:
    (job,) = site.call("order", team="A", modes=["ok:2"])
    site.cluster()
    site.wait(lambda jobs: jobs[job]["progress"] > 5)
    restart(server, away_s=5)
    jobs = site.wait_until_all_end()
    assert only_successes(jobs[job]), f"{jobs}\n{site.logs()}"
    assert started_once(site)


def test_an_analysis_goes_on_while_the_database_restarts(site: Site, server: Server) -> None:
    footage = site.call("footage", mode="ok:4")
    site.cluster("worker")
    until = time.monotonic() + 30
    while not site.call("material", footage=footage)["progress"]:
        assert time.monotonic() < until, site.logs()
        time.sleep(0.1)
    restart(server)
    while (found := site.call("material", footage=footage))["state"] == "running":
        assert time.monotonic() < until, site.logs()
        time.sleep(0.1)
    assert (found["state"], found["attempts"]) == ("ready", 1)
    assert started_once(site)


def test_idle_clusters_work_again_when_the_database_is_back(site: Site, server: Server) -> None:
    for name in ("worker", "gpu"):
        site.cluster(name)
    (before,) = site.call("order", team="A", modes=["ok"])
    site.wait(lambda jobs: done_once(jobs[before]))
    restart(server)
    site.call("jobs")
    (after,) = site.call("order", team="A", modes=["ok"])
    site.wait(lambda jobs: only_successes(jobs[after]))
    assert started_once(site)


def test_a_cluster_that_starts_while_the_database_is_away_waits_for_it(site: Site, server: Server) -> None:
    (job,) = site.call("order", team="A", modes=["ok"])
    server.stop("immediate")
    site.cluster()
    time.sleep(4)
    server.start_again()
    site.wait(lambda jobs: only_successes(jobs[job]))
    assert started_once(site)


def test_claims_that_the_database_cuts_short_lose_and_double_nothing(site: Site, server: Server) -> None:
    ids = site.call("order", team="A", modes=["ok:0.1"] * 40)
    for name in ("one", "two"):
        site.cluster("gpu", WORKER_NAME=name)
    site.wait(lambda jobs: sum(done_once(job) for job in jobs.values()) >= 3)
    for _ in range(3):
        restart(server, away_s=0.2)
        time.sleep(2)

    def all_end(jobs: dict[str, Any]) -> bool:
        # Nobody may have heard that a claim was committed: its job is free again when the lease is over.
        site.call("reap")
        return all(job["state"] in ("succeeded", "failed", "cancelled") for job in jobs.values())

    jobs = site.wait(all_end, 90)
    assert set(jobs) == set(ids)
    assert [job for job in jobs.values() if not done_once(job)] == []
    told = {outcome for job in jobs.values() for outcome in job["tries"]}
    assert told <= {"succeeded", "returned", "lost worker_lost"}, told
    assert started_once(site)


def test_a_render_goes_on_while_the_database_says_nothing(site: Site, server: Server) -> None:
    (job,) = site.call("order", team="A", modes=["ok:4"])
    site.cluster()
    site.wait(lambda jobs: jobs[job]["progress"] > 5)
    server.signal(signal.SIGSTOP)
    try:
        time.sleep(6)
    finally:
        server.signal(signal.SIGCONT)
    jobs = site.wait_until_all_end()
    assert only_successes(jobs[job]), f"{jobs}\n{site.logs()}"
    assert started_once(site)


def test_a_host_that_is_cut_off_loses_its_job_and_publishes_nothing_late(server: Server, tmp_path: Path) -> None:
    url = server.new_database(f"site{time.monotonic_ns()}", "migrated")
    site = Site(tmp_path, url, LEASE_SECONDS=4)
    port = free_port()
    line = subprocess.Popen(
        [sys.executable, "-m", "tests.rendering.frozen_line", str(port), str(server.port)], cwd=ROOT
    )
    try:
        (job,) = site.call("order", team="A", modes=["ok:3"])
        far = site.cluster(WORKER_NAME="far", DATABASE_URL=url.replace(f":{server.port}/", f":{port}/"))
        site.wait(lambda jobs: jobs[job]["progress"] > 5)
        os.kill(line.pid, signal.SIGSTOP)
        site.cluster(WORKER_NAME="near")

        def finished_elsewhere(jobs: dict[str, Any]) -> bool:
            site.call("reap")
            return done_once(jobs[job])

        site.wait(finished_elsewhere)
        os.kill(line.pid, signal.SIGCONT)
        until = time.monotonic() + 30
        while "lease lost" not in far.text():
            assert time.monotonic() < until, far.text()
            time.sleep(0.1)
        found = site.job(job)
        assert (found["tries"], found["worker"]) == (["lost worker_lost", "succeeded"], "near/gpu")
        (after,) = site.call("order", team="A", modes=["ok"])
        site.wait(lambda jobs: done_once(jobs[after]))
    finally:
        os.kill(line.pid, signal.SIGCONT)
        line.terminate()
        line.wait()
        site.close()
