"""Telling other programs what has happened: whom, and how each telling went."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from projects.models.base import Kept
from projects.models.teams import Team


class Webhook(Kept):
    """An address of somebody else's that hears of what happens in ``team``.

    The signing secret itself is not kept: it is derived from this installation's key and ``seed``, so a copy of the
    database alone signs nothing. ``hint`` is the secret's end, for people, and tells when the installation's key has
    changed. After a rotation the previous secret signs beside the new one until ``previous_until``.
    """

    class Stopped(models.TextChoices):
        """Why it is not called any more."""

        PERSON = "person", _("Switched off by a person")
        GONE = "gone", _("The receiver answered that it is gone (410)")
        FAILING = "failing", _("Every delivery failed for days")

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(_("address"), max_length=2000)
    description = models.CharField(_("description"), max_length=200, blank=True, default="")
    events = models.JSONField(default=list, help_text=_("the types it hears of"))
    seed = models.CharField(max_length=64, editable=False)
    hint = models.CharField(max_length=8, editable=False)
    previous_seed = models.CharField(max_length=64, blank=True, default="", editable=False)
    previous_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    is_active = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=10, choices=Stopped.choices, blank=True, default="")
    disabled_at = models.DateTimeField(null=True, blank=True)
    failures_in_row = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_active=True) | ~models.Q(disabled_reason=""), name="webhook_stopped_has_reason"
            ),
        ]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(Kept):
    """One event on its way to one webhook.

    ::

        WAITING -> RUNNING            claimed: attempts + 1, lease granted
        RUNNING -> DELIVERED          answered with 2xx
        RUNNING -> WAITING            anything else, tries left (not before a pause)
        RUNNING -> FAILED(code)       tries spent, or the webhook was stopped

    ``event_id`` is the same for every try and for a redelivery: receivers know by it what they have seen. ``body`` is
    what is signed and sent, to the byte. ``tries`` is a list of ``{"at", "status", "code", "ms"}``.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Being delivered")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=40)
    event_id = models.CharField(max_length=40, db_index=True)
    body = models.TextField()
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("HTTP status of the last answer"))
    response = models.TextField(blank=True, default="", help_text=_("the beginning of the last answer"))
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    tries = models.JSONField(default=list)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="running")
                | models.Q(lease_token__isnull=False, lease_expires_at__isnull=False),
                name="delivery_running_has_lease",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="failed") | ~models.Q(error_code=""), name="delivery_failed_has_code"
            ),
        ]
        indexes = [
            models.Index(fields=["next_try_at"], condition=models.Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["lease_expires_at"], condition=models.Q(state="running"), name="delivery_leases"),
            models.Index(fields=["webhook", "-id"], name="delivery_log"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.event_id}"

    @property
    def is_settled(self) -> bool:
        return self.state in (self.State.DELIVERED, self.State.FAILED)
