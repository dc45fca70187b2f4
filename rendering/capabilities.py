"""What a worker can run: back ends that its engine has, device memory they need, and analyses of its engine's version.

While an installation is upgraded, workers with the old and the new engine stand side by side. Footage that one version
has analysed is rendered by workers of the same version as long as there is one; then it is analysed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from rendering.models import ENHANCED_NEURAL, ENHANCED_WAV2LIP, Preset, WorkerNode, ability
from rendering.workers import SEEN_RECENTLY, own_weights

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
    nodes = staying().exclude(backends=[]) if heard else staying()
    return set(nodes.exclude(engine="").values_list("engine", flat=True))


def staying() -> QuerySet[WorkerNode]:
    """Workers that render and are there to stay."""
    seen = WorkerNode.objects.filter(cluster="gpu", last_seen_at__gte=timezone.now() - SEEN_RECENTLY)
    return seen.exclude(state__in=LEAVING)


def somebody_draws(backend: str) -> bool:
    """Whether a worker's engine has said that it has ``backend``. While none has said anything, one will."""
    told = [node.backends for node in staying().exclude(backends=[])]
    return not told or any(backend in backends for backends in told)


CHECKPOINT_CODES = ("no_checkpoint", "bad_checkpoint", "unsafe_checkpoint")
ENHANCER_CODES = ("no_enhancer", "bad_enhancer", "unsafe_enhancer")
"""What can be wrong with weights of the operator's: there are none, or why an engine refused those that are set up."""
NEEDS_WEIGHTS = {
    Preset.Backend.WAV2LIP.value: CHECKPOINT_CODES[0],
    ENHANCED_WAV2LIP: ENHANCER_CODES[0],
    ENHANCED_NEURAL: ENHANCER_CODES[0],
}
"""Ways to draw with weights of the operator's, and the code of what is wrong where no machine names any."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What the machines that render have for one back end."""

    lacking: str = ""
    """Code of why nobody can render with it: none is set up, or why what is set up was refused; empty: somebody
    can."""
    identity: str = ""
    """Of the weights that the worker heard of last would draw with; empty: none are needed, or not known yet."""


def weights_for(options: Mapping[str, object]) -> Weights:
    """For the back end of a preset's snapshot. Where no worker is there, this process's own settings say."""
    needed = ability(options)
    if needed not in NEEDS_WEIGHTS:
        return Weights()
    nodes = list(staying().order_by("-last_seen_at").only("weights", "refused"))
    told = [node.weights for node in nodes] or [own_weights()]
    for one in (str(options["backend"]), needed):  # without a checkpoint there is nothing to enhance
        if one in NEEDS_WEIGHTS and not any(one in weights for weights in told):
            return Weights(lacking=_why_lacking(one, nodes))
    return Weights(identity=next(filter(None, (weights.get(needed) for weights in told)), ""))


def _why_lacking(way: str, nodes: Iterable[WorkerNode]) -> str:
    """Why none of ``nodes`` has weights for ``way``: a file that was set up and refused says more than that there is
    none, and the worker heard of last goes first."""
    supplied = way.rpartition("+")[2]  # what the engine opened for it
    return next(filter(None, (node.refused.get(supplied) for node in nodes)), NEEDS_WEIGHTS[way])


def weights_used(options: Mapping[str, object], *, has_mouths: bool) -> str:
    """Identity of the weights that take part in drawing so: without a mouth model there is nothing to enhance."""
    if options.get("backend") == Preset.Backend.NEURAL and not has_mouths:
        return ""
    return weights_for(options).identity
