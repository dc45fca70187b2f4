"""What a worker does beside its work, while it waits for the engine to speak."""

from __future__ import annotations

import time

from projects.services import deliveries
from rendering import queue, workers
from rendering.execution import asked, outage
from rendering.models import WorkerNode

BEAT_S = 10.0
REAP_S = 60.0
DELIVER_S = 5.0
CLUSTER = "worker"
"""Its machines carry webhooks, also while they are busy with footage."""


class Upkeep:
    """Call it often: it says now and then that the worker lives, and once a minute takes back what others lost.

    So lost jobs are taken back also while every worker is busy with something long. Raises ``WorkerStopping`` when a
    person wants the work given back.
    """

    def __init__(self, node: WorkerNode) -> None:
        self.node = node
        self.beat_at = self.reap_at = self.look_at = self.deliver_at = time.monotonic()

    def __call__(self) -> None:
        outage.quietly(self._see_to_it)

    def _see_to_it(self) -> None:
        now = time.monotonic()
        if now - self.look_at >= asked.LOOK_S:
            self.look_at = now
            asked.look(self.node)
        if now - self.beat_at >= BEAT_S:
            self.beat_at = now
            workers.beat(self.node)
            # Our cluster has taken tickets in advance, which we cannot use now and idle machines may need.
            queue.top_up()
        if now - self.reap_at >= REAP_S:
            self.reap_at = now
            queue.reap()
        if self.node.cluster == CLUSTER and now - self.deliver_at >= DELIVER_S:
            self.deliver_at = now
            deliveries.run_beside()
