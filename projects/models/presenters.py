"""People on camera, and the footage of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.analysis import Analysed
from projects.models.base import Kept
from projects.models.blobs import MediaBlob
from projects.models.teams import Team


class Presenter(Kept):
    """A person whose footage the team keeps."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="presenters")
    name = models.CharField(_("name"), max_length=120)
    notes = models.TextField(_("notes"), blank=True, default="")
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("presenter")
        verbose_name_plural = _("presenters")

    def __str__(self) -> str:
        return self.name


class Footage(Kept, Analysed):
    """One video of a presenter and its analysis.

    ``analysis`` is the engine's folder as one stored archive. It can be made again at any time, so usable footage may
    be without it; who needs it asks for a new one (``analysis.renew``).
    """

    presenter = models.ForeignKey(Presenter, on_delete=models.CASCADE, related_name="footage")
    blob = models.ForeignKey(MediaBlob, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("file name"), max_length=255)
    archived_at = models.DateTimeField(null=True, blank=True)
    chosen_face = models.JSONField(
        _("chosen face"),
        null=True,
        blank=True,
        help_text=_("x and y in 0..1: where somebody said that the presenter's face is"),
    )
    # What the analysis found (null until then).
    width = models.PositiveIntegerField(null=True, blank=True, help_text=_("pixels"))
    height = models.PositiveIntegerField(null=True, blank=True, help_text=_("pixels"))
    fps = models.FloatField(null=True, blank=True, help_text=_("frames a second"))
    duration_s = models.FloatField(null=True, blank=True, help_text=_("seconds"))
    has_audio = models.BooleanField(null=True, blank=True)
    tier = models.CharField(max_length=1, blank=True, default="")
    speech_spans = models.JSONField(default=list, blank=True, help_text=_("pairs of seconds"))
    figures = models.JSONField(default=dict, blank=True)
    faces = models.JSONField(
        _("faces"), null=True, blank=True, help_text=_("x, y, width and height in 0..1 of each, from left to right")
    )
    presenter_face = models.PositiveSmallIntegerField(
        _("presenter face"), null=True, blank=True, help_text=_("which of the faces is the presenter's")
    )
    analysis_engine = models.CharField(max_length=20, blank=True, default="")
    analysis_tracker = models.CharField(
        _("tracker"),
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("which followed the face, and a hash of its weights; empty: the bundled one"),
    )
    analysis = models.ForeignKey(
        MediaBlob,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("what the engine found, packed"),
    )
    poster = models.ForeignKey(MediaBlob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    filmstrip = models.ForeignKey(MediaBlob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    preview = models.ForeignKey(
        MediaBlob,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("a copy that browsers play, where the footage itself is none"),
    )

    class Meta(Analysed.Meta):
        ordering = ["-pk"]
        verbose_name = _("footage")
        verbose_name_plural = _("footage")

    def __str__(self) -> str:
        return self.name

    @property
    def playable(self) -> MediaBlob:
        """What a page plays."""
        return self.preview or self.blob
