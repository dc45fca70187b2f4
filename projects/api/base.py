"""What the API's addresses share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.viewsets import GenericViewSet

from projects.problems import HeyGemError
from projects.services import keyed_requests

M = TypeVar("M", bound=Model)
LONGEST_KEY = 200
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Sent again within 24 hours with the same request, the first answer is given again.",
)


def actor(request: Request) -> User:
    """Who asks; the API lets nobody else in."""
    assert isinstance(request.user, User)  # noqa: S101 - see the permission classes
    return request.user


def chosen(rows: QuerySet[M], public_ids: Iterable[str]) -> list[M]:
    """The rows with these ids, in their order. Raises ``Http404`` when one is not among them."""
    wanted = list(dict.fromkeys(public_ids))
    found = {getattr(row, "public_id"): row for row in rows.filter(public_id__in=wanted)}  # noqa: B009 - any Kept
    if len(found) < len(wanted):
        raise Http404
    return [found[public_id] for public_id in wanted]


def once(request: Request, make: Callable[[], Response]) -> Response:
    """What ``make`` answers; with an ``Idempotency-Key`` it is made once and answered the same for a day."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return make()
    if len(key) > LONGEST_KEY:
        raise HeyGemError("bad_request")
    body = json.dumps(request.data, sort_keys=True).encode()
    kept = keyed_requests.begin(actor=actor(request), key=key, address=f"{request.method} {request.path}", body=body)
    if kept.status is not None:
        return Response(kept.body, status=kept.status, headers={"Idempotency-Replayed": "true"})
    try:
        response = make()
    except Exception:
        keyed_requests.forget(kept)
        raise
    plain = json.loads(json.dumps(response.data, cls=JSONEncoder))
    keyed_requests.finish(kept, status=response.status_code, body=plain)
    return response


class Things(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """A list of what the asker may see, and one of them by its id, by way of its ``get_..._for_user``."""

    lookup_field = "public_id"
    lookup_url_kwarg = "public_id"
    lookup_value_converter = "str"
    find: Callable[..., Any]

    def get_object(self) -> Any:
        return type(self).find(self.request.user, self.kwargs["public_id"])

    def shown(self, thing: Any, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(thing).data, status=code)

    def asked(self, serializer_class: Any) -> dict[str, Any]:
        """What the request's body says. Raises ``ValidationError``."""
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)
