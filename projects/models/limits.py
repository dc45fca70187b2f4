"""How much a team may keep and have made."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.teams import Team


class TeamLimits(models.Model):
    """An operator's word for one team. Empty: what the installation's settings say (``projects.services.limits``)."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, primary_key=True, related_name="limits")
    storage_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text=_("bytes kept in all"))
    render_minutes = models.PositiveIntegerField(null=True, blank=True, help_text=_("minutes of video a month"))
    file_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text=_("bytes of one upload"))
    take_seconds = models.PositiveIntegerField(null=True, blank=True, help_text=_("seconds of one take"))

    class Meta:
        verbose_name = _("limits of a team")
        verbose_name_plural = _("limits of teams")

    def __str__(self) -> str:
        return str(self.team)
