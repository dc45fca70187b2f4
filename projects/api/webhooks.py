"""Webhooks and their deliveries, for managers."""

from __future__ import annotations

import json
from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from projects import access
from projects.api.base import Things, actor, once
from projects.api.filters import Choice, Flag, Narrowed
from projects.api.serializers import IdField
from projects.models import Role, Webhook, WebhookDelivery
from projects.services import webhooks as services

BAD = ("webhook_url", "webhook_url_password", "webhook_needs_https", "webhook_port", "webhook_private")
MANAGERS = (Role.OWNER, Role.MANAGER)


class WebhookSerializer(serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")
    events = serializers.ListField(child=serializers.ChoiceField(services.EVENTS), read_only=True)
    secret_hint = serializers.CharField(source="hint", read_only=True, help_text="The end of the signing secret.")

    class Meta:
        model = Webhook
        fields = [
            *["id", "team", "url", "description", "events", "is_active", "disabled_reason", "disabled_at"],
            *["failures_in_row", "failing_since", "secret_hint", "created_at"],
        ]


class WebhookMade(WebhookSerializer):
    secret = serializers.CharField(
        read_only=True, allow_null=True, help_text="Shown only now; null when the answer to a key is given again."
    )

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


class WebhookChange(serializers.Serializer):
    url = serializers.CharField(max_length=2000, required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    events = serializers.ListField(
        child=serializers.ChoiceField(services.EVENTS), required=False, min_length=1, max_length=len(services.EVENTS)
    )
    is_active = serializers.BooleanField(required=False)


class WebhookNew(serializers.Serializer):
    team = serializers.CharField(max_length=16)
    url = serializers.CharField(max_length=2000)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    events = serializers.ListField(
        child=serializers.ChoiceField(services.EVENTS), min_length=1, max_length=len(services.EVENTS)
    )


class SecretSerializer(serializers.Serializer):
    secret = serializers.CharField(help_text="Shown only now. The one before stays valid beside it for a day.")


class TrySerializer(serializers.Serializer):
    """``status`` is null when nothing answered; ``code`` is empty when it arrived."""

    at = serializers.DateTimeField()
    status = serializers.IntegerField(allow_null=True)
    code = serializers.CharField(allow_blank=True)
    ms = serializers.IntegerField()


class DeliverySerializer(serializers.ModelSerializer):
    """The same ``event_id`` is the same event: a redelivery has it again."""

    id = IdField()
    webhook = IdField("webhook")
    tries = TrySerializer(many=True, read_only=True)
    payload = serializers.SerializerMethodField()

    class Meta:
        model = WebhookDelivery
        fields = [
            *["id", "webhook", "event", "event_id", "state", "attempts", "next_try_at", "status", "response"],
            *["duration_ms", "error_code", "tries", "payload", "created_at", "finished_at"],
        ]

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_payload(self, delivery: WebhookDelivery) -> Any:
        return json.loads(delivery.body)


class WebhookFilter(Narrowed):
    team = filters.CharFilter(field_name="team__public_id", help_text="The id of a team.")
    is_active = Flag(help_text="Only what is, or is not, in use.")

    class Meta(Narrowed.Meta):
        model = Webhook


class DeliveryFilter(Narrowed):
    webhook = filters.CharFilter(field_name="webhook__public_id", help_text="The id of a webhook.")
    event = filters.CharFilter(help_text="A type of event, or `ping`.")
    event_id = filters.CharFilter(help_text="The id that the receiver saw.")
    state = Choice(choices=WebhookDelivery.State.choices)

    class Meta(Narrowed.Meta):
        model = WebhookDelivery


class Managed(Things):
    """Of the teams that the asker manages."""

    def get_queryset(self) -> QuerySet[Any]:
        mine = access.teams_of(self.request.user)
        managed = mine.filter(memberships__user_id=self.request.user.pk, memberships__role__in=MANAGERS)
        return super().get_queryset().filter(**{f"{self.team_path}__in": managed})


class Webhooks(Managed):
    """Addresses that are told what happens in a team (docs/api.md says how)."""

    serializer_class = WebhookSerializer
    filterset_class = WebhookFilter
    queryset = Webhook.objects.select_related("team")
    asks = {"create": WebhookNew, "partial_update": WebhookChange}
    refusals = {"retrieve": ("not_allowed",), "create": (*BAD, "webhook_too_many"), "partial_update": BAD}
    noun = "webhook"
    find = access.get_webhook_for_user

    @extend_schema(responses={201: WebhookMade})
    def create(self, request: Request) -> Response:
        """Add one. The answer has the signing secret, this once; what is kept for an Idempotency-Key has not."""
        made: list[str] = []

        def make() -> Response:
            asked = self.asked()
            team = access.get_team_for_user(request.user, asked.pop("team"), need=Role.MANAGER)
            webhook, secret = services.create_webhook(actor=actor(request), team=team, **asked)
            made.append(secret)
            webhook.secret = None  # type: ignore[attr-defined]
            return Response(WebhookMade(webhook).data, status=status.HTTP_201_CREATED)

        response = once(request, make)
        if made:
            response.data = {**response.data, "secret": made[0]}
        return response

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Another address, other events; or switch it off and on."""
        return self.act(services.change_webhook, **self.asked())

    def destroy(self, request: Request, public_id: str) -> Response:
        """Forget it with its log; nothing more is sent."""
        services.delete_webhook(actor=actor(request), webhook=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses={201: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def ping(self, request: Request, public_id: str) -> Response:
        """Send an event of type `ping`, once. Look at the delivery to see what became of it."""
        sent = services.ping(actor=actor(request), webhook=self.get_object())
        return Response(DeliverySerializer(sent).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=SecretSerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, public_id: str) -> Response:
        """Make a new signing secret."""
        secret = services.rotate_secret(actor=actor(request), webhook=self.get_object())
        return Response(SecretSerializer({"secret": secret}).data)


class Deliveries(Managed):
    """What was sent, what was answered, and what is still to be sent."""

    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    queryset = WebhookDelivery.objects.select_related("webhook")
    refusals = {"retrieve": ("not_allowed",), "redeliver": ("webhook_stopped",)}
    team_path = "webhook__team"
    noun = "delivery"
    find = access.get_delivery_for_user

    @extend_schema(responses={201: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, public_id: str) -> Response:
        """The same event with the same id once more, as a delivery of its own."""
        again = services.redeliver(actor=actor(request), delivery=self.get_object())
        return self.shown(again, status.HTTP_201_CREATED)
