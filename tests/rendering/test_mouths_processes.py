"""Mouth models learnt by real clusters, whose workers are killed, stopped and wanted elsewhere meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.rendering.sites import Site, children, is_running
from tests.sites import NewSite

pytestmark = [pytest.mark.qcluster]


def until(site: Site, model: str, what: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Until ``what`` is true of the mouth model; how it is then."""
    last = time.monotonic() + 40
    while not what(row := site.call("mouth_model", model=model)):
        assert time.monotonic() < last, f"waited in vain: {row}\n{site.logs()}"
        time.sleep(0.05)
    return dict(row)


def is_ready(row: dict[str, Any]) -> bool:
    return row["state"] == "ready"


def test_one_whose_worker_is_killed_goes_on_from_its_checkpoint_at_once(new_site: NewSite) -> None:
    site = new_site(MOUTHS_CHECKPOINT_SECONDS=1)
    model = site.call("teach", mode="ok:9")  # a step of the training takes .3 s
    site.cluster()
    row = until(site, model, lambda row: row["checkpoint_step"] >= 2)
    worker = site.call("nodes")[row["worker"]]["pid"]
    (engine,) = children(worker)
    os.kill(worker, signal.SIGKILL)
    done = until(site, model, is_ready)
    assert not is_running(engine)
    assert done["figures"]["begun"] >= row["checkpoint_step"]


def test_one_gives_way_to_a_render_and_is_stopped_within_about_a_second(new_site: NewSite) -> None:
    site = new_site()
    model = site.call("teach", mode="ok:60")
    site.cluster()
    until(site, model, lambda row: row["stage"] == "collect")
    (job,) = site.call("order", team="T", modes=["ok"])
    site.wait(lambda jobs: jobs[job]["state"] == "succeeded")
    row = until(site, model, lambda row: row["state"] == "running" and row["stage"])
    assert row["attempts"] == 1
    (engine,) = children(site.call("nodes")[row["worker"]]["pid"])
    began = time.monotonic()
    site.call("stop_teaching", model=model)
    while is_running(engine):
        assert time.monotonic() - began < 3
        time.sleep(0.02)
    assert site.call("mouth_model", model=model)["code"] == "cancelled"
