"""What those who keep clusters running are told: systemd, and a container's health check."""

from __future__ import annotations

import os
import signal
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import OrmQ

from rendering.models import WorkerNode
from tests.sites import NewSite


@pytest.mark.django_db
def test_the_check_names_the_cluster_that_lets_tickets_wait() -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    WorkerNode.objects.create(
        name="a/gpu",
        host=settings.WORKER_NAME,
        cluster="gpu",
        pid=os.getpid(),
        last_seen_at=long_ago,
        idle_since=long_ago,
    )
    call_command("check_clusters")
    OrmQ.objects.create(key="gpu", payload="", lock=long_ago)
    call_command("check_clusters", "worker")
    with pytest.raises(CommandError, match="start again: gpu"):
        call_command("check_clusters")
    with pytest.raises(CommandError, match="start again: gpu"):
        call_command("check_clusters", "gpu")


@pytest.mark.qcluster
def test_systemd_hears_when_a_cluster_is_ready_and_when_it_is_about_to_end(new_site: NewSite, tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(address))
        ear.settimeout(30)
        cluster = new_site().cluster(NOTIFY_SOCKET=address)
        assert ear.recv(100) == b"READY=1"
        os.kill(cluster.pid, signal.SIGQUIT)
        heard = ear.recv(100)
        while heard == b"WATCHDOG=1":
            heard = ear.recv(100)
        assert heard == b"STOPPING=1"
        cluster.process.wait(20)
