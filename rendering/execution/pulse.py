"""Notes in the workers' rows when a ticket is taken and done, from django-q2's own signals."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError
from django_q.conf import Conf
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from rendering import workers
from rendering.execution.node import this_worker
from rendering.models import WorkerNode

log = logging.getLogger("heygem.workers")


def connect() -> None:
    """From now on every worker of this process's clusters registers when it starts and says when it is busy."""
    post_spawn.connect(_spawned, sender="django_q")
    pre_execute.connect(_taken, sender="django_q")
    post_execute_in_worker.connect(_done, sender="django_q")


def _note(write: Callable[[WorkerNode], None]) -> None:
    # A note is not worth a worker's life.
    try:
        write(this_worker(Conf.CLUSTER_NAME))
    except DatabaseError:
        log.exception("a worker's state could not be written")


def _spawned(**_: object) -> None:
    _note(workers.end)


def _taken(**_: object) -> None:
    _note(workers.begin)


def _done(**_: object) -> None:
    _note(workers.end)
