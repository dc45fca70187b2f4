"""How many requests were answered, how, and how fast: by route, never by address.

Several web processes of one host add up: each writes its numbers into files of ``var/metrics/<host>.<parent process>/``
(prometheus_client's multiprocess mode), and whichever is asked reads them all. Another host answers for itself.
"""

from __future__ import annotations

import glob
import logging
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest

from heygem_site import env

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = logging.getLogger("heygem.metrics")

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks when it is imported."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds."""
NO_ROUTE = "none"
"""What leads nowhere, so that guessing addresses makes no new series."""


def share() -> None:
    """Let this process and its sisters count together. Called before prometheus_client is imported (``wsgi.py``)."""
    host = socket.gethostname()
    folder = env.var_dir() / "metrics" / f"{host}.{os.getppid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_the_dead(folder.parent, host)
    except OSError as error:  # each process then counts for itself
        log.warning("requests are counted by each process alone: %s cannot be written (%s)", folder, error.strerror)
        return
    os.environ.setdefault(FOLDER, str(folder))


def _forget_the_dead(root: Path, host: str) -> None:
    """Numbers of servers of this host that are gone."""
    for folder in root.glob(f"{glob.escape(host)}.*"):
        parent = folder.name.removeprefix(f"{host}.")
        if parent.isdecimal() and not Path(f"/proc/{parent}").exists():
            shutil.rmtree(folder, ignore_errors=True)


class _Counted:
    """Made at first use: prometheus_client decides how it keeps numbers when it is imported."""

    def __init__(self) -> None:
        from prometheus_client import REGISTRY, Counter, Histogram

        self.registry = REGISTRY
        self.requests = Counter("heygem_http_requests", "Requests answered.", ["method", "route", "status"])
        self.seconds = Histogram(
            "heygem_http_request_seconds", "Time until the answer began.", ["method", "route"], buckets=BOUNDS
        )


_counted: _Counted | None = None


def _numbers() -> _Counted:
    global _counted
    if _counted is None:
        _counted = _Counted()
    return _counted


def route_of(request: HttpRequest) -> str:
    """The name of the URL that was asked for: there are only so many."""
    match = request.resolver_match
    if match is not None:
        return match.view_name or match.route
    if request.path.startswith(settings.STATIC_URL):
        return "static"
    early = request.path.strip("/")
    return early if early in {"healthz", "readyz", "metrics"} else NO_ROUTE


def observe(method: str, route: str, status: int, seconds: float) -> None:
    method = method if method in METHODS else "other"
    numbers = _numbers()
    numbers.requests.labels(method, route, str(status)).inc()
    numbers.seconds.labels(method, route).observe(seconds)


def registry() -> CollectorRegistry:
    """The numbers of this host's web processes; of this one alone when it does not share."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    folder = os.environ.get(FOLDER)
    if folder is None:
        return _numbers().registry
    together = CollectorRegistry()
    MultiProcessCollector(together, path=folder)
    return together
