"""What operators ask of workers, obeyed by real clusters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.rendering.sites import Site, children, is_running
from tests.sites import NewSite

pytestmark = [pytest.mark.qcluster]


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    """What it says when it is true at last."""
    end = time.monotonic() + seconds
    while not (said := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return said


def node(site: Site, name: str = "one/gpu") -> dict[str, Any]:
    found: dict[str, Any] = site.call("nodes")[name]
    return found


def renders(job: str) -> Callable[[dict[str, Any]], bool]:
    return lambda jobs: bool(jobs[job]["state"] == "running" and jobs[job]["progress"])


def test_a_worker_restarts_after_its_job_or_at_once_and_when_it_is_idle(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["ok:1.5"])
    site.cluster(WORKER_NAME="one")
    site.wait(renders(job))
    first = node(site)["pid"]
    site.call("steer", worker="one/gpu", act="restart")
    jobs = site.wait_until_all_end()
    assert jobs[job]["tries"] == ["succeeded"]
    second = until(lambda: (pid := node(site)["pid"]) != first and pid)
    assert not is_running(first)

    site.call("steer", worker="one/gpu", act="restart")  # now it is idle
    third = until(lambda: (pid := node(site)["pid"]) != second and pid)

    (job,) = site.call("order", team="A", modes=["ok:3"])
    site.wait(renders(job))
    site.call("steer", worker="one/gpu", act="restart", at_once=True)
    until(lambda: node(site)["pid"] != third)
    jobs = site.wait_until_all_end()
    assert jobs[job]["tries"] == ["returned", "succeeded"]
    assert jobs[job]["attempts"] == 1
    assert node(site)["asked"] == ""


def test_a_worker_that_is_paused_or_stopped_at_once_gives_its_job_back(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["ok:2"])
    site.cluster(WORKER_NAME="one")
    site.wait(renders(job))
    before = node(site)
    (engine,) = children(before["pid"])
    site.call("steer", worker="one/gpu", act="paused", at_once=True)
    site.wait(lambda jobs: jobs[job]["state"] == "queued")
    until(lambda: not is_running(engine) and not node(site)["busy"])
    assert node(site) == {**before, "state": "paused", "busy": False}
    site.call("steer", worker="one/gpu", act="active")
    site.wait(renders(job))
    site.call("steer", worker="one/gpu", act="stopped", at_once=True)
    after = until(lambda: (now := node(site))["pid"] != before["pid"] and now)
    assert after["state"] == "stopped"
    assert children(after["pid"]) == []  # its engine holds no device
    assert site.job(job)["state"] == "queued"
    site.call("steer", worker="one/gpu", act="active")
    jobs = site.wait_until_all_end()
    assert jobs[job]["tries"] == ["returned", "returned", "succeeded"]


def test_a_job_taken_from_its_worker_goes_to_another(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["ok:6"])  # longer than the second machine takes to start
    site.cluster(WORKER_NAME="one")
    site.wait(renders(job))
    site.cluster(WORKER_NAME="two")
    until(lambda: "two/gpu" in site.call("nodes"))
    assert site.call("requeue", job=job)
    jobs = site.wait_until_all_end()
    assert jobs[job]["tries"] == ["returned", "succeeded"]
    assert jobs[job]["worker"] == "two/gpu"


def test_an_analysis_is_given_back_when_its_worker_is_drained_at_once(new_site: NewSite) -> None:
    site = new_site()
    footage = site.call("footage", mode="ok:3")
    site.cluster("worker", WORKER_NAME="one")
    until(lambda: site.call("footage_state", footage=footage)["state"] == "running")
    site.call("steer", worker="one/worker", act="draining", at_once=True)
    waits = until(lambda: (now := site.call("footage_state", footage=footage))["state"] == "waiting" and now)
    assert waits["attempts"] == 0
    site.call("steer", worker="one/worker", act="active")
    until(lambda: site.call("footage_state", footage=footage)["state"] == "ready")


def test_the_log_of_a_running_job_is_read_while_it_runs_and_stays(new_site: NewSite) -> None:
    site = new_site()
    (job,) = site.call("order", team="A", modes=["ok:5"])
    site.cluster()
    early = until(lambda: site.call("log_of", job=job))
    assert "render begins" in early["log"]
    assert early["outcome"] == "running"
    site.wait_until_all_end()
    late = site.call("log_of", job=job)
    assert late["log"].startswith(early["log"])
    assert "render done in" in late["log"]
    assert late["end"] == len(late["log"])
