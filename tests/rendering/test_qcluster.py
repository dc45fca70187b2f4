"""The queue's promises, kept by real django-q2 clusters with an engine that crashes, hangs, runs out and refuses."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.rendering.sites import Site, children, is_running
from tests.sites import Kind, NewSite

pytestmark = [pytest.mark.qcluster]

BOTH = pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])


def done_once(job: dict[str, Any]) -> bool:
    return job["state"] == "succeeded" and job["versions"] == [1] and job["tries"].count("succeeded") == 1


def worker_of(site: Site, name: str) -> int:
    pid: int = site.call("nodes")[name]["pid"]
    return pid


def wait_until_idle(site: Site, name: str) -> int:
    """The number of the worker's process, which by then waits for a ticket."""
    until = time.monotonic() + 20
    while site.call("nodes")[name]["busy"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(0.5)  # it has said so before it begins to wait
    return worker_of(site, name)


def engine_of(worker: int) -> int:
    (pid,) = children(worker)
    return pid


def test_what_kills_hangs_or_exhausts_the_engine_is_tried_three_times_while_the_others_finish(
    new_site: NewSite,
) -> None:
    site = new_site(ENGINE_SILENCE_SECONDS=2)
    bad = {"crash": "engine_crashed", "hang": "engine_hung", "oom": "out_of_memory"}
    ids = dict(zip(bad, site.call("order", team="A", modes=list(bad)), strict=True))
    (no_face,) = site.call("order", team="A", modes=["no_face"])
    good = site.call("order", team="B", modes=["ok"] * 4)
    site.cluster()
    jobs = site.wait_until_all_end()
    for mode, code in bad.items():
        job = jobs[ids[mode]]
        assert (job["state"], job["code"], job["attempts"]) == ("failed", code, 3)
        assert job["tries"] == [f"failed {code}"] * 3
        assert job["versions"] == []
    assert jobs[no_face]["tries"] == ["failed no_face"]
    assert all(done_once(jobs[job]) for job in good)


@pytest.mark.parametrize("command", [["cluster", "gpu"], ["qcluster"]], ids=" ".join)
def test_what_kills_its_worker_is_tried_three_times_while_the_others_finish(
    new_site: NewSite, command: list[str]
) -> None:
    site = new_site()
    (deadly,) = site.call("order", team="A", modes=["hang"])
    good = site.call("order", team="B", modes=["ok"] * 3)
    site.cluster(command=command)
    for attempt in (1, 2, 3):
        site.wait(lambda jobs, n=attempt: jobs[deadly]["state"] == "running" and jobs[deadly]["attempts"] == n)
        os.kill(worker_of(site, jobs_worker(site, deadly)), signal.SIGKILL)
    jobs = site.wait_until_all_end()
    assert (jobs[deadly]["state"], jobs[deadly]["code"]) == ("failed", "worker_lost")
    assert jobs[deadly]["tries"] == ["lost worker_lost"] * 3
    assert all(done_once(jobs[job]) for job in good)


def jobs_worker(site: Site, job: str) -> str:
    name: str = site.job(job)["worker"]
    return name


def test_a_frozen_worker_loses_its_lease_to_another_and_is_refused_when_it_finishes_late(new_site: NewSite) -> None:
    site = new_site(LEASE_SECONDS=3)
    (job,) = site.call("order", team="A", modes=["ok:1.5"])
    site.cluster(WORKER_NAME="one")
    held = site.wait(lambda jobs: jobs[job]["progress"] > 0)[job]
    frozen = worker_of(site, "one/gpu")
    os.kill(frozen, signal.SIGSTOP)
    site.cluster(WORKER_NAME="two")
    until = time.monotonic() + 20
    while not site.call("reap"):
        assert time.monotonic() < until
        time.sleep(0.2)

    def taken_over(jobs: dict[str, Any]) -> bool:
        site.call("reap")  # the frozen worker's cluster takes tickets that it cannot use
        return jobs[job]["state"] == "running" or done_once(jobs[job])

    taken = site.wait(taken_over)[job]
    assert taken["worker"] == "two/gpu"
    assert taken["token"] != held["token"]
    assert site.call("finish_late", job=job, token=held["token"]) == "refused"
    os.kill(frozen, signal.SIGCONT)
    site.wait(lambda jobs: done_once(jobs[job]))
    (after,) = site.call("order", team="A", modes=["ok"])
    jobs = site.wait_until_all_end()
    assert jobs[job]["tries"] == ["lost worker_lost", "succeeded"]
    assert done_once(jobs[job])
    assert done_once(jobs[after])
    assert "lease lost" in site.clusters[0].text()


def test_teams_take_turns_whatever_they_have_queued(new_site: NewSite) -> None:
    site = new_site()
    for team, number in (("A", 8), ("B", 2), ("C", 2)):
        site.call("order", team=team, modes=["ok:0.01"] * number)
    site.cluster()
    site.wait_until_all_end()
    assert site.call("starts") == "A B C A B C A A A A A A"


@BOTH
def test_restarting_everything_in_mid_batch_loses_and_doubles_nothing(new_site: NewSite, kind: Kind) -> None:
    site = new_site(kind)
    ids = site.call("order", team="A", modes=["ok:0.25"] * 12)

    def half_way(number: int) -> None:
        site.wait(
            lambda jobs: (
                sum(done_once(job) for job in jobs.values()) >= number
                and any(job["state"] == "running" for job in jobs.values())
            )
        )

    for name in ("worker", "gpu"):
        site.cluster(name)
    half_way(2)
    for cluster in site.clusters:
        assert cluster.stop() < 10
    assert all(job["state"] in ("queued", "succeeded") for job in site.jobs().values())
    site.cluster("gpu")
    half_way(5)
    for cluster in site.clusters:
        cluster.kill()
    site.cluster("gpu")
    site.cluster("gpu", WORKER_NAME="another")
    half_way(8)
    site.call("deliver_again")
    jobs = site.wait_until_all_end()
    assert set(jobs) == set(ids)
    assert [job for job in jobs.values() if not done_once(job)] == []
    assert sum("lost worker_lost" in job["tries"] for job in jobs.values()) <= 1


def test_stopping_a_cluster_gives_its_job_back_without_counting_the_attempt(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["hang"])
    cluster = site.cluster("gpu", Q_CLUSTER_NAME="")  # the command finds its way without
    site.wait(lambda jobs: jobs[job]["progress"] > 0)
    engine = engine_of(worker_of(site, site.job(job)["worker"]))
    assert cluster.stop() < 8
    assert not is_running(engine)
    assert (site.job(job)["state"], site.job(job)["attempts"]) == ("queued", 0)


def test_a_cluster_that_is_asked_to_finish_ends_with_the_job_it_has_and_begins_no_other(new_site: NewSite) -> None:
    site = new_site()
    (first,) = site.call("order", team="A", modes=["ok:3"])
    cluster = site.cluster()
    site.wait(lambda jobs: jobs[first]["progress"] > 0)
    (second,) = site.call("order", team="A", modes=["ok"])
    os.kill(cluster.pid, signal.SIGQUIT)
    cluster.process.wait(20)
    assert done_once(site.job(first))
    assert (site.job(second)["state"], site.job(second)["attempts"]) == ("queued", 0)


def test_a_cluster_that_finishes_may_still_be_stopped_at_once(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["hang"])
    cluster = site.cluster()
    site.wait(lambda jobs: jobs[job]["progress"] > 0)
    os.kill(cluster.pid, signal.SIGQUIT)
    time.sleep(0.5)
    assert cluster.process.poll() is None
    assert cluster.stop() < 8
    assert (site.job(job)["state"], site.job(job)["attempts"]) == ("queued", 0)


def test_cancelling_a_silent_job_stops_its_engine_within_about_a_second(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["hang"])
    site.cluster()
    site.wait(lambda jobs: jobs[job]["progress"] > 0)
    engine = engine_of(worker_of(site, site.job(job)["worker"]))
    began = time.monotonic()
    assert site.call("cancel", job=job)
    while is_running(engine):
        assert time.monotonic() - began < 2
        time.sleep(0.02)
    site.wait(lambda jobs: jobs[job]["state"] == "cancelled")
    assert site.job(job)["tries"] == ["cancelled"]


def test_an_idle_worker_that_is_killed_does_not_stop_its_cluster(new_site: NewSite) -> None:
    site = new_site()
    cluster = site.cluster()
    (first,) = site.call("order", team="A", modes=["ok"])
    site.wait(lambda jobs: done_once(jobs[first]))
    idle = wait_until_idle(site, site.job(first)["worker"])
    engine = engine_of(idle)
    os.kill(idle, signal.SIGKILL)
    (second,) = site.call("order", team="A", modes=["ok"])
    site.wait(lambda jobs: done_once(jobs[second]))
    assert cluster.process.poll() is None
    assert not is_running(engine)


def test_a_cluster_whose_main_process_is_killed_leaves_no_orphans(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["hang"])
    cluster = site.cluster()
    site.wait(lambda jobs: jobs[job]["progress"] > 0)
    family = children(cluster.pid)
    assert len(family) >= 5
    os.kill(cluster.pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while any(is_running(pid) for pid in family):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_plain_qcluster_that_is_stuck_is_noticed(new_site: NewSite) -> None:
    site = new_site()
    site.cluster(command=["qcluster"])
    (first,) = site.call("order", team="A", modes=["ok"])
    site.wait(lambda jobs: done_once(jobs[first]))
    idle = wait_until_idle(site, site.job(first)["worker"])
    assert site.call("stuck", after_s=1) == []
    os.kill(idle, signal.SIGKILL)
    site.call("order", team="A", modes=["ok"] * 5)
    until = time.monotonic() + 20
    while site.call("stuck", after_s=1) != ["gpu"]:
        assert time.monotonic() < until
        time.sleep(0.3)


def test_a_job_waits_for_the_analysis_of_its_footage(new_site: NewSite) -> None:
    site = new_site()
    job = site.call("footage_waits")
    site.cluster("gpu")
    time.sleep(2)
    assert site.job(job)["state"] == "queued"
    site.cluster("worker")
    site.wait(lambda jobs: done_once(jobs[job]))


@BOTH
def test_web_processes_and_two_clusters_never_lock_each_other_out(new_site: NewSite, kind: Kind) -> None:
    site = new_site(kind)
    for name in ("worker", "gpu"):
        site.cluster(name)
    counts = site.call("write_for", seconds=4, threads=4)
    assert counts["locked"] == 0
    assert counts["writes"] > 20
    site.wait_until_all_end(60)
    assert "locked" not in site.logs()
    assert "Traceback" not in site.logs()
