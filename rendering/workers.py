"""The processes that work: registration, heartbeat, quarantine, and whether their cluster is stuck."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from projects.services import cache, disk
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import ENHANCED_NEURAL, ENHANCED_WAV2LIP, Preset, RenderAttempt, RenderJob, WorkerNode

log = logging.getLogger("heygem.workers")

CLUSTERS = ("worker", "gpu")
UPKEEP_CLUSTER = "worker"
QUARANTINE_AFTER = 3
"""Different jobs that failed in a row on a worker in a way that makes it suspect."""
MOST_WARM = 50
"""Footage that a worker is taken to have at hand: what it used last."""
SEEN_RECENTLY = timedelta(minutes=5)
RESTARTS = (WorkerNode.Asked.RESTART, WorkerNode.Asked.RESTART_NOW)
TOLD = ("engine", "backends", "weights", "device", "tracker", "refused")
"""What a worker's engine says of itself."""
STUCK_AFTER = timedelta(seconds=30)
"""A healthy cluster with an idle worker takes a waiting ticket within its polling interval."""


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has that number. One that is dead but not yet buried does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:  # no /proc here
        return True


def is_heard(node: WorkerNode) -> bool:
    """It was heard of lately, or its process is seen on this machine."""
    if node.host == settings.WORKER_NAME and node.pid:
        return is_alive(node.pid)
    return node.last_seen_at is not None and node.last_seen_at >= timezone.now() - SEEN_RECENTLY


def own_weights() -> dict[str, str]:
    """The ways to draw with weights of the operator's for which this process's settings name files."""
    drawn = [Preset.Backend.WAV2LIP.value] if settings.WAV2LIP_CHECKPOINT else []
    enhanced = [ENHANCED_NEURAL, *([ENHANCED_WAV2LIP] if drawn else [])] if settings.ENHANCER_MODEL else []
    return dict.fromkeys([*drawn, *enhanced], "")


@transaction.atomic
def register(cluster: str) -> tuple[WorkerNode, bool]:
    """This process as a worker of ``cluster`` on this machine, and whether it replaces one that has died.

    The name is the machine's and the cluster's; a second process at the same time gets ``#2`` and so on.
    """
    number = 1
    while True:
        name = f"{settings.WORKER_NAME}/{cluster}" + (f"#{number}" if number > 1 else "")
        node, created = WorkerNode.objects.select_for_update().get_or_create(
            name=name, defaults={"host": settings.WORKER_NAME, "cluster": cluster, "pid": os.getpid()}
        )
        if created or node.pid == os.getpid() or not is_alive(node.pid):
            break
        number += 1
    replaces = not created and node.pid != os.getpid()
    if created or replaces:
        node.pid, node.asked = os.getpid(), WorkerNode.Asked.NOTHING
        node.busy_since, node.idle_since = None, timezone.now()
        if (node.engine, node.version) != (ENGINE_VERSION, settings.VERSION):
            # Not what it was: what its engine can do is heard when that has started.
            node.engine, node.version, node.backends = ENGINE_VERSION, settings.VERSION, []
        # Which one it is, and whether it can be read, the engine says when it has started.
        node.weights, node.refused = own_weights(), {}
        if not node.tracker.startswith(settings.TRACKER):  # else its weights are taken to be the same
            node.tracker = settings.TRACKER
        log.info("worker %s is process %s", node, node.pid)
    node.last_seen_at = timezone.now()
    told = ["engine", "version", "backends", "weights", "tracker", "refused"]
    node.save(update_fields=["pid", "busy_since", "idle_since", "last_seen_at", "asked", *told])
    return node, replaces


def describe(
    node: WorkerNode,
    *,
    engine: str,
    backends: Sequence[str],
    device: str,
    weights: Mapping[str, str] | None = None,
    tracker: str = "",
    refused: Mapping[str, str] | None = None,
) -> None:
    """What the worker's engine said of itself when it was ready. ``weights``: the operator's, by back end;
    ``refused``: codes of why something that is set up cannot be used, by what it would be for."""
    used = {name: identity for name, identity in (weights or {}).items() if identity}
    told = {"engine": engine, "backends": list(backends), "device": device, "weights": used}
    WorkerNode.objects.filter(pk=node.pk).update(**told, tracker=tracker, refused=dict(refused or {}))


def other_trackers(node: WorkerNode, tracker: str) -> set[str]:
    """With what else than ``tracker`` faces are followed by workers that are at work now."""
    recently = timezone.now() - SEEN_RECENTLY
    others = WorkerNode.objects.filter(cluster=node.cluster, state=WorkerNode.State.ACTIVE, last_seen_at__gte=recently)
    return set(others.exclude(pk=node.pk).values_list("tracker", flat=True)) - {"", tracker}


def at_service(node: WorkerNode) -> WorkerNode | None:
    """Its row as it is now; None when somebody paused, drains, stopped or quarantined it, or waits for its restart."""
    active = WorkerNode.objects.filter(pk=node.pk, state=WorkerNode.State.ACTIVE)
    return active.exclude(asked__in=RESTARTS).first()


def may_work(node: WorkerNode) -> bool:
    return at_service(node) is not None


def has_room(node: WorkerNode) -> bool:
    """Whether the worker's disk has room for work. What its row says of that changes with the answer."""
    room = disk.can_work() or (cache.trim() > 0 and disk.can_work())
    refusal = "" if room else disk.DISK_FULL
    if WorkerNode.objects.filter(pk=node.pk).exclude(refusal=refusal).update(refusal=refusal):
        log.warning("worker %s %s", node, "takes no work: its disk is nearly full" if refusal else "has room again")
    return not refusal


