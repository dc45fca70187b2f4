"""Which mouth model is learnt next, and when: what machines that render do beside rendering.

Renders go first. A person's training that was ordered ten minutes ago goes before them and is not interrupted, so that
a queue that never empties does not keep it waiting for ever; any other gives way to a render (``decisions/0020``).
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Case, Count, F, IntegerField, Max, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from projects.models import USABLE, AnalysisState, MouthModel
from projects.services import analysis
from projects.services.waking import wake_renderers
from rendering import capabilities, workers
from rendering.execution.catalogue import is_card
from rendering.models import Preset, WorkerNode

NEURAL = Preset.Backend.NEURAL.value
PATIENCE = timedelta(minutes=10)
"""So long a person's training lets every render go first."""
CHOICES = 4
"""So often a claim chooses anew because others were faster."""
IDLE_FOR = timedelta(minutes=1)
"""So long a card has nothing to do before something is learnt that nobody asked for."""


def has_card(node: WorkerNode) -> bool:
    """Whether its engine has said that it works on a graphics card."""
    return is_card(node.device)


def can_learn(node: WorkerNode) -> bool:
    """Whether its engine can learn mouth models. One that has said nothing of itself yet is taken for able."""
    return NEURAL in node.backends or not node.backends


def waiting() -> QuerySet[MouthModel]:
    """What could be learnt now: footage that is analysed and not put away, of teams that are not paused."""
    return MouthModel.objects.filter(
        state=AnalysisState.WAITING,
        archived_at=None,
        footage__state__in=USABLE,
        footage__analysis__isnull=False,
        footage__archived_at=None,
        footage__presenter__archived_at=None,
        footage__presenter__team__share__paused_at=None,
    )


def waiting_for(node: WorkerNode) -> QuerySet[MouthModel]:
    """What ``node`` may learn now. On a processor it takes long: not while a card is there, and only what a person
    asked for."""
    if not can_learn(node):
        return MouthModel.objects.none()
    able = waiting().filter(footage__analysis_engine=node.engine)
    if has_card(node):
        return able
    if any(has_card(other) and can_learn(other) for other in capabilities.staying()):
        return able.none()
    return able.filter(automatic=False)


def pressing(models: QuerySet[MouthModel]) -> QuerySet[MouthModel]:
    """Those of ``models`` that go before renders."""
    return models.filter(automatic=False, created_at__lte=timezone.now() - PATIENCE)


def is_pressing(model: MouthModel) -> bool:
    return not model.automatic and model.created_at <= timezone.now() - PATIENCE


def in_turn(models: QuerySet[MouthModel]) -> QuerySet[MouthModel]:
    """The next one first: what a person asked for; the team that learns least now; what was begun; the team whose turn
    was longest ago; age."""
    of_team = MouthModel.objects.filter(footage__presenter__team=OuterRef("footage__presenter__team")).order_by()
    team = of_team.values("footage__presenter__team")
    running = Coalesce(Subquery(team.filter(state=AnalysisState.RUNNING).annotate(n=Count("pk")).values("n")), 0)
    begun = Case(When(checkpoint=None, then=Value(1)), default=Value(0), output_field=IntegerField())
    served = Subquery(team.annotate(at=Max("claimed_at")).values("at"))
    return models.annotate(running=running, begun=begun, served=served).order_by(
        "automatic", "running", "begun", F("served").asc(nulls_first=True), "pk"
    )


def claim_next(worker: WorkerNode, *, only_pressing: bool = False) -> analysis.Claim | None:
    """Take a mouth model to learn on ``worker``. None: there is none that it may learn now."""
    node = workers.at_service(worker)
    if node is None:
        return None
    rows = waiting_for(node)
    if only_pressing:
        rows = pressing(rows)
    for _ in range(CHOICES):
        chosen = in_turn(rows).values("pk", "attempts").first()
        if chosen is None:
            return None
        now = timezone.now()
        taken = {"worker": node.name, "claimed_at": now, "started_at": Coalesce(F("started_at"), Value(now))}
        claim = analysis.take("mouths", MouthModel.objects.filter(state=AnalysisState.WAITING), **chosen, **taken)
        if claim.attempt > 0:
            return claim
    return None


def is_wanted(worker: WorkerNode, *, only_pressing: bool = False) -> bool:
    """Whether :func:`claim_next` would find something."""
    node = workers.at_service(worker)
    rows = waiting_for(node) if node is not None else MouthModel.objects.none()
    return (pressing(rows) if only_pressing else rows).exists()


def place(claim: analysis.Claim, *, waiting: int) -> int | None:
    """How many others should give way to ``waiting`` renders before the training ``claim``; None: it need not.

    What nobody asked for gives way first, then what was taken last. Raises ``LeaseLost`` when it is no longer ours.
    """
    running = MouthModel.objects.filter(state=AnalysisState.RUNNING)
    held = running.filter(pk=claim.pk, lease_token=claim.token).only("automatic", "created_at").first()
    if held is None:
        raise analysis.LeaseLost
    if not waiting or is_pressing(held):
        return None
    in_order = running.exclude(pk__in=pressing(running).values("pk")).order_by("-automatic", "-claimed_at", "-pk")
    before = list(in_order.values_list("pk", flat=True)).index(claim.pk)
    return max(before - waiting + 1, 0)


def tickets_wanted() -> int:
    """How many of the tickets for machines that render would find something to learn."""
    if not waiting().exists():
        return 0
    nodes = {(has_card(node), can_learn(node), node.engine): node for node in capabilities.staying()}
    found = {pk for node in nodes.values() for pk in waiting_for(node).values_list("pk", flat=True)}
    return len(found)


def forget_predecessor(node: WorkerNode) -> None:
    """Take back what an earlier process of this worker's name still seems to learn."""
    lost = MouthModel.objects.filter(state=AnalysisState.RUNNING, worker=node.name)
    if lost.exists():
        analysis.lose("mouths", lost)
        wake_renderers()


def idle_cards() -> list[WorkerNode]:
    """Workers with a card that have had nothing to do for :data:`IDLE_FOR`."""
    nodes = WorkerNode.objects.filter(
        Q(asked="") & ~Q(device=""),
        cluster="gpu",
        state=WorkerNode.State.ACTIVE,
        last_seen_at__gte=timezone.now() - workers.SEEN_RECENTLY,
        busy_since=None,
        idle_since__lte=timezone.now() - IDLE_FOR,
        refusal="",
    )
    return [node for node in nodes if has_card(node) and can_learn(node)]
