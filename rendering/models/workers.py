"""Machines that render."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class WorkerNode(models.Model):
    """A process of a cluster that takes work. Registers itself; ``state`` is what a person asked of it.

    ``busy_since`` is set while it works on a ticket, ``idle_since`` while it waits for one: an idle one beside waiting
    tickets shows a stuck cluster. ``last_seen_at`` is its heartbeat, whatever it does.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        PAUSED = "paused", _("Paused")
        DRAINING = "draining", _("Draining")
        QUARANTINED = "quarantined", _("Quarantined")
        STOPPED = "stopped", _("Stopped")

    class Asked(models.TextChoices):
        """What a person wants its process to do besides; emptied when it is done."""

        NOTHING = "", _("Nothing")
        HAND_BACK = "hand_back", _("Give back what it works on")
        RESTART = "restart", _("Restart when it has done what it works on")
        RESTART_NOW = "restart_now", _("Restart at once")

    name = models.CharField(max_length=160, unique=True, help_text=_("host and cluster"))
    host = models.CharField(max_length=120)
    cluster = models.CharField(max_length=20, blank=True, default="")
    pid = models.PositiveIntegerField(default=0)
    version = models.CharField(max_length=40, blank=True, default="", db_default="", help_text=_("of the site's code"))
    device = models.CharField(max_length=80, blank=True, default="")
    device_memory_mb = models.PositiveIntegerField(null=True, blank=True, help_text=_("empty: not known"))
    engine = models.CharField(max_length=20, blank=True, default="")
    backends = models.JSONField(default=list, blank=True)
    weights = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text=_("the operator's own, by back end; an empty identity: not looked at yet"),
    )
    tracker = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("with which it follows faces, and a hash of its weights; empty: not known"),
    )
    refused = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text=_("what is set up on it and cannot be used: the code of why, by what it would be for"),
    )
    figures = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text=_("memory, load, temperature and so on, at the last heartbeat"),
    )
    warm = models.JSONField(
        default=list, blank=True, db_default=[], help_text=_("ids of the footage it rendered last, newest first")
    )
    state = models.CharField(max_length=11, choices=State.choices, default=State.ACTIVE)
    asked = models.CharField(max_length=11, choices=Asked.choices, blank=True, default="", db_default="")
    failures_in_row = models.PositiveSmallIntegerField(default=0)
    busy_since = models.DateTimeField(null=True, blank=True)
    idle_since = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    refusal = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text=_("code of why it takes no work now")
    )
    created_at = models.DateTimeField(auto_now_add=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name