def beat(node: WorkerNode) -> None:
    """The worker is there and works."""
    WorkerNode.objects.filter(pk=node.pk).update(last_seen_at=timezone.now())
    has_room(node)


def processes_here(cluster: str) -> list[WorkerNode]:
    """Workers of ``cluster`` whose living processes belong to the same group as this one: its own cluster's."""
    here = WorkerNode.objects.filter(host=settings.WORKER_NAME, cluster=cluster)
    return [node for node in here if _is_ours(node)]


def _is_ours(node: WorkerNode) -> bool:
    with suppress(ProcessLookupError, PermissionError):
        return bool(node.pid) and is_alive(node.pid) and os.getpgid(node.pid) == os.getpgid(0)
    return False


def beat_here(cluster: str, figures: Mapping[str, float]) -> None:
    """The workers of this process's cluster are there, and this is how their machine stands."""
    refusal = "" if disk.can_work() else disk.DISK_FULL
    known: dict[str, Any] = {"figures": dict(figures), "last_seen_at": timezone.now(), "refusal": refusal}
    if "device_memory_mb" in figures:
        known["device_memory_mb"] = int(figures["device_memory_mb"])
    WorkerNode.objects.filter(pk__in=[node.pk for node in processes_here(cluster)]).update(**known)


def begin(node: WorkerNode) -> None:
    """The worker has taken a ticket."""
    now = timezone.now()
    WorkerNode.objects.filter(pk=node.pk).update(busy_since=now, idle_since=None, last_seen_at=now)


def end(node: WorkerNode) -> None:
    """The worker is done with its ticket, or has given it back."""
    now = timezone.now()
    WorkerNode.objects.filter(pk=node.pk).update(busy_since=None, idle_since=now, last_seen_at=now)
    handed_back = WorkerNode.objects.filter(pk=node.pk, asked=WorkerNode.Asked.HAND_BACK)
    handed_back.update(asked=WorkerNode.Asked.NOTHING)


def note_success(node: WorkerNode, job: RenderJob) -> None:
    """It has rendered ``job``, and has that footage at hand now."""
    warm = WorkerNode.objects.filter(pk=node.pk).values_list("warm", flat=True).first() or []
    kept = [job.footage_id, *(pk for pk in warm if pk != job.footage_id)][:MOST_WARM]
    WorkerNode.objects.filter(pk=node.pk).update(failures_in_row=0, warm=kept)


def note_failure(node: WorkerNode, job: RenderJob) -> None:
    """A failure that may be the worker's fault. Three different jobs in a row, and it gets no more of them.

    One job that kills whatever it is given to is counted once. The last active worker is never put aside: there would
    be nobody to try elsewhere, and a few damaged files could stop an installation that has one machine.
    """
    suspect = [RenderAttempt.Outcome.FAILED, RenderAttempt.Outcome.LOST]
    if RenderAttempt.objects.filter(job=job, worker=node, outcome__in=suspect).count() > 1:
        return
    WorkerNode.objects.filter(pk=node.pk).update(failures_in_row=F("failures_in_row") + 1)
    with transaction.atomic():
        recently = timezone.now() - SEEN_RECENTLY
        active = WorkerNode.objects.select_for_update().filter(
            cluster=node.cluster, state=WorkerNode.State.ACTIVE, last_seen_at__gte=recently
        )
        others = [other for other in active.order_by("pk") if other.pk != node.pk]
        if others and WorkerNode.objects.filter(
            pk=node.pk, state=WorkerNode.State.ACTIVE, failures_in_row__gte=QUARANTINE_AFTER
        ).update(state=WorkerNode.State.QUARANTINED):
            log.error("worker %s is quarantined: its last %s jobs failed in suspect ways", node, QUARANTINE_AFTER)


def stuck_clusters() -> list[str]:
    """Clusters of this machine in which tickets wait beside idle workers: they must be started again.

    django-q2 1.11 gets there when an idle worker is killed: it dies with the queue's lock, and its successor waits
    for that lock for ever.
    """
    since = timezone.now() - STUCK_AFTER
    stuck = []
    for cluster in CLUSTERS:
        here = WorkerNode.objects.filter(host=settings.WORKER_NAME, cluster=cluster)
        alive = [node for node in here if is_alive(node.pid)]  # none: it is not running, or only starting
        idle = [node.idle_since is not None and node.idle_since <= since for node in alive]
        if alive and all(idle) and OrmQ.objects.filter(key=cluster, lock__lte=since).exists():
            stuck.append(cluster)
    return stuck


def schedule_upkeep() -> None:
    """Every minute (the shortest step of django-q2) take back what was lost; every day tidy the disk."""
    every = {
        "rendering.tasks.reap": {"schedule_type": Schedule.MINUTES, "minutes": 1},
        "projects.tasks.deliver": {"schedule_type": Schedule.MINUTES, "minutes": 1},
        "rendering.tasks.keep_house": {"schedule_type": Schedule.DAILY},
    }
    Schedule.objects.filter(name="projects.tasks.clean_media").delete()  # is a part of it now
    for task, rhythm in every.items():
        # Names are not unique in django-q2's table: two clusters that start together may both have made one.
        known = Schedule.objects.filter(name=task).order_by("pk").first()
        row = known or Schedule.objects.create(name=task, func=task, cluster=UPKEEP_CLUSTER, **rhythm)
        Schedule.objects.filter(name=task).exclude(pk=row.pk).delete()
        Schedule.objects.filter(pk=row.pk).update(func=task, cluster=UPKEEP_CLUSTER, **rhythm)
