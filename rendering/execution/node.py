"""This process as a worker of its cluster."""

from __future__ import annotations

import os

from projects import trace
from rendering import queue, workers
from rendering.models import WorkerNode

_node: tuple[int, WorkerNode] | None = None


def this_worker(cluster: str) -> WorkerNode:
    """The row of this process. At first use what its dead predecessor of the same name still held is taken back."""
    global _node
    if _node is None or _node[0] != os.getpid():
        node, replaces = workers.register(cluster)
        if replaces:
            queue.forget_predecessor(node)
        _node = (os.getpid(), node)
        trace.always(worker=node.name)
    return _node[1]
