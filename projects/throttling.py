"""What each person's programs, and each address without a sign-in, may ask of the site in a minute."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.throttling import BaseThrottle

from projects.access import AnyUser
from projects.problems import HeyGemError
from projects.services import rates

READING = ("GET", "HEAD", "OPTIONS")


def charge(request: HttpRequest, user: AnyUser | None) -> rates.Allowance:
    """Count the request against the asker's limit. Raises ``HeyGemError('too_many_requests')``.

    The answer's headers tell what is left (:func:`tell`).
    """
    if user is not None and user.is_authenticated:
        name, who = "reading" if request.method in READING else "changing", str(user.pk)
    else:
        name, who = "anonymous", BaseThrottle().get_ident(request)
    allowance = rates.spend(name=name, who=who, limit=settings.API_RATES[name])
    request.allowance = allowance  # type: ignore[attr-defined]
    if allowance.is_spent:
        raise HeyGemError("too_many_requests")
    return allowance


def tell(request: HttpRequest, response: HttpResponseBase) -> None:
    """``RateLimit`` and ``RateLimit-Policy`` (IETF draft), and ``Retry-After`` when it was one too many."""
    allowance: rates.Allowance | None = getattr(request, "allowance", None)
    if allowance is None:
        return
    response["RateLimit-Policy"] = f'"{allowance.name}";q={allowance.limit};w={rates.WINDOW_S}'
    response["RateLimit"] = f'"{allowance.name}";r={max(allowance.left, 0)};t={allowance.reset_s}'
    if allowance.is_spent:
        response["Retry-After"] = str(allowance.reset_s)
