"""``/healthz``: may a load balancer send people here?"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

log = logging.getLogger("heygem.health")


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        log.exception("the database does not answer")
        return False
    return True


def media_is_writable() -> bool:
    return os.access(settings.MEDIA_ROOT, os.W_OK | os.X_OK)


CHECKS: dict[str, Callable[[], bool]] = {"database": database_answers, "media": media_is_writable}


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """200 when this process can serve, 503 when it cannot. Says nothing that a stranger could use."""
    results = {name: check() for name, check in CHECKS.items()}
    well = all(results.values())
    body = {"status": "ok" if well else "ill", **{name: "ok" if good else "ill" for name, good in results.items()}}
    return JsonResponse(body, status=200 if well else 503)


class AnswerEarly:
    """A load balancer asks by address, not by name, and plainly: before hosts and HTTPS are insisted on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return healthz(request) if request.path == "/healthz" else self.get_response(request)
