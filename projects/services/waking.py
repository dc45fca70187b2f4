"""Waking those who do the work. What is to be done stands in our own tables; a ticket only says "look"."""

from __future__ import annotations

from django.conf import settings
from django_q.tasks import async_task


def wake_analysers() -> None:
    """One ticket for the ``worker`` cluster. It is a row of this database: it appears only if the transaction does."""
    async_task(settings.ANALYSIS_TASK, cluster="worker")
