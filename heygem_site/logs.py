"""One line for one event, with the ids that tie it to a request or a job.

``2026-11-21 03:10:02 INFO  heygem.request [req=k3v9t2] GET /projects/… 200 12 ms``. Code that works on a job passes
``extra={"job": job.public_id}``; the request's id is put in by the middleware.
"""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")


class Context(logging.Filter):
    """Gives every record its ``request`` and ``job``."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = " ".join(
            f"{name}={value}"
            for name, value in (("req", request_id.get()), ("job", getattr(record, "job", "")))
            if value
        )
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
        context = getattr(record, "context", "")
        record.context = f"[{context}] " if context and not context.startswith("[") else context
        head, *rest = super().format(record).rstrip().splitlines()
        return "\n".join([head, *(f"    | {line}" for line in rest if line.strip())])
