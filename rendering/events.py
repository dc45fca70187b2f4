"""What this room tells webhooks: in the transaction of what has happened, and in the API's own shapes.

The shapes are imported where they are used: they need the services that call this.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone

from projects.models import AnalysisState, MouthModel
from projects.services.webhooks import Told, emit
from rendering.models import UNFINISHED, Export, RenderBatch, RenderJob, RenderVersion

CELL = ("deliverable__project", "deliverable__presenter", "deliverable__script")


def batch_started(batch: RenderBatch) -> None:
    _tell_of_batch(batch.pk, batch.team_id, "batch.started")


def job_ended(job: RenderJob, state: str) -> None:
    """``job`` has just become ``state``, which is final. Its board is locked: the batch's last job sees that it is."""

    def tell() -> Told:
        from rendering.api.serializers import JobSerializer

        now = RenderJob.objects.select_related("batch", "version", *CELL).get(pk=job.pk)
        links = {
            "api": reverse("api:job-detail", args=[now.public_id]),
            "page": reverse("rendering:cell", args=[now.deliverable.public_id]),
        }
        return Told(JobSerializer(now).data, links)

    emit(team_id=job.team_id, event=f"job.{state}", tell=tell)
    left = RenderJob.objects.filter(batch=OuterRef("pk"), state__in=UNFINISHED)
    if RenderBatch.objects.filter(~Exists(left), pk=job.batch_id, finished_at=None).update(finished_at=timezone.now()):
        _tell_of_batch(job.batch_id, job.team_id, "batch.finished")


def job_tried_again(batch: RenderBatch) -> None:
    """A new job for an old one: the batch is under way once more."""
    RenderBatch.objects.filter(pk=batch.pk).exclude(finished_at=None).update(finished_at=None)


def version_created(version: RenderVersion, *, team_id: int) -> None:
    _tell_of_version(version, team_id, "version.created")


def version_published(version: RenderVersion, *, team_id: int) -> None:
    _tell_of_version(version, team_id, "version.published")


def export_ended(export: Export, state: str) -> None:
    def tell() -> Told:
        from rendering.api.serializers import ExportSerializer

        now = Export.objects.select_related("team", "project", "blob").get(pk=export.pk)
        links = {
            "api": reverse("api:export-detail", args=[now.public_id]),
            "page": reverse("rendering:exports", args=[now.team.public_id]),
        }
        return Told(ExportSerializer(now).data, links)

    emit(team_id=export.team_id, event=f"export.{state}", tell=tell)


def mouths_settled(model: MouthModel) -> None:
    """A mouth model is used from now on, is not good enough, or could not be learnt."""
    is_ready = MouthModel.objects.filter(pk=model.pk, state=AnalysisState.READY).exists()
    _tell_of_mouths(model, "mouths.ready" if is_ready else "mouths.refused")


def mouths_cancelled(model: MouthModel) -> None:
    """Somebody stopped it before it was learnt."""
    _tell_of_mouths(model, "mouths.cancelled")


def mouths_removed(model: MouthModel) -> None:
    """Somebody had what was learnt forgotten."""
    _tell_of_mouths(model, "mouths.removed")


def _tell_of_mouths(model: MouthModel, event: str) -> None:
    def tell() -> Told:
        from rendering.api.serializers import MouthModelSerializer

        related = ("footage__presenter", "picture", "initial")
        now = MouthModel.objects.select_related(*related).defer("log").get(pk=model.pk)
        links = {
            "api": reverse("api:mouths-detail", args=[now.public_id]),
            "page": reverse("rendering:mouths", args=[now.footage.public_id]),
        }
        return Told(MouthModelSerializer(now).data, links)

    emit(team_id=model.footage.presenter.team_id, event=event, tell=tell)


def _tell_of_batch(pk: int, team_id: int, event: str) -> None:
    def tell() -> Told:
        from rendering import selectors
        from rendering.api.serializers import BatchProgressSerializer

        batch = RenderBatch.objects.select_related("team", "project").get(pk=pk)
        links = {
            "api": reverse("api:batch-detail", args=[batch.public_id]),
            "page": reverse("rendering:board", args=[batch.project.public_id]),
        }
        return Told(BatchProgressSerializer(selectors.batch_progress(batch)).data, links)

    emit(team_id=team_id, event=event, tell=tell)


def _tell_of_version(version: RenderVersion, team_id: int, event: str) -> None:
    def tell() -> Told:
        from rendering.api.serializers import VersionSerializer

        now = RenderVersion.objects.select_related("video", *CELL).get(pk=version.pk)
        links = {
            "api": reverse("api:version-detail", args=[now.public_id]),
            "page": reverse("rendering:cell", args=[now.deliverable.public_id]),
        }
        return Told(VersionSerializer(now).data, links)

    emit(team_id=team_id, event=event, tell=tell)
