"""What bodies are read and which form answers take: JSON, strictly, of a bounded size and depth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from django.conf import settings
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from projects.problems import HeyGemError


class StrictJSON(JSONParser):
    """No NaN, no key twice, nothing after the end. What is too large is refused before it is read whole."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise HeyGemError("body_too_large")
        try:
            return json.loads(body, object_pairs_hook=_once_each, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ParseError from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key comes twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


JSON_TYPES: tuple[tuple[type[serializers.Field], tuple[type, ...]], ...] = (
    (serializers.BooleanField, (bool,)),
    (serializers.IntegerField, (int,)),
    (serializers.FloatField, (int, float)),
    (serializers.CharField, (str,)),
    (serializers.ChoiceField, (str,)),
    (serializers.ListField, (list,)),
)


def wrong_types(serializer: serializers.Serializer, body: Any) -> Iterator[tuple[str, list[str]]]:
    """Fields whose value is of another type than the description says, which DRF would make fit."""
    for name, value in body.items() if isinstance(body, dict) else ():
        field = serializer.fields.get(name)
        items = value if isinstance(field, serializers.ListField) and isinstance(value, list) else ()
        if field is None or (value is None and field.allow_null):
            continue
        if not _fits(field, value) or not all(_fits(field.child, item) for item in items):
            yield name, [str(_("Not of the type that the description names."))]


def _fits(field: serializers.Field, value: Any) -> bool:
    allowed = next((types for kind, types in JSON_TYPES if isinstance(field, kind)), None)
    return allowed is None or (isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool)))


class Lenient(DefaultContentNegotiation):
    """Whatever a program says it accepts, it is answered in what there is."""

    def select_renderer(
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except (NotAcceptable, Http404):
            return renderers[0], renderers[0].media_type or ""
