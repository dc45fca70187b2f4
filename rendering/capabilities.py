"""What a worker can run: back ends that its engine has, device memory they need, and analyses of its engine's version.

While an installation is upgraded, workers with the old and the new engine stand side by side. Footage that one version
has analysed is rendered by workers of the same version as long as there is one; then it is analysed anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from rendering.models import WorkerNode
from rendering.workers import SEEN_RECENTLY

LEAVING = (WorkerNode.State.DRAINING, WorkerNode.State.QUARANTINED, WorkerNode.State.STOPPED)


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What matters to the choice of a job. A worker that has said nothing of itself yet is taken for able."""

    engine: str
    backends: tuple[str, ...]
    device_memory_mb: int

    def fits(self) -> Q:
        """Jobs (rows of ``RenderJob``) that such a worker can render."""
        too_large = [name for name, needed in settings.BACKEND_MEMORY_MB.items() if needed > self.device_memory_mb]
        able = Q(backend__in=["", *self.backends]) if self.backends else Q()
        if too_large:
            able &= ~Q(backend__in=too_large)
        return able & Q(footage__analysis_engine__in=["", self.engine]) if self.engine else able


def of(worker: WorkerNode) -> Abilities:
    return Abilities(
        engine=worker.engine,
        backends=tuple(sorted(worker.backends)),
        device_memory_mb=worker.device_memory_mb or 0,
    )


def somebody_fits(workers: Iterable[WorkerNode]) -> Q:
    """Jobs that at least one of ``workers`` can render."""
    able = Q(pk__in=[])
    for abilities in {of(worker) for worker in workers}:
        able |= abilities.fits() or Q(pk__gt=0)  # an empty condition would be left out, not let everything in
    return able


def live_engines(*, heard: bool = False) -> set[str]:
    """Versions of the engine with which workers that render are there to stay. Empty: nothing is known of any.

    ``heard``: only what engines have said of themselves, not what their workers take them for before they start.
    """
    staying = WorkerNode.objects.filter(cluster="gpu", last_seen_at__gte=timezone.now() - SEEN_RECENTLY)
    if heard:
        staying = staying.exclude(backends=[])
    return set(staying.exclude(state__in=LEAVING).exclude(engine="").values_list("engine", flat=True))
