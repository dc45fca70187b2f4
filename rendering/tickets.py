"""Tickets: rows of django-q2's table that say "a machine may render one job now", and nothing about which."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.tasks import async_task

log = logging.getLogger("heygem.tickets")

CLUSTER = "gpu"
MOST_WAITING = 16
"""More tickets than that need not wait: each one that was worked on tops them up again."""
AGAIN_S = 1.0
FORGOTTEN_AFTER_S = 60.0
"""So long a cluster tries to take away a ticket that is done, while the database is away."""
PASSED_ON_S = 5
"""After how long another worker sees a ticket that this one may not use."""


class Broker(ORM):
    """django-q2's own, for clusters that outlive an outage of the database (setting ``broker_class``).

    An error here would end the process that fetches tickets or the one that notes what became of them, and with it the
    whole cluster and what it renders.
    """

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Tickets, if there are any; called again and again."""
        try:
            found: list[tuple[int, str]] | None = super().dequeue()
        except (OperationalError, InterfaceError):
            connection.close()
            log.warning("the database is away: no tickets")
            time.sleep(AGAIN_S)
            return None
        return found

    def delete(self, task_id: int) -> None:
        """A ticket that is done. One that cannot be taken away is seen again hours later, and finds nothing to do."""
        until = time.monotonic() + FORGOTTEN_AFTER_S
        while time.monotonic() < until:
            try:
                super().delete(task_id)
            except (OperationalError, InterfaceError):
                connection.close()
                time.sleep(AGAIN_S)
            else:
                return

    def acknowledge(self, task_id: int) -> None:
        self.delete(task_id)


class _Later(Broker):
    """A broker whose tickets are not seen before a given time: to django-q2 they are locked until then."""

    def __init__(self, list_key: str, at: datetime) -> None:
        super().__init__(list_key)
        self.at = at

    def enqueue(self, task: str) -> int:
        return int(OrmQ.objects.create(key=self.list_key, payload=task, lock=self.at).pk)


def waiting(cluster: str = CLUSTER) -> int:
    """Tickets that a cluster could take now. Locked ones do not count: their holder may be dead."""
    return int(OrmQ.objects.filter(key=cluster, lock__lte=timezone.now()).count())


def wake_gpu(at: datetime | None = None) -> None:
    """One ticket, now or at a later time. Part of the caller's transaction: it appears only if that commits."""
    if at is not None and at > timezone.now():
        async_task(settings.RENDER_TASK, broker=_Later(CLUSTER, at))
    elif waiting() < MOST_WAITING:
        async_task(settings.RENDER_TASK, cluster=CLUSTER)


def pass_on() -> None:
    """The worker that took a ticket is paused: let others see it a little later, if there are not many like it."""
    if OrmQ.objects.filter(key=CLUSTER).count() < 2 * MOST_WAITING:
        wake_gpu(timezone.now() + timedelta(seconds=PASSED_ON_S))


def wake_later(task: str, *args: object, cluster: str) -> None:
    """``task`` a little later, when the storage may be back; not if very many tasks wait there already."""
    if OrmQ.objects.filter(key=cluster).count() < 2 * MOST_WAITING:
        async_task(task, *args, broker=_Later(cluster, timezone.now() + timedelta(seconds=PASSED_ON_S)))


def deliver_again(cluster: str) -> int:
    """Tickets that a dead process of ``cluster`` may hold are there again at once, not in hours. Returns how many.

    Not for rendering: its lost tickets are replaced, and those that wait for a back-off look just like held ones.
    Every task of the other clusters may run twice: it finds its work done, or begins it anew.
    """
    if cluster == CLUSTER:
        return 0
    now = timezone.now()
    return int(OrmQ.objects.filter(key=cluster, lock__gt=now).update(lock=now))
