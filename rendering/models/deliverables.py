"""What comes out: cells of the board, their versions, and ZIPs of them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.base import Kept
from projects.models.blobs import MediaBlob
from projects.models.presenters import Footage, Presenter
from projects.models.projects import Project
from projects.models.scripts import AudioTake, Script
from projects.models.teams import Team


class Board(models.Model):
    """A project's change counter. Every change of a cell takes the next number while it holds this row's lock,
    so a page that has seen revision r has seen everything up to r."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="board")
    revision = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.project} r{self.revision}"


class Deliverable(Kept):
    """One cell of the board: this presenter says this script in this language."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="deliverables")
    presenter = models.ForeignKey(Presenter, on_delete=models.CASCADE, related_name="deliverables")
    script = models.ForeignKey(Script, on_delete=models.CASCADE, related_name="deliverables")
    language = models.CharField(max_length=12)
    published = models.ForeignKey("RenderVersion", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    published_at = models.DateTimeField(null=True, blank=True, help_text=_("when another version was published last"))
    revision = models.PositiveBigIntegerField(default=0, help_text=_("the board's revision at the last change"))

    class Meta:
        ordering = ["pk"]
        verbose_name = _("deliverable")
        verbose_name_plural = _("deliverables")
        constraints = [
            models.UniqueConstraint(fields=["project", "presenter", "script", "language"], name="deliverable_once"),
        ]
        indexes = [models.Index(fields=["project", "revision"], name="deliverable_changes")]

    def __str__(self) -> str:
        return f"{self.presenter} / {self.script} ({self.language})"


class RenderVersion(Kept):
    """One finished video of a deliverable. Never changed; publishing moves the deliverable's pointer."""

    deliverable = models.ForeignKey(Deliverable, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    job = models.OneToOneField("RenderJob", null=True, on_delete=models.SET_NULL, related_name="version")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    video = models.ForeignKey(MediaBlob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    video_removed_at = models.DateTimeField(
        null=True, blank=True, help_text=_("when the team's retention rule removed the video; the version stays")
    )
    poster = models.ForeignKey(MediaBlob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    footage = models.ForeignKey(Footage, null=True, on_delete=models.SET_NULL, related_name="+")
    take = models.ForeignKey(AudioTake, null=True, on_delete=models.SET_NULL, related_name="+")
    preset = models.JSONField(default=dict, help_text=_("the options it was rendered with"))
    engine = models.CharField(max_length=20)
    tier = models.CharField(max_length=1, blank=True, default="")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    fps = models.FloatField()
    duration_s = models.FloatField()
    quality = models.JSONField(default=dict)
    seconds = models.JSONField(default=dict, help_text=_("wall-clock seconds by stage"))
    base = models.CharField(
        _("base model"),
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text=_("identity of the team's own base model that was used; empty: the built-in one"),
    )
    weights = models.CharField(
        _("checkpoint"),
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("of the operator's, with which the mouths were drawn: its SHA-256 begins so; empty: with none"),
    )
    tracker = models.CharField(
        _("tracker"),
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("which had followed the face, and a hash of its weights; empty: the bundled one"),
    )
    mouths = models.CharField(
        _("mouth model"),
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text=_("identity of the presenter's own network, if that drew the mouths"),
    )
    drawn_by = models.CharField(
        _("drawn by"),
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("the way in which the mouths were really made; empty: as the options say"),
    )
    instead = models.CharField(
        _("why not otherwise"),
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("code of why they were not made as the preset asks; empty: they were"),
    )
    fingerprint = models.CharField(max_length=64, db_index=True)

    class Meta:
        ordering = ["-number"]
        verbose_name = _("version")
        verbose_name_plural = _("versions")
        constraints = [
            models.UniqueConstraint(fields=["deliverable", "number"], name="version_number_once"),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="version_number_from_one"),
            models.CheckConstraint(
                condition=models.Q(video__isnull=False) | models.Q(video_removed_at__isnull=False),
                name="version_without_video_says_since_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.deliverable} v{self.number}"


class Export(Kept):
    """A ZIP of a selection of versions. WAITING -> RUNNING -> READY | FAILED(code)."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Being packed")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="exports")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="exports")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    versions = models.ManyToManyField(RenderVersion, related_name="exports")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    done = models.PositiveIntegerField(default=0, help_text=_("files packed"))
    total = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=255, help_text=_("file name of the ZIP"))
    blob = models.ForeignKey(MediaBlob, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    error_code = models.CharField(max_length=40, blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="ready") | models.Q(blob__isnull=False), name="export_ready_has_file"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="failed") | ~models.Q(error_code=""), name="export_failed_has_code"
            ),
        ]

    def __str__(self) -> str:
        return self.name
