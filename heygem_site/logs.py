"""One record for one event, with the ids that tie it to a request, a job, a team, a person and a worker.

``LOG_FORMAT=line``: ``2026-11-21 03:10:02 INFO  heygem.request [req=k3v9t2 user=7] GET /projects/… 200 12 ms``;
``json``: one object for one event, for programs that collect logs. The ids come from ``projects.trace``: whoever logs
does nothing for them.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from projects import trace

SHORT = {"request": "req"}
"""How a line calls what it tells most often."""
DETAILS = ("method", "path", "route", "status", "ms")
"""What a record may carry besides; everything else that is hung on it stays where it is."""

SECRET = re.compile(
    r"(?P<before>://[^\s:/@]*:|\bBearer\s+|\bToken\s+|[?&](?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|token)=)"
    r"(?P<secret>[^\s@&\"']+)",
    re.IGNORECASE,
)
"""Passwords in addresses, keys in headers, signatures of links: a library's message may quote them."""

KEYS = ("token", "key")
"""How URLs call such parts."""

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


@contextmanager
def serving(request: HttpRequest, name: str) -> Iterator[None]:
    """Records within the block belong to ``request``, which is called ``name``."""
    token = _request.set(request)
    try:
        with trace.working_for(request=name):
            yield
    finally:
        _request.reset(token)


def context() -> dict[str, str]:
    """The ids known here and now, in the order of ``trace.NAMES``. Asks the database nothing."""
    found = {**trace.ids()}
    if "user" not in found and (user := _user_id(_request.get())):
        found["user"] = user
    return {name: found[name] for name in trace.NAMES if name in found}


def _user_id(request: HttpRequest | None) -> str:
    """The id of the signed-in person, if somebody has asked who it is; a log line is no reason to look them up."""
    user = getattr(request, "user", None)
    if isinstance(user, LazyObject):
        user = user.__dict__.get("_wrapped")
    return "" if user is None or user is empty else str(user.pk or "")


def secrets_of(request: HttpRequest | None) -> list[str]:
    """Parts of the request's address that let somebody in; the log is read by others than that person."""
    match = getattr(request, "resolver_match", None)
    return [str(match.kwargs[name]) for name in KEYS if match.kwargs.get(name)] if match is not None else []


def without_secrets(text: str) -> str:
    for secret in secrets_of(_request.get()):
        text = text.replace(secret, "…")
    return SECRET.sub(lambda match: match["before"] + "…", text)


class Context(logging.Filter):
    """Gives every record its ids."""

    def filter(self, record: logging.LogRecord) -> bool:
        found = context()
        given = {name: record.__dict__.get(name) for name in trace.NAMES}
        found.update({name: value for name, value in given.items() if value and isinstance(value, str)})
        record.ids = found
        return True


class OneLine(logging.Formatter):
    """The event is one line; what belongs to it (a traceback, a program's last words) follows indented, so that
    nothing inside a message can pass for an event."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(context)s%(message)s", "%Y-%m-%d %H:%M:%S")

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        return time.gmtime(seconds)

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{SHORT.get(name, name)}={value}" for name, value in getattr(record, "ids", {}).items())
        record.context = f"[{ids}] " if ids else ""
        head, *rest = without_secrets(super().format(record)).rstrip().splitlines()
        return "\n".join([head, *(f"    | {line}" for line in rest if line.strip())])


class OneObject(logging.Formatter):
    """The event is one line of JSON: time (UTC), level, logger, message, the ids, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            **getattr(record, "ids", {}),
            **{name: record.__dict__[name] for name in DETAILS if name in record.__dict__},
            "process": record.process,
        }
        if record.exc_info:
            told["traceback"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False, default=str)
