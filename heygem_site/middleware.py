"""What every request and answer carries: an id, a log line, and the headers that keep a browser strict."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from heygem_site.logs import request_id

log = logging.getLogger("heygem.request")

GetResponse = Callable[[HttpRequest], HttpResponseBase]

SAFE_ID = re.compile(r"[A-Za-z0-9-]{6,64}")
QUIET = re.compile(r"^/(static/|healthz$)|/changes$")
"""Asked for again and again; logged at DEBUG so that the log can be followed."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


SECRETS = ("token", "key")
"""Parts of an address that let somebody in; the log is read by others than that person."""


def loggable_path(request: HttpRequest) -> str:
    path = request.path
    match = request.resolver_match
    for name in SECRETS:
        if match is not None and (value := match.kwargs.get(name)):
            path = path.replace(str(value), "…")
    return path


class RequestLog:
    """Names the request (a proxy's ``X-Request-ID`` is kept when it is a plain word) and writes one line about it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        name = given if SAFE_ID.fullmatch(given) else secrets.token_hex(4)
        token = request_id.set(name)
        start = time.perf_counter()
        try:
            response = self.get_response(request)
            level = logging.DEBUG if QUIET.search(request.path) and response.status_code < 500 else logging.INFO
            took = (time.perf_counter() - start) * 1000
            log.log(level, "%s %s %d %.0f ms", request.method, loggable_path(request), response.status_code, took)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = name
        return response


class SecurityHeaders:
    """Scripts, styles and everything else come from this site alone; nothing inline runs."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            # A page shows a team's work: a shared machine's "back" must not show it after sign-out.
            response.setdefault("Cache-Control", "private, no-cache")
        return response
