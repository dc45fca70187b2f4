"""Is the site well? Two questions, for two askers.

``/healthz``: can this process serve people now? A load balancer asks, and a supervisor. It looks at what a web process
cannot do without: the database, and a media folder that it can write to.

``/readyz``: is the installation whole? Monitoring asks, and who has just deployed. It looks at the parts one by one; a
full disk, a cluster that is away and a queue that stands still are told but do not make it 503, so that a load
balancer pointed here does not take every web host out because a GPU is. ``/readyz?whole=yes`` insists on all of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from heygem_site import metrics
from heygem_site.briefly import Briefly
from projects.problems import HeyGemError
from projects.services import blobs, disk
from rendering.selectors import numbers

log = logging.getLogger("heygem.health")

OK = "ok"
NEEDED = {"database": {OK}, "migrations": {OK}, "storage": {OK, "full"}}
"""The words with which this host can serve people: a full disk still shows what is there."""
KEPT_S = 5.0


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        log.exception("the database does not answer")
        return False
    return True


def media_is_writable() -> bool:
    """Object storage is not asked: without it there are no videos, but there are pages."""
    return bool(settings.S3_BUCKET) or os.access(settings.MEDIA_ROOT, os.W_OK | os.X_OK)


CHECKS: dict[str, Callable[[], bool]] = {"database": database_answers, "media": media_is_writable}


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """200 when this process can serve, 503 when it cannot. Says nothing that a stranger could use."""
    results = {name: check() for name, check in CHECKS.items()}
    well = all(results.values())
    body = {"status": "ok" if well else "ill", **{name: "ok" if good else "ill" for name, good in results.items()}}
    return JsonResponse(body, status=200 if well else 503)


def waiting_migrations() -> list[str]:
    """What this code expects of the database and the database does not have yet. Raises ``DatabaseError``."""
    loader = MigrationLoader(connection)
    return [f"{app}.{name}" for app, name in loader.graph.nodes if (app, name) not in loader.applied_migrations]


class _Migrations:
    """What was made once stays made: looked at until it is, then no more."""

    are_made = False

    def word(self) -> str:
        if not self.are_made:
            self.are_made = not waiting_migrations()
        return OK if self.are_made else "waiting"


migrations = _Migrations()


def storage_word() -> str:
    """``ok``, ``full`` (uploads are refused) or ``away``."""
    try:
        blobs.check()
        return OK if disk.has_room() else "full"
    except (HeyGemError, OSError) as error:
        log.warning("the storage cannot be used: %s", error)
        return "away"


def _look() -> dict[str, str]:
    """Each part in a word."""
    parts = {"database": OK, "migrations": "unknown", "storage": storage_word(), "workers": "unknown"}
    parts["queue"] = "unknown"
    try:
        parts["migrations"] = migrations.word()
        if parts["migrations"] == OK:
            parts["workers"] = "away" if numbers.clusters_away() else OK
            parts["queue"] = "stuck" if numbers.work_is_left_lying() else OK
    except DatabaseError:
        log.exception("the database does not answer")
        parts["database"] = "away"
    return parts


look = Briefly(KEPT_S, _look)


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 or 503 as told above, and each part in a word. Says nothing that a stranger could use."""
    parts = look()
    serves = all(parts[name] in words for name, words in NEEDED.items())
    whole = all(word == OK for word in parts.values())
    status = "ready" if whole else "degraded" if serves else "unready"
    good = whole if request.GET.get("whole") == "yes" else serves
    return JsonResponse({"status": status, **parts}, status=200 if good else 503)


class AnswerEarly:
    """A load balancer asks by address, not by name, and plainly: before hosts and HTTPS are insisted on. So does
    Prometheus, which shows its token."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path == "/healthz":
            return healthz(request)
        if request.path == "/readyz":
            return readyz(request)
        if request.path == "/metrics" and metrics.has_token(request):
            return metrics.metrics(request)
        return self.get_response(request)
