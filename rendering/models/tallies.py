"""What has ended since this installation began, added up: it stays when the rows it was counted from are retired."""

from __future__ import annotations

from django.db import models

BOUNDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds; a stage counts in every bucket whose bound it did not exceed."""


class Tally(models.Model):
    """One line of a sum. ``attempt``: outcome and error code; ``stage``: stage and back end, with ``seconds``."""

    class Kind(models.TextChoices):
        ATTEMPT = "attempt"
        STAGE = "stage"

    kind = models.CharField(max_length=7, choices=Kind.choices)
    first = models.CharField(max_length=40)
    second = models.CharField(max_length=40, blank=True, default="")
    number = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    buckets = models.JSONField(default=list, blank=True)
    """For each of :data:`BOUNDS` how many took at most so many seconds."""

    class Meta:
        ordering = ["kind", "first", "second"]
        constraints = [models.UniqueConstraint(fields=["kind", "first", "second"], name="tally_line_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.first} {self.second}: {self.number}"
