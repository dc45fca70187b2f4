"""Tickets: rows of django-q2's table that say "a machine may render one job now", and nothing about which."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.tasks import async_task

CLUSTER = "gpu"
TASK = "rendering.tasks.render"
MOST_WAITING = 16
"""More tickets than that need not wait: each one that was worked on tops them up again."""
PASSED_ON_S = 5
"""After how long another worker sees a ticket that this one may not use."""


class _Later(ORM):
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
        async_task(TASK, broker=_Later(CLUSTER, at))
    elif waiting() < MOST_WAITING:
        async_task(TASK, cluster=CLUSTER)


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
