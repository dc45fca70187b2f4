"""An installation that was just restored: what was under way when the backup was made waits again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django_q.tasks import async_task

from projects.models import AnalysisState, AudioTake, Footage, MouthModel, Upload
from projects.services import analysis
from projects.services.waking import wake_analysers
from rendering import queue, states
from rendering.models import Export, JobState, RenderJob, WorkerNode
from rendering.services.exports import EXPORT_TASK


@dataclass(frozen=True)
class Resumed:
    jobs: int
    analyses: int
    exports: int
    uploads: int
    """Unfinished ones, whose first bytes are not in a backup: they have to be sent anew."""


@transaction.atomic
def resume() -> Resumed:
    """Nothing runs here yet: take back what the backup's machines were doing, and wake whoever will go on with it."""
    jobs = list(RenderJob.objects.filter(state=JobState.RUNNING, lease_token__isnull=False).select_related("batch"))
    for job in jobs:
        if job.lease_token is not None:
            states.give_back(job, job.lease_token)
    exports = Export.objects.filter(state__in=[Export.State.WAITING, Export.State.RUNNING])
    exports.update(state=Export.State.WAITING, done=0)
    for export in exports:
        async_task(EXPORT_TASK, export.pk, cluster="worker")
    uploads, _ = Upload.objects.filter(finished_at=None).delete()
    WorkerNode.objects.update(busy_since=None)
    looked_at = _put_back("footage", Footage) + _put_back("take", AudioTake)
    _put_back("mouths", MouthModel)
    if analysis.is_waiting():
        wake_analysers()
    queue.top_up()
    return Resumed(jobs=len(jobs), analyses=looked_at, exports=exports.count(), uploads=uploads)


def _put_back(kind: analysis.Kind, model: Any) -> int:
    running = list(model.objects.filter(state=AnalysisState.RUNNING, lease_token__isnull=False))
    for item in running:
        analysis.put_back(analysis.Claim(kind=kind, pk=item.pk, token=item.lease_token, attempt=item.attempts))
    return len(running)
