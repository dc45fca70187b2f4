"""What pages are told about this installation (a context processor)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def installation(_request: HttpRequest) -> dict[str, bool]:
    return {"signup_open": settings.SIGNUP_OPEN}
