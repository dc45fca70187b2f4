"""What a person asks of a worker's process: give back what it works on, restart. See ``WorkerNode.Asked``.

The worker itself looks while it works; whether it restarts is the business of its cluster's main process, which kills
its workers and starts new ones. Both look at the database, so it does not matter where the person sits.
"""

from __future__ import annotations

import time

from django.conf import settings
from django.utils import timezone

from rendering import queue
from rendering.execution import stopping
from rendering.execution.stopping import WorkerStopping
from rendering.models import JobState, RenderJob, WorkerNode
from rendering.workers import RESTARTS, SEEN_RECENTLY, processes_here

LOOK_S = 1.0
PATIENCE_S = 8.0
"""How long a worker that is to restart at once may take to give back what it works on."""
MAKE_WAY_S = 5.0
"""How long a worker whose job was taken from it leaves it to others that are free."""
POLL_S = 0.3
AT_ONCE = (WorkerNode.Asked.HAND_BACK, WorkerNode.Asked.RESTART_NOW)


def look(node: WorkerNode) -> None:
    """For a worker at work. Raises :class:`WorkerStopping` when it is to give its work back."""
    if WorkerNode.objects.filter(pk=node.pk, asked__in=AT_ONCE).exists():
        raise WorkerStopping


def make_way(node: WorkerNode, job: RenderJob) -> None:
    """``job`` was taken from this worker. If it waits, and another worker is free, that one shall have it."""
    until = time.monotonic() + MAKE_WAY_S
    seen = timezone.now() - SEEN_RECENTLY
    others = WorkerNode.objects.filter(cluster=node.cluster, state=WorkerNode.State.ACTIVE, busy_since=None)
    free = others.filter(last_seen_at__gte=seen).exclude(pk=node.pk)
    waits = RenderJob.objects.filter(pk=job.pk, state=JobState.QUEUED)
    while time.monotonic() < until and not stopping.requested() and free.exists() and waits.exists():
        queue.top_up()  # our cluster may have taken the ticket in advance
        time.sleep(POLL_S)


class Restarts:
    """For the main process of a cluster: whether its workers are to be started afresh now."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.nodes = WorkerNode.objects.filter(host=settings.WORKER_NAME, cluster=cluster)
        self.asked_since: float | None = None

    def is_due(self) -> bool:
        """A restart was asked for, and nothing is being worked on or the patience is over."""
        if not self.nodes.filter(asked__in=RESTARTS).exists():
            self.asked_since = None
            return False
        ours = processes_here(self.cluster)
        asked = {node.asked for node in ours} & set(RESTARTS)
        if not asked:
            return False
        now = time.monotonic()
        self.asked_since = self.asked_since or now
        if all(node.busy_since is None for node in ours):
            return True
        return WorkerNode.Asked.RESTART_NOW in asked and now - self.asked_since >= PATIENCE_S
