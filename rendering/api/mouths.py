"""Mouth models: what there is of a footage, having one learnt, stopping it, and removing what was learnt."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from projects import access
from projects.api.base import Made, actor
from projects.models import MouthModel, Role
from projects.problems import HeyGemError
from rendering import access as work
from rendering.api import filters
from rendering.api import serializers as shapes
from rendering.services import mouths


class Mouths(Made):
    """Networks that draw a presenter's mouths, learnt from one piece of footage each; the newest good one is used."""

    serializer_class = shapes.MouthModelSerializer
    filterset_class = filters.MouthModelFilter
    queryset = MouthModel.objects.select_related("footage__presenter", "picture", "initial").defer("log")
    asks = {"create": shapes.MouthModelNew}
    refusals = {
        "create": (
            *("mouths_put_away", "mouths_not_analysed", "footage_tier", "mouths_too_little", "mouths_being_made"),
            *("team_storage_spent", "no_room"),
        ),
        "log": ("not_allowed",),
        "destroy": ("mouths_being_made", "mouths_removed"),
    }
    team_path = "footage__presenter__team"
    noun = "model"
    find = work.get_mouths_for_user

    def make(self, asked: dict[str, Any]) -> MouthModel:
        footage = access.get_footage_for_user(self.request.user, asked["footage"], need=Role.CREATOR)
        return mouths.start(actor=actor(self.request), footage=footage)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Stop learning; one that is over stays as it is, and so does the one in use."""
        model = work.get_mouths_for_user(request.user, public_id, need=Role.CREATOR)
        if model.is_being_made:
            mouths.cancel(actor=actor(request), footage=model.footage)
        return self.shown(self.get_object())

    def destroy(self, request: Request, public_id: str) -> Response:
        """Forget what was learnt of its footage, for good, earlier models that are still kept with it.

        New renders use the presenter's own mouths. The rows stay.
        """
        model = work.get_mouths_for_user(request.user, public_id, need=Role.CREATOR)
        if model.is_being_made:
            raise HeyGemError("mouths_being_made")
        if model.blob_id is None:
            raise HeyGemError("mouths_removed")
        mouths.remove(actor=actor(request), footage=model.footage)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=shapes.MouthModelLogSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def log(self, request: Request, public_id: str) -> Response:
        """What the machine wrote while it learnt, live and afterwards."""
        model = work.get_mouths_for_user(request.user, public_id, need=Role.CREATOR)
        return Response(shapes.MouthModelLogSerializer(model).data)
