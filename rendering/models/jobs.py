"""Work: batches, jobs, attempts, and the teams' shares of the machines."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from projects.models.base import Kept
from projects.models.bases import TeamBase
from projects.models.mouths import MouthModel
from projects.models.presenters import Footage
from projects.models.projects import Project
from projects.models.scripts import AudioTake
from projects.models.teams import Team
from rendering.models.deliverables import Deliverable
from rendering.models.presets import drawn_with
from rendering.models.workers import WorkerNode


class TeamShare(models.Model):
    """How much of the machines a team may use. Kept apart from the team: the queue writes it at every claim."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, primary_key=True, related_name="share")
    weight = models.PositiveSmallIntegerField(default=1, help_text=_("running jobs are divided by it"))
    max_running = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("empty: no limit"))
    priority = models.SmallIntegerField(
        default=0, db_default=0, help_text=_("added to that of each of its jobs; higher goes first")
    )
    max_attempts = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=_("tries of a job; empty: as many as the installation gives")
    )
    backoff_seconds = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=_("pause after a first failed try, then doubled; empty: the installation's")
    )
    paused_at = models.DateTimeField(null=True, blank=True)
    last_served_at = models.DateTimeField(null=True, blank=True)
    passed_over = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text=_("starts in a row that went before the team's oldest job")
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(weight__gte=1), name="share_weight_positive")]

    def __str__(self) -> str:
        return f"{self.team}: {self.weight}"


