"""Errors to Sentry, or to what speaks its protocol, when ``SENTRY_DSN`` is set; otherwise its library is not loaded.

What is sent: the exception with its traceback (no local variables), the message, the version, the environment, and
the ids that log records carry. What is not: names, addresses, cookies, headers, bodies, queries, network addresses.
"""

from __future__ import annotations

import re
from typing import Any

from heygem_site.logs import context, without_secrets
from heygem_site.version import VERSION

KEPT = frozenset(
    {
        *("event_id", "timestamp", "platform", "level", "logger", "logentry", "message", "exception"),
        *("release", "environment", "sdk", "tags", "user", "transaction", "transaction_info"),
    }
)
"""Parts of an event that leave the house."""
MAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"']+")


def start(*, dsn: str, environment: str, sample_rate: float) -> None:
    """Send from now on. Raises ``ImproperlyConfigured`` when ``dsn`` is not one of Sentry's addresses."""
    import sentry_sdk
    from django.core.exceptions import ImproperlyConfigured
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.integrations.threading import ThreadingIntegration
    from sentry_sdk.utils import BadDsn

    try:
        sentry_sdk.init(
            dsn=dsn,
            environment=environment,
            release=f"heygem@{VERSION}",
            sample_rate=sample_rate,
            send_default_pii=False,
            max_request_body_size="never",
            include_local_variables=False,
            max_breadcrumbs=0,  # other people's log lines
            auto_session_tracking=False,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                DjangoIntegration(signals_spans=False),
                LoggingIntegration(),
                ThreadingIntegration(),
                ExcepthookIntegration(),
                DedupeIntegration(),
                AtexitIntegration(callback=lambda _waiting, _timeout: None),  # says nothing while it sends the last
            ],
            before_send=strip,
        )
    except BadDsn:
        raise ImproperlyConfigured(
            "SENTRY_DSN must look like https://key@sentry.example.com/1: copy it from the project's settings there."
        ) from None


def strip(event: Any, _hint: Any) -> Any:
    """The event without what belongs to people, with what ties it to the log."""
    found = context()
    kept = {name: _clean(value) for name, value in event.items() if name in KEPT and name != "release"}
    kept["release"] = event.get("release")
    kept["tags"] = {name: value for name, value in found.items() if name != "user"}
    kept["user"] = {"id": found["user"]} if "user" in found else {}
    if "logentry" in kept:  # the words, without what was filled in
        kept["logentry"] = {"message": kept["logentry"].get("message", "")}
    return kept


def _clean(part: Any) -> Any:
    """Every text in ``part`` without secrets and without mail addresses."""
    if isinstance(part, str):
        return MAIL.sub("…@…", without_secrets(part))
    if isinstance(part, dict):
        return {name: _clean(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_clean(value) for value in part]
    return part
