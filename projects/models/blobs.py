"""Bytes: what is stored, and what is on its way in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.base import Kept
from projects.models.teams import Team


class MediaBlob(Kept):
    """A file, stored once per team by its SHA-256 and never changed. Names are kept by whoever points at it."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="blobs")
    sha256 = models.CharField(max_length=64, editable=False)
    size = models.PositiveBigIntegerField(help_text=_("bytes"))
    path = models.CharField(max_length=200, unique=True, editable=False, help_text=_("key in the media storage"))
    content_type = models.CharField(max_length=80)
    used_at = models.DateTimeField(
        null=True, blank=True, help_text=_("when a rebuildable file was last used, to the hour; empty: not since made")
    )

    class Meta:
        verbose_name = _("stored file")
        verbose_name_plural = _("stored files")
        constraints = [
            models.UniqueConstraint(fields=["team", "sha256"], name="blob_once_per_team"),
            models.CheckConstraint(condition=models.Q(size__gt=0), name="blob_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.content_type})"


class Upload(Kept):
    """A file on its way in: ``offset`` of ``size`` bytes are safely kept (``projects.services.incoming``)."""

    class Purpose(models.TextChoices):
        FOOTAGE = "footage", _("Footage")
        TAKE = "take", _("Audio take")

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="uploads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    name = models.CharField(max_length=255, help_text=_("the file's own name, for people; never a path"))
    size = models.PositiveBigIntegerField(help_text=_("bytes"))
    offset = models.PositiveBigIntegerField(default=0, help_text=_("bytes that have arrived"))
    target = models.JSONField(default=dict, help_text=_("what to make of it: presenter, script, language ..."))
    finished_at = models.DateTimeField(null=True, blank=True)
    multipart = models.CharField(
        max_length=1024, blank=True, default="", db_default="", help_text=_("id of the object storage's own upload")
    )

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        constraints = [
            models.CheckConstraint(condition=models.Q(offset__lte=models.F("size")), name="upload_within_size"),
        ]

    def __str__(self) -> str:
        return self.name


class MediaHold(models.Model):
    """The one row that keeps stored files from being removed until ``until``: a backup copies what it has seen."""

    until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"until {self.until}"
