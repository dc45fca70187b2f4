"""What machines have learnt of one piece of footage: to draw that presenter's mouths."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.analysis import Analysed, AnalysisState
from projects.models.base import Kept
from projects.models.blobs import MediaBlob
from projects.models.presenters import Footage


class MouthModel(Kept, Analysed):
    """One making of a network that draws the mouths of the presenter in ``footage``.

    ::

        WAITING -> RUNNING       a machine of the ``gpu`` cluster has nothing to render, or somebody waited long enough
        RUNNING -> READY         it draws well enough to be used: ``blob``
        RUNNING -> REFUSED       it does not (``mouths_not_good``), was stopped, the footage is no good, attempts spent
        RUNNING -> WAITING       a render goes first, the worker stops, its machine was at fault: on from ``checkpoint``
        READY   -> REFUSED       somebody removed it (``mouths_removed``)

    Learnt from this footage for this footage; at most it begins with what another of the same team's has learnt.
    """

    footage = models.ForeignKey(Footage, on_delete=models.CASCADE, related_name="mouths")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    automatic = models.BooleanField(default=False, help_text=_("nobody asked for it: a machine had nothing else to do"))
    archived_at = models.DateTimeField(null=True, blank=True, help_text=_("when a newer one took its place"))
    # Of what it is learnt; another face or another tracker makes another one.
    engine = models.CharField(max_length=20, blank=True, default="")
    face = models.JSONField(null=True, blank=True, help_text=_("the footage's chosen face when it was begun"))
    tracker = models.CharField(max_length=40, blank=True, default="")
    initial = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text=_("what it began with")
    )
    borrowed = models.BooleanField(default=False, help_text=_("what it began with was learnt from another presenter"))
    # How far it is.
    step = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0, help_text=_("of the whole training; 0: not known yet"))
    eta_s = models.FloatField(null=True, blank=True, help_text=_("seconds that the training still takes"))
    psnr = models.FloatField(null=True, blank=True, help_text=_("of the mouth on frames not learnt from, dB"))
    picture = models.ForeignKey(
        MediaBlob,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("how it draws frames that it has not learnt from"),
    )
    checkpoint = models.ForeignKey(
        MediaBlob,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("an unfinished training, packed"),
    )
    checkpoint_step = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=160, blank=True, default="", help_text=_("which works on it, or did last"))
    started_at = models.DateTimeField(null=True, blank=True, help_text=_("when it was first begun"))
    claimed_at = models.DateTimeField(null=True, blank=True, help_text=_("when a machine took it last"))
    log = models.TextField(blank=True, default="", help_text=_("its end, as far as it is kept"))
    log_end = models.PositiveBigIntegerField(default=0, help_text=_("characters written, kept or not"))
    reason = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text=_("why an operator stopped it, in their words")
    )
    # What came of it.
    blob = models.ForeignKey(
        MediaBlob,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("the network and its report, packed"),
    )
    identity = models.CharField(max_length=16, blank=True, default="", help_text=_("part of a render's fingerprint"))
    size = models.PositiveSmallIntegerField(default=0, help_text=_("pixels a side of what it draws"))
    figures = models.JSONField(default=dict, blank=True, help_text=_("what was measured of it"))
    failed = models.JSONField(default=list, blank=True, help_text=_("names of the figures that are not good enough"))

    class Meta(Analysed.Meta):
        ordering = ["-pk"]
        verbose_name = _("mouth model")
        verbose_name_plural = _("mouth models")
        constraints = [
            *Analysed.Meta.constraints,
            models.UniqueConstraint(
                fields=["footage"], condition=models.Q(state__in=["waiting", "running"]), name="mouths_one_being_made"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.footage}: {self.identity or self.get_state_display()}"

    @property
    def is_being_made(self) -> bool:
        return self.state in (AnalysisState.WAITING, AnalysisState.RUNNING)
