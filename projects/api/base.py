"""What the API's addresses share: lists of what the asker may see, acts that are services, keys that make once."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import Http404
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.viewsets import GenericViewSet

from projects import access
from projects.api.bodies import wrong_types
from projects.services import keyed_requests

M = TypeVar("M", bound=Model)
Asks = Mapping[str, type[serializers.Serializer]]


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

    def plainly() -> keyed_requests.Answer:
        response = make()
        return keyed_requests.Answer(response.status_code, json.loads(json.dumps(response.data, cls=JSONEncoder)))

    answer = keyed_requests.once(
        actor=actor(request),
        key=keyed_requests.key_of(request.headers),
        address=f"{request.method} {request.path}",
        body=json.dumps(request.data, sort_keys=True).encode(),
        make=plainly,
    )
    headers = {"Idempotency-Replayed": "true"} if answer.is_replayed else {}
    return Response(answer.body, status=answer.status, headers=headers)


class Asking:
    """A view that knows what its acts are asked (``asks``, by action) and how else than usual they may refuse
    (``refusals``: codes of the catalogue, by action). The description is made from both."""

    asks: ClassVar[Asks] = {}
    refusals: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    made_once: ClassVar[tuple[str, ...]] = ("create",)
    """Actions that take an ``Idempotency-Key``."""

    request: Request
    action: str

    def asked(self) -> dict[str, Any]:
        """What the request's body says. Raises ``ValidationError``."""
        serializer = self.asks[self.action](data=self.request.data)
        for field in serializer.fields.values():
            if isinstance(field, serializers.CharField):
                field.trim_whitespace = False  # too long is too long, and the services clean names themselves
        if wrong := dict(wrong_types(serializer, self.request.data)):
            raise serializers.ValidationError(wrong)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class Things(Asking, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """A list of what the asker may see, and one of them by its id, by way of its ``get_..._for_user``."""

    lookup_field = "public_id"
    lookup_url_kwarg = "public_id"
    lookup_value_converter = "str"
    team_path: ClassVar[str] = "team"
    """From a row to its team."""
    noun: ClassVar[str] = ""
    """What the services call it."""
    find: Callable[..., Any]

    def get_queryset(self) -> QuerySet[Any]:
        mine: QuerySet[Any] = super().get_queryset()
        return mine.filter(**{f"{self.team_path}__in": access.teams_of(self.request.user)})

    def get_object(self) -> Any:
        return type(self).find(self.request.user, self.kwargs["public_id"])

    def shown(self, thing: Any, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(thing).data, status=code)

    def act(self, service: Callable[..., object], **more: Any) -> Response:
        """Do it, and show what has become of the thing."""
        service(actor=actor(self.request), **{self.noun: self.get_object()}, **more)
        return self.shown(self.get_object())

    def forget(self, service: Callable[..., object]) -> Response:
        """Do it, after which the thing is no more."""
        service(actor=actor(self.request), **{self.noun: self.get_object()})
        return Response(status=status.HTTP_204_NO_CONTENT)


class Made(Things, ABC):
    """Things that programs make, once for each ``Idempotency-Key``."""

    def create(self, request: Request) -> Response:
        return once(request, lambda: self.shown(self.make(self.asked()), status.HTTP_201_CREATED))

    @abstractmethod
    def make(self, asked: dict[str, Any]) -> Any: ...


class Archived(Things):
    """Things that are put away rather than deleted."""

    put_away: Callable[..., object]
    bring_back: Callable[..., object]

    @action(detail=True, methods=["post"])
    def archive(self, request: Request, public_id: str) -> Response:
        """Put it away: no longer offered for new work; nothing is lost."""
        return self.act(type(self).put_away)

    @action(detail=True, methods=["post"])
    def restore(self, request: Request, public_id: str) -> Response:
        """Bring it back from the archive."""
        return self.act(type(self).bring_back)
