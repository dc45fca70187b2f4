"""Words: scripts, their versions and the audio takes that speak them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.analysis import Analysed
from projects.models.base import Kept
from projects.models.blobs import MediaBlob
from projects.models.teams import Team


class Script(Kept):
    """What is to be said, in one or more languages."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="scripts")
    title = models.CharField(_("title"), max_length=200)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["title", "pk"]
        verbose_name = _("script")
        verbose_name_plural = _("scripts")

    def __str__(self) -> str:
        return self.title


class ScriptVersion(Kept):
    """The text of a script in one language. A change is a new version with the next number; none is overwritten."""

    script = models.ForeignKey(Script, on_delete=models.CASCADE, related_name="versions")
    language = models.CharField(_("language"), max_length=12, help_text=_("BCP 47, such as en or zh-hans"))
    number = models.PositiveIntegerField()
    text = models.TextField(_("text"), blank=True, default="")

    class Meta:
        ordering = ["script", "language", "-number"]
        verbose_name = _("script version")
        verbose_name_plural = _("script versions")
        constraints = [
            models.UniqueConstraint(fields=["script", "language", "number"], name="script_version_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.script} {self.language} v{self.number}"


class AudioTake(Kept, Analysed):
    """One recording of a script version. The newest usable take of a language is the one that is rendered."""

    class Source(models.TextChoices):
        UPLOADED = "uploaded", _("Uploaded")
        SYNTHESISED = "synthesised", _("Synthesised")

    script_version = models.ForeignKey(ScriptVersion, on_delete=models.CASCADE, related_name="takes")
    blob = models.ForeignKey(MediaBlob, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("file name"), max_length=255)
    source = models.CharField(max_length=12, choices=Source.choices, default=Source.UPLOADED)
    archived_at = models.DateTimeField(null=True, blank=True)
    # What the analysis found (null until then).
    duration_s = models.FloatField(null=True, blank=True, help_text=_("seconds"))
    loudness_lufs = models.FloatField(null=True, blank=True)
    peak_dbfs = models.FloatField(null=True, blank=True)
    waveform = models.JSONField(default=list, blank=True, help_text=_("peaks, 0 to 255"))
    speech_spans = models.JSONField(default=list, blank=True, help_text=_("pairs of seconds"))

    class Meta(Analysed.Meta):
        ordering = ["-pk"]
        verbose_name = _("audio take")
        verbose_name_plural = _("audio takes")

    def __str__(self) -> str:
        return self.name
