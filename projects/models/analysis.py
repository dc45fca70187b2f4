"""What footage and takes have in common: a machine must look at them before they can be used."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class AnalysisState(models.TextChoices):
    """WAITING -> RUNNING -> READY | WARNINGS | REFUSED; a lost worker puts RUNNING back to WAITING."""

    WAITING = "waiting", _("Waiting for analysis")
    RUNNING = "running", _("Being analysed")
    READY = "ready", _("Ready")
    WARNINGS = "warnings", _("Ready, with warnings")
    REFUSED = "refused", _("Refused")


USABLE = (AnalysisState.READY, AnalysisState.WARNINGS)


class Analysed(models.Model):
    """``findings`` is a list of ``{"code", "level", "figure"}``; sentences come from the catalogue."""

    state = models.CharField(
        _("state"), max_length=8, choices=AnalysisState.choices, default=AnalysisState.WAITING, db_index=True
    )
    stage = models.CharField(max_length=20, blank=True, default="")
    progress = models.PositiveSmallIntegerField(default=0, help_text=_("percent of the stage"))
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    findings = models.JSONField(default=list, blank=True)
    analysed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="running")
                | models.Q(lease_token__isnull=False, lease_expires_at__isnull=False),
                name="%(class)s_running_has_lease",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="refused") | ~models.Q(error_code=""), name="%(class)s_refused_has_code"
            ),
        ]

    @property
    def is_usable(self) -> bool:
        return self.state in USABLE

    @property
    def is_settled(self) -> bool:
        return self.state in (*USABLE, AnalysisState.REFUSED)
