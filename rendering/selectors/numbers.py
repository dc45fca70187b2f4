"""The farm in numbers, for monitoring: a fixed number of queries, each answered by an index however much waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Q
from django.utils import timezone
from django_q.models import OrmQ

from projects.models import AnalysisState, AudioTake, Footage, Team
from rendering.models import UNFINISHED, JobState, RenderAttempt, RenderJob, StorageSample, Tally, WorkerNode
from rendering.models.tallies import BOUNDS
from rendering.queue import claimable
from rendering.selectors.farm import FORGOTTEN, GONE, NOBODY_CAME
from rendering.workers import CLUSTERS, SEEN_RECENTLY

MOST_TEAMS = 200
"""Teams told one by one, those with the most first; the rest are added up as :data:`OTHERS`."""
MOST_WORKERS = 2000
OTHERS = "other"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Unfinished jobs of one team in one state."""

    team: str
    state: str
    number: int
    oldest: datetime


@dataclass(frozen=True, kw_only=True)
class Stage:
    stage: str
    backend: str
    number: int
    seconds: float
    buckets: tuple[tuple[float, int], ...]
    """A bound in seconds, and how many took at most so long."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Bytes of one team and kind; without a team, of the disk itself."""

    team: str
    kind: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Numbers:
    queues: tuple[Queue, ...]
    attempts: dict[str, int]
    """By outcome, since the installation began."""
    failures: dict[str, int]
    """Attempts by error code."""
    stages: tuple[Stage, ...]
    workers: tuple[WorkerNode, ...]
    heard: dict[str, int]
    """Workers heard of lately, by cluster."""
    tickets: dict[str, int]
    """That a worker could take now, by cluster."""
    analyses: dict[tuple[str, str], int]
    """Unfinished, by kind (footage, take) and state."""
    stored: tuple[Stored, ...]


def numbers() -> Numbers:
    """Nine queries."""
    now = timezone.now()
    seen = WorkerNode.objects.filter(Q(last_seen_at__gte=now - GONE) | Q(busy_since__isnull=False))
    workers = tuple(seen.order_by("-last_seen_at")[:MOST_WORKERS])
    heard = Counter(node.cluster for node in workers if _is_heard(node, now))
    waiting = dict(OrmQ.objects.filter(lock__lte=now).order_by().values_list("key").annotate(number=Count("pk")))
    attempts, failures, stages = _totals()
    names = dict(Team.objects.values_list("pk", "public_id"))
    return Numbers(
        queues=tuple(_queues(names)),
        attempts=attempts,
        failures=failures,
        stages=stages,
        workers=workers,
        heard={cluster: heard[cluster] for cluster in CLUSTERS},
        tickets={cluster: waiting.get(cluster, 0) for cluster in CLUSTERS},
        analyses=_analyses(),
        stored=tuple(_stored(names)),
    )


def _is_heard(node: WorkerNode, now: datetime) -> bool:
    return node.last_seen_at is not None and node.last_seen_at >= now - SEEN_RECENTLY


def _queues(names: dict[int, str]) -> Iterable[Queue]:
    rows = list(
        RenderJob.objects.filter(state__in=UNFINISHED)
        .order_by()
        .values_list("team", "state")
        .annotate(number=Count("pk"), oldest=Min("created_at"))
    )
    teams: Counter[int] = Counter()
    for team, _state, number, _oldest in rows:
        teams[team] += number
    told = {team for team, _number in teams.most_common(MOST_TEAMS)}
    sums: dict[tuple[str, str], Queue] = {}
    for team, state, number, oldest in rows:
        name = names.get(team, OTHERS) if team in told else OTHERS
        known = sums.get((name, state))
        sums[name, state] = Queue(
            team=name,
            state=state,
            number=number + (known.number if known else 0),
            oldest=min(oldest, known.oldest) if known else oldest,
        )
    return sums.values()


def _totals() -> tuple[dict[str, int], dict[str, int], tuple[Stage, ...]]:
    attempts: Counter[str] = Counter({str(outcome): 0 for outcome in RenderAttempt.Outcome if outcome != "running"})
    failures: Counter[str] = Counter()
    stages = []
    for line in Tally.objects.all():
        if line.kind == Tally.Kind.ATTEMPT:
            attempts[line.first] += line.number
            if line.second:
                failures[line.second] += line.number
        else:
            buckets = tuple(zip(BOUNDS, line.buckets, strict=False))
            stages.append(
                Stage(stage=line.first, backend=line.second, number=line.number, seconds=line.seconds, buckets=buckets)
            )
    return dict(attempts), dict(failures), tuple(stages)


def _analyses() -> dict[tuple[str, str], int]:
    """Two queries."""
    states = (AnalysisState.WAITING, AnalysisState.RUNNING)
    found = {(kind, str(state)): 0 for kind in ("footage", "take") for state in states}
    for kind, model in (("footage", Footage), ("take", AudioTake)):
        rows = model._default_manager.filter(state__in=states).order_by().values_list("state")
        found |= {(kind, state): number for state, number in rows.annotate(number=Count("pk"))}
    return found


def _stored(names: dict[int, str]) -> Iterable[Stored]:
    """As of the last day on which storage was looked through; two queries."""
    day = StorageSample.objects.aggregate(day=Max("day"))["day"]
    rows = list(StorageSample.objects.filter(day=day).values_list("team", "kind", "size")) if day else []
    sizes: Counter[int] = Counter()
    for team, _kind, size in rows:
        if team is not None:
            sizes[team] += size
    told = {team for team, _size in sizes.most_common(MOST_TEAMS)}
    sums: Counter[tuple[str, str]] = Counter()
    for team, kind, size in rows:
        name = "" if team is None else names.get(team, OTHERS) if team in told else OTHERS
        sums[name, kind] += size
    return (Stored(team=team, kind=kind, size=size) for (team, kind), size in sums.items())


def clusters_away() -> list[str]:
    """Clusters of which no worker was heard of lately. One query."""
    since = timezone.now() - SEEN_RECENTLY
    heard = set(WorkerNode.objects.filter(last_seen_at__gte=since).order_by().values_list("cluster", flat=True))
    return [cluster for cluster in CLUSTERS if cluster not in heard]


def work_is_left_lying() -> bool:
    """Tickets or startable jobs that nobody comes for although active workers are there. At most five short queries."""
    now = timezone.now()
    active = WorkerNode.objects.filter(
        cluster="gpu", state=WorkerNode.State.ACTIVE, last_seen_at__gte=now - SEEN_RECENTLY
    )
    if RenderJob.objects.filter(state=JobState.RUNNING).exists() or not active.exists():
        return False
    if OrmQ.objects.filter(key="gpu", lock__lte=now - NOBODY_CAME).exists():
        return True
    begun = RenderAttempt.objects.order_by("-pk").values_list("started_at", flat=True).first()
    if begun is not None and begun > now - FORGOTTEN:
        return False
    return claimable().filter(not_before__lte=now - FORGOTTEN).exists()


def age_s(moment: datetime | None) -> float | None:
    """Seconds since then, never less than none."""
    return None if moment is None else max((timezone.now() - moment) / timedelta(seconds=1), 0.0)
