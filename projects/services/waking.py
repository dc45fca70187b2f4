"""Waking those who do the work. What is to be done stands in our own tables; a ticket only says "look"."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

COURIER_TASK = "projects.tasks.deliver"
MOST_WAITING = 16
"""More tickets than that need not wait: a courier carries what is due, and another one comes every minute."""


def wake_analysers() -> None:
    """One ticket for the ``worker`` cluster. It is a row of this database: it appears only if the transaction does."""
    async_task(settings.ANALYSIS_TASK, cluster="worker")


def wake_renderers() -> None:
    """One ticket for the ``gpu`` cluster, on the same terms."""
    if OrmQ.objects.filter(key="gpu", lock__lte=timezone.now()).count() < MOST_WAITING:
        async_task(settings.RENDER_TASK, cluster="gpu")


def wake_couriers() -> None:
    """One ticket to deliver what webhooks are to be told, on the same terms."""
    if OrmQ.objects.filter(key="worker", lock__lte=timezone.now()).count() < MOST_WAITING:
        async_task(COURIER_TASK, cluster="worker")
