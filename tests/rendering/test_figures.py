"""How a machine stands, as its workers' rows say it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from rendering import workers
from rendering.execution import figures
from rendering.models import WorkerNode
from tests.sites import NewSite

SMI = """#!/bin/sh
echo "$@" >> {log}
echo "81559, 1234, 41, [N/A]"
echo "81559, 0, 35, 0"
"""


def a_device(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = folder / "nvidia-smi"
    command.write_text(script)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_memory_processor_and_disk_are_told_in_plain_units() -> None:
    told = figures.Sampler().sample()
    assert 0 < told["memory_used_mb"] <= told["memory_total_mb"]
    assert told["disk_free_mb"] >= 0
    assert 0 <= told.get("cpu_percent", 0) <= 100


def test_the_first_graphics_device_is_asked_and_what_it_does_not_know_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_device(tmp_path, monkeypatch, SMI.format(log=tmp_path / "asked"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert figures.device() == {"device_memory_mb": 81559, "device_memory_used_mb": 1234, "temperature_c": 41}
    assert f"--query-gpu={figures.ASK}" in (tmp_path / "asked").read_text()
    assert "--id" not in (tmp_path / "asked").read_text()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    figures.device()
    assert "--id=3" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 9\n", "#!/bin/sh\necho no devices were found\n"])
def test_a_driver_that_does_not_answer_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    a_device(tmp_path, monkeypatch, script)
    assert figures.device() == {}


@pytest.mark.django_db
def test_a_heartbeat_is_that_of_the_clusters_own_processes(settings: Settings) -> None:
    settings.WORKER_NAME = "box"
    ours, _ = workers.register("gpu")
    long_ago = timezone.now() - timedelta(hours=1)
    known = {"host": "box", "cluster": "gpu", "pid": 0}
    dead = WorkerNode.objects.create(name="box/gpu#2", last_seen_at=long_ago, **known)
    WorkerNode.objects.filter(pk=ours.pk).update(last_seen_at=long_ago)
    workers.beat_here("gpu", {"load": 0.5, "device_memory_mb": 8000.0})
    for node in (ours, dead):
        node.refresh_from_db()
    assert (ours.figures, ours.device_memory_mb) == ({"load": 0.5, "device_memory_mb": 8000.0}, 8000)
    assert ours.last_seen_at is not None
    assert ours.last_seen_at > long_ago
    assert (dead.last_seen_at, dead.figures) == (long_ago, {})


@pytest.mark.qcluster
def test_a_cluster_without_work_is_heard_of_all_the_same(new_site: NewSite) -> None:
    site = new_site()
    site.cluster("worker", WORKER_NAME="box")
    heard = site.call("heard", worker="box/worker", within_s=30)
    assert heard["version"]
    assert heard["engine"]
    assert heard["memory_total_mb"] > 0
    assert heard["again"], "and again"
