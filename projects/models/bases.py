"""What a team's machines have learnt from its own footage about mouths in general."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.analysis import Analysed, AnalysisState
from projects.models.base import Kept
from projects.models.blobs import MediaBlob
from projects.models.teams import Team


class TeamBase(Kept, Analysed):
    """One making of the team's own base model; what it came to is kept, and of those that pay the newest is used.

    ::

        WAITING -> RUNNING       a machine of the ``worker`` cluster has nothing else to look at
        RUNNING -> READY         it understands presenters it never met better than the built-in model: ``blob``
        RUNNING -> REFUSED       it does not (``base_no_gain``), too little to learn from, or attempts spent
        RUNNING -> WAITING       the machine was at fault, attempts left

    Never another team's: it is learnt from this team's footage and used for this team's renders alone.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="bases")
    archived_at = models.DateTimeField(null=True, blank=True, help_text=_("when a newer one took its place"))
    engine = models.CharField(max_length=20, blank=True, default="")
    identity = models.CharField(max_length=16, blank=True, default="", help_text=_("part of a render's fingerprint"))
    blob = models.ForeignKey(MediaBlob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    footage = models.JSONField(default=list, blank=True, help_text=_("ids of the footage that it is learnt from"))
    presenters = models.PositiveIntegerField(default=0)
    speech_s = models.FloatField(default=0.0, help_text=_("seconds of speech that it is learnt from"))
    figures = models.JSONField(default=dict, blank=True, help_text=_("how it did on presenters it had not met"))
    reason = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text=_("why an operator stopped it, in their words")
    )

    class Meta(Analysed.Meta):
        ordering = ["-pk"]
        verbose_name = _("base model of a team")
        verbose_name_plural = _("base models of teams")
        constraints = [
            *Analysed.Meta.constraints,
            models.UniqueConstraint(
                fields=["team"], condition=models.Q(state__in=["waiting", "running"]), name="base_one_being_made"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.team}: {self.identity or self.get_state_display()}"

    @property
    def is_being_made(self) -> bool:
        return self.state in (AnalysisState.WAITING, AnalysisState.RUNNING)
