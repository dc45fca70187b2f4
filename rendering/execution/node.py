"""This process as a worker of its cluster: its row, whether it may take something now, and its engine."""

from __future__ import annotations

import logging
import os

from projects import trace
from projects.services import blobs
from rendering import queue, training, workers
from rendering.engine.errors import EngineError
from rendering.execution.child import EngineChild, engine
from rendering.execution.upkeep import Upkeep
from rendering.models import WorkerNode

log = logging.getLogger("heygem.workers")

_node: tuple[int, WorkerNode] | None = None


def this_worker(cluster: str) -> WorkerNode:
    """The row of this process. At first use what its dead predecessor of the same name still held is taken back."""
    global _node
    if _node is None or _node[0] != os.getpid():
        node, replaces = workers.register(cluster)
        if replaces:
            queue.forget_predecessor(node)
            training.forget_predecessor(node)
        _node = (os.getpid(), node)
        trace.always(worker=node.name)
    return _node[1]


def unfit(node: WorkerNode) -> str:
    """Why ``node`` takes nothing now, for django-q2's log; empty when it may."""
    if not workers.may_work(node):
        return "this worker is not active"
    if not workers.has_room(node):
        return "the disk is nearly full"
    if not blobs.answers():  # or an outage would cost everything that waits an attempt
        return "the storage does not answer"
    return ""


def warm_engine(node: WorkerNode, upkeep: Upkeep) -> EngineChild:
    """The engine, started if it was not; what it can is written down. Raises ``WorkerStopping`` and ``EngineError``.

    Ask for it before a claim: starting may take longer than a lease.
    """
    child = engine()
    try:
        child.ensure_ready(upkeep)
    except EngineError as error:
        log.error("the engine cannot be started (%s)\n%s", error, child.log_tail())
        raise
    workers.describe(node, **{name: child.info[name] for name in workers.TOLD if name in child.info})
    return child
