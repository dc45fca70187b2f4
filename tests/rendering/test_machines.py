"""Several machines, one queue: a batch spreads over all of them, and a machine that is lost costs what it ran."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rendering.test_qcluster import done_once
from tests.sites import NewSite

pytestmark = [pytest.mark.qcluster, pytest.mark.postgres]
NAMES = ("one", "two", "three")


def test_a_batch_spreads_over_all_machines_and_one_that_is_lost_costs_its_running_jobs_attempt(
    new_site: NewSite,
) -> None:
    site = new_site("postgres", LEASE_SECONDS=3)
    ids = site.call("order", team="A", modes=["ok:0.6"] * 24)
    machines = {name: site.cluster("gpu", WORKER_NAME=name) for name in NAMES}

    def everybody_works(jobs: dict[str, dict[str, Any]]) -> bool:
        return {job["worker"] for job in jobs.values() if job["state"] == "running"} == {f"{n}/gpu" for n in NAMES}

    site.wait(everybody_works)
    machines["two"].kill()
    running = {public_id: job for public_id, job in site.jobs().items() if job["state"] == "running"}
    lost = {public_id for public_id, job in running.items() if job["worker"] == "two/gpu"}

    def all_done(jobs: dict[str, dict[str, Any]]) -> bool:
        site.call("reap")
        return all(done_once(job) for job in jobs.values())

    jobs = site.wait(all_done, 90)
    assert set(jobs) == set(ids)
    told = {public_id: job["tries"] for public_id, job in jobs.items() if job["tries"] != ["succeeded"]}
    assert set(told) == lost, "jobs of the other machines never noticed"
    assert len(lost) <= 1
    assert all(tries == ["lost worker_lost", "succeeded"] for tries in told.values())
    others = [job["worker"] for public_id, job in jobs.items() if public_id not in lost]
    assert min(others.count("one/gpu"), others.count("three/gpu")) >= 4
