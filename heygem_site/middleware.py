"""What every request and answer carries: an id, a log line, and the headers that keep a browser strict."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from heygem_site import http_metrics, logs

log = logging.getLogger("heygem.request")

GetResponse = Callable[[HttpRequest], HttpResponseBase]

SAFE_ID = re.compile(r"[A-Za-z0-9-]{6,64}")
QUIET = re.compile(r"^/(static/|healthz$|readyz$|metrics$)|/changes$")
"""Asked for again and again; logged at DEBUG so that the log can be followed."""


def content_security_policy() -> str:
    """Files may also be fetched from, and sent to, the object storage where the site keeps them."""
    storage = f" {settings.S3_ORIGIN}" if settings.S3_ORIGIN else ""
    return "; ".join(
        (
            "default-src 'self'",
            f"connect-src 'self'{storage}",
            f"img-src 'self' data: blob:{storage}",
            f"media-src 'self' blob:{storage}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def loggable_path(request: HttpRequest) -> str:
    path = request.path
    for secret in logs.secrets_of(request):
        path = path.replace(secret, "…")
    return path


def _tell(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    """One line in the log, one more in the numbers."""
    method, path, status = request.method or "", loggable_path(request), response.status_code
    told = {"method": method, "path": path, "status": status, "ms": round(seconds * 1000, 1)}
    told["route"] = route = http_metrics.route_of(request)
    level = logging.DEBUG if QUIET.search(request.path) and status < 500 else logging.INFO
    log.log(level, "%s %s %d %.0f ms", method, path, status, seconds * 1000, extra=told)
    http_metrics.observe(method, route, status, seconds)


class RequestLog:
    """Names the request (a proxy's ``X-Request-ID`` is kept when it is a plain word) and writes one line about it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        name = given if SAFE_ID.fullmatch(given) else secrets.token_hex(4)
        start = time.perf_counter()
        with logs.serving(request, name):
            response = self.get_response(request)
            _tell(request, response, time.perf_counter() - start)
        response["X-Request-ID"] = name
        return response


class SecurityHeaders:
    """Scripts and styles come from this site alone; nothing inline runs."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", content_security_policy())
        response.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            # A page shows a team's work: a shared machine's "back" must not show it after sign-out.
            response.setdefault("Cache-Control", "private, no-cache")
        return response
