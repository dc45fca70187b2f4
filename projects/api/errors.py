"""Every refusal of the API is ``application/problem+json`` (RFC 9457) with a code of the common catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from projects import throttling
from projects.middleware import PROBLEM
from projects.problems import HeyGemError

CODES: tuple[tuple[type[Exception], str], ...] = (
    (Http404, "not_found"),
    (exceptions.NotFound, "not_found"),
    (exceptions.NotAuthenticated, "signed_out"),
    (exceptions.AuthenticationFailed, "signed_out"),
    (exceptions.MethodNotAllowed, "bad_method"),
    (RequestDataTooBig, "body_too_large"),
    (exceptions.UnsupportedMediaType, "bad_content"),
    (PermissionDenied, "not_allowed"),
    (exceptions.PermissionDenied, "not_allowed"),
    (exceptions.APIException, "bad_request"),
)


class ProblemSerializer(serializers.Serializer):
    """``detail`` says what to do; ``errors`` names the fields that are at fault."""

    code = serializers.CharField()
    title = serializers.CharField()
    detail = serializers.CharField()
    status = serializers.IntegerField()
    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)


def _by_field(detail: Any, place: str = "") -> Iterator[tuple[str, list[str]]]:
    """``{"cells": {3: ["too long"]}}`` -> ``cells.3``: too long."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _by_field(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        for number, inner in enumerate(detail):
            yield from _by_field(inner, f"{place}.{number}" if place else str(number))
    elif detail:
        yield place or "body", [str(sentence) for sentence in (detail if isinstance(detail, list) else [detail])]


def answer(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None, and with it a 500, for what nobody expected."""
    if isinstance(exception, HeyGemError):
        error = exception
    else:
        code = next((code for kind, code in CODES if isinstance(exception, kind)), None)
        if code is None:
            return None
        error = HeyGemError(code)
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    if error.problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
        try:
            throttling.charge(context["request"]._request, None)
        except HeyGemError as too_many:
            error, headers = too_many, {}
    if error.problem.status == 405:
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    if isinstance(exception, exceptions.ValidationError):
        more["errors"] = dict(_by_field(exception.detail))
    return Response(error.as_problem() | more, status=error.problem.status, headers=headers, content_type=PROBLEM)
