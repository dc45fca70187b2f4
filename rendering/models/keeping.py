"""How long a team's files are kept, and how much there was of them day by day."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.teams import Team


class RetentionRule(models.Model):
    """Days after which a team's files of a kind go; empty: kept for ever. See ``rendering.services.retention``."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, primary_key=True, related_name="retention")
    work_days = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("uploads nobody went on with"))
    preview_days = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("not looked at"))
    analysis_days = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("not rendered from"))
    mouth_days = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("not drawn with"))
    export_days = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("since packed"))
    version_days = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("since superseded"))

    class Meta:
        verbose_name = _("retention rule")
        verbose_name_plural = _("retention rules")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    *(
                        models.Q(**{name: None}) | models.Q(**{f"{name}__gte": 1})
                        for name in (
                            "work_days",
                            "preview_days",
                            "analysis_days",
                            "mouth_days",
                            "export_days",
                            "version_days",
                        )
                    )
                ),
                name="retention_at_least_a_day",
            ),
        ]

    def __str__(self) -> str:
        return str(self.team)


class StorageSample(models.Model):
    """What lay in storage on one day: bytes of a team by kind; without a team, of the disk itself."""

    day = models.DateField()
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12, help_text=_("footage, takes ...; of the disk: used, total"))
    size = models.PositiveBigIntegerField(help_text=_("bytes"))

    class Meta:
        ordering = ["day", "team", "kind"]
        constraints = [
            models.UniqueConstraint(fields=["day", "team", "kind"], name="sample_once_a_day"),
            models.UniqueConstraint(
                fields=["day", "kind"], condition=models.Q(team=None), name="sample_of_disk_once_a_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.team or '-'} {self.kind}: {self.size}"
