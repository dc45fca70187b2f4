"""``/metrics`` for Prometheus: the farm from the database, the requests of this host from its processes.

Every web host tells the same of the farm, so rules take ``max`` over hosts. It is read from the database at most once
in a few seconds by each process, in a fixed number of queries.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from heygem_site import http_metrics
from heygem_site.briefly import Briefly
from heygem_site.version import VERSION
from projects.services import disk
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import WorkerNode
from rendering.selectors.numbers import Numbers, age_s, numbers

log = logging.getLogger("heygem.metrics")

KEPT_S = 5.0
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    return bool(wanted) and scheme == "Bearer" and hmac.compare_digest(given.strip().encode(), wanted.encode())


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For who has the token and for operators; for everybody else there is no such page."""
    from prometheus_client import generate_latest

    if not has_token(request) and not (request.user.is_active and request.user.is_staff):
        raise Http404
    return HttpResponse(generate_latest(_Everything()), content_type=TEXT)


def _read() -> Numbers | None:
    try:
        return numbers()
    except DatabaseError:
        log.exception("the database does not answer")
        return None


read = Briefly(KEPT_S, _read)


class _Everything:
    """What ``generate_latest`` asks of a registry."""

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("heygem_build", "What runs here.", {"version": VERSION, "engine": ENGINE_VERSION})
        found = read()
        yield _gauge("heygem_database_up", "Whether the database answers.", [((), float(found is not None))])
        yield from _disk()
        if found is not None:
            yield from _queue(found)
            yield from _work(found)
            yield from _workers(found)
            yield from _stored(found)
        yield from http_metrics.registry().collect()


Row = tuple[tuple[str, ...], float]


def _gauge(name: str, told: str, rows: Iterable[Row], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, told, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _counter(name: str, told: str, rows: Iterable[Row], labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(name, told, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _queue(found: Numbers) -> Iterator[Metric]:
    by_team = ("team", "state")
    depth: list[Row] = [((queue.team, queue.state), queue.number) for queue in found.queues]
    oldest: list[Row] = [((queue.team, queue.state), age_s(queue.oldest) or 0.0) for queue in found.queues]
    yield _gauge("heygem_jobs", "Unfinished jobs.", depth, by_team)
    yield _gauge("heygem_job_oldest_age_seconds", "Age of the oldest unfinished job.", oldest, by_team)
    tickets: list[Row] = [((cluster,), number) for cluster, number in found.tickets.items()]
    yield _gauge("heygem_tickets_waiting", "Tickets that a worker could take now.", tickets, ("cluster",))
    analyses: list[Row] = [(key, number) for key, number in found.analyses.items()]
    yield _gauge("heygem_analyses", "Footage and takes that are not analysed yet.", analyses, ("kind", "state"))


def _work(found: Numbers) -> Iterator[Metric]:
    attempts: list[Row] = [((outcome,), number) for outcome, number in sorted(found.attempts.items())]
    failures: list[Row] = [((code,), number) for code, number in sorted(found.failures.items())]
    yield _counter("heygem_attempts", "Attempts at jobs that have ended.", attempts, ("outcome",))
    yield _counter("heygem_attempt_failures", "Attempts that ended with an error code.", failures, ("code",))
    seconds = HistogramMetricFamily(
        "heygem_stage_seconds", "What the stages of finished renders took.", labels=("stage", "backend")
    )
    for stage in found.stages:
        buckets: list[Any] = [(str(float(bound)), number) for bound, number in stage.buckets]
        seconds.add_metric((stage.stage, stage.backend), [*buckets, ("+Inf", stage.number)], stage.seconds)
    yield seconds


def _workers(found: Numbers) -> Iterator[Metric]:
    heard: list[Row] = [((cluster,), number) for cluster, number in found.heard.items()]
    yield _gauge("heygem_workers_heard", "Workers heard of in the last minutes.", heard, ("cluster",))
    states: list[Row] = []
    ages: list[Row] = []
    failures: list[Row] = []
    busy: list[Row] = []
    for node in found.workers:
        who = (node.name, node.cluster)
        states += [((*who, str(state)), float(node.state == state)) for state in WorkerNode.State]
        failures.append((who, node.failures_in_row))
        busy.append((who, float(node.busy_since is not None)))
        if (age := age_s(node.last_seen_at)) is not None:
            ages.append((who, age))
    named = ("worker", "cluster")
    yield _gauge("heygem_worker_state", "1 for what a worker was asked to do.", states, (*named, "state"))
    yield _gauge("heygem_worker_heartbeat_age_seconds", "Since a worker was heard of.", ages, named)
    yield _gauge("heygem_worker_failures_in_row", "A worker's failures since its last success.", failures, named)
    yield _gauge("heygem_worker_busy", "Whether a worker works on a ticket.", busy, named)


def _stored(found: Numbers) -> Iterator[Metric]:
    rows: list[Row] = [((item.team, item.kind), item.size) for item in found.stored if item.team]
    yield _gauge("heygem_storage_bytes", "Stored files, as last looked through.", rows, ("team", "kind"))


def _disk() -> Iterator[Metric]:
    try:
        found = disk.space()
    except OSError:
        return
    yield _gauge("heygem_disk_free_bytes", "Room on this host's disk for media.", [((), found.free)])
    yield _gauge("heygem_disk_size_bytes", "Size of this host's disk for media.", [((), found.total)])