class RenderBatch(Kept):
    """One press of the button. Its state is derived from its jobs, never stored."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="batches")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="batches")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    preset_name = models.CharField(max_length=80)
    preset = models.JSONField(help_text=_("snapshot of the preset's options"))
    automatic = models.BooleanField(
        default=False, db_default=False, help_text=_("footage that has a good mouth model is drawn with it")
    )
    finished_at = models.DateTimeField(
        null=True, blank=True, help_text=_("when its last job ended; empty again after a retry")
    )

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("batch")
        verbose_name_plural = _("batches")

    def __str__(self) -> str:
        return f"{self.project} {self.created_at:%Y-%m-%d %H:%M}"


class JobState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    HELD = "held", _("On hold")
    RUNNING = "running", _("Rendering")
    SUCCEEDED = "succeeded", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


FINAL = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
UNFINISHED = (JobState.QUEUED, JobState.HELD, JobState.RUNNING)


class RenderJob(Kept):
    """One video to be made.

    ::

        QUEUED <-> HELD          a person holds it
        QUEUED -> RUNNING        claimed: attempts + 1, lease granted
        RUNNING -> SUCCEEDED     creates a RenderVersion
        RUNNING -> QUEUED        transient error or lost worker, attempts left (not before a back-off);
                                 or the worker was stopped or an operator took it back (the attempt does not count)
        RUNNING -> FAILED(code)  permanent error, or attempts spent
        QUEUED, HELD -> FAILED   the footage or the take was refused
        any unfinished -> CANCELLED

    Only ``rendering.states`` writes ``state``. Final states never change; a retry is a new job.
    """

    batch = models.ForeignKey(RenderBatch, on_delete=models.CASCADE, related_name="jobs")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    deliverable = models.ForeignKey(Deliverable, on_delete=models.CASCADE, related_name="jobs")
    footage = models.ForeignKey(Footage, on_delete=models.CASCADE, related_name="+")
    take = models.ForeignKey(AudioTake, on_delete=models.CASCADE, related_name="+")
    base = models.ForeignKey(
        TeamBase,
        verbose_name=_("base model"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("the team's own base model; empty: the built-in one"),
    )
    mouths = models.ForeignKey(
        MouthModel,
        verbose_name=_("mouth model"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("the presenter's own network, if it is to draw"),
    )
    fingerprint = models.CharField(max_length=64)
    retry_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries")

    state = models.CharField(max_length=9, choices=JobState.choices, default=JobState.QUEUED)
    backend = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text=_("back end that it needs; empty: any")
    )
    priority = models.SmallIntegerField(default=0, help_text=_("higher goes first, before all other teams"))
    team_priority = models.SmallIntegerField(default=0, help_text=_("higher goes first among the team's own jobs"))
    not_before = models.DateTimeField(default=timezone.now, help_text=_("back-off: not claimed earlier"))
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)

    worker = models.ForeignKey(WorkerNode, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    stage = models.CharField(max_length=20, blank=True, default="")
    progress = models.PositiveSmallIntegerField(default=0, help_text=_("percent of the whole job"))
    revision = models.PositiveBigIntegerField(default=0, help_text=_("bumped by every change of state or progress"))
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_detail = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="running")
                | models.Q(lease_token__isnull=False, lease_expires_at__isnull=False),
                name="job_running_has_lease",
            ),
            models.CheckConstraint(
                condition=models.Q(state="running") | models.Q(lease_token__isnull=True), name="job_lease_only_running"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="failed") | ~models.Q(error_code=""), name="job_failed_has_code"
            ),
            models.CheckConstraint(condition=models.Q(progress__lte=100), name="job_progress_percent"),
            models.CheckConstraint(
                condition=models.Q(attempts__lte=models.F("max_attempts")), name="job_attempts_bounded"
            ),
            # Two presses of the button never render the same cell twice at once.
            models.UniqueConstraint(
                fields=["deliverable"],
                condition=models.Q(state__in=["queued", "held", "running"]),
                name="job_one_unfinished_per_deliverable",
            ),
        ]
        indexes = [
            models.Index(
                fields=["-priority", "not_before", "id"], condition=models.Q(state="queued"), name="job_claimable"
            ),
            models.Index(
                fields=["team", "-priority", "-team_priority", "id"],
                condition=models.Q(state="queued"),
                name="job_next_of_team",
            ),
            models.Index(fields=["lease_expires_at"], condition=models.Q(state="running"), name="job_leases"),
            models.Index(fields=["team"], condition=models.Q(state="running"), name="job_running_by_team"),
            models.Index(
                fields=["batch"],
                condition=models.Q(state__in=["queued", "held", "running"]),
                name="job_unfinished_by_batch",
            ),
            models.Index(
                fields=["team", "state", "created_at"],
                condition=models.Q(state__in=["queued", "held", "running"]),
                name="job_unfinished_by_team",
            ),
            models.Index(
                fields=["team", "finished_at"], condition=models.Q(state="succeeded"), name="job_done_by_team"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.deliverable} ({self.state})"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def options(self) -> dict[str, object]:
        """Of the engine: the batch's, and what automatic means for this footage."""
        return drawn_with(self.batch.preset, automatic=self.batch.automatic, has_mouths=self.mouths_id is not None)


class RenderAttempt(models.Model):
    """One try at a job: who ran it, for how long, with which log."""

    class Outcome(models.TextChoices):
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Done")
        FAILED = "failed", _("Failed")
        LOST = "lost", _("Worker lost")
        RETURNED = "returned", _("Given back")
        CANCELLED = "cancelled", _("Cancelled")

    job = models.ForeignKey(RenderJob, on_delete=models.CASCADE, related_name="tries")
    number = models.PositiveSmallIntegerField()
    worker = models.ForeignKey(WorkerNode, null=True, on_delete=models.SET_NULL, related_name="+")
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=9, choices=Outcome.choices, default=Outcome.RUNNING)
    error_code = models.CharField(max_length=40, blank=True, default="")
    log = models.TextField(blank=True, default="", help_text=_("its end, as far as it is kept"))
    log_end = models.PositiveBigIntegerField(default=0, db_default=0, help_text=_("characters written, kept or not"))
    tallied = models.BooleanField(default=False, db_default=False, editable=False)
    """Its end is counted in ``Tally``."""

    class Meta:
        ordering = ["job", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="attempt_number_once")]
        indexes = [
            models.Index(fields=["ended_at"], name="attempt_ended"),
            models.Index(
                fields=["id"], condition=models.Q(tallied=False, ended_at__isnull=False), name="attempt_untallied"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} #{self.number}"
